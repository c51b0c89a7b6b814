//! What a seed stands for: a job, its configuration, and how much goes wrong.

use std::sync::Arc;
use std::time::Duration;

use flott_core::Result;
use flott_core::config::options::{self, CheckpointingMode, ClaimMode, Interval, Positive};
use flott_core::config::{Configuration, MemorySize};
use flott_state::store::MemoryStores;
use flott_state::{DiskBackend, StateBackend};

use super::matrix::{Fault, Plot};
use crate::rng::Rng;

/// How many subtasks sources, the keyed operator, and the sink have at most.
const PARALLELISM_MAX: [u32; 3] = [3, 3, 2];

/// Everything about a run that is drawn before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Whether the two sources feed a pipeline each, and not one together.
    pub(crate) side_by_side: bool,
    /// How many splits each of the two sources has, and records each split.
    pub(crate) splits: [u32; 2],
    pub(crate) records: u64,
    pub(crate) keys: u32,
    /// How many subtasks sources, the keyed operator, and the sink have.
    pub(crate) parallelism: [u32; 3],
    /// Whether the sink is chained to the keyed operator, if it can be.
    pub(crate) chaining: bool,
    /// Whether a stage between sources and keyed operator breaks the order of records.
    pub(crate) detour: bool,
    pub(crate) batch_records: usize,
    pub(crate) records_at_once: usize,
    pub(crate) channel_bytes: u64,
    /// How many TaskManagers there are, and whether a job uses all of them.
    pub(crate) task_managers: u32,
    pub(crate) spread_out: bool,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_concurrent: u32,
    pub(crate) inline_threshold: u64,
    /// How many times a task fails, and the whole process is killed.
    pub(crate) task_failures: u64,
    /// How many workers, TaskManagers and connections are lost.
    pub(crate) machine_failures: u64,
    pub(crate) kills: u64,
    /// Whether the job goes on after that, or another one is started from its checkpoint.
    pub(crate) high_availability: bool,
    /// With high availability: how often the JobManager alone is killed, and another one takes over.
    pub(crate) leader_losses: u64,
    /// Whether the process is likely to die just when the job ends.
    pub(crate) dies_at_end: bool,
    /// Whether messages come twice now and then.
    pub(crate) duplicates: bool,
    /// How many savepoints somebody wants.
    pub(crate) savepoints: u64,
    /// How often somebody wants the job to stop with one.
    pub(crate) stops: u64,
    /// How often storage fails, leaves it open, or is slow, out of a thousand writes.
    pub(crate) store_failed: u64,
    pub(crate) store_unknown: u64,
    pub(crate) store_slow: u64,
    /// How often storage cannot be read when tasks start, out of a thousand.
    pub(crate) read_failed: u64,
    /// Whether workers keep the tables of their tasks' newest checkpoint.
    pub(crate) keeps_states: bool,
    /// If keyed state is in stores, with tables of few entries before them: how much of it is on the heap until there
    /// is more, in bytes.
    pub(crate) on_disk: Option<usize>,
    /// How long barriers wait before they overtake records; for ever if it is `None`.
    pub(crate) unaligned_after: Option<Duration>,
    /// A vertex whose tasks are slow, if there are so many: what is sent to them waits.
    pub(crate) slow_vertex: Option<usize>,
    /// Whether a job claims the checkpoint of another that it is started from.
    pub(crate) claims: bool,
    /// Whether another job that is started from this one's state has another parallelism.
    pub(crate) rescales: bool,
    /// How long a message takes at most, in microseconds.
    pub(crate) latency_micros: u64,
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let rng = &mut rng;
        let faulty = rng.permille(850);
        let mut rate = |limit: u64| if faulty && rng.permille(600) { rng.below(limit) } else { 0 };
        let (store_failed, store_unknown, store_slow) = (rate(120), rate(200), rate(200));
        let latency_micros = *rng.choose(&[1, 500, 4000]);
        let timeout = Duration::from_millis(*rng.choose(&[20, 60, 400]));
        let high_availability = rng.permille(600);
        let side_by_side = rng.permille(300);
        let leader_losses = if faulty && high_availability { rng.below(4) } else { 0 };
        let drawn = Self {
            splits: [1 + rng.below(3) as u32, rng.below(3) as u32],
            records: 10 + rng.below(60),
            keys: 1 + rng.below(12) as u32,
            side_by_side,
            parallelism: Self::draw_parallelism(rng, side_by_side),
            chaining: rng.permille(600),
            detour: rng.permille(400),
            batch_records: 1 + rng.below(8) as usize,
            channel_bytes: *rng.choose(&[1, 64, 512, 4096]),
            interval: Duration::from_millis(10 + rng.below(20)),
            // A barrier takes some hops; one that can never arrive in time is no job's.
            timeout: timeout.max(Duration::from_micros(12 * latency_micros)),
            max_concurrent: 1 + rng.below(3) as u32,
            inline_threshold: *rng.choose(&[0, 64, 20_480]),
            task_failures: if faulty { rng.below(4) } else { 0 },
            machine_failures: if faulty { rng.below(5) } else { 0 },
            task_managers: *rng.choose(&[1, 2, 3, 8]),
            spread_out: rng.permille(700),
            kills: if faulty { rng.below(3) } else { 0 },
            high_availability,
            leader_losses,
            duplicates: faulty && rng.permille(500),
            dies_at_end: faulty && rng.permille(200),
            savepoints: rng.below(4),
            stops: rng.below(4),
            store_failed,
            store_unknown,
            store_slow,
            read_failed: if faulty { rng.below(100) } else { 0 },
            keeps_states: rng.permille(700),
            claims: rng.permille(500),
            rescales: rng.permille(500),
            latency_micros,
            on_disk: rng.permille(400).then(|| *rng.choose(&[0, 0, 40_000, 100_000])),
            unaligned_after: Self::draw_unaligned(rng),
            records_at_once: 1 + rng.below(8) as usize,
            slow_vertex: rng.permille(400).then(|| 1 + rng.below(4) as usize),
        };
        drawn.fair()
    }

    fn draw_unaligned(rng: &mut Rng) -> Option<Duration> {
        let after = Duration::from_millis(rng.below(8));
        match rng.below(3) {
            0 => None,
            1 => Some(Duration::ZERO),
            _ => Some(after),
        }
    }

    /// Of many tasks one always fails or is late, where storage often does so or time is short: then no checkpoint
    /// would ever be complete. So storage does so less often, and there is more time, the more tasks there are.
    fn fair(self) -> Self {
        // Another job that goes on may have more tasks.
        let most = if self.rescales { PARALLELISM_MAX } else { self.parallelism };
        let [sources, keyed, sinks] = most.map(u64::from);
        let detour = if self.detour { keyed } else { 0 };
        let tasks = 2 * sources + detour + keyed + 2 * sinks;
        let tasks = if self.side_by_side { 2 * (tasks - sources) } else { tasks };
        let fair = |rate: u64| rate * 8 / tasks.max(8);
        let slowness = if self.slow_vertex.is_some() { 10 } else { 2 };
        Self {
            store_failed: fair(self.store_failed),
            store_unknown: fair(self.store_unknown),
            store_slow: fair(self.store_slow),
            timeout: self.timeout.max(Duration::from_millis(slowness * tasks)),
            max_concurrent: if self.unaligned_after.is_some() { 1 } else { self.max_concurrent },
            ..self
        }
    }

    /// The scenario of a run in which nothing fails by chance.
    pub(crate) fn calm(seed: u64, plot: Plot) -> Self {
        let drawn = Self::draw(seed);
        Self {
            records: 40 + drawn.records,
            task_managers: drawn.task_managers.max(2),
            spread_out: true,
            high_availability: drawn.high_availability || plot.fault == Fault::JobManager,
            task_failures: 0,
            machine_failures: 0,
            kills: 0,
            leader_losses: 0,
            duplicates: false,
            dies_at_end: false,
            savepoints: 0,
            stops: 0,
            store_failed: 0,
            store_unknown: 0,
            store_slow: 0,
            read_failed: 0,
            rescales: plot.fault == Fault::Rescale,
            ..drawn
        }
    }

    /// How many subtasks sources, the keyed operator, and the sink have.
    pub(crate) fn draw_parallelism(rng: &mut Rng, side_by_side: bool) -> [u32; 3] {
        let drawn = [1 + rng.below(3) as u32, 1 + rng.below(3) as u32, 1 + rng.below(2) as u32];
        let most = if side_by_side { [2, 2, 1] } else { PARALLELISM_MAX };
        std::array::from_fn(|at| drawn[at].min(most[at]))
    }

    /// Where keyed state is kept.
    pub(crate) fn state_backend(&self) -> StateBackend {
        let Some(bytes) = self.on_disk else { return StateBackend::Heap };
        StateBackend::Disk(DiskBackend::new(Arc::new(MemoryStores), bytes))
    }

    /// The job's configuration.
    pub(crate) fn configuration(&self) -> Result<Configuration> {
        let mut config = Configuration::new();
        config.set(&options::CHECKPOINT_INTERVAL, Some(Interval(self.interval)))?;
        config.set(&options::CHECKPOINTING_MODE, CheckpointingMode::ExactlyOnce)?;
        config.set(&options::CHECKPOINT_TIMEOUT, self.timeout)?;
        config.set(&options::MAX_CONCURRENT, Positive(self.max_concurrent))?;
        config.set(&options::UNALIGNED, Some(self.unaligned_after.is_some()))?;
        config.set(&options::ALIGNED_CHECKPOINT_TIMEOUT, self.unaligned_after)?;
        config.set(&options::TOLERABLE_FAILED, 1000)?;
        config.set(&options::DATA_INLINE_THRESHOLD, MemorySize(self.inline_threshold))?;
        config.set(&options::CHANNEL_BYTES, MemorySize(self.channel_bytes))?;
        config.set(&options::OPERATOR_CHAINING, self.chaining)?;
        config.set(&options::LOCAL_RECOVERY, self.keeps_states)?;
        let claim_mode = if self.claims { ClaimMode::Claim } else { ClaimMode::NoClaim };
        config.set(&options::CLAIM_MODE, claim_mode)?;
        config.set(&options::RESTART_STRATEGY, Some(options::RestartStrategyKind::FixedDelay))?;
        config.set(&options::FIXED_DELAY_ATTEMPTS, 1000)?;
        config.set(&options::FIXED_DELAY_DELAY, Duration::from_millis(5))?;
        config.set(&options::MAX_PARALLELISM, Some(Positive(16)))?;
        Ok(config)
    }
}
