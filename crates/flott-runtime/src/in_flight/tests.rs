//! What a barrier overtakes is read again, by the same program and by the next one.

use flott_core::codec::checksum;
use flott_core::{JobId, MaxParallelism, OperatorId};
use flott_state::{RestoredChunk, RestoredOperatorState};
use serde::ser::Error as _;

use super::*;
use crate::operator::RestoredOperator;

/// A record as the program that took the checkpoint had it.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Reading")]
struct Old {
    sensor: u32,
    value: u32,
}

/// As the program has it that starts from there.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "Reading")]
struct New {
    value: u64,
    #[serde(default = "celsius")]
    unit: String,
}

fn celsius() -> String {
    "C".to_owned()
}

/// A record that its code refuses to encode.
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
        Err(S::Error::custom("not this one"))
    }
}

fn batch<T>(records: impl IntoIterator<Item = T>) -> Batch<T> {
    let mut batch = Batch::default();
    records.into_iter().for_each(|record| batch.push(record, NO_TIMESTAMP));
    batch
}

fn capture() -> Capture {
    Capture::new(CheckpointId(1), WatermarkValve::new(1), None)
}

fn instance() -> OperatorInstance {
    OperatorInstance {
        job: JobId::from_name("job"),
        id: OperatorId::from_name("sum"),
        name: "sum".to_owned(),
        subtask: 0,
        parallelism: 1,
        max_parallelism: MaxParallelism::new(128).unwrap(),
        attempt: Default::default(),
        accumulators: Default::default(),
    }
}

/// A task that starts from a checkpoint with these batches in flight to its operator.
fn restored<T: DeserializeOwned>(batches: Vec<Vec<u8>>, by_key: bool) -> RestoredTask {
    let bytes = batches.concat();
    let mut end = 0;
    let elements = batches.iter().map(|batch| {
        let start = end;
        end += batch.len() as u64;
        start..end
    });
    let chunk = RestoredChunk { elements: elements.collect(), checksum: checksum(&bytes), bytes };
    let state = RestoredOperatorState {
        name: "in flight".to_owned(),
        redistribution: Redistribution::InFlight { by_key },
        schema: InFlight::<T>::schema(),
        chunks: vec![chunk],
    };
    let operator = RestoredOperator { operator_states: vec![state], ..Default::default() };
    let operators = [(instance().id, operator)].into();
    RestoredTask { operators, ..RestoredTask::default() }
}

fn all<T: DeserializeOwned + 'static>(mut recovered: Recovered<T>) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(mut batch) = recovered.next(usize::MAX) {
        let push = |record, _| {
            all.push(record);
            Ok(())
        };
        batch.try_drain(push).unwrap();
    }
    all
}

#[test]
fn records_of_a_type_that_has_changed_since_are_read_as_state_is() {
    let mut capture = capture();
    capture.batch(&batch([Old { sensor: 1, value: 20 }, Old { sensor: 2, value: 21 }]));
    let mut task = restored::<Old>(capture.finish(true).unwrap(), false);
    let recovered = Recovered::<New>::take(&mut task, &instance()).unwrap();
    assert!(task.has_in_flight);
    let new = |value| New { value, unit: celsius() };
    assert_eq!(all(recovered), [new(20), new(21)]);
}

#[test]
fn records_of_a_type_that_cannot_be_read_are_refused_with_the_way_out() {
    let mut capture = capture();
    capture.batch(&batch(["text"]));
    let mut task = restored::<String>(capture.finish(true).unwrap(), false);
    let error = Recovered::<u64>::take(&mut task, &instance()).map(drop).unwrap_err().report();
    assert!(error.contains("operator \"sum\""), "{error}");
    assert!(error.contains("take a savepoint"), "{error}");
}

#[test]
fn records_that_were_dealt_out_otherwise_are_refused() {
    let mut capture = capture();
    capture.batch(&batch([1_u64]));
    let batches = capture.finish(true).unwrap();
    let take = |by_key, is_owned: Option<IsOwned<u64>>| {
        let mut task = restored::<u64>(batches.clone(), by_key);
        task.is_owned = is_owned.map(|is_owned| (instance().id, Box::new(is_owned) as _));
        Recovered::<u64>::take(&mut task, &instance()).map(all)
    };
    let error = take(true, None).unwrap_err().report();
    assert!(error.contains("partitioned by key, and the input of the operator is not"), "{error}");
    let error = take(false, Some(Box::new(|_| true))).unwrap_err().report();
    assert!(error.contains("partitioned not by key, and the input"), "{error}");
    assert_eq!(take(true, Some(Box::new(|_| true))).unwrap(), [1]);
    assert!(take(true, Some(Box::new(|_| false))).unwrap().is_empty());
}

/// Also if it is all that was overtaken: an empty part would lose it.
#[test]
fn a_record_that_cannot_be_encoded_leaves_no_part_of_a_checkpoint() {
    let mut capture = capture();
    capture.batch(&batch([Stubborn]));
    assert!(capture.is_broken());
    assert!(capture.finish(true).is_err());
}

#[test]
fn what_is_left_of_a_checkpoint_goes_into_the_next() {
    let mut capture = capture();
    capture.batch(&batch(0..10_u64));
    let mut task = restored::<u64>(capture.finish(true).unwrap(), false);
    let mut recovered = Recovered::<u64>::take(&mut task, &instance()).unwrap();
    assert_eq!(recovered.next(4).unwrap().records(), [0, 1, 2, 3]);
    let parts = recovered.parts().unwrap().unwrap();
    let mut task = restored::<u64>(parts.batches, parts.by_key);
    let recovered = Recovered::<u64>::take(&mut task, &instance()).unwrap();
    assert_eq!(all(recovered), [4, 5, 6, 7, 8, 9]);
}
