//! Plays a script in one of its variations.

use std::sync::Arc;
use std::time::Duration;

use flott_checkpoint::storage::{CheckpointStorage, checkpoint_folder};
use flott_checkpoint::{CompletedCheckpoint, MemoryStorage, OperatorRecord};
use flott_cluster::plan::PlannedJob;
use flott_core::config::{Configuration, options};
use flott_core::{AttemptNumber, CheckpointId, Error, JobId, Result};
use flott_runtime::{PendingSnapshot, Program};

use super::clock::HandClock;
use super::collect::Log;
use super::deployment::Deployment;
use super::savepoint::{Savepoint, complete};
use super::script::{Script, Step};
use super::variation::{Failures, Feeding, Variation};

/// Draws the program for a parallelism, with chaining or without.
pub(super) type Draw<'a> = dyn Fn(u32, bool) -> Result<(Arc<Program>, Configuration)> + 'a;

/// What is run, and how.
pub(super) struct Setup<'a> {
    pub(super) variation: Variation,
    pub(super) parallelism: u32,
    pub(super) draw: &'a Draw<'a>,
    pub(super) logs: &'a [&'a dyn Log],
    pub(super) savepoint: Option<&'a Savepoint>,
    pub(super) allow_non_restored_state: bool,
    /// Whether tasks are told that checkpoints are taken, and wait for the final one.
    pub(super) checkpointing: bool,
}

/// A run under way.
pub(super) struct Run<'a, T> {
    setup: Setup<'a>,
    script: Script<T>,
    steps: &'a [Step<T>],
    clock: Arc<HandClock>,
    storage: Arc<MemoryStorage>,
    deployment: Deployment,
    attempt: u32,
    /// The checkpoint to start again from.
    completed: Option<CompletedCheckpoint>,
    /// A newer one, whose bytes are still to be written.
    pending: Option<(CheckpointId, Vec<PendingSnapshot>)>,
    checkpoint: CheckpointId,
    /// How much output there was at the last checkpoint.
    marks: Vec<usize>,
}

impl<'a, T> Run<'a, T> {
    /// Deploys the program.
    pub(super) fn start(setup: Setup<'a>, script: Script<T>, steps: &'a [Step<T>]) -> Result<Self> {
        let savepoint = setup.savepoint;
        let storage = savepoint.map(Savepoint::storage).transpose()?.unwrap_or_default();
        let completed = savepoint.map(|savepoint| savepoint.record.clone());
        let clock = Arc::new(HandClock::default());
        let deployment = deploy(&setup, 0, completed.as_ref(), &storage, &clock)?;
        let mut run = Self {
            script,
            steps,
            clock,
            storage,
            deployment,
            attempt: 0,
            checkpoint: completed.as_ref().map_or(CheckpointId(0), |record| record.checkpoint),
            completed,
            pending: None,
            marks: vec![0; setup.logs.len()],
            setup,
        };
        run.deployment.settle()?;
        Ok(run)
    }

    /// Plays all steps.
    pub(super) fn play(&mut self) -> Result<()> {
        let mut position = 0;
        while let Some(step) = self.steps.get(position) {
            match step {
                Step::Advance(by) => {
                    self.deployment.advance(*by)?;
                    position += 1;
                }
                Step::SetClock(wall) => {
                    self.clock.set_wall(*wall);
                    self.deployment.settle()?;
                    position += 1;
                }
                Step::Input(subtask, _) => {
                    position += self.input_length(position, *subtask);
                    self.script.release(position);
                    if self.setup.variation.overtaking {
                        self.deployment.wake_sources()?;
                    } else {
                        self.deployment.wake()?;
                    }
                    self.fail_before_snapshot()?;
                }
            }
            self.survive_snapshot()?;
        }
        Ok(())
    }

    /// How many steps are played together.
    fn input_length(&self, position: usize, subtask: u32) -> usize {
        match self.setup.variation.feeding {
            Feeding::Single => 1,
            Feeding::Bulk => {
                let same =
                    |step: &&Step<T>| matches!(step, Step::Input(other, _) if *other == subtask);
                self.steps[position..].iter().take_while(same).count()
            }
        }
    }

    /// Ends the input, and sees the job out.
    pub(super) fn end(mut self) -> Result<()> {
        self.script.end();
        self.deployment.wake()?;
        self.fail_before_snapshot()?;
        self.survive_snapshot()?;
        if self.setup.variation.failures != Failures::None {
            // Tasks end when a checkpoint has covered the end of their data.
            self.restart()?;
            self.take_checkpoint()?;
            self.write_pending()?;
            self.deployment.notify_complete(self.checkpoint)?;
        }
        if self.deployment.is_over() {
            return Ok(());
        }
        Err(Error::internal("the input has ended, but not every task has"))
    }

    /// Takes a checkpoint for another program to start from.
    pub(super) fn savepoint(mut self) -> Result<Savepoint> {
        self.take_checkpoint()?;
        self.write_pending()?;
        let record = self.completed.ok_or_else(|| Error::internal("no checkpoint was taken"))?;
        Ok(Savepoint { record, storage: self.storage })
    }

    fn fail_before_snapshot(&mut self) -> Result<()> {
        match self.setup.variation.failures {
            Failures::BeforeSnapshot => self.restart(),
            Failures::None | Failures::AfterSnapshot => Ok(()),
        }
    }

    fn survive_snapshot(&mut self) -> Result<()> {
        match self.setup.variation.failures {
            Failures::None => Ok(()),
            Failures::BeforeSnapshot => {
                self.write_pending()?;
                self.take_checkpoint()
            }
            Failures::AfterSnapshot => {
                self.take_checkpoint()?;
                self.write_pending()?;
                // Every other time the failure comes before the notification.
                if self.checkpoint.0 % 2 == 1 {
                    self.deployment.notify_complete(self.checkpoint)?;
                }
                self.restart()?;
                // What was in flight is state of the new tasks, or has gone.
                if self.setup.variation.overtaking { Ok(()) } else { self.compare_digests() }
            }
        }
    }

    fn take_checkpoint(&mut self) -> Result<()> {
        self.checkpoint = CheckpointId(self.checkpoint.0 + 1);
        let snapshots = self.deployment.checkpoint(self.checkpoint)?;
        self.pending = Some((self.checkpoint, snapshots));
        self.marks = self.setup.logs.iter().map(|log| log.mark()).collect();
        Ok(())
    }

    /// The asynchronous part of the last checkpoint; the one before it is deleted.
    fn write_pending(&mut self) -> Result<()> {
        let Some((checkpoint, snapshots)) = self.pending.take() else { return Ok(()) };
        let planned = self.deployment.planned();
        let inline_threshold = match self.setup.variation.failures {
            Failures::AfterSnapshot => planned.plan.inline_threshold,
            Failures::None | Failures::BeforeSnapshot => 0,
        };
        let record = complete(planned, &self.storage, checkpoint, snapshots, inline_threshold)?;
        let older = self.completed.replace(record).map(|record| record.checkpoint);
        let is_own = |older: &CheckpointId| {
            self.setup.savepoint.is_none_or(|savepoint| savepoint.record.checkpoint != *older)
        };
        if let Some(older) = older.filter(is_own) {
            let deleted = self.storage.delete(&checkpoint_folder(older));
            deleted.map_err(|error| error.into_error())?;
        }
        Ok(())
    }

    /// All tasks are lost; new ones start from the last checkpoint.
    fn restart(&mut self) -> Result<()> {
        self.write_pending()?;
        for (log, mark) in self.setup.logs.iter().zip(&self.marks) {
            log.truncate(*mark);
        }
        self.attempt += 1;
        let completed = self.completed.as_ref();
        self.deployment = deploy(&self.setup, self.attempt, completed, &self.storage, &self.clock)?;
        self.deployment.settle()
    }

    /// What was restored is what was stored: a checkpoint of the new tasks, which is then given up,
    /// has the digests of the one that they started from.
    fn compare_digests(&mut self) -> Result<()> {
        let Some(stored) = &self.completed else { return Ok(()) };
        self.checkpoint = CheckpointId(self.checkpoint.0 + 1);
        let snapshots = self.deployment.checkpoint(self.checkpoint)?;
        let planned = self.deployment.planned();
        let restored = complete(planned, &self.storage, self.checkpoint, snapshots, usize::MAX)?;
        let deleted = self.storage.delete(&checkpoint_folder(self.checkpoint));
        deleted.map_err(|error| error.into_error())?;
        self.deployment.notify_aborted(self.checkpoint)?;
        for operator in &restored.operators {
            let before = stored.operator(operator.info.id).map(OperatorRecord::digest);
            if before.is_some_and(|before| before != operator.digest()) {
                let name = &operator.info.name;
                return Err(Error::internal(format!(
                    "operator \"{name}\": its state is not the same after checkpoint {} was restored",
                    stored.checkpoint
                )));
            }
        }
        Ok(())
    }
}

fn deploy(
    setup: &Setup<'_>,
    attempt: u32,
    completed: Option<&CompletedCheckpoint>,
    storage: &Arc<MemoryStorage>,
    clock: &Arc<HandClock>,
) -> Result<Deployment> {
    let variation = &setup.variation;
    let turns = variation.parallelism;
    let parallelism = match turns.len() {
        0 => setup.parallelism,
        count => turns[attempt as usize % count],
    };
    let (program, mut config) = (setup.draw)(parallelism, variation.chaining)?;
    if setup.allow_non_restored_state {
        config.set(&options::IGNORE_UNCLAIMED_STATE, true)?;
    }
    let job = JobId::from_u128(1);
    let (graph, restored) = (&program.graph, completed.cloned());
    let mut planned = PlannedJob::new(job, graph, &config, restored, storage.clone())?;
    let settings = &mut Arc::make_mut(&mut planned.plan).settings;
    settings.checkpointing = setup.checkpointing;
    settings.await_final_checkpoint = setup.checkpointing;
    settings.batch_records = variation.batch_records;
    settings.state_backend = variation.backends.of(attempt);
    settings.unaligned_after = variation.overtaking.then_some(Duration::ZERO);
    settings.channel_bytes = variation.channel_bytes.unwrap_or(settings.channel_bytes);
    let attempt = AttemptNumber(attempt);
    let job = (&*program, planned);
    let restored = (completed, variation.reads);
    Deployment::start(job, restored, attempt, clock.clone(), variation.downstream_first)
}
