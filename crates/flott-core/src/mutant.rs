//! Catalogued bugs, put back behind a switch.
//!
//! Real bugs of systems like this one, kept as mutants: with the cargo feature `mutants` the
//! simulator turns one on per run and must find it; without the feature [`Mutant::is_on`] is a
//! constant `false` and costs nothing.

/// A bug that the engine can be told to have. The variants name the rule that they break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An exactly-once gate goes on reading a channel whose barrier has arrived (FLINK-17568).
    ReadPastBarrier,
    /// A source emits between its snapshot and its barrier (FLINK-2098).
    EmitBetweenSnapshotAndBarrier,
    /// Restored state goes to the wrong subtask (FLINK-16576).
    RestoreWrongSubtask,
    /// Two operators of one chain share one place for their state (FLINK-12296).
    ChainSharesState,
    /// Checkpoint ids start again at 1 after a restore (Arroyo #1003).
    ReuseCheckpointIds,
    /// A JobManager acts on what it has written without a look at whether it still leads.
    ActUnfenced,
    /// Who takes a job over takes every record for one that counts.
    TakeEveryRecord,
    /// A failed state upload is taken for a success (FLINK-20675, RisingWave #17730).
    IgnoreUploadFailure,
    /// State file names repeat after a restart (FLINK-29095).
    ReuseFileNames,
    /// An unknown outcome of the completed record is taken for a failure (FLINK-22494).
    UnknownMeansFailed,
    /// A task ends before the final checkpoint committed its output (FLINK-38614).
    FinishBeforeFinalCommit,
    /// Pending transactions of an aborted checkpoint are forgotten instead of carried on
    /// (FLINK-23854).
    DropAbortedCommittables,
    /// Only the newest of several restored committables is committed (FLINK-29509).
    RecoverOneCommittable,
    /// Recovered committables are skipped instead of committed (FLINK-25920).
    SkipRecoveredCommit,
    /// Timers are not restored (FLINK-4651).
    LoseTimersOnRestore,
    /// Event-time timers are restored as processing-time timers (FLINK-11658, FLINK-15406).
    MixTimerKinds,
    /// The end of data runs `finish` again after a restore (FLINK-25920, FLINK-24161).
    FinishTwice,
    /// A watermark is the maximum of the inputs, not the minimum (FLINK-25199).
    WatermarkMaximum,
    /// A savepoint tells the tasks to commit, though no restart begins there (FLIP-203).
    SavepointCommits,
    /// The savepoint that a job stops with commits, but is no point to restart from (FLINK-21030).
    StopIsNoCheckpoint,
    /// What is on its way for an older attempt reaches the tasks of the new one (RisingWave #14931).
    DeliverStaleFrames,
    /// A new leader does not tell running tasks again which checkpoint is complete.
    ForgetToTellAgain,
    /// A new leader takes a worker of another attempt for one of the one that it goes on with
    /// (FLINK-5197).
    TrustOtherAttempts,
    /// Other regions go on when one fails while the job stops: they are gone when it goes on (FLINK-21030).
    StopSparesRegions,
    /// Files are deleted that a checkpoint under way builds upon (FLINK-25426).
    ForgetBase,
    /// A file is deleted because one of the tasks that have written into it came too late.
    ForgetSharers,
    /// What was written and is not in the state's store yet is left out of a snapshot.
    SnapshotBeforeWriteBack,
    /// What was written to a store since the checkpoint survives the failure (KAFKA-20685).
    KeepUncommittedWrites,
    /// What an unaligned barrier overtakes is not kept (FLINK-20645).
    ForgetOvertaken,
    /// A checkpoint leaves out records in flight that the task has yet to process since its restore (FLINK-20654).
    ForgetRecovered,
    /// After a change of parallelism each subtask processes records in flight to others, too.
    RecoverForeign,
    /// A snapshot goes without the state that its task has not read since it was restored.
    ForgetUnread,
    /// What the channels bring comes before the records in flight (FLINK-19907).
    RecoverLast,
    /// Only the failed task begins again, not its region.
    RestartTaskAlone,
    /// A job that is over loses its checkpoints before whoever would run it again knows (FLINK-11813).
    ForgetJobLast,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 35] = [
        Self::ReadPastBarrier,
        Self::EmitBetweenSnapshotAndBarrier,
        Self::RestoreWrongSubtask,
        Self::ChainSharesState,
        Self::ReuseCheckpointIds,
        Self::ActUnfenced,
        Self::TakeEveryRecord,
        Self::IgnoreUploadFailure,
        Self::ReuseFileNames,
        Self::UnknownMeansFailed,
        Self::FinishBeforeFinalCommit,
        Self::DropAbortedCommittables,
        Self::RecoverOneCommittable,
        Self::SkipRecoveredCommit,
        Self::LoseTimersOnRestore,
        Self::MixTimerKinds,
        Self::FinishTwice,
        Self::WatermarkMaximum,
        Self::SavepointCommits,
        Self::StopIsNoCheckpoint,
        Self::DeliverStaleFrames,
        Self::ForgetToTellAgain,
        Self::TrustOtherAttempts,
        Self::StopSparesRegions,
        Self::ForgetBase,
        Self::ForgetSharers,
        Self::SnapshotBeforeWriteBack,
        Self::KeepUncommittedWrites,
        Self::ForgetOvertaken,
        Self::ForgetRecovered,
        Self::RecoverForeign,
        Self::ForgetUnread,
        Self::RecoverLast,
        Self::RestartTaskAlone,
        Self::ForgetJobLast,
    ];

    /// Whether this thread runs with the bug.
    #[inline]
    pub fn is_on(self) -> bool {
        #[cfg(feature = "mutants")]
        return switch::ACTIVE.get() == Some(self);
        #[cfg(not(feature = "mutants"))]
        return false;
    }

    /// Runs `body` with the bug `mutant` on this thread.
    #[cfg(feature = "mutants")]
    pub fn with<R>(mutant: Option<Self>, body: impl FnOnce() -> R) -> R {
        let before = switch::ACTIVE.replace(mutant);
        let result = body();
        switch::ACTIVE.set(before);
        result
    }
}

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        pub(super) static ACTIVE: Cell<Option<super::Mutant>> = const { Cell::new(None) };
    }
}
