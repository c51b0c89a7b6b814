//! What is done to a job beside giving it events: starting it, letting it wait, stopping it with a savepoint, starting
//! it from there, letting it fail, killing it, taking checkpoints of it. Each is told to whoever started this process, in
//! lines: `first` when the first record has come out, `figure NAME NUMBER`, `place PATH`.

#![expect(clippy::print_stdout, reason = "what is measured is printed")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flott::cluster::EmbeddedCluster;
use flott::prelude::*;
use flott::{Error, Result};
use flott_control::actions::Actions;

use crate::measure::median;
use crate::workloads::Run;

/// For so long after its first record a job runs before it fails or is killed: with a checkpoint each second, it has
/// some.
const FAILS_AFTER: Duration = Duration::from_millis(3500);

/// So often each key comes in a job of which checkpoints are taken: two seconds each.
const CHECKPOINTED: u64 = 6;

/// A job of one record.
///
/// # Errors
/// If the job fails.
pub fn start(run: &Run) -> Result<()> {
    let env = run.environment()?;
    env.generate("events", Some(1), |index| (index, 1u64))
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .map(Firsts::default().tell())
        .discard();
    env.execute("start")?;
    Ok(())
}

/// A job with so many keys, which is stopped with a savepoint when all of them have come. Its options say where to.
///
/// # Errors
/// If the job fails, or the savepoint.
pub fn savepoint(keys: u64, run: &Run) -> Result<()> {
    let cluster = EmbeddedCluster::new();
    let (jobs, views) = (cluster.jobs(), cluster.views());
    let env = StreamExecutionEnvironment::new(run.configuration()?, Arc::new(cluster));
    let (all_came, wait) = channel();
    endless(&env, keys)
        .map(move |(key, count): (u64, u64)| {
            // The last one of the first round.
            if key == keys - 1 && count == 1 {
                // Nobody waits any more after a failure.
                let _ = all_came.send(());
            }
            (key, count)
        })
        .discard();
    let stopper = std::thread::Builder::new().name("stopper".into()).spawn(move || {
        let gone = |_| Error::internal("the job has ended");
        wait.recv().map_err(gone)?;
        let job = views.latest().jobs.first().map(|job| job.description.job);
        let job = job.ok_or_else(|| Error::internal("there is no job"))?;
        let (answer, answered) = channel();
        let began = Instant::now();
        jobs.stop(job, None, false, Box::new(move |said| drop(answer.send(said))))?;
        let place = answered.recv().map_err(gone)?.map_err(Error::invalid)?;
        println!("figure savepoint_s {}", began.elapsed().as_secs_f64());
        println!("place {place}");
        Ok::<_, Error>(())
    })?;
    env.execute("savepoint")?;
    stopper.join().map_err(|_| Error::internal("whoever stops the job has panicked"))?
}

/// The job of [`savepoint`], from there or from a checkpoint; it does not end.
///
/// # Errors
/// If the job fails.
pub fn restore(keys: u64, run: &Run) -> Result<()> {
    let env = run.environment()?;
    endless(&env, keys).map(Firsts::default().tell()).discard();
    env.execute("savepoint")?;
    Ok(())
}

/// The same job, which says that its first record has come when it is time to kill it.
///
/// # Errors
/// If the job fails.
pub fn kill(keys: u64, run: &Run) -> Result<()> {
    let env = run.environment()?;
    let (began, first) = (Arc::new(OnceLock::<Instant>::new()), Firsts::default().tell());
    let late = move |record: (u64, u64)| {
        let is_time = record.0 == 0 && began.get_or_init(Instant::now).elapsed() > FAILS_AFTER;
        if is_time { first(record) } else { record }
    };
    endless(&env, keys).map(late).discard();
    env.execute("savepoint")?;
    Ok(())
}

/// A job with so many keys, of which half change in each second; its options say how often there are checkpoints. Tells
/// of these.
///
/// # Errors
/// If the job fails.
pub fn checkpoints(keys: u64, run: &Run) -> Result<()> {
    let env = run.environment()?;
    let in_turn = Generator::new(Some(CHECKPOINTED * keys), move |index| (index % keys, 1u64));
    env.generate_with("events", in_turn.rate_limited(keys as f64 / 2.0))
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .discard();
    let checkpoints = env.execute("checkpoints")?.checkpoints;
    let figure = |name: &str, of: fn(&CheckpointSummary) -> f64| {
        println!("figure {name} {}", median(checkpoints.iter().map(of).collect()));
    };
    figure("duration_ms", |own| own.duration.as_secs_f64() * 1e3);
    figure("written_mib", |own| own.written_bytes as f64 / f64::from(1 << 20));
    figure("pause_ms", |own| own.longest_pause.as_secs_f64() * 1e3);
    Ok(())
}

/// A job with so many keys that fails once; it ends this process when records come again.
///
/// # Errors
/// If the job fails for good.
pub fn recover(keys: u64, run: &Run) -> Result<()> {
    let env = run.environment()?;
    let (began, failed) =
        (Arc::new(OnceLock::<Instant>::new()), Arc::new(OnceLock::<Instant>::new()));
    // Records that were under way when it failed still come out.
    let is_back = Arc::new(AtomicBool::new(false));
    let (fails, comes_back) = (failed.clone(), is_back.clone());
    env.generate("events", None, move |index| (index % keys, 1u64))
        .map(move |(key, one)| {
            let is_time = key == 0 && began.get_or_init(Instant::now).elapsed() > FAILS_AFTER;
            if is_time && fails.set(Instant::now()).is_ok() {
                return Err(Error::invalid("the benchmark wants a failure"));
            }
            if fails.get().is_some() {
                comes_back.store(true, Ordering::Relaxed);
            }
            Ok((key, one))
        })
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
        .map(move |record: (u64, u64)| {
            if let Some(failed) = failed.get().filter(|_| is_back.load(Ordering::Relaxed)) {
                println!("figure recovery_ms {}", failed.elapsed().as_secs_f64() * 1e3);
                println!("first");
                std::process::exit(0);
            }
            record
        })
        .discard();
    env.execute("recover")?;
    Ok(())
}

/// A running count of so many keys, in turn.
fn endless(env: &StreamExecutionEnvironment, keys: u64) -> DataStream<(u64, u64)> {
    env.generate("events", None, move |index| (index % keys, 1u64))
        .key_by(|(key, _)| *key)
        .sum(|(_, value)| value)
}

/// Says when the first record comes.
#[derive(Clone, Default)]
struct Firsts(Arc<AtomicBool>);

impl Firsts {
    fn tell(self) -> impl Fn((u64, u64)) -> (u64, u64) + Clone + Send + Sync + 'static {
        move |record| {
            if !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::Relaxed) {
                println!("first");
            }
            record
        }
    }
}
