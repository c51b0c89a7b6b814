//! Processes: their options, logs and threads.

use flott_control::processes::{Load, LogFile, ThreadView};
use serde::Serialize;

use super::metrics::Metrics;

/// An option: `/jobmanager/config` is a list of them.
#[derive(Serialize)]
pub(crate) struct ConfigEntry {
    key: String,
    value: String,
}

impl ConfigEntry {
    pub(crate) fn all_of(options: Vec<(String, String)>) -> Vec<Self> {
        options.into_iter().map(|(key, value)| Self { key, value }).collect()
    }
}

/// `/jobmanager/environment`. There is no JVM: its fields say what there is instead.
#[derive(Serialize)]
pub(crate) struct EnvironmentInfo {
    jvm: JvmInfo,
    classpath: [(); 0],
}

#[derive(Serialize)]
struct JvmInfo {
    version: String,
    arch: &'static str,
    options: [(); 0],
}

impl EnvironmentInfo {
    pub(crate) fn new() -> Self {
        let version = format!("none: flott {}", env!("CARGO_PKG_VERSION"));
        let jvm = JvmInfo { version, arch: std::env::consts::ARCH, options: [] };
        Self { jvm, classpath: [] }
    }
}

/// `…/logs`.
#[derive(Serialize)]
pub(crate) struct LogList {
    logs: Vec<LogInfo>,
}

#[derive(Serialize)]
struct LogInfo {
    name: String,
    size: u64,
    mtime: i64,
}

impl LogList {
    pub(crate) fn of(files: Vec<LogFile>) -> Self {
        let info = |LogFile { name, size, modified }| LogInfo { name, size, mtime: modified.0 };
        Self { logs: files.into_iter().map(info).collect() }
    }
}

/// `…/thread-dump`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ThreadDump {
    thread_infos: Vec<ThreadInfo>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadInfo {
    thread_name: String,
    stringified_thread_info: String,
}

impl ThreadDump {
    /// What threads do is not known beyond whether they run: there are no stacks.
    pub(crate) fn of(threads: Vec<ThreadView>) -> Self {
        let info = |ThreadView { id, name, state, cpu }| ThreadInfo {
            stringified_thread_info: format!(
                "\"{name}\" Id={id} {state}, {} ms of processor time\n",
                cpu.as_millis()
            ),
            thread_name: name,
        };
        Self { thread_infos: threads.into_iter().map(info).collect() }
    }
}

/// What a process takes, and its workers.
pub(crate) fn metrics(own: Load, workers: Option<Load>) -> Metrics {
    let mut all = Metrics::new();
    let mut add = |prefix: &str, load: Load| {
        for (name, value) in [
            ("Memory.RSS", load.memory as f64),
            ("CPU.Time", load.cpu.as_nanos() as f64),
            ("Threads.Count", load.threads as f64),
            ("FileDescriptor.Open", load.files as f64),
        ] {
            all.insert(format!("{prefix}.{name}"), value);
        }
    };
    add("Status.Process", own);
    if let Some(workers) = workers {
        add("Status.Workers", workers);
        all.insert("Status.Workers.Count".into(), workers.processes as f64);
    }
    all
}
