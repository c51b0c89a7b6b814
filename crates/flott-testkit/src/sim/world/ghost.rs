//! JobManagers that were paused for longer than their lease, and go on when another one leads.
//!
//! What they were writing gets through at some time, and they act on what they have heard, until they look at
//! whether they still lead: they always do between something that they have written and what follows from it.

use std::sync::Arc;

use flott_checkpoint::storage::CheckpointStorage;
use flott_checkpoint::{CompletedCheckpoint, Effect, metadata};
use flott_control::{JobEffect, JobInput, JobMaster};
use flott_core::element::CheckpointKind;
use flott_core::mutant::Mutant;

use super::super::storage::JobFolder;
use super::{Event, Way, World};

/// How many times as slow what a paused JobManager was writing is.
const SLOWER: u64 = 40;

/// A JobManager that was paused.
pub(in super::super) struct Ghost {
    master: JobMaster,
    /// What it was about to do.
    not_done: Option<JobEffect>,
    folder: Arc<JobFolder>,
    /// What it has not heard yet.
    unheard: Vec<JobInput>,
}

impl Ghost {
    pub(in super::super) fn new(
        master: JobMaster,
        not_done: Option<JobEffect>,
        folder: Arc<JobFolder>,
    ) -> Self {
        Self { master, not_done, folder, unheard: Vec::new() }
    }
}

/// What such a JobManager does. The number is that of the ghost.
pub(in super::super) enum GhostEvent {
    /// It goes on.
    Wakes(usize),
    /// A record that it was writing gets through.
    Record(usize, CheckpointKind, Arc<CompletedCheckpoint>),
    /// It deletes something.
    Discard(usize, Vec<String>),
}

/// What is open when a JobManager is paused.
#[derive(Default)]
pub(super) struct Open {
    /// What it has not heard yet.
    unheard: Vec<JobInput>,
    /// What it was writing.
    written: Vec<GhostEvent>,
}

impl World {
    /// What becomes of something on its way when the JobManager is paused: what it was writing comes later, and
    /// what it would hear, it hears when it goes on. The rest is as if it had died.
    pub(super) fn pauses(
        &mut self,
        event: Event,
        folder: &JobFolder,
        open: &mut Open,
    ) -> Result<Option<Event>, String> {
        let ghost = self.ghosts.len();
        match event {
            Event::WriteMetadata(kind, record) if self.faults.permille(700) => {
                // A stop gets its number when its record is written.
                if matches!(kind, CheckpointKind::Stop { .. }) {
                    let begun = folder.prepare_checkpoint(record.checkpoint);
                    begun.map_err(|error| error.into_error().report())?;
                }
                open.written.push(GhostEvent::Record(ghost, kind, record));
            }
            Event::Discard(paths) => open.written.push(GhostEvent::Discard(ghost, paths)),
            Event::ToMaster(input) => open.unheard.push(input),
            other @ (Event::Machine(_)
            | Event::Leader(_)
            | Event::PrepareLocation(_)
            | Event::WriteSnapshot(..)
            | Event::ReadState(_)
            | Event::WriteMetadata(..)
            | Event::LateMetadata(..)
            | Event::Ghost(_)) => return Ok(Some(other)),
        }
        Ok(None)
    }

    /// A JobManager is paused.
    pub(super) fn leave(&mut self, ghost: Ghost, Open { unheard, written }: Open) {
        let number = self.ghosts.len();
        self.ghosts.push(Ghost { unheard, ..ghost });
        written.into_iter().for_each(|event| self.haunt(event));
        self.haunt(GhostEvent::Wakes(number));
    }

    fn haunt(&mut self, event: GhostEvent) {
        let slower = if self.faults.permille(500) { 1 } else { self.faults.below(SLOWER) };
        let delay = self.storage_delay() * u32::try_from(slower).unwrap_or(1);
        self.send_after(Way::Storage, delay, Event::Ghost(event));
    }

    /// A JobManager that was paused does something.
    pub(in super::super) fn ghost(&mut self, event: GhostEvent) -> Result<(), String> {
        match event {
            GhostEvent::Wakes(number) => {
                self.trace.line(format_args!("the JobManager {number} goes on"));
                let now = self.leader_now();
                if let Some(ghost) = self.ghosts.get_mut(number) {
                    for input in std::mem::take(&mut ghost.unheard) {
                        ghost.master.handle(now, input);
                    }
                    ghost.master.handle_timeout(now);
                    self.act(number);
                }
            }
            GhostEvent::Record(number, kind, record) => {
                let checkpoint = record.checkpoint;
                self.trace.line(format_args!("a record of checkpoint {checkpoint}, too late"));
                let bytes = metadata::encode(&record).map_err(|error| error.report())?;
                let now = self.leader_now();
                if let Some(ghost) = self.ghosts.get_mut(number)
                    && kind != CheckpointKind::Savepoint
                    && ghost.folder.create_metadata(checkpoint, &bytes).is_ok()
                {
                    if Mutant::ActUnfenced.is_on() {
                        ghost.master.handle(now, JobInput::MetadataPersisted { checkpoint });
                        self.act(number);
                    }
                    self.is_haunted = true;
                }
            }
            GhostEvent::Discard(number, paths) => {
                let Some(ghost) = self.ghosts.get(number) else { return Ok(()) };
                for path in paths.iter().flat_map(|path| {
                    let mut files = ghost.folder.below(path);
                    files.push(path.clone());
                    files
                }) {
                    self.trace.line(format_args!("discard {path}, too late"));
                    ghost.folder.delete(&path).map_err(|error| error.into_error().report())?;
                }
            }
        }
        Ok(())
    }

    /// Does what a JobManager wants done that does not know yet that it leads no more.
    fn act(&mut self, number: usize) {
        let mut effects = Vec::new();
        if let Some(ghost) = self.ghosts.get_mut(number) {
            effects.extend(ghost.not_done.take());
            effects.extend(std::iter::from_fn(|| ghost.master.poll_effect()));
        }
        for effect in effects {
            match effect {
                JobEffect::Checkpoint(Effect::Discard { paths }) => {
                    self.haunt(GhostEvent::Discard(number, paths));
                }
                // The number of a stop leaves a trace now, and then it looks.
                JobEffect::Checkpoint(Effect::PersistMetadata {
                    kind: CheckpointKind::Stop { .. },
                    ..
                }) if !Mutant::ActUnfenced.is_on() => return,
                JobEffect::Checkpoint(Effect::PersistMetadata { kind, record, .. }) => {
                    self.haunt(GhostEvent::Record(number, kind, record));
                }
                // It writes something first, and then looks.
                JobEffect::Deploy { .. } | JobEffect::Over => return,
                // Nobody listens to it; and where it looks meanwhile, nothing follows.
                JobEffect::Checkpoint(_)
                | JobEffect::Reattach { .. }
                | JobEffect::CancelTasks { .. }
                | JobEffect::StopFailed { .. }
                | JobEffect::AllRunning { .. }
                | JobEffect::StatusChanged { .. }
                | JobEffect::Ended { .. } => {}
            }
        }
    }
}
