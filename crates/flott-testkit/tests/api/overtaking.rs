//! Barriers with a crowd of records before them, on the embedded cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flott_cluster::EmbeddedCluster;
use flott_core::config::options::{self, Positive};
use flott_core::config::{Configuration, MemorySize};
use flott_core::element::Barrier;
use flott_core::{CheckpointId, Error, Now, Result};
use flott_datastream::{
    Batch, Collector, OpenContext, Operator, OperatorListState, OperatorParts, RestartStrategy,
    Source, SourceStatus, StreamExecutionEnvironment,
};
use flott_state::{OperatorStateBackend, Redistribution};

use crate::common::{Numbers, millis};

const RECORDS: u64 = 20_000;

/// So many records before the barriers are a crowd. There is room for four batches of as many, and more are not
/// sent at once.
const CROWD: u64 = 1000;

/// So many records are few.
const FEW: u64 = 500;

/// What somebody who sees all subtasks sees.
#[derive(Default)]
struct Sight {
    emitted: u64,
    processed: u64,
    checkpoints: BTreeMap<CheckpointId, Checkpoint>,
    has_failed: bool,
}

/// What had happened when the last subtask of each side took its snapshot.
#[derive(Clone, Copy, Debug, Default)]
struct Checkpoint {
    /// What all sources had emitted.
    emitted: u64,
    /// What was processed at that time.
    processed_then: u64,
    /// What was processed when the slow ones had taken their snapshots.
    processed: u64,
    is_complete: bool,
}

impl Checkpoint {
    /// What was before the barriers.
    fn crowd(&self) -> u64 {
        self.emitted.saturating_sub(self.processed_then)
    }

    /// What of that they have waited for.
    fn waited_for(&self) -> u64 {
        self.processed.saturating_sub(self.processed_then)
    }
}

#[derive(Clone, Default)]
struct Watch(Arc<Mutex<Sight>>);

impl Watch {
    fn see(&self) -> MutexGuard<'_, Sight> {
        self.0.lock().unwrap()
    }
}

struct Watched(Numbers, Watch);

impl Source<u64> for Watched {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        self.0.open(context)
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<u64>, now: Now) -> Result<SourceStatus> {
        let status = self.0.poll(limit.min(8), out, now)?;
        self.1.see().emitted += out.collected().len() as u64;
        Ok(status)
    }

    fn snapshot(&mut self, barrier: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let mut sight = self.1.see();
        let (emitted, processed_then) = (sight.emitted, sight.processed);
        let seen = sight.checkpoints.entry(barrier.checkpoint).or_default();
        (seen.emitted, seen.processed_then) = (emitted, processed_then);
        self.0.snapshot(barrier, parts)
    }
}

/// Takes its time, remembers what came, and says so at the end.
struct Slow {
    watch: Watch,
    fails: bool,
    seen: Vec<u64>,
    state: Option<(OperatorStateBackend, OperatorListState<u64>)>,
}

#[expect(clippy::disallowed_methods, reason = "it stands for work, nobody waits for anything")]
fn work() {
    std::thread::sleep(Duration::from_micros(50));
}

impl Operator<u64, u64> for Slow {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        let mut state = OperatorStateBackend::new("slow");
        state.restore(std::mem::take(&mut context.restored.operator_states));
        let seen = state.list_state::<u64>("seen", Redistribution::Split)?;
        self.seen = seen.get(&mut state)?.to_vec();
        self.state = Some((state, seen));
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<u64>, _: &mut Collector<u64>, _: Now) -> Result<()> {
        batch.try_drain(|number, _| {
            work();
            self.seen.push(number);
            self.watch.see().processed += 1;
            Ok(())
        })
    }

    fn snapshot(&mut self, barrier: Barrier, parts: &mut OperatorParts) -> Result<()> {
        let mut sight = self.watch.see();
        let processed = sight.processed;
        sight.checkpoints.entry(barrier.checkpoint).or_default().processed = processed;
        if let Some((state, seen)) = &mut self.state {
            seen.update(state, self.seen.clone())?;
            parts.add_operator_state(state.snapshot());
        }
        Ok(())
    }

    fn notify_complete(&mut self, checkpoint: CheckpointId, _: Now) -> Result<()> {
        let mut sight = self.watch.see();
        let seen = sight.checkpoints.entry(checkpoint).or_default();
        seen.is_complete = true;
        let has_crowd = seen.crowd() > CROWD;
        if self.fails && has_crowd && !std::mem::replace(&mut sight.has_failed, true) {
            return Err(Error::invalid("once, with records in flight"));
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Collector<u64>, _: Now) -> Result<()> {
        self.seen.drain(..).for_each(|number| out.collect(number));
        Ok(())
    }
}

/// Runs the job, and returns its output, sorted, and what was seen.
fn run(unaligned: bool, fails: bool) -> (Vec<u64>, Watch) {
    let mut config = Configuration::new();
    config.set(&options::CHANNEL_BYTES, MemorySize(1)).unwrap();
    config.set(&options::DRIVER_THREADS, Some(Positive(2))).unwrap();
    config.set(&options::UNALIGNED, Some(unaligned)).unwrap();
    let env = StreamExecutionEnvironment::new(config, Arc::new(EmbeddedCluster::new()));
    env.set_parallelism(2).enable_checkpointing(millis(20));
    env.set_restart_strategy(RestartStrategy::fixed_delay(1, millis(1)));
    let watch = Watch::default();
    let (emits, works) = (watch.clone(), watch.clone());
    let numbers = env.add_source("numbers", move |own| {
        Watched(Numbers::new(RECORDS, own.subtask, own.parallelism), emits.clone())
    });
    let slow = numbers.rebalance().transform_stateful("slow", move |_| Slow {
        watch: works.clone(),
        fails,
        seen: Vec::new(),
        state: None,
    });
    let mut output = slow.execute_and_collect("crowd").unwrap();
    output.sort_unstable();
    (output, watch)
}

/// The completed checkpoints of which a crowd was before the barriers.
fn crowded(watch: &Watch) -> Vec<Checkpoint> {
    let sight = watch.see();
    let all = sight.checkpoints.values().filter(|own| own.is_complete);
    all.filter(|own| own.crowd() > CROWD).copied().collect()
}

#[test]
fn an_aligned_checkpoint_waits_for_all_that_is_before_it() {
    let (output, watch) = run(false, false);
    assert!(output.into_iter().eq(0..RECORDS));
    let crowded = crowded(&watch);
    assert!(!crowded.is_empty());
    assert!(crowded.iter().all(|own| own.waited_for() + FEW > own.crowd()), "{crowded:?}");
}

#[test]
fn an_unaligned_checkpoint_waits_for_the_record_at_hand() {
    let (output, watch) = run(true, false);
    assert!(output.into_iter().eq(0..RECORDS));
    let crowded = crowded(&watch);
    assert!(crowded.len() > 3, "there are several while the channels are full: {crowded:?}");
    let few = |own: &Checkpoint| own.waited_for() < FEW;
    assert!(crowded.iter().all(few), "{crowded:?}");
}

#[test]
fn a_job_that_fails_with_records_in_flight_processes_each_once() {
    let (output, watch) = run(true, true);
    assert!(watch.see().has_failed);
    assert!(output.into_iter().eq(0..RECORDS));
}
