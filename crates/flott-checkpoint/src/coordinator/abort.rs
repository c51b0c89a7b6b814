//! How a checkpoint dies, and what is deleted when.

use std::collections::BTreeSet;
use std::time::Duration;

use flott_core::element::CheckpointKind;
use flott_core::mutant::Mutant;
use flott_core::{CheckpointId, Now, TaskId};

use super::Coordinator;
use super::event::Effect;
use super::failures::exceeded;
use super::pending::{Part, Pending};
use super::run::FinalCheckpoint;
use super::store::metadata_path;
use crate::reason::FailureReason;
use crate::record::is_relative;

/// The longest wait before a failed final checkpoint is tried again: until it completes, tasks
/// that have nothing left to do hold on to their resources.
const FINAL_RETRY_MAX: Duration = Duration::from_secs(1);

/// How many of the missing tasks an expired checkpoint names.
const CULPRITS_NAMED: usize = 5;

impl Coordinator {
    /// Ends a checkpoint without success. The caller makes sure that its record does not exist and
    /// will not.
    pub(super) fn abort(
        &mut self,
        now: Now,
        checkpoint: CheckpointId,
        reason: FailureReason,
        message: String,
        culprit: Option<TaskId>,
    ) {
        let Some(pending) = self.pending.remove(&checkpoint) else { return };
        let attempt = pending.attempt;
        if !pending.is_preparing() {
            // Before that no task has heard of it.
            let tasks = self.audience(&pending);
            self.effects.push_back(Effect::NotifyAborted { attempt, checkpoint, tasks });
        }
        self.stats.failed(now, checkpoint, reason, message.clone(), culprit);
        let failed = Effect::Failed { checkpoint, reason, message: message.clone(), culprit };
        self.effects.push_back(failed);
        if let Some(request) = pending.request {
            let result = Err(format!("{reason} {message}"));
            self.effects.push_back(Effect::Answer { request, result });
        }
        if pending.kind.is_savepoint() {
            self.effects.push_back(Effect::DiscardSavepoint { checkpoint });
            if pending.folder.is_some() {
                self.store.bury(checkpoint, std::iter::empty());
                self.sweep();
            }
            let is_running = self.run.as_ref().is_some_and(|run| run.attempt == attempt);
            let may_have_ended = pending.kind == CheckpointKind::Stop { drain: true };
            if may_have_ended && is_running && !pending.is_preparing() {
                // Operators that have finished cannot go on.
                let message = format!("the job could not be drained: {reason} {message}");
                self.effects.push_back(Effect::FailJob { message });
            }
            return;
        }
        self.store.bury(checkpoint, pending.files().map(str::to_owned));
        self.sweep();
        let is_exceeded = self.failures.failed(checkpoint, reason);
        let is_running = self.run.as_ref().is_some_and(|run| run.attempt == attempt);
        if is_exceeded && is_running {
            self.effects.push_back(Effect::FailJob { message: exceeded(reason, &message) });
        }
        if pending.is_final && is_running {
            self.retry_final(now);
        }
    }

    /// The final checkpoint did not do what it is for.
    pub(super) fn retry_final(&mut self, now: Now) {
        let wait = self.config.interval.unwrap_or(FINAL_RETRY_MAX).min(FINAL_RETRY_MAX);
        if let Some(run) = &mut self.run {
            run.final_checkpoint = FinalCheckpoint::RetryAt(now.mono.plus(wait));
        }
    }

    /// Aborts what takes too long. A record that is being written may exist: that is not too late.
    pub(super) fn expire(&mut self, now: Now) {
        let expired = |pending: &&Pending| !pending.is_writing() && pending.expires <= now.mono;
        let expired: Vec<_> = self.pending.values().filter(expired).map(lateness).collect();
        for (checkpoint, message, culprit) in expired {
            self.abort(now, checkpoint, FailureReason::CheckpointExpired, message, culprit);
        }
    }

    /// The tasks of a checkpoint that can still hear of it.
    pub(super) fn audience(&self, pending: &Pending) -> Vec<TaskId> {
        let run = self.run.as_ref().filter(|run| run.attempt == pending.attempt);
        let is_finished = |task: &TaskId| {
            run.is_some_and(|run| run.is_finished(*task))
                || pending.parts.get(task).is_some_and(Part::is_finished)
        };
        pending.parts.keys().copied().filter(|task| !is_finished(task)).collect()
    }

    /// Deletes whatever nothing refers to any more.
    pub(super) fn sweep(&mut self) {
        let live = self.live();
        let paths = self.store.sweep(&live);
        if !paths.is_empty() {
            self.effects.push_back(Effect::Discard { paths });
        }
    }

    /// Deletes files that were reported in vain, unless they are in use.
    pub(super) fn discard_files(&mut self, mut files: BTreeSet<String>) {
        let live = self.live();
        files.retain(|path| {
            is_relative(path) && !self.store.may_be_of_others(path) && !live.contains(path)
        });
        if !files.is_empty() {
            self.effects.push_back(Effect::Discard { paths: files.into_iter().collect() });
        }
    }

    /// Deletes the claimed checkpoint if it is one too many, or in any case with `all`.
    pub(super) fn discard_claimed(&mut self, all: bool) {
        if let Some(record) = self.store.drop_claimed(all) {
            self.effects.push_back(Effect::DiscardClaimed { record });
        }
    }

    pub(super) fn discard_folder(&mut self, checkpoint: CheckpointId) {
        if !self.live().contains(&metadata_path(checkpoint)) {
            self.store.bury(checkpoint, std::iter::empty());
            self.sweep();
        }
    }

    /// Every path that a retained or pending checkpoint needs. What a record that is being written
    /// carries on is in the latest retained one too.
    fn live(&self) -> BTreeSet<String> {
        let mut live = self.store.live();
        for pending in self.pending.values() {
            live.insert(metadata_path(pending.checkpoint));
            live.extend(pending.files().map(str::to_owned));
            let base = pending.base.as_ref().filter(|_| !Mutant::ForgetBase.is_on());
            live.extend(base.into_iter().flat_map(|base| base.files()).map(str::to_owned));
        }
        live
    }
}

/// What an expired checkpoint was waiting for.
fn lateness(pending: &Pending) -> (CheckpointId, String, Option<TaskId>) {
    let missing: Vec<TaskId> = pending.waiting().collect();
    let named: Vec<String> = missing.iter().take(CULPRITS_NAMED).map(ToString::to_string).collect();
    let message = if pending.is_preparing() {
        "its folder could not be created in time".to_owned()
    } else if missing.is_empty() {
        "the record of the checkpoint before it could not be written in time".to_owned()
    } else {
        let ellipsis = if missing.len() > named.len() { ", …" } else { "" };
        format!(
            "{} of {} tasks did not acknowledge it in time: {}{ellipsis}",
            missing.len(),
            pending.parts.len(),
            named.join(", ")
        )
    };
    let culprit = missing.first().copied().filter(|_| !pending.is_preparing());
    (pending.checkpoint, message, culprit)
}
