//! The threads that step tasks: a small pool, by default one thread per core.
//!
//! A task is in one of four states: idle (waiting for a wake-up or a time), queued, running, or
//! running with a wake-up that came meanwhile. Only the thread that runs a task touches it.
//!
//! A step that holds its thread for long (a user function that blocks) gets the thread to itself:
//! when work waits and no step has ended for [`STALL`], another thread takes over the others. The
//! thread that was held ends when its step does.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use flott_core::config::{Configuration, options};
use flott_core::{AttemptNumber, Error, Result, TaskId, WallTime};
use flott_runtime::{Clock, Progress, Task, TaskEvent, Wake};
use tracing::Span;

/// How many threads step tasks: as many as the option says, or one per core.
///
/// # Errors
/// If the option is wrong.
pub(crate) fn driver_threads(config: &Configuration) -> Result<usize> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = config.get(&options::DRIVER_THREADS)?;
    Ok(threads.map_or(cores, |threads| threads.0 as usize))
}

/// How long all threads may be held by single steps before another thread helps out.
const STALL: Duration = Duration::from_millis(50);

/// How many threads there may be beyond those asked for.
const EXTRA_THREADS_MAX: usize = 64;

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RUNNING_WOKEN: u8 = 3;

/// Gets what tasks have to say, on the thread that stepped them.
pub(crate) type EventSink = Arc<dyn Fn(TaskId, AttemptNumber, TaskEvent) + Send + Sync>;

/// A place for a task, which exists before the task does: channels need something to wake.
pub(crate) struct TaskCell {
    /// Tells cells apart in the timer queue.
    number: u64,
    state: AtomicU8,
    task: Mutex<Option<Running>>,
    shared: Arc<Shared>,
    this: OnceLock<std::sync::Weak<Self>>,
}

/// A task, and who hears of it.
pub(crate) struct Running {
    pub(crate) task: Task,
    pub(crate) attempt: AttemptNumber,
    pub(crate) sink: EventSink,
    /// What it logs is about it.
    pub(crate) span: Span,
}

impl Wake for TaskCell {
    fn wake(&self) {
        let mut state = self.state.load(Ordering::SeqCst);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => RUNNING_WOKEN,
                _ => return,
            };
            match self.state.compare_exchange(state, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) if next == QUEUED => return self.enqueue(),
                Ok(_) => return,
                Err(found) => state = found,
            }
        }
    }
}

impl TaskCell {
    fn enqueue(&self) {
        let Some(cell) = self.this.get().and_then(std::sync::Weak::upgrade) else { return };
        let mut queue = self.shared.lock();
        queue.ready.push_back(cell);
        if queue.waiting > 0 {
            self.shared.work.notify_one();
        } else if queue.watcher_sleeps {
            queue.watcher_sleeps = false;
            self.shared.stall.notify_one();
        }
    }
}

struct Queue {
    ready: VecDeque<Arc<TaskCell>>,
    timers: BTreeSet<Timer>,
    /// Threads that wait for work.
    waiting: usize,
    /// All threads.
    threads: usize,
    /// Whether the watcher waits for a backlog.
    watcher_sleeps: bool,
    shutdown: bool,
}

/// Ordered by time, then by cell.
struct Timer {
    time: WallTime,
    cell: Arc<TaskCell>,
}

impl Timer {
    fn key(&self) -> (WallTime, u64) {
        (self.time, self.cell.number)
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    stall: Condvar,
    steps: AtomicU64,
    cells: AtomicU64,
    clock: Arc<dyn Clock>,
    threads_wanted: usize,
    extra: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool. Dropping it ends its threads; tasks that have not ended are dropped.
pub(crate) struct DriverPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl DriverPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize, clock: Arc<dyn Clock>) -> Result<Self> {
        let queue = Queue {
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            waiting: 0,
            threads,
            watcher_sleeps: false,
            shutdown: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            stall: Condvar::new(),
            steps: AtomicU64::new(0),
            cells: AtomicU64::new(0),
            clock,
            threads_wanted: threads,
            extra: Mutex::new(Vec::new()),
        });
        let mut pool = Self { shared: shared.clone(), threads: Vec::new() };
        for index in 0..threads {
            let shared = shared.clone();
            pool.threads.push(spawn(format!("driver-{index}"), move || drive(&shared))?);
        }
        pool.threads.push(spawn("driver-stall".into(), move || watch(&shared))?);
        Ok(pool)
    }

    /// A place for a task that is yet to be built.
    pub(crate) fn cell(&self) -> Arc<TaskCell> {
        let cell = Arc::new(TaskCell {
            number: self.shared.cells.fetch_add(1, Ordering::Relaxed),
            state: AtomicU8::new(IDLE),
            task: Mutex::new(None),
            shared: self.shared.clone(),
            this: OnceLock::new(),
        });
        let _ = cell.this.set(Arc::downgrade(&cell));
        cell
    }

    /// Puts a task into its place and lets it run.
    pub(crate) fn run(&self, cell: &TaskCell, running: Running) {
        *cell.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        cell.wake();
    }
}

impl Drop for DriverPool {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.lock();
            queue.shutdown = true;
            queue.ready.clear();
            queue.timers.clear();
        }
        self.shared.work.notify_all();
        self.shared.stall.notify_all();
        let extra =
            std::mem::take(&mut *self.shared.extra.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in self.threads.drain(..).chain(extra) {
            // A driver does not panic: steps catch what user code does.
            let _ = thread.join();
        }
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().name(name.clone()).spawn(body).map_err(|e| {
        Error::with_source(
            flott_core::ErrorKind::Io,
            format!("cannot start the thread \"{name}\""),
            e,
        )
    })
}

/// The life of a driver thread.
fn drive(shared: &Arc<Shared>) {
    while let Some(cell) = next(shared) {
        let started = shared.clock.now().mono;
        step(&cell, shared);
        shared.steps.fetch_add(1, Ordering::Relaxed);
        if shared.clock.now().mono.since(started) >= STALL && is_replaced(shared) {
            return;
        }
    }
}

/// Whether another thread has taken the place of one that was held by a step.
fn is_replaced(shared: &Shared) -> bool {
    let mut queue = shared.lock();
    let replaced = queue.threads > shared.threads_wanted;
    if replaced {
        queue.threads -= 1;
    }
    replaced
}

/// Waits for the next task to step; nothing if the thread is to end.
fn next(shared: &Shared) -> Option<Arc<TaskCell>> {
    let mut queue = shared.lock();
    loop {
        if queue.shutdown {
            return None;
        }
        if let Some(cell) = queue.ready.pop_front() {
            return Some(cell);
        }
        let wait = match queue.timers.first() {
            None => None,
            Some(timer) => {
                let now = shared.clock.now().wall;
                if timer.time <= now {
                    let due = queue.timers.pop_first();
                    drop(queue);
                    due.into_iter().for_each(|timer| timer.cell.wake());
                    queue = shared.lock();
                    continue;
                }
                Some(Duration::from_millis((timer.time.0 - now.0).unsigned_abs()))
            }
        };
        queue.waiting += 1;
        queue = match wait {
            Some(wait) => {
                let waited = shared.work.wait_timeout(queue, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner),
        };
        queue.waiting -= 1;
    }
}

fn step(cell: &Arc<TaskCell>, shared: &Shared) {
    cell.state.store(RUNNING, Ordering::SeqCst);
    let mut slot = cell.task.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Running { task, attempt, sink, span }) = slot.as_mut() else {
        cell.state.store(IDLE, Ordering::SeqCst);
        return;
    };
    let progress = span.in_scope(|| task.step());
    for event in task.take_events() {
        sink(task.id(), *attempt, event);
    }
    let until = match progress {
        Progress::More => {
            drop(slot);
            cell.state.store(QUEUED, Ordering::SeqCst);
            return cell.enqueue();
        }
        Progress::Idle(until) | Progress::Blocked(until) => until,
        Progress::Done => {
            *slot = None;
            None
        }
    };
    drop(slot);
    if let Some(time) = until {
        let mut queue = shared.lock();
        queue.timers.insert(Timer { time, cell: cell.clone() });
        if queue.waiting > 0 {
            // Whoever waits may have to wait less now.
            shared.work.notify_one();
        }
    }
    let slept =
        cell.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_ok();
    if !slept {
        cell.state.store(QUEUED, Ordering::SeqCst);
        cell.enqueue();
    }
}

/// Helps out when single steps hold all threads.
fn watch(shared: &Arc<Shared>) {
    let mut queue = shared.lock();
    loop {
        if queue.shutdown {
            return;
        }
        if queue.ready.is_empty() || queue.waiting > 0 {
            queue.watcher_sleeps = true;
            queue = shared.stall.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let steps = shared.steps.load(Ordering::Relaxed);
        let waited = shared.stall.wait_timeout(queue, STALL);
        queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        let stalled = !queue.ready.is_empty() && steps == shared.steps.load(Ordering::Relaxed);
        let may_help = queue.threads < shared.threads_wanted + EXTRA_THREADS_MAX;
        if stalled && may_help && !queue.shutdown {
            queue.threads += 1;
            let helper = shared.clone();
            // Without the thread the others wait, as they would have without this help.
            match spawn("driver-extra".into(), move || drive(&helper)) {
                Ok(thread) => {
                    shared.extra.lock().unwrap_or_else(PoisonError::into_inner).push(thread)
                }
                Err(_) => queue.threads -= 1,
            }
        }
    }
}
