//! Registration: from a descriptor to a handle, by way of restored state.

use std::any::Any;

use flott_checkpoint::snapshot::StateKind;
use flott_core::codec::{Key, StateData};
use flott_core::{Error, Result};

use super::aggregating::AggregatingState;
use super::descriptor::{
    AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor, ReducingStateDescriptor,
    ValueStateDescriptor,
};
use super::disk::{self, Disk, Small};
use super::list::ListState;
use super::map::MapState;
use super::raw::{RawSmallMap, RawValue};
use super::reducing::ReducingState;
use super::shape::{Age, ListOf, MapOf, Plain, Shape, Stamped};
use super::small_map::SmallMapOf;
use super::ttl::StateTtlConfig;
use super::unread::UnreadTable;
use super::value::ValueState;
use super::{Beyond, KeyedBackend, ShapedTable, State};
use crate::restore::{Claim, KeyedData, LaterPart, RestoredKeyedState, claim, refused};
use crate::schema::{Layout, Stamps};
use crate::store::{DiskBackend, StateBackend};

type Function = Box<dyn Any + Send + Sync>;

impl<K: Key> KeyedBackend<K> {
    /// Registers a value state.
    ///
    /// # Errors
    /// If the name is registered with another kind, type or TTL, if restored state of that name
    /// has another kind or shape ([`flott_core::ErrorKind::InvalidInput`]), or if its bytes are
    /// damaged.
    pub fn value_state<V: StateData>(
        &mut self,
        descriptor: ValueStateDescriptor<V>,
    ) -> Result<ValueState<V>> {
        let ValueStateDescriptor { name, ttl, .. } = descriptor;
        let (index, ttl) = self.register_single::<V>(name, StateKind::Value, ttl, None)?;
        Ok(ValueState::new(index, ttl))
    }

    /// Registers a list state.
    ///
    /// # Errors
    /// As [`Self::value_state`].
    pub fn list_state<V: StateData>(
        &mut self,
        descriptor: ListStateDescriptor<V>,
    ) -> Result<ListState<V>> {
        let ListStateDescriptor { name, ttl, .. } = descriptor;
        self.register::<ListOf<V>>(name, StateKind::List, enabled(ttl), None).map(ListState::new)
    }

    /// Registers a map state.
    ///
    /// # Errors
    /// As [`Self::value_state`].
    pub fn map_state<UK: StateData + Ord, UV: StateData>(
        &mut self,
        descriptor: MapStateDescriptor<UK, UV>,
    ) -> Result<MapState<UK, UV>> {
        let MapStateDescriptor { name, ttl, .. } = descriptor;
        self.register::<MapOf<UK, UV>>(name, StateKind::Map, enabled(ttl), None).map(MapState::new)
    }

    /// Registers a reducing state.
    ///
    /// # Errors
    /// As [`Self::value_state`].
    pub fn reducing_state<V: StateData>(
        &mut self,
        descriptor: ReducingStateDescriptor<V>,
    ) -> Result<ReducingState<V>> {
        let ReducingStateDescriptor { name, ttl, function, .. } = descriptor;
        let function: Function = Box::new(function);
        let (index, ttl) =
            self.register_single::<V>(name, StateKind::Reducing, ttl, Some(function))?;
        Ok(ReducingState::new(index, ttl))
    }

    /// Registers an aggregating state.
    ///
    /// # Errors
    /// As [`Self::value_state`].
    pub fn aggregating_state<IN: 'static, ACC: StateData, OUT: 'static>(
        &mut self,
        descriptor: AggregatingStateDescriptor<IN, ACC, OUT>,
    ) -> Result<AggregatingState<IN, ACC, OUT>> {
        let AggregatingStateDescriptor { name, ttl, function, .. } = descriptor;
        let function: Function = Box::new(function);
        let (index, ttl) =
            self.register_single::<ACC>(name, StateKind::Aggregating, ttl, Some(function))?;
        Ok(AggregatingState::new(index, ttl))
    }

    /// Registers a value state without TTL whose table the operator works on itself, a batch at a
    /// time. In snapshots it is a value state like any other.
    ///
    /// # Errors
    /// As [`Self::value_state`].
    pub fn register_raw_value<V: StateData>(
        &mut self,
        name: impl Into<String>,
    ) -> Result<RawValue<V>> {
        let index = self.register::<Plain<V>>(name.into(), StateKind::Value, None, None)?;
        Ok(RawValue::new(index))
    }

    /// The same for a map state with few entries per key.
    ///
    /// # Errors
    /// As [`Self::value_state`].
    pub fn register_raw_small_map<UK: StateData + Ord, UV: StateData>(
        &mut self,
        name: impl Into<String>,
    ) -> Result<RawSmallMap<UK, UV>> {
        let index = self.register::<SmallMapOf<UK, UV>>(name.into(), StateKind::Map, None, None)?;
        Ok(RawSmallMap::new(index))
    }

    fn register_single<V: StateData>(
        &mut self,
        name: String,
        kind: StateKind,
        ttl: Option<StateTtlConfig>,
        function: Option<Function>,
    ) -> Result<(usize, bool)> {
        let ttl = enabled(ttl);
        let index = if ttl.is_some() {
            self.register::<Stamped<V>>(name, kind, ttl, function)?
        } else {
            self.register::<Plain<V>>(name, kind, ttl, function)?
        };
        Ok((index, ttl.is_some()))
    }

    fn register<S: Shape>(
        &mut self,
        name: String,
        kind: StateKind,
        ttl: Option<StateTtlConfig>,
        function: Option<Function>,
    ) -> Result<usize> {
        if let Some(index) = self.states.iter().position(|state| state.name == name) {
            self.check_same::<S>(index, kind, ttl)?;
            return Ok(index);
        }
        let value_schema = S::value_schema();
        let restored = claim(
            &mut self.restored,
            &Claim {
                operator: &self.operator,
                name: &name,
                kind,
                key_schema: &self.key_schema,
                value_schema: None,
            },
        )?;
        let needs_time = ttl.is_some_and(|ttl| !ttl.is_in_event_time());
        if needs_time && self.clocks.now.is_none() && !restored.is_empty() {
            return Err(Error::internal(format!(
                "operator \"{}\": state \"{name}\" with TTL is restored before the time is set",
                self.operator
            )));
        }
        let age = Age::new(ttl, self.clocks);
        let layouts = restored.iter().map(|part| {
            let stamps = Stamps::of(part.handle.kind, part.handle.ttl);
            let layout = Layout::new(&part.handle.value_schema, &value_schema, stamps);
            layout.map_err(|problem| refused(&self.operator, &name, &problem))
        });
        let layouts = layouts.collect::<Result<Vec<Layout>>>()?;
        let mut shaped = ShapedTable::<K, S>::new(self.range, self.max);
        let own = Stamps::of(kind, ttl.is_some());
        let disk = match &self.place {
            StateBackend::Heap => None,
            StateBackend::Disk(place) => self.begin_on_disk(&name, place, &restored, own)?,
        };
        if let Some(mut disk) = disk {
            let layouts = restored.iter().map(|part| part.range).zip(layouts).collect();
            let rewritten = disk.rewrite::<S>(&mut shaped.table, layouts, age);
            rewritten.map_err(|error| self.unrestored(&name, error))?;
            shaped.beyond = Beyond::Disk(Box::new(disk));
        } else {
            self.fill(&name, &mut shaped, restored.into_iter().zip(layouts), age)?;
            if let StateBackend::Disk(place) = &self.place {
                let small = Small::new((&self.operator, &name), place, self.max, own);
                shaped.beyond = Beyond::Small(Box::new(small));
            }
        }
        let type_name = S::type_name();
        let table = Box::new(shaped);
        self.states.push(State { name, kind, type_name, ttl, value_schema, table, function });
        Ok(self.states.len() - 1)
    }

    /// A store with what was restored, unless that is to be on the heap.
    fn begin_on_disk(
        &self,
        name: &str,
        place: &DiskBackend,
        restored: &[RestoredKeyedState],
        stamps: Stamps,
    ) -> Result<Option<Disk<K>>> {
        let what = format!("{}, {name}", self.operator);
        let (owns, own) = ((self.range, self.max), Layout::own(stamps));
        let begin = disk::begin(&what, place, restored, self.range);
        let begin = begin.map_err(|error| self.unrestored(name, error))?;
        Ok(begin.map(|begin| Disk::new((&what, name), place, owns, own, begin)))
    }

    fn unrestored(&self, name: &str, error: Error) -> Error {
        let operator = &self.operator;
        error.context(format!("operator \"{operator}\": state \"{name}\" cannot be restored"))
    }

    /// Puts what was restored on the heap, now or when it is needed.
    fn fill<S: Shape>(
        &self,
        name: &str,
        shaped: &mut ShapedTable<K, S>,
        restored: impl Iterator<Item = (RestoredKeyedState, Layout)>,
        age: Age,
    ) -> Result<()> {
        let mut later = Vec::new();
        for (state, layout) in restored {
            if let KeyedData::Later(data) = &state.data {
                let data = data.clone();
                later.push(LaterPart { state, data, layout });
                continue;
            }
            state.fill(&self.operator, &mut shaped.table, self.max, |bytes| {
                S::decode(bytes, &layout, age)
            })?;
        }
        let what = (self.operator.as_str(), name);
        if let Some(unread) = UnreadTable::new::<S>(what, later, (self.range, self.max), age)? {
            shaped.beyond = Beyond::Unread(Box::new(unread));
        }
        Ok(())
    }

    fn check_same<S: Shape>(
        &self,
        index: usize,
        kind: StateKind,
        ttl: Option<StateTtlConfig>,
    ) -> Result<()> {
        let state = &self.states[index];
        let one = format!("{} state of {}", kind_name(state.kind), state.type_name);
        let other = format!("{} state of {}", kind_name(kind), S::type_name());
        let (one, other) = if state.kind != kind || state.type_name != S::type_name() {
            (one, other)
        } else if state.ttl != ttl {
            (format!("{one} with TTL {:?}", state.ttl), format!("{other} with TTL {ttl:?}"))
        } else if state.table.as_any().is::<ShapedTable<K, S>>() {
            return Ok(());
        } else {
            (one, other)
        };
        Err(Error::invalid(format!(
            "operator \"{}\": state \"{}\" is registered twice, as {one} and as {other}; give one \
             of them another name",
            self.operator, state.name
        )))
    }
}

fn enabled(ttl: Option<StateTtlConfig>) -> Option<StateTtlConfig> {
    ttl.filter(|ttl| ttl.is_enabled())
}

pub(crate) fn kind_name(kind: StateKind) -> &'static str {
    match kind {
        StateKind::Value => "value",
        StateKind::List => "list",
        StateKind::Map => "map",
        StateKind::Reducing => "reducing",
        StateKind::Aggregating => "aggregating",
        StateKind::Timers => "timer",
    }
}
