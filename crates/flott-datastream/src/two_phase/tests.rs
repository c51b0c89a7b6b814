//! The operator with a sink of memory, driven by hand.

use std::sync::{Arc, Mutex};

use flott_checkpoint::MemoryStorage;
use flott_checkpoint::snapshot::DataRef;
use flott_core::element::CheckpointKind;
use flott_core::{AttemptNumber, JobId, MaxParallelism, MonoTime, OperatorId};
use flott_runtime::NO_TIMESTAMP;
use flott_state::{RestoredChunk, RestoredOperatorState, SnapshotWriter};

use super::*;

const NOW: Now = Now { mono: MonoTime(0), wall: Timestamp(0) };

/// What the sinks of a test share: what was committed, and whether committing fails.
#[derive(Clone, Default)]
struct World(Arc<Mutex<(Vec<String>, bool)>>);

impl World {
    fn committed(&self) -> Vec<String> {
        self.0.lock().unwrap().0.clone()
    }

    fn refuses(&self, refuses: bool) {
        self.0.lock().unwrap().1 = refuses;
    }
}

/// Commits strings of what was written between two checkpoints; keeps the first letter of an
/// odd number for later, in its state.
#[derive(Default)]
struct Fake {
    world: World,
    written: String,
    kept: Option<char>,
}

impl TwoPhaseCommitSink<char> for Fake {
    type Committable = String;
    type WriterState = char;

    fn open(&mut self, _: &OperatorInstance, restored: Vec<char>) -> Result<()> {
        self.written = restored.into_iter().collect();
        Ok(())
    }

    fn write(&mut self, record: char, _: Timestamp) -> Result<()> {
        self.written.push(record);
        Ok(())
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<Vec<String>> {
        let mut written = std::mem::take(&mut self.written);
        self.kept = if written.len() % 2 == 1 { written.pop() } else { None };
        self.written.extend(self.kept);
        Ok(if written.is_empty() { Vec::new() } else { vec![written] })
    }

    fn writer_state(&mut self, _: CheckpointId) -> Result<Vec<char>> {
        Ok(self.kept.into_iter().collect())
    }

    fn commit(&mut self, committable: &String) -> Result<()> {
        let mut world = self.world.0.lock().map_err(|_| Error::internal("poisoned"))?;
        if world.1 {
            return Err(Error::invalid("refused"));
        }
        if !world.0.contains(committable) {
            world.0.push(committable.clone());
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        // An even number, so that nothing is kept.
        if self.written.len() % 2 == 1 {
            self.written.push('.');
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

type Tested = TwoPhaseCommitOperator<char, Fake>;

fn opened(world: &World, restored: Vec<RestoredOperatorState>, checkpointing: bool) -> Tested {
    let mut operator =
        TwoPhaseCommitOperator::new(Fake { world: world.clone(), ..Fake::default() });
    try_open(&mut operator, restored, checkpointing).unwrap();
    operator
}

fn try_open(
    operator: &mut Tested,
    restored: Vec<RestoredOperatorState>,
    checkpointing: bool,
) -> Result<Vec<String>> {
    let instance = OperatorInstance {
        job: JobId::from_u128(1),
        id: OperatorId::from_u128(2),
        name: "sink".into(),
        subtask: 0,
        parallelism: 1,
        max_parallelism: MaxParallelism::default_for(1),
        attempt: AttemptNumber(0),
        accumulators: Default::default(),
    };
    let mut backend = OperatorStateBackend::new("sink");
    backend.restore(restored);
    operator.start(&instance, backend, checkpointing)
}

fn write(operator: &mut Tested, records: &str) {
    let mut batch = Batch::default();
    records.chars().for_each(|record| batch.push(record, NO_TIMESTAMP));
    operator.process(&mut batch, &mut Collector::detached(), NOW).unwrap();
    assert!(batch.is_empty());
}

/// Takes a checkpoint, and gives what it has.
fn checkpoint(operator: &mut Tested, checkpoint: u64) -> Vec<RestoredOperatorState> {
    let checkpoint = CheckpointId(checkpoint);
    let barrier = Barrier {
        kind: CheckpointKind::Checkpoint,
        checkpoint,
        triggered_at: Timestamp(0),
        base: None,
        unaligned: false,
    };
    operator.prepare_barrier(barrier, &mut Collector::detached()).unwrap();
    let id = OperatorId::from_u128(2);
    let mut writer = SnapshotWriter::new(Arc::new(MemoryStorage::new()), "file", usize::MAX);
    operator.stored(checkpoint).unwrap().snapshot().write(id, &mut writer).unwrap();
    let states = writer.finish().unwrap().into_iter().flat_map(|part| part.operator_states);
    let restored = states.map(|state| {
        let DataRef::Inline(bytes) = state.data else { panic!("state in a file") };
        let starts = std::iter::once(0).chain(state.ends.iter().copied());
        let elements = starts.zip(state.ends.iter().copied());
        let elements = elements.map(|(start, end)| start..end).collect();
        RestoredOperatorState {
            name: state.name,
            redistribution: state.redistribution,
            schema: state.schema,
            chunks: vec![RestoredChunk { bytes, elements, checksum: state.checksum }],
        }
    });
    restored.collect()
}

fn complete(operator: &mut Tested, checkpoint: u64) -> Result<()> {
    operator.notify_complete(CheckpointId(checkpoint), NOW)
}

#[test]
fn what_lies_before_a_completed_checkpoint_is_committed_and_nothing_else() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), true);
    write(&mut operator, "ab");
    checkpoint(&mut operator, 1);
    write(&mut operator, "cd");
    checkpoint(&mut operator, 2);
    assert!(world.committed().is_empty());
    complete(&mut operator, 1).unwrap();
    assert_eq!(world.committed(), ["ab"]);
    complete(&mut operator, 1).unwrap();
    complete(&mut operator, 2).unwrap();
    assert_eq!(world.committed(), ["ab", "cd"]);
    let left = checkpoint(&mut operator, 3);
    assert!(left.iter().flat_map(|state| &state.chunks).all(|chunk| chunk.elements.is_empty()));
}

#[test]
fn a_later_checkpoint_commits_the_earlier_ones_in_order() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), true);
    for (number, records) in [(8, "ab"), (9, "cd"), (10, "ef")] {
        write(&mut operator, records);
        checkpoint(&mut operator, number);
    }
    complete(&mut operator, 10).unwrap();
    assert_eq!(world.committed(), ["ab", "cd", "ef"]);
}

#[test]
fn what_was_prepared_for_an_aborted_checkpoint_rides_with_the_next() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), true);
    write(&mut operator, "ab");
    checkpoint(&mut operator, 1);
    operator.notify_aborted(CheckpointId(1)).unwrap();
    write(&mut operator, "cd");
    let stored = checkpoint(&mut operator, 2);
    complete(&mut operator, 2).unwrap();
    assert_eq!(world.committed(), ["ab", "cd"]);
    let world = World::default();
    opened(&world, stored, true);
    assert_eq!(world.committed(), ["ab", "cd"]);
}

#[test]
fn a_restored_sink_commits_everything_before_the_first_record_and_keeps_its_state() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), true);
    write(&mut operator, "ab");
    checkpoint(&mut operator, 1);
    write(&mut operator, "cde");
    let mut stored = checkpoint(&mut operator, 2);
    // The share of another subtask comes with it.
    let mut other = opened(&World::default(), Vec::new(), true);
    write(&mut other, "xy");
    stored.extend(checkpoint(&mut other, 2));
    let mut restored = opened(&world, stored, true);
    assert_eq!(world.committed(), ["ab", "cd", "xy"]);
    write(&mut restored, "f");
    checkpoint(&mut restored, 3);
    complete(&mut restored, 3).unwrap();
    assert_eq!(world.committed().last().unwrap(), "ef");
}

#[test]
fn a_failed_commit_fails_the_task_and_is_tried_again_after_the_restart() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), true);
    write(&mut operator, "ab");
    let stored = checkpoint(&mut operator, 4);
    world.refuses(true);
    let error = complete(&mut operator, 4).unwrap_err();
    assert_eq!(error.report(), "cannot commit checkpoint 4\nCaused by: refused");
    let mut again = TwoPhaseCommitOperator::new(Fake { world: world.clone(), ..Fake::default() });
    let error = try_open(&mut again, stored.clone(), true).unwrap_err();
    assert!(error.report().contains("the restored checkpoint has left to commit"), "{error}");
    world.refuses(false);
    opened(&world, stored.clone(), true);
    opened(&world, stored, true);
    assert_eq!(world.committed(), ["ab"]);
}

#[test]
fn at_the_end_of_the_input_the_final_checkpoint_commits_the_rest() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), true);
    write(&mut operator, "abc");
    operator.finish(&mut Collector::detached(), NOW).unwrap();
    assert!(world.committed().is_empty());
    checkpoint(&mut operator, 5);
    complete(&mut operator, 5).unwrap();
    assert_eq!(world.committed(), ["abc."]);
}

#[test]
fn without_checkpointing_everything_is_committed_at_the_end_of_the_input() {
    let world = World::default();
    let mut operator = opened(&world, Vec::new(), false);
    write(&mut operator, "abc");
    operator.finish(&mut Collector::detached(), NOW).unwrap();
    assert_eq!(world.committed(), ["abc."]);
}
