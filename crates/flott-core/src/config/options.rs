//! The table of options.

use std::fmt;
use std::time::Duration;

use super::value::choice;
use super::{AnyOption, ConfigOption, MemorySize, OptionValue, Secret};
use crate::error::{Error, Result};

/// What a checkpoint promises after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointingMode {
    /// Every record has its effect on state exactly once: channels wait for each other's barriers.
    ExactlyOnce,
    /// At least once: barriers are counted, no channel waits, records after the barrier may be
    /// replayed.
    AtLeastOnce,
}
choice!(CheckpointingMode { ExactlyOnce = "EXACTLY_ONCE", AtLeastOnce = "AT_LEAST_ONCE" });

/// Whether a job answers as records come, or when all have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeExecutionMode {
    /// As they come.
    Streaming,
    /// When all have come: aggregates emit their final results only, no checkpoints are taken. All
    /// sources must be bounded.
    Batch,
    /// Batch if all sources are bounded, else streaming.
    Automatic,
}
choice!(RuntimeExecutionMode {
    Streaming = "STREAMING",
    Batch = "BATCH",
    Automatic = "AUTOMATIC",
});

/// What happens to the completed checkpoints when a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointRetention {
    /// Kept when the job is cancelled or fails, deleted when it finishes.
    RetainOnCancellation,
    /// Kept only when the job fails.
    DeleteOnCancellation,
    /// Always deleted.
    NoExternalizedCheckpoints,
}
choice!(CheckpointRetention {
    RetainOnCancellation = "RETAIN_ON_CANCELLATION",
    DeleteOnCancellation = "DELETE_ON_CANCELLATION",
    NoExternalizedCheckpoints = "NO_EXTERNALIZED_CHECKPOINTS" | "NONE",
});

/// Where checkpoints are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointStorageKind {
    /// In the memory of the process: for tests and for jobs that need to survive task failures only.
    JobManager,
    /// In the directory `execution.checkpointing.dir`.
    FileSystem,
}
choice!(CheckpointStorageKind { JobManager = "jobmanager", FileSystem = "filesystem" });

/// Which restart strategy a job uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartStrategyKind {
    /// The first failure fails the job.
    None,
    /// A number of restarts, a delay before each.
    FixedDelay,
    /// Restarts as long as failures are rare.
    FailureRate,
    /// Restarts with a growing delay.
    ExponentialDelay,
}
choice!(RestartStrategyKind {
    None = "none" | "off" | "disable",
    FixedDelay = "fixed-delay" | "fixeddelay",
    FailureRate = "failure-rate" | "failurerate",
    ExponentialDelay = "exponential-delay" | "exponentialdelay",
});

/// How much of a job begins again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverStrategy {
    /// The tasks between which records flow, directly or indirectly, and the failed one.
    Region,
    /// All.
    Full,
}
choice!(FailoverStrategy {
    Region = "region",
    Full = "full",
});

/// Which backend keeps keyed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateBackendKind {
    /// On the heap of the process.
    HashMap,
    /// On local disk, in log-structured merge trees; what is in use is in memory, too.
    Lsm,
    /// On local disk, in RocksDB, if the job binary has it (feature `rocksdb`); what is in use is in memory, too.
    RocksDb,
}
choice!(StateBackendKind { HashMap = "hashmap", Lsm = "lsm", RocksDb = "rocksdb" });

/// How the slots of a job are spread over TaskManagers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBalanceMode {
    /// One TaskManager is filled after the other.
    None,
    /// All TaskManagers get their share.
    Slots,
}
choice!(LoadBalanceMode { None = "NONE", Slots = "SLOTS" });

/// What a JobManager writes down for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HighAvailability {
    /// Nothing: its jobs end with it.
    None,
    /// Its jobs, in a directory.
    FileSystem,
}
choice!(HighAvailability { None = "NONE", FileSystem = "filesystem" });

/// Whose the checkpoint is that a job starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimMode {
    /// It stays whose it is: the job never deletes it.
    NoClaim,
    /// It is the job's.
    Claim,
}
choice!(ClaimMode { NoClaim = "NO_CLAIM", Claim = "CLAIM" });

/// An interval between checkpoints: at least 10 ms, or zero for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl OptionValue for Interval {
    fn type_name() -> String {
        format!("{} (at least 10 ms, or 0 for never)", Duration::type_name())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let duration = Duration::parse(text)?;
        if !duration.is_zero() && duration < Duration::from_millis(10) {
            return Err("it must be at least 10 ms, or 0 for never".into());
        }
        Ok(Self(duration))
    }

    fn to_text(&self) -> String {
        self.0.to_text()
    }
}

/// A whole number of at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Positive(pub u32);

impl OptionValue for Positive {
    fn type_name() -> String {
        "a whole number of at least 1".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match u32::parse(text)? {
            0 => Err(String::new()),
            number => Ok(Self(number)),
        }
    }

    fn to_text(&self) -> String {
        self.0.to_text()
    }
}

impl fmt::Display for Positive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! options {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $key:literal, $default:literal $(, old $($alias:literal),+)?;)*) => {
        $($(#[doc = $doc])+
        pub static $name: ConfigOption<$ty> =
            ConfigOption::new($key, $default, concat!($($doc),+))$(.aliases(&[$($alias),+]))?;)*

        /// Every option.
        pub static ALL: &[&dyn AnyOption] = &[$(&$name),*];
    };
}

options! {
    /// Whether the job emits results as records come, or final ones only.
    RUNTIME_MODE: RuntimeExecutionMode = "execution.runtime-mode", "STREAMING";
    /// The time between two periodic checkpoints; nothing, or 0, turns them off.
    CHECKPOINT_INTERVAL: Option<Interval> = "execution.checkpointing.interval", "";
    /// Whether channels wait for each other's barriers.
    CHECKPOINTING_MODE: CheckpointingMode = "execution.checkpointing.mode", "EXACTLY_ONCE";
    /// How long a checkpoint may take before it is aborted.
    CHECKPOINT_TIMEOUT: Duration = "execution.checkpointing.timeout", "10 min";
    /// The least time between the completion of a checkpoint and the next periodic one.
    MIN_PAUSE: Duration = "execution.checkpointing.min-pause", "0 ms";
    /// How many checkpoints may be under way at once.
    MAX_CONCURRENT: Positive = "execution.checkpointing.max-concurrent-checkpoints", "1";
    /// Whether barriers overtake records, which are then part of the checkpoint: `true` at once (or after the time-out, if there is one), `false` never. If it is not set, barriers do so that have waited for 5 s. (Flink: false.)
    UNALIGNED: Option<bool> = "execution.checkpointing.unaligned.enabled", "", old "execution.checkpointing.unaligned";
    /// How long barriers keep their place among the records before they overtake them, if they may.
    ALIGNED_CHECKPOINT_TIMEOUT: Option<Duration> = "execution.checkpointing.aligned-checkpoint-timeout", "", old "execution.checkpointing.alignment-timeout";
    /// How many checkpoints in a row may fail before the job restarts. (Flink: 0.)
    TOLERABLE_FAILED: u32 = "execution.checkpointing.tolerable-failed-checkpoints", "3";
    /// The directory of savepoints that name no other.
    SAVEPOINT_DIR: Option<String> = "execution.checkpointing.savepoint-dir", "", old "state.savepoints.dir";
    /// What happens to completed checkpoints when the job ends. (Flink: NO_EXTERNALIZED_CHECKPOINTS.)
    CHECKPOINT_RETENTION: CheckpointRetention = "execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION", old "execution.checkpointing.externalized-checkpoint-retention.mode";
    /// How many completed checkpoints are kept.
    NUM_RETAINED: u32 = "execution.checkpointing.num-retained", "1", old "state.checkpoints.num-retained";
    /// Whether recovery prefers a checkpoint to a newer savepoint (Flink 1.x). Savepoints that are not the end of a job are never recovery points here, so both values mean the same.
    PREFER_CHECKPOINT_FOR_RECOVERY: bool = "execution.checkpointing.prefer-checkpoint-for-recovery", "false";
    /// Whether checkpoints go on after some tasks have finished.
    CHECKPOINTS_AFTER_TASKS_FINISH: bool = "execution.checkpointing.checkpoints-after-tasks-finish", "true", old "execution.checkpointing.checkpoints-after-tasks-finish.enabled";
    /// Where checkpoints are kept; nothing means filesystem if a directory is set, else jobmanager.
    CHECKPOINT_STORAGE: Option<CheckpointStorageKind> = "execution.checkpointing.storage", "", old "state.checkpoint-storage";
    /// The directory of the checkpoints, a path or a URL (file, s3, gs, az, hdfs); each job has a folder in it.
    CHECKPOINT_DIR: Option<String> = "execution.checkpointing.dir", "", old "state.checkpoints.dir";
    /// Whether each job has its own folder, named by its id, in the checkpoint directory.
    CHECKPOINT_CREATE_SUBDIR: bool = "execution.checkpointing.create-subdir", "true", old "state.checkpoints.create-subdir";
    /// State smaller than this is kept in the metadata file instead of a file of its own.
    DATA_INLINE_THRESHOLD: MemorySize = "execution.checkpointing.data-inline-threshold", "20 kb", old "state.storage.fs.memory-threshold";
    /// Whether the state of several tasks of a process may go into one file. (Flink: false.)
    FILE_MERGING: bool = "execution.checkpointing.file-merging.enabled", "true";
    /// A file that has so much takes in no other task's state.
    MERGED_FILE_SIZE: MemorySize = "execution.checkpointing.file-merging.max-file-size", "32 mb";
    /// The checkpoint to start from: a chk-N folder or its _metadata file.
    SAVEPOINT_PATH: Option<String> = "execution.state-recovery.path", "", old "execution.savepoint.path";
    /// Whose the checkpoint is that the job starts from: with CLAIM it is the job's, and deleted when newer
    /// ones have taken its place.
    CLAIM_MODE: ClaimMode = "execution.state-recovery.claim-mode", "NO_CLAIM", old "execution.savepoint-restore-mode";
    /// Whether a process keeps the tables of its tasks' newest checkpoint, so that those which survive a
    /// failure need not read it. What is written between two checkpoints then takes memory twice.
    LOCAL_RECOVERY: bool = "execution.state-recovery.from-local", "true", old "state.backend.local-recovery";
    /// Whether a checkpoint writes only what has changed since the one before it, and refers to its files. Needs
    /// execution.state-recovery.from-local. (Flink: false, and not for state on the heap.)
    INCREMENTAL: bool = "execution.checkpointing.incremental", "true", old "state.backend.incremental";
    /// Whether workers keep copies of the state that they write on their TaskManager's disk (io.tmp.dirs): who takes
    /// the place of one that died reads those.
    LOCAL_BACKUP: bool = "execution.checkpointing.local-backup.enabled", "false";
    /// Whether state that matches no operator is skipped instead of refused.
    IGNORE_UNCLAIMED_STATE: bool = "execution.state-recovery.ignore-unclaimed-state", "false", old "execution.savepoint.ignore-unclaimed-state";

    /// Which restart strategy; nothing means exponential-delay if checkpointing is on, else none.
    RESTART_STRATEGY: Option<RestartStrategyKind> = "restart-strategy.type", "", old "restart-strategy";
    /// How much of the job begins again: the failed task's region, or all.
    FAILOVER_STRATEGY: FailoverStrategy = "jobmanager.execution.failover-strategy", "region";
    /// fixed-delay: how many restarts.
    FIXED_DELAY_ATTEMPTS: u32 = "restart-strategy.fixed-delay.attempts", "1";
    /// fixed-delay: the wait before each restart.
    FIXED_DELAY_DELAY: Duration = "restart-strategy.fixed-delay.delay", "1 s";
    /// failure-rate: how many failures in the interval are survived.
    FAILURE_RATE_MAX: Positive = "restart-strategy.failure-rate.max-failures-per-interval", "1";
    /// failure-rate: the interval.
    FAILURE_RATE_INTERVAL: Duration = "restart-strategy.failure-rate.failure-rate-interval", "1 min";
    /// failure-rate: the wait before each restart.
    FAILURE_RATE_DELAY: Duration = "restart-strategy.failure-rate.delay", "1 s";
    /// exponential-delay: the first wait.
    EXPONENTIAL_INITIAL: Duration = "restart-strategy.exponential-delay.initial-backoff", "1 s";
    /// exponential-delay: the longest wait.
    EXPONENTIAL_MAX: Duration = "restart-strategy.exponential-delay.max-backoff", "1 min";
    /// exponential-delay: by how much the wait grows.
    EXPONENTIAL_MULTIPLIER: f64 = "restart-strategy.exponential-delay.backoff-multiplier", "1.5";
    /// exponential-delay: after how long without a failure the wait is the first one again.
    EXPONENTIAL_RESET: Duration = "restart-strategy.exponential-delay.reset-backoff-threshold", "1 h";
    /// exponential-delay: the random part of the wait, as a fraction of it.
    EXPONENTIAL_JITTER: f64 = "restart-strategy.exponential-delay.jitter-factor", "0.1";
    /// exponential-delay: how many restarts before the job fails; nothing means no limit.
    EXPONENTIAL_ATTEMPTS: Option<u32> = "restart-strategy.exponential-delay.attempts-before-reset-backoff", "";

    /// The parallelism of operators that set none.
    PARALLELISM: Positive = "parallelism.default", "1";
    /// The number of key groups of every operator that sets none; nothing derives it from the parallelism.
    MAX_PARALLELISM: Option<Positive> = "pipeline.max-parallelism", "";
    /// The name of the job.
    JOB_NAME: Option<String> = "pipeline.name", "";
    /// Whether operators are chained into one task where they can be.
    OPERATOR_CHAINING: bool = "pipeline.operator-chaining.enabled", "true", old "pipeline.operator-chaining";
    /// How often watermark generators are asked for a watermark.
    AUTO_WATERMARK_INTERVAL: Duration = "pipeline.auto-watermark-interval", "200 ms";
    /// Whether operators without a uid get one from their place in the graph; otherwise it is an error.
    AUTO_GENERATE_UIDS: bool = "pipeline.auto-generate-uids", "true";
    /// How long records may wait in a sender before they are sent; 0 sends each batch at once.
    BUFFER_TIMEOUT: Duration = "execution.buffer-timeout.interval", "100 ms", old "execution.buffer-timeout";
    /// Which backend keeps keyed state.
    STATE_BACKEND: StateBackendKind = "state.backend.type", "hashmap", old "state.backend";
    /// How much memory the state on disk of a process takes, all of its tasks together, for what is in use.
    MANAGED_MEMORY: MemorySize = "taskmanager.memory.managed.size", "256 mb";
    /// How much memory the workers of a TaskManager may take together: a worker in one of its slots may take the part
    /// of a slot. A task of a worker that takes more fails. Nothing means nine tenths of what the machine has.
    PROCESS_MEMORY: Option<MemorySize> = "taskmanager.memory.process.size", "";
    /// How many bytes of records may wait in one channel between two tasks.
    CHANNEL_BYTES: MemorySize = "taskmanager.network.memory.max-bytes-per-channel", "256 kb";
    /// How many threads step tasks; nothing means one per core.
    DRIVER_THREADS: Option<Positive> = "taskmanager.driver-threads", "";
    /// Where the JobManager is: the host that TaskManagers and workers call.
    JOBMANAGER_ADDRESS: String = "jobmanager.rpc.address", "localhost";
    /// The port on which the JobManager is called; 0 is any that is free.
    JOBMANAGER_PORT: u16 = "jobmanager.rpc.port", "6123";
    /// Whether jobs survive their JobManager: another one, or the same started again, goes on with them.
    HIGH_AVAILABILITY: HighAvailability = "high-availability.type", "NONE", old "high-availability";
    /// The directory of what JobManagers write down for each other.
    HA_STORAGE_DIR: Option<String> = "high-availability.storageDir", "";
    /// The folder in that directory: clusters that share the directory have different ones.
    HA_CLUSTER_ID: String = "high-availability.cluster-id", "default";
    /// How long a JobManager may show nothing of itself before another one takes its place. One whose process
    /// has died on the same machine is replaced at once.
    LEASE_DURATION: Duration = "high-availability.leader-election.lease-duration", "15 s", old "high-availability.kubernetes.leader-election.lease-duration";
    /// How long a JobManager that takes over waits for the workers of a job, before it restarts the job.
    REATTACH_TIMEOUT: Duration = "high-availability.reattach-timeout", "10 s";
    /// How long a job binary may take to say what the plan of a job is.
    PLAN_TIMEOUT: Duration = "jobmanager.job-plan.timeout", "10 s";
    /// The port of the REST API and the dashboard; 0 is any that is free.
    REST_PORT: u16 = "rest.port", "8081", old "rest.bind-port";
    /// The host on which the REST API is offered, or is to be found.
    REST_ADDRESS: String = "rest.address", "localhost", old "rest.bind-address";
    /// How large an uploaded job binary may be. (Flink's limit of a request is 100 MB.)
    UPLOAD_MAX: MemorySize = "rest.server.max-content-length", "1 gb";
    /// Where uploaded job binaries are kept; nothing means a temporary directory, which ends with the JobManager.
    UPLOAD_DIR: Option<String> = "web.upload.dir", "";
    /// How many bytes of job binaries the JobManager keeps, and each TaskManager.
    BLOB_STORAGE_MAX: MemorySize = "blob.storage.max-size", "10 gb";
    /// The host under which a TaskManager's workers are reached by others; it listens there, too.
    TASKMANAGER_HOST: String = "taskmanager.host", "localhost", old "taskmanager.bind-host";
    /// How many slots a TaskManager offers.
    TASK_SLOTS: Positive = "taskmanager.numberOfTaskSlots", "1";
    /// How long a TaskManager tries to reach the JobManager; and, with high availability, how long a worker
    /// looks for the next one.
    REGISTRATION_TIMEOUT: Duration = "taskmanager.registration.timeout", "5 min";
    /// Whether the slots of a job are spread over all TaskManagers.
    LOAD_BALANCE_MODE: LoadBalanceMode = "taskmanager.load-balance.mode", "NONE";
    /// How long a job waits for slots.
    SLOT_REQUEST_TIMEOUT: Duration = "slot.request.timeout", "5 min";
    /// Whether processes of a cluster may listen and call elsewhere than on loopback, though neither TLS nor
    /// tokens protect them: whoever reaches them can make them run any program.
    TRUST_NETWORK: bool = "security.unprotected-network-is-trusted", "false";
    /// The file of the tokens with which the REST API is asked (`flott token`); nothing means that none is needed.
    TOKEN_FILE: Option<String> = "security.rest.token-file", "";
    /// The token with which the command line asks; nothing means that of the environment variable FLOTT_TOKEN.
    REST_TOKEN: Option<Secret> = "security.rest.token", "";
    /// The collector that the JobManager sends traces of checkpoints and recoveries to (OTLP over HTTP, in JSON), like
    /// http://localhost:4318; needs a command with the feature otel.
    OTEL_ENDPOINT: Option<String> = "traces.reporter.otel.exporter.endpoint", "";
    /// What the JobManager calls itself in traces.
    OTEL_SERVICE_NAME: String = "traces.reporter.otel.service.name", "flott";
    /// Whether the REST API speaks TLS.
    REST_TLS: bool = "security.ssl.rest.enabled", "false";
    /// The certificates of the REST API, in PEM.
    REST_CERTIFICATE: Option<String> = "security.ssl.rest.certificate", "";
    /// The key of its certificate, in PEM.
    REST_KEY: Option<String> = "security.ssl.rest.key", "";
    /// The certificates that the command line trusts, in PEM; nothing means those of the REST API.
    REST_CA: Option<String> = "security.ssl.rest.ca-certificate", "";
    /// How often processes of a cluster say that they are there.
    HEARTBEAT_INTERVAL: Duration = "heartbeat.interval", "10 s";
    /// How long a process may say nothing before it is taken for lost. A connection that is closed is seen at once.
    HEARTBEAT_TIMEOUT: Duration = "heartbeat.timeout", "50 s";
    /// The address of a storage that is compatible with S3; nothing means Amazon's.
    S3_ENDPOINT: Option<String> = "s3.endpoint", "", old "fs.s3a.endpoint";
    /// The region of the S3 buckets; nothing means that of the environment.
    S3_REGION: Option<String> = "s3.endpoint.region", "", old "fs.s3a.endpoint.region";
    /// Whether S3 buckets are named in the path instead of the host name; nothing means yes, unless the environment says otherwise. (Flink: false.)
    S3_PATH_STYLE: Option<bool> = "s3.path-style-access", "", old "s3.path.style.access", "fs.s3a.path.style.access";
    /// The S3 access key; nothing means that of the environment or the machine.
    S3_ACCESS_KEY: Option<Secret> = "s3.access-key", "", old "s3.access.key", "fs.s3a.access.key";
    /// The S3 secret key; nothing means that of the environment or the machine.
    S3_SECRET_KEY: Option<Secret> = "s3.secret-key", "", old "s3.secret.key", "fs.s3a.secret.key";
    /// A directory for temporary files; nothing means the system's.
    TMP_DIR: Option<String> = "io.tmp.dirs", "";
    /// How many failures the exception history keeps.
    EXCEPTION_HISTORY_SIZE: Positive = "web.exception-history-size", "16";
}

/// The option that has this key, current or old.
///
/// # Errors
/// If none has it: the error names the nearest key.
pub fn find(key: &str) -> Result<&'static dyn AnyOption> {
    let found = ALL.iter().find(|option| option.key() == key || option.aliases().contains(&key));
    found.copied().ok_or_else(|| {
        let nearest =
            ALL.iter().map(|option| option.key()).min_by_key(|known| distance(key, known));
        Error::invalid(format!(
            "unknown option \"{key}\": did you mean \"{}\"?",
            nearest.unwrap_or_default()
        ))
    })
}

/// The edit distance of two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
