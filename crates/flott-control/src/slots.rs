//! The slots of a cluster: which TaskManagers offer them, which jobs have them, and who waits.
//!
//! A job asks for a number of slots and gets all of them at once, in the order of requests; until
//! there are enough it waits, and after a time it is told how many are missing. A TaskManager that
//! is lost takes its slots with it; the jobs that had them are told, and ask again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flott_core::{JobId, MonoTime};

/// A TaskManager, as the JobManager counts them: a process that registers again gets a new number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskManagerId(pub u32);

/// How a cluster gives its slots away.
#[derive(Clone, Debug)]
pub struct SlotConfig {
    /// How long a job waits for slots (`slot.request.timeout`).
    pub request_timeout: Duration,
    /// Whether a job's slots are spread over all TaskManagers, instead of filling one after the
    /// other (`taskmanager.load-balance.mode: SLOTS`).
    pub spread_out: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotEffect {
    /// The job has these slots now, one entry for each.
    Granted {
        /// The job.
        job: JobId,
        /// The TaskManager of each slot.
        slots: Vec<TaskManagerId>,
    },
    /// The job has waited too long.
    Refused {
        /// The job.
        job: JobId,
        /// How many slots there are, and how many it would need.
        message: String,
    },
    /// A TaskManager is lost on which the job had slots.
    Lost {
        /// The job.
        job: JobId,
        /// The TaskManager.
        task_manager: TaskManagerId,
    },
}

/// How many slots a TaskManager has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotCount {
    /// All of them.
    pub total: u32,
    /// Those that no job has.
    pub free: u32,
}

/// Gives slots to jobs. After each call, drain [`Slots::poll_effect`].
#[derive(Debug)]
pub struct Slots {
    config: SlotConfig,
    task_managers: BTreeMap<TaskManagerId, Offer>,
    waiting: VecDeque<Request>,
    effects: VecDeque<SlotEffect>,
}

#[derive(Debug)]
struct Offer {
    slots: u32,
    /// How many each job has.
    taken: BTreeMap<JobId, u32>,
}

impl Offer {
    fn free(&self) -> u32 {
        self.slots.saturating_sub(self.taken.values().sum())
    }
}

#[derive(Debug)]
struct Request {
    job: JobId,
    count: u32,
    deadline: MonoTime,
}

impl Slots {
    /// Nobody offers and nobody wants anything.
    pub fn new(config: SlotConfig) -> Self {
        let (waiting, effects) = (VecDeque::new(), VecDeque::new());
        Self { config, task_managers: BTreeMap::new(), waiting, effects }
    }

    /// A TaskManager has come with so many slots. Jobs may have some of them already, if another
    /// JobManager gave them to these.
    pub fn offer(&mut self, task_manager: TaskManagerId, slots: u32, taken: BTreeMap<JobId, u32>) {
        self.task_managers.insert(task_manager, Offer { slots, taken });
        self.serve();
    }

    /// A job needs so many of its slots on a TaskManager no more.
    pub fn give_back(&mut self, job: JobId, task_manager: TaskManagerId, count: u32) {
        let offer = self.task_managers.get_mut(&task_manager);
        if let Some(taken) = offer.and_then(|offer| offer.taken.get_mut(&job)) {
            *taken = taken.saturating_sub(count);
            self.serve();
        }
    }

    /// A TaskManager is gone.
    pub fn lost(&mut self, task_manager: TaskManagerId) {
        let gone = self.task_managers.remove(&task_manager);
        for job in gone.into_iter().flat_map(|offer| offer.taken.into_keys()) {
            self.effects.push_back(SlotEffect::Lost { job, task_manager });
        }
    }

    /// A job wants so many slots more. What it asked for before and has not got is replaced.
    pub fn request(&mut self, now: MonoTime, job: JobId, count: u32) {
        self.waiting.retain(|request| request.job != job);
        if count > 0 {
            let deadline = now.plus(self.config.request_timeout);
            self.waiting.push_back(Request { job, count, deadline });
            self.serve();
        }
    }

    /// A job needs its slots no more, nor those that it waits for.
    pub fn release(&mut self, job: JobId) {
        self.waiting.retain(|request| request.job != job);
        for offer in self.task_managers.values_mut() {
            offer.taken.remove(&job);
        }
        self.serve();
    }

    /// How long a job has been waiting for how many slots, in words; nothing if it does not wait.
    pub fn missing(&self, job: JobId) -> Option<String> {
        let request = self.waiting.iter().find(|request| request.job == job)?;
        Some(self.shortage(request))
    }

    /// Every TaskManager.
    pub fn counts(&self) -> impl Iterator<Item = (TaskManagerId, SlotCount)> {
        let count = |offer: &Offer| SlotCount { total: offer.slots, free: offer.free() };
        self.task_managers.iter().map(move |(id, offer)| (*id, count(offer)))
    }

    /// When [`Slots::handle_timeout`] is to be called next.
    pub fn poll_timeout(&self) -> Option<MonoTime> {
        self.waiting.iter().map(|request| request.deadline).min()
    }

    /// Takes in that time has passed. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: MonoTime) {
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (late, waiting): (VecDeque<Request>, _) = all.partition(|r| r.deadline <= now);
        self.waiting = waiting;
        for request in late {
            let message = format!(
                "Could not acquire the minimum required resources: {}, after {} s \
                 (slot.request.timeout). Start more TaskManagers, give them more slots \
                 (taskmanager.numberOfTaskSlots), or run the job with a smaller parallelism.",
                self.shortage(&request),
                self.config.request_timeout.as_secs()
            );
            self.effects.push_back(SlotEffect::Refused { job: request.job, message });
        }
        self.serve();
    }

    /// The next thing to do, in order. Call until there is none.
    pub fn poll_effect(&mut self) -> Option<SlotEffect> {
        self.effects.pop_front()
    }

    fn free(&self) -> u32 {
        self.task_managers.values().map(Offer::free).sum()
    }

    fn shortage(&self, request: &Request) -> String {
        let (free, count) = (self.free(), self.task_managers.len());
        let missing = request.count.saturating_sub(free);
        format!(
            "the job needs {} slots and {free} are free on {count} TaskManagers: {missing} are \
             missing",
            request.count
        )
    }

    /// Gives slots to those who wait, the first first: a large job is not passed over for ever by
    /// small ones.
    fn serve(&mut self) {
        while let Some(request) = self.waiting.front().filter(|next| next.count <= self.free()) {
            let (job, count) = (request.job, request.count);
            self.waiting.pop_front();
            let slots = self.take(job, count);
            self.effects.push_back(SlotEffect::Granted { job, slots });
        }
    }

    /// Takes free slots: there are as many.
    fn take(&mut self, job: JobId, count: u32) -> Vec<TaskManagerId> {
        let mut slots = Vec::new();
        for _ in 0..count {
            let free = self.task_managers.iter_mut().filter(|(_, offer)| offer.free() > 0);
            let best = if self.config.spread_out {
                // The least used, by share; the first of several.
                free.max_by_key(|(id, offer)| {
                    let share = u64::from(offer.free()) * 1_000_000 / u64::from(offer.slots);
                    (share, std::cmp::Reverse(**id))
                })
            } else {
                // The fullest: fewer TaskManagers mean fewer connections.
                free.min_by_key(|(id, offer)| (offer.free(), **id))
            };
            let Some((id, offer)) = best else { break };
            *offer.taken.entry(job).or_default() += 1;
            slots.push(*id);
        }
        slots
    }
}

#[cfg(test)]
mod tests;
