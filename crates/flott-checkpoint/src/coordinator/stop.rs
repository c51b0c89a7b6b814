//! The job leaves RUNNING, or ends.

use flott_core::Now;
use flott_core::config::options::CheckpointRetention;

use super::event::TerminalStatus;
use super::{Coordinator, Pending};
use crate::reason::FailureReason;

impl Coordinator {
    /// No checkpoint until the next attempt runs. A record that is being written is left alone:
    /// the restart waits until it is known whether it exists.
    pub(super) fn stop(&mut self, now: Now) {
        self.halt(now, FailureReason::CheckpointCoordinatorSuspend, "the job left RUNNING");
    }

    pub(super) fn shut_down(&mut self, now: Now, status: TerminalStatus) {
        if self.shutdown.is_none() {
            self.shutdown = Some(status);
            self.halt(now, FailureReason::CheckpointCoordinatorShutdown, "the job has ended");
            self.retain_or_discard();
        }
    }

    fn halt(&mut self, now: Now, reason: FailureReason, message: &str) {
        // Without a run, failures no longer fail the job.
        let was_running = self.run.take().is_some();
        self.schedule.stop();
        while let Some(request) = self.requests.pop_front() {
            self.refuse(request.id, reason);
        }
        let open: Vec<_> =
            self.pending.values().filter(|p| !p.is_writing()).map(|p| p.checkpoint).collect();
        debug_assert!(was_running || open.is_empty(), "checkpoints run only while tasks do");
        for checkpoint in open {
            self.abort(now, checkpoint, reason, message.to_owned(), None);
        }
    }

    /// Once the job has ended and no record is being written: deletes the job's checkpoints, or
    /// leaves them, as its retention says. The one that it was started from goes with
    /// them if it was claimed.
    pub(super) fn retain_or_discard(&mut self) {
        let Some(status) =
            self.shutdown.filter(|_| !self.pending.values().any(Pending::is_writing))
        else {
            return;
        };
        if !is_kept(self.config.retention, status) {
            for discarded in self.store.drop_all() {
                self.stats.discarded(discarded);
            }
            self.sweep();
            self.discard_claimed(true);
        }
    }
}

fn is_kept(retention: CheckpointRetention, status: TerminalStatus) -> bool {
    match retention {
        CheckpointRetention::NoExternalizedCheckpoints => false,
        CheckpointRetention::DeleteOnCancellation => status == TerminalStatus::Failed,
        CheckpointRetention::RetainOnCancellation => status != TerminalStatus::Finished,
    }
}
