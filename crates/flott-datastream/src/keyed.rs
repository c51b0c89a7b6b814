//! A stream partitioned by key.

use std::ops::AddAssign;

use flott_core::codec::{Data, Key, StateData};
use flott_core::hash::stable_hash;
use flott_plan::{NodeKind, StreamNode};
use flott_runtime::{NodeCode, Operator, OperatorInstance};
use flott_state::AggregateFunction;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::environment::StreamExecutionEnvironment;
use crate::keyed_process::{KeyedProcess, KeyedProcessFunction};
use crate::outcome::Outcome;
use crate::rolling::{Rolling, RollingAggregate};
use crate::stream::{DataStream, Endpoint, add_operator};
use crate::updates;

/// A record with its key and the key's stable hash, which are computed once, where the stream is
/// partitioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed<K, T> {
    /// The key's stable hash.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// The record.
    pub value: T,
}

/// To another process only key and record go: to hash again costs less than eight bytes that say
/// nothing new.
impl<K: Serialize, T: Serialize> Serialize for Keyed<K, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.key, &self.value).serialize(serializer)
    }
}

impl<'de, K: Serialize + Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for Keyed<K, T> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (key, value) = <(K, T)>::deserialize(deserializer)?;
        let hash = stable_hash(&key).map_err(serde::de::Error::custom)?;
        Ok(Self { hash, key, value })
    }
}

/// A stream in which records with equal keys meet in one subtask.
pub struct KeyedStream<K, T> {
    env: StreamExecutionEnvironment,
    endpoints: Vec<Endpoint>,
    record: PhantomData<fn() -> (K, T)>,
}

impl<K: Key, T: Data> KeyedStream<K, T> {
    pub(crate) fn new(env: StreamExecutionEnvironment, endpoints: Vec<Endpoint>) -> Self {
        Self { env, endpoints, record: PhantomData }
    }

    /// Calls `function` for each record, with state and timers of the record's key.
    pub fn process<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: KeyedProcessFunction<K, T, U> + Clone + Sync + 'static,
    {
        self.transform("process", move |_| KeyedProcess::new(function.clone()))
    }

    /// A running aggregate per key: emits the result after each record; in batch mode only the last
    /// result of each key, when the input has ended.
    pub fn aggregate<A, U: Data, F>(self, function: F) -> DataStream<U>
    where
        A: StateData,
        F: AggregateFunction<T, A, U> + 'static,
    {
        let function: Arc<dyn AggregateFunction<T, A, U>> = Arc::new(function);
        self.transform("aggregate", move |_| RollingAggregate::new(function.clone()))
    }

    /// Adds an operator with state by key. The verbs of this type are made of this; so can your own
    /// be.
    pub fn transform<U: Data, O: Operator<Keyed<K, T>, U> + 'static>(
        self,
        name: &str,
        make: impl Fn(&OperatorInstance) -> O + Send + Sync + 'static,
    ) -> DataStream<U> {
        let mut node = StreamNode::new(name, NodeKind::Operator);
        node.stateful = true;
        node.keyed = true;
        let code = NodeCode::operator::<Keyed<K, T>, U, O>(make);
        add_operator(&self.env, &self.endpoints, node, code)
    }
}

/// Rolling aggregates: the state is a record, which each new record of the key updates; what is
/// emitted is the state after that. In batch mode only the last state of each key is emitted, when
/// the input has ended.
impl<K: Key, T: StateData> KeyedStream<K, T> {
    /// The running sum of a field. The other fields are those of the key's first record.
    ///
    /// `field` says which field: `.sum(|(_, count)| count)`.
    pub fn sum<N: AddAssign + Clone + 'static>(
        self,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.rolling("sum", updates::sum(field))
    }

    /// The running minimum of a field. The other fields are those of the key's first record.
    pub fn min<N: PartialOrd + 'static>(
        self,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.rolling("min", updates::min(field))
    }

    /// The running maximum of a field. The other fields are those of the key's first record.
    pub fn max<N: PartialOrd + 'static>(
        self,
        field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.rolling("max", updates::max(field))
    }

    /// The record with the least value of a field so far; the first of several.
    pub fn min_by<N: PartialOrd>(
        self,
        field: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.rolling("min_by", updates::min_by(field))
    }

    /// The record with the greatest value of a field so far; the first of several.
    pub fn max_by<N: PartialOrd>(
        self,
        field: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.rolling("max_by", updates::max_by(field))
    }

    /// Combines each record with what came before it: `f` gets the last result (or the key's first
    /// record) and the new record, and returns the new result, or a `Result` with it.
    pub fn reduce<R, M>(
        self,
        f: impl Fn(&T, T) -> R + Clone + Send + Sync + 'static,
    ) -> DataStream<T>
    where
        R: Outcome<T, M> + 'static,
        M: 'static,
    {
        self.rolling("reduce", updates::reduce(f))
    }

    fn rolling(
        self,
        name: &str,
        update: impl Fn(&mut T, T) -> flott_core::Result<()> + Clone + Send + Sync + 'static,
    ) -> DataStream<T> {
        self.transform(name, move |_| Rolling::new(update.clone()))
    }
}

#[cfg(test)]
mod tests {
    use flott_core::codec;

    use super::*;

    #[test]
    fn a_keyed_record_has_its_hash_again_on_the_other_side() {
        let key = ("word".to_owned(), 7u32);
        let hash = stable_hash(&key).unwrap();
        let record = Keyed { hash, key, value: vec![1u8, 2, 3] };
        let bytes = codec::encode(&record).unwrap();
        assert_eq!(bytes.len(), 1 + 4 + 1 + 1 + 3, "the hash does not travel");
        assert_eq!(codec::decode::<Keyed<(String, u32), Vec<u8>>>(&bytes).unwrap(), record);
    }
}
