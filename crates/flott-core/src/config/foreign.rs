//! Flink's options that nothing here depends on: a configuration that was made for Flink is accepted, and whoever
//! made it is told.

/// What keys begin with, and why they have no effect.
const FOREIGN: [(&str, &str); 16] = [
    ("env.java.", "there is no JVM"),
    ("classloader.", "there is no JVM: a job is an executable"),
    ("pekko.", "processes talk by gRPC"),
    ("akka.", "processes talk by gRPC"),
    ("jobmanager.memory.", "memory is not divided beforehand"),
    (
        "taskmanager.memory.",
        "memory is not divided beforehand, except for taskmanager.memory.managed.size",
    ),
    (
        "taskmanager.network.",
        "a channel's memory is taskmanager.network.memory.max-bytes-per-channel",
    ),
    ("jobmanager.bind-host", "a process listens where it is called: jobmanager.rpc.address"),
    ("pipeline.object-reuse", "records are handed over, and never copied"),
    ("pipeline.generic-types", "types are serde's"),
    ("pipeline.serialization-config", "types are serde's"),
    ("execution.checkpointing.unaligned.forced", "there are no iterations"),
    (
        "execution.checkpointing.unaligned.interruptible-timers.",
        "a barrier waits for the timers of one watermark",
    ),
    (
        "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file",
        "records in flight are in the file of their task's state",
    ),
    (
        "execution.checkpointing.unaligned.recover-output-on-downstream.",
        "records in flight are always restored where they were sent to",
    ),
    ("state.backend.rocksdb.", "what state on disk may take is taskmanager.memory.managed.size"),
];

/// Why an option of Flink has no effect, if it is one of those.
pub(super) fn why(key: &str) -> Option<&'static str> {
    let found = FOREIGN.iter().find(|(start, _)| key.starts_with(start));
    found.map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::super::options;
    use super::*;

    #[test]
    fn what_is_an_option_has_an_effect_whatever_it_begins_with() {
        let foreign = options::ALL.iter().filter(|option| why(option.key()).is_some());
        let foreign: Vec<&str> = foreign.map(|option| option.key()).collect();
        for key in foreign {
            let mut config = super::super::Configuration::new();
            let default = options::find(key).unwrap().default();
            config.set_text(key, default, super::super::Origin::File).unwrap();
            assert_eq!(config.without_effect().count(), 0, "{key}");
        }
    }
}
