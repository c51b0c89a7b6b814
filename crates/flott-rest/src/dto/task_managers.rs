//! TaskManagers: `/taskmanagers` and `/taskmanagers/:id`.

use flott_control::view::{ClusterView, TaskManagerView};
use serde::Serialize;

/// `/taskmanagers`.
#[derive(Serialize)]
pub(crate) struct TaskManagersInfo {
    taskmanagers: Vec<TaskManagerInfo>,
}

/// A TaskManager. What Flink says of the JVM's memory is left out: there is none.
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
    hardware: Hardware,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hardware {
    cpu_cores: u32,
    physical_memory: u64,
    free_memory: u64,
    managed_memory: u64,
}

impl TaskManagersInfo {
    pub(crate) fn of(view: &ClusterView) -> Self {
        let all = view.task_managers.iter().flatten();
        Self { taskmanagers: all.map(TaskManagerInfo::of).collect() }
    }
}

impl TaskManagerInfo {
    pub(crate) fn of(view: &TaskManagerView) -> Self {
        Self {
            id: view.name.clone(),
            path: view.name.clone(),
            // Workers have ports of their own.
            data_port: -1,
            jmx_port: -1,
            time_since_last_heartbeat: view.last_heartbeat.0,
            slots_number: view.slots,
            free_slots: view.free_slots,
            hardware: Hardware {
                cpu_cores: view.cpus,
                physical_memory: view.memory,
                free_memory: 0,
                managed_memory: 0,
            },
        }
    }
}
