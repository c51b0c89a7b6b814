//! The fault matrix: every kind of fault, at every moment of a checkpoint.
//!
//! A [`Plot`] is one cell. In its run nothing else fails: the simulator waits for the moment, which it
//! sees in what is on its way, and strikes once.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A machine dies that has keyed state.
    HostOfState,
    /// A machine dies that has the sink.
    HostOfSink,
    /// A worker is taken for lost, and goes on.
    Zombie,
    /// The JobManager dies, and the next one takes over.
    JobManager,
    /// The JobManager is paused, another one takes over, and then it goes on.
    PausedJobManager,
    /// A machine and the JobManager do not hear each other for a time.
    Partition,
    /// The connections between a worker and others break.
    Links,
    /// The JobManager cannot write down what the next one has to know.
    JobRecord,
    /// Writes and reads of storage fail.
    StorageFails,
    /// Storage is slower than a checkpoint may be.
    StorageSlow,
    /// Whether something was written is not known.
    StorageUnknown,
    /// A write gets through when nobody expects it any more.
    StorageLate,
    /// The JobManager's wall clock jumps by an hour.
    JobManagerClock,
    /// The machines' wall clock jumps by an hour.
    HostClock,
    /// Everything that is on its way to the JobManager, or from it, comes again later.
    Messages,
    /// The user's code fails or panics.
    UserFailure,
    /// The user's code does not come back for a time.
    UserHang,
    /// A worker is killed.
    Worker,
    /// Somebody wants a savepoint.
    Savepoint,
    /// Somebody wants the job to stop with a savepoint.
    Stop,
    /// Somebody cancels the job, and starts another one from its newest checkpoint.
    Cancel,
    /// Somebody stops the job with a savepoint, and starts another one with another parallelism from it.
    Rescale,
}

impl Fault {
    /// Every fault, in the order of the matrix.
    pub const ALL: [Self; 22] = [
        Self::HostOfState,
        Self::HostOfSink,
        Self::Zombie,
        Self::JobManager,
        Self::PausedJobManager,
        Self::Partition,
        Self::Links,
        Self::JobRecord,
        Self::StorageFails,
        Self::StorageSlow,
        Self::StorageUnknown,
        Self::StorageLate,
        Self::JobManagerClock,
        Self::HostClock,
        Self::Messages,
        Self::UserFailure,
        Self::UserHang,
        Self::Worker,
        Self::Savepoint,
        Self::Stop,
        Self::Cancel,
        Self::Rescale,
    ];
}

/// Where a checkpoint, or the job, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// All tasks run, and no checkpoint is under way.
    BeforeTrigger,
    /// Barriers are on their way, and nothing has been written.
    Alignment,
    /// Some tasks have written their state, and some have not.
    Upload,
    /// All tasks have acknowledged; the completed record is about to be written.
    RecordDue,
    /// The record exists, and the JobManager is about to hear it.
    NotifyDue,
    /// Tasks are being told to commit.
    Commit,
    /// The job restarts after a failure.
    Recovery,
    /// It restarts after a failure during a restart.
    SecondRecovery,
}

impl Moment {
    /// Every moment, in order.
    pub const ALL: [Self; 8] = [
        Self::BeforeTrigger,
        Self::Alignment,
        Self::Upload,
        Self::RecordDue,
        Self::NotifyDue,
        Self::Commit,
        Self::Recovery,
        Self::SecondRecovery,
    ];
}

/// A fault and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plot {
    /// What goes wrong.
    pub fault: Fault,
    /// When.
    pub moment: Moment,
}
