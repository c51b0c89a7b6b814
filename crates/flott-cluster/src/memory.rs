//! How much memory a worker may take. It fails a task, with a reason, before the kernel kills the process without one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use flott_core::config::{Configuration, options};
use flott_core::{Error, ErrorKind, Result, TaskId};
use flott_plan::JobGraph;

/// Of the machine's memory the workers of a TaskManager may take so many tenths, if nothing else is said.
const TENTHS: u64 = 9;

/// Where a control group says how much memory its processes may take: version 2, then 1.
const GROUP_LIMITS: [&str; 2] =
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

const MEGABYTE: u64 = 1 << 20;

/// What the workers of a TaskManager may take together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    bytes: u64,
    /// Whether somebody has said so.
    is_given: bool,
    slots: u32,
}

impl MemoryLimit {
    /// As the options of a TaskManager say.
    ///
    /// # Errors
    /// If one is wrong.
    pub(crate) fn new(machine: &Configuration) -> Result<Self> {
        let given = machine.get(&options::PROCESS_MEMORY)?;
        Ok(Self {
            bytes: given.map_or_else(|| machine_bytes() / 10 * TENTHS, |size| size.0),
            is_given: given.is_some(),
            slots: machine.get(&options::TASK_SLOTS)?.0,
        })
    }

    /// What a worker in so many of the slots may take.
    fn of(self, slots: u32) -> u64 {
        self.bytes / u64::from(self.slots) * u64::from(slots.min(self.slots))
    }

    /// If this process, which has these tasks of a job, takes too much: the one with the most state, and what is
    /// to be said of that.
    pub(crate) fn exceeded(
        self,
        graph: &JobGraph,
        tasks: &BTreeMap<TaskId, u64>,
    ) -> Option<(TaskId, Error)> {
        let (task, state) = tasks.iter().max_by_key(|(_, bytes)| **bytes)?;
        let slots = slots(graph, &tasks.keys().copied().collect());
        let (resident, limit) = (resident()?, self.of(slots));
        (resident > limit).then(|| (*task, self.error(resident, limit, slots, *state)))
    }

    fn error(self, resident: u64, limit: u64, slots: u32, state: u64) -> Error {
        let Self { bytes, is_given, slots: all } = self;
        let from = if is_given { "" } else { "nine tenths of the machine's: " };
        let megabytes = |bytes: u64| bytes / MEGABYTE;
        Error::new(
            ErrorKind::User,
            format!(
                "the worker takes {} MB of memory, and may take {} MB: it has {slots} of {all} slots of a \
                 TaskManager with taskmanager.memory.process.size {from}{} MB. In its newest checkpoint this \
                 task has {} MB of state, the most of the worker's tasks. Run the job with more subtasks on more \
                 TaskManagers, give these more memory, or keep state on disk (state.backend.type: lsm)",
                megabytes(resident),
                megabytes(limit),
                megabytes(bytes),
                megabytes(state),
            ),
        )
    }
}

/// How many slots these tasks take: those of a sharing group share them, one of each vertex in a slot.
fn slots(graph: &JobGraph, tasks: &BTreeSet<TaskId>) -> u32 {
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    for vertex in &graph.vertices {
        let own = tasks.iter().filter(|task| task.vertex == vertex.id).count() as u32;
        let widest = groups.entry(&vertex.slot_sharing_group).or_default();
        *widest = own.max(*widest);
    }
    groups.values().sum()
}

/// How much memory this process has.
fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// How much memory the machine has, or the control group that this process is in.
pub(crate) fn machine_bytes() -> u64 {
    let limit = |path: &&str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = GROUP_LIMITS.iter().find_map(limit);
    let machine = rustix::system::sysinfo();
    let all = machine.totalram as u64 * u64::from(machine.mem_unit.max(1));
    group.unwrap_or(all).min(all)
}

#[cfg(test)]
mod tests {
    use flott_core::config::Origin;

    use super::*;

    fn limit(settings: &[(&str, &str)]) -> MemoryLimit {
        let mut config = Configuration::new();
        for (key, value) in settings {
            config.set_text(key, value, Origin::Program).unwrap();
        }
        MemoryLimit::new(&config).unwrap()
    }

    #[test]
    fn a_worker_may_take_what_its_slots_may() {
        let all = limit(&[
            ("taskmanager.memory.process.size", "400 mb"),
            ("taskmanager.numberOfTaskSlots", "4"),
        ]);
        assert_eq!(all.of(1), 100 << 20);
        assert_eq!(all.of(3), 300 << 20);
        assert_eq!(all.of(9), 400 << 20);
        let error = all.error(110 << 20, 100 << 20, 1, 60 << 20).to_string();
        let expected = "takes 110 MB of memory, and may take 100 MB: it has 1 of 4 slots of a TaskManager \
                        with taskmanager.memory.process.size 400 MB";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn by_default_most_of_the_machine_is_for_workers() {
        let bytes = limit(&[]).of(1);
        assert!(bytes > machine_bytes() / 2 && bytes < machine_bytes(), "{bytes}");
        assert!(resident().unwrap() > MEGABYTE);
    }
}
