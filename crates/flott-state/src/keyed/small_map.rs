//! A map per key that has few entries: in one piece of memory, where a tree has nodes.

use std::marker::PhantomData;

use flott_checkpoint::snapshot::SchemaText;
use flott_core::codec::{StateData, encode_into};
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::shape::{Age, MapOf, Shape};
use crate::schema::Layout;

/// An ordered map. Looking up costs a binary search unless it is the last one, inserting and removing a move of what is
/// behind.
#[derive(Clone, Debug)]
pub struct SmallMap<UK, UV>(SmallVec<[(UK, UV); 2]>);

impl<UK: Ord, UV> SmallMap<UK, UV> {
    /// Whether there are no entries.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key, to be changed.
    #[inline]
    pub fn get_mut(&mut self, key: &UK) -> Option<&mut UV> {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Sets the value of a key.
    #[inline]
    pub fn insert(&mut self, key: UK, value: UV) {
        match self.find(&key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &UK) -> Option<UV> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    /// The entries, by key.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&UK, &UV)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Keeps the entries for which `keep` says so, in order.
    ///
    /// # Errors
    /// The first error of `keep`, after which no entry is removed any more.
    pub fn try_retain(
        &mut self,
        mut keep: impl FnMut(&UK, &mut UV) -> flott_core::Result<bool>,
    ) -> flott_core::Result<()> {
        let mut result = Ok(());
        self.0.retain(|(key, value)| {
            if result.is_err() {
                return true;
            }
            keep(key, value).unwrap_or_else(|error| {
                result = Err(error);
                true
            })
        });
        result
    }

    /// The last one is what is looked for as a rule: windows come one after the other.
    #[inline]
    fn find(&self, key: &UK) -> Result<usize, usize> {
        match self.0.last() {
            Some((last, _)) if last == key => Ok(self.0.len() - 1),
            _ => self.0.binary_search_by(|(own, _)| own.cmp(key)),
        }
    }
}

impl<UK, UV> Default for SmallMap<UK, UV> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

/// As a tree is written.
impl<UK: Serialize, UV: Serialize> Serialize for SmallMap<UK, UV> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A map without TTL. In snapshots it is a map like any other.
pub(super) struct SmallMapOf<UK, UV>(PhantomData<fn() -> (UK, UV)>);

impl<UK: StateData + Ord, UV: StateData> Shape for SmallMapOf<UK, UV> {
    type Cell = SmallMap<UK, UV>;

    fn type_name() -> &'static str {
        MapOf::<UK, UV>::type_name()
    }

    fn value_schema() -> SchemaText {
        MapOf::<UK, UV>::value_schema()
    }

    fn has_expired(_: &Self::Cell, _: Age) -> bool {
        false
    }

    fn purge(_: &mut Self::Cell, _: Age) -> bool {
        false
    }

    fn encode(cell: &Self::Cell, _: Age, out: &mut Vec<u8>) -> flott_core::Result<bool> {
        encode_into(cell, out).map(|()| true)
    }

    fn decode(bytes: &[u8], layout: &Layout, age: Age) -> flott_core::Result<Self::Cell> {
        let tree = MapOf::<UK, UV>::decode(bytes, layout, age)?;
        Ok(SmallMap(tree.entries.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flott_core::Error;
    use flott_core::codec::encode;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is done to it, it is a tree: to readers, and to who decodes what it is written as.
        #[test]
        fn it_is_an_ordered_map(steps in proptest::collection::vec((any::<bool>(), 0u8..6, any::<u16>()), 0..40)) {
            let (mut map, mut tree) = (SmallMap::default(), BTreeMap::new());
            for (inserts, key, value) in steps {
                if inserts {
                    map.insert(key, value);
                    tree.insert(key, value);
                } else {
                    prop_assert_eq!(map.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(map.get_mut(&key), tree.get_mut(&key));
                prop_assert!(map.iter().eq(tree.iter()));
                prop_assert_eq!(map.is_empty(), tree.is_empty());
                prop_assert_eq!(encode(&map).unwrap(), encode(&tree).unwrap());
            }
        }
    }

    #[test]
    fn nothing_is_removed_after_an_error() {
        let mut map = SmallMap::default();
        (0..5).for_each(|key| map.insert(key, key));
        let kept = map.try_retain(|key, value| {
            *value += 10;
            if *key == 3 { Err(Error::invalid("three")) } else { Ok(key % 2 == 1) }
        });
        assert_eq!(kept.unwrap_err().to_string(), "three");
        let left: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(left, [(1, 11), (3, 13), (4, 4)]);
    }
}
