//! TaskManagers: `/taskmanagers` and `/taskmanagers/:id`. Clients know a JVM's kinds of memory: here there is one,
//! which they find as the heap; the others are 0.

use std::collections::BTreeMap;

use flott_control::processes::Load;
use flott_control::view::{ClusterView, TaskManagerView};
use flott_core::JobId;
use serde::Serialize;

use super::long;

/// `/taskmanagers`.
#[derive(Serialize)]
pub(crate) struct TaskManagersInfo {
    taskmanagers: Vec<TaskManagerInfo>,
}

/// A TaskManager.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManagerInfo {
    id: String,
    path: String,
    data_port: i32,
    jmx_port: i32,
    time_since_last_heartbeat: i64,
    slots_number: u32,
    free_slots: u32,
    assigned_tasks: usize,
    total_resource: Resource,
    free_resource: Resource,
    hardware: Hardware,
    memory_configuration: MemoryConfiguration,
}

/// `/taskmanagers/:id`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManagerDetails {
    #[serde(flatten)]
    info: TaskManagerInfo,
    allocated_slots: Vec<SlotInfo>,
    metrics: MemoryMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hardware {
    cpu_cores: u32,
    physical_memory: u64,
    free_memory: u64,
    managed_memory: u64,
}

/// A part of a TaskManager; memory in MiB.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    cpu_cores: f64,
    task_heap_memory: u64,
    task_off_heap_memory: u64,
    managed_memory: u64,
    network_memory: u64,
    extended_resources: BTreeMap<String, f64>,
}

impl Resource {
    /// What so many slots of a TaskManager have.
    fn of_slots(view: &TaskManagerView, slots: u32) -> Self {
        let part = f64::from(slots) / f64::from(view.slots.max(1));
        Self {
            cpu_cores: f64::from(view.cpus) * part,
            task_heap_memory: ((view.memory >> 20) as f64 * part) as u64,
            task_off_heap_memory: 0,
            managed_memory: 0,
            network_memory: 0,
            extended_resources: BTreeMap::new(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[derive(Default)]
struct MemoryConfiguration {
    framework_heap: u64,
    task_heap: u64,
    framework_off_heap: u64,
    task_off_heap: u64,
    network_memory: u64,
    managed_memory: u64,
    jvm_metaspace: u64,
    jvm_overhead: u64,
    total_flink_memory: u64,
    total_process_memory: u64,
}

/// A slot that a job has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SlotInfo {
    job_id: String,
    resource: Resource,
    assigned_tasks: usize,
}

/// What its process and those of its workers take of memory.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct MemoryMetrics {
    heap_used: i64,
    heap_committed: i64,
    heap_max: i64,
    non_heap_used: i64,
    non_heap_committed: i64,
    non_heap_max: i64,
    direct_count: i64,
    direct_used: i64,
    direct_max: i64,
    mapped_count: i64,
    mapped_used: i64,
    mapped_max: i64,
    netty_shuffle_memory_segments_available: i64,
    netty_shuffle_memory_segments_used: i64,
    netty_shuffle_memory_segments_total: i64,
    netty_shuffle_memory_available: i64,
    netty_shuffle_memory_used: i64,
    netty_shuffle_memory_total: i64,
    garbage_collectors: [(); 0],
}

impl TaskManagersInfo {
    pub(crate) fn of(view: &ClusterView) -> Self {
        let all = view.task_managers.iter().flatten();
        Self { taskmanagers: all.map(|own| TaskManagerInfo::of(view, own)).collect() }
    }
}

/// How many tasks a TaskManager runs in each of its slots that are taken: tasks with the same number share one.
fn slots(cluster: &ClusterView, name: &str) -> BTreeMap<(JobId, u32), usize> {
    let mut slots = BTreeMap::new();
    for job in cluster.jobs.iter().filter(|job| !job.status.is_terminal()) {
        let here = job.tasks.iter();
        let here = here.filter(|(_, task)| task.task_manager.as_deref() == Some(name));
        for (task, _) in here {
            *slots.entry((job.description.job, task.subtask)).or_default() += 1;
        }
    }
    slots
}

impl TaskManagerInfo {
    fn of(cluster: &ClusterView, view: &TaskManagerView) -> Self {
        Self {
            id: view.name.clone(),
            path: view.name.clone(),
            // Workers have ports of their own.
            data_port: -1,
            jmx_port: -1,
            time_since_last_heartbeat: view.last_heartbeat.0,
            slots_number: view.slots,
            free_slots: view.free_slots,
            assigned_tasks: slots(cluster, &view.name).values().sum(),
            total_resource: Resource::of_slots(view, view.slots),
            free_resource: Resource::of_slots(view, view.free_slots),
            hardware: Hardware {
                cpu_cores: view.cpus,
                physical_memory: view.memory,
                free_memory: 0,
                managed_memory: 0,
            },
            memory_configuration: MemoryConfiguration {
                task_heap: view.memory,
                total_flink_memory: view.memory,
                total_process_memory: view.memory,
                ..MemoryConfiguration::default()
            },
        }
    }
}

impl TaskManagerDetails {
    /// Of a TaskManager that takes this much.
    pub(crate) fn of(cluster: &ClusterView, view: &TaskManagerView, load: Load) -> Self {
        let slot = |((job, _), assigned_tasks): ((JobId, u32), usize)| SlotInfo {
            job_id: job.to_string(),
            resource: Resource::of_slots(view, 1),
            assigned_tasks,
        };
        let used = long(load.memory);
        let metrics = MemoryMetrics {
            heap_used: used,
            heap_committed: used,
            heap_max: long(view.memory),
            ..MemoryMetrics::default()
        };
        Self {
            info: TaskManagerInfo::of(cluster, view),
            allocated_slots: slots(cluster, &view.name).into_iter().map(slot).collect(),
            metrics,
        }
    }
}
