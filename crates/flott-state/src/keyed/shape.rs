//! What is stored under one key: how it ages, and how it is encoded.
//!
//! Without TTL nothing but the value is kept. The stored bytes are the value's own encoding, or,
//! with TTL, that of the value (the elements, the entries' values) paired with the time of its
//! last use: `(time, value)`.

use std::any::type_name;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use flott_checkpoint::snapshot::SchemaText;
use flott_core::codec::{StateData, encode_into};
use flott_core::{Result, Timestamp, WallTime};

use super::ttl::StateTtlConfig;
use crate::schema::{Layout, Schema};

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// The latest time of the wall clock that was seen: what has expired stays expired if it jumps back.
    pub(super) now: Option<WallTime>,
    /// How far event time has come.
    pub(super) event_time: Timestamp,
    /// The time, in event time, of what is done now: not before that.
    pub(super) used: Timestamp,
}

/// What is used at this time was used before anybody knew what time it was.
const UNKNOWN: Timestamp = Timestamp::MIN;

impl Default for Clocks {
    fn default() -> Self {
        Self { now: None, event_time: UNKNOWN, used: UNKNOWN }
    }
}

/// The time, and how long values live.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// When what is used now was used.
    pub(super) now: Timestamp,
    /// What was used so long ago has expired.
    expires: Timestamp,
    ttl: Option<Duration>,
}

/// That of what never expires.
pub(super) const AGELESS: Age = Age { now: UNKNOWN, expires: UNKNOWN, ttl: None };

impl Age {
    #[inline]
    pub(super) fn new(config: Option<StateTtlConfig>, clocks: Clocks) -> Self {
        let ttl = config.map(StateTtlConfig::ttl);
        if config.is_some_and(StateTtlConfig::is_in_event_time) {
            return Self { now: clocks.used, expires: clocks.event_time, ttl };
        }
        let now = clocks.now.unwrap_or(UNKNOWN);
        Self { now, expires: now, ttl }
    }

    /// The same, before anything expires.
    pub(super) fn never(self) -> Self {
        Self { expires: UNKNOWN, ..self }
    }

    pub(super) fn has_ttl(self) -> bool {
        self.ttl.is_some()
    }

    #[inline]
    pub(super) fn is_expired(self, used: Timestamp) -> bool {
        self.ttl.is_some_and(|ttl| used != UNKNOWN && used.plus(ttl) <= self.expires)
    }
}

/// A kind of cell of a table.
pub(super) trait Shape: Send + Sync + 'static {
    /// What is stored under a key.
    type Cell: Clone + Send + Sync + 'static;

    /// The registered type, for messages.
    fn type_name() -> &'static str;

    fn value_schema() -> SchemaText;

    /// Whether something in the cell has expired.
    fn has_expired(cell: &Self::Cell, age: Age) -> bool;

    /// Removes what has expired; true if nothing is left.
    fn purge(cell: &mut Self::Cell, age: Age) -> bool;

    /// Appends the encoding of what is alive; `false` if nothing is.
    fn encode(cell: &Self::Cell, age: Age, out: &mut Vec<u8>) -> Result<bool>;

    /// Decodes a cell. Where the bytes hold no times of last use, and `age` has a TTL, the time is now.
    fn decode(bytes: &[u8], layout: &Layout, age: Age) -> Result<Self::Cell>;
}

/// A value and nothing else.
pub(super) struct Plain<V>(PhantomData<fn() -> V>);

impl<V: StateData> Shape for Plain<V> {
    type Cell = V;

    fn type_name() -> &'static str {
        type_name::<V>()
    }

    fn value_schema() -> SchemaText {
        Schema::of::<V>().to_text()
    }

    fn has_expired(_: &V, _: Age) -> bool {
        false
    }

    fn purge(_: &mut V, _: Age) -> bool {
        false
    }

    fn encode(value: &V, _: Age, out: &mut Vec<u8>) -> Result<bool> {
        encode_into(value, out).map(|()| true)
    }

    fn decode(bytes: &[u8], layout: &Layout, _: Age) -> Result<V> {
        if layout.has_stamps() {
            return layout.decode::<(WallTime, V)>(bytes).map(|(_, value)| value);
        }
        layout.decode(bytes)
    }
}

/// A value with the time of its last use.
pub(super) struct Stamped<V>(PhantomData<fn() -> V>);

/// The cell of [`Stamped`].
#[derive(Clone)]
pub(super) struct StampedCell<V> {
    pub(super) value: V,
    pub(super) used: WallTime,
}

impl<V: StateData> Shape for Stamped<V> {
    type Cell = StampedCell<V>;

    fn type_name() -> &'static str {
        type_name::<V>()
    }

    fn value_schema() -> SchemaText {
        Schema::of::<V>().to_text()
    }

    fn has_expired(cell: &Self::Cell, age: Age) -> bool {
        age.is_expired(cell.used)
    }

    fn purge(cell: &mut Self::Cell, age: Age) -> bool {
        age.is_expired(cell.used)
    }

    fn encode(cell: &Self::Cell, age: Age, out: &mut Vec<u8>) -> Result<bool> {
        if age.is_expired(cell.used) {
            return Ok(false);
        }
        encode_into(&(cell.used, &cell.value), out).map(|()| true)
    }

    fn decode(bytes: &[u8], layout: &Layout, age: Age) -> Result<Self::Cell> {
        let (used, value) = if layout.has_stamps() {
            layout.decode(bytes)?
        } else {
            (age.now, layout.decode::<V>(bytes)?)
        };
        Ok(StampedCell { value, used })
    }
}

/// A list.
pub(super) struct ListOf<V>(PhantomData<fn() -> V>);

/// The cell of [`ListOf`].
#[derive(Clone)]
pub(super) struct ListCell<V> {
    pub(super) values: Vec<V>,
    /// The last use of each value with TTL, else nothing.
    pub(super) used: Vec<WallTime>,
}

impl<V: StateData> Shape for ListOf<V> {
    type Cell = ListCell<V>;

    fn type_name() -> &'static str {
        type_name::<V>()
    }

    fn value_schema() -> SchemaText {
        Schema::of::<Vec<V>>().to_text()
    }

    fn has_expired(cell: &Self::Cell, age: Age) -> bool {
        cell.used.iter().any(|used| age.is_expired(*used))
    }

    fn purge(cell: &mut Self::Cell, age: Age) -> bool {
        let mut used = cell.used.iter();
        cell.values.retain(|_| !used.next().is_some_and(|used| age.is_expired(*used)));
        cell.used.retain(|used| !age.is_expired(*used));
        cell.values.is_empty()
    }

    fn encode(cell: &Self::Cell, age: Age, out: &mut Vec<u8>) -> Result<bool> {
        if !age.has_ttl() {
            return encode_into(&cell.values, out).map(|()| true);
        }
        let elements = cell.used.iter().zip(&cell.values);
        let alive: Vec<_> = elements.filter(|(used, _)| !age.is_expired(**used)).collect();
        if alive.is_empty() { Ok(false) } else { encode_into(&alive, out).map(|()| true) }
    }

    fn decode(bytes: &[u8], layout: &Layout, age: Age) -> Result<Self::Cell> {
        let (mut used, values): (Vec<_>, Vec<_>) = if layout.has_stamps() {
            layout.decode::<Vec<(WallTime, V)>>(bytes)?.into_iter().unzip()
        } else {
            let values: Vec<V> = layout.decode(bytes)?;
            (vec![age.now; values.len()], values)
        };
        if !age.has_ttl() {
            used = Vec::new();
        }
        Ok(ListCell { values, used })
    }
}

/// A map.
pub(super) struct MapOf<UK, UV>(PhantomData<fn() -> (UK, UV)>);

/// The cell of [`MapOf`].
#[derive(Clone)]
pub(super) struct MapCell<UK, UV> {
    pub(super) entries: BTreeMap<UK, UV>,
    /// The last use of each entry with TTL, else nothing.
    pub(super) used: BTreeMap<UK, WallTime>,
}

impl<UK: StateData + Ord, UV: StateData> Shape for MapOf<UK, UV> {
    type Cell = MapCell<UK, UV>;

    fn type_name() -> &'static str {
        type_name::<(UK, UV)>()
    }

    fn value_schema() -> SchemaText {
        Schema::of::<BTreeMap<UK, UV>>().to_text()
    }

    fn has_expired(cell: &Self::Cell, age: Age) -> bool {
        cell.used.values().any(|used| age.is_expired(*used))
    }

    fn purge(cell: &mut Self::Cell, age: Age) -> bool {
        cell.used.retain(|_, used| !age.is_expired(*used));
        let used = &cell.used;
        cell.entries.retain(|key, _| used.contains_key(key));
        cell.entries.is_empty()
    }

    fn encode(cell: &Self::Cell, age: Age, out: &mut Vec<u8>) -> Result<bool> {
        if !age.has_ttl() {
            return encode_into(&cell.entries, out).map(|()| true);
        }
        // Both maps have the same keys, in the same order.
        let entries = cell.used.values().zip(&cell.entries);
        let alive: BTreeMap<&UK, (WallTime, &UV)> = entries
            .filter(|(used, _)| !age.is_expired(**used))
            .map(|(used, (key, value))| (key, (*used, value)))
            .collect();
        if alive.is_empty() { Ok(false) } else { encode_into(&alive, out).map(|()| true) }
    }

    fn decode(bytes: &[u8], layout: &Layout, age: Age) -> Result<Self::Cell> {
        let mut cell = MapCell { entries: BTreeMap::new(), used: BTreeMap::new() };
        if layout.has_stamps() {
            for (key, (used, value)) in layout.decode::<BTreeMap<UK, (WallTime, UV)>>(bytes)? {
                cell.used.insert(key.clone(), used);
                cell.entries.insert(key, value);
            }
        } else {
            cell.entries = layout.decode(bytes)?;
            cell.used = cell.entries.keys().map(|key| (key.clone(), age.now)).collect();
        }
        if !age.has_ttl() {
            cell.used = BTreeMap::new();
        }
        Ok(cell)
    }
}
