//! Flink's options that nothing here depends on: a configuration that was made for Flink is accepted, and whoever
//! made it is told.

/// Keys, or what keys begin with if that ends with a dot or a hyphen, and why they have no effect.
const FOREIGN: [(&[&str], &str); 13] = [
    (&["env.java."], "there is no JVM"),
    (&["classloader."], "there is no JVM: a job is an executable"),
    (&["pekko.", "akka."], "processes talk by gRPC"),
    (
        &[
            "jobmanager.memory.",
            "taskmanager.memory.flink.size",
            "taskmanager.memory.framework.",
            "taskmanager.memory.task.",
            "taskmanager.memory.jvm-",
            "taskmanager.memory.managed.fraction",
            "taskmanager.memory.managed.consumer-weights",
            "taskmanager.memory.segment-size",
            "taskmanager.memory.min-segment-size",
        ],
        "memory is not divided beforehand: taskmanager.memory.process.size bounds all of it, taskmanager.memory.managed.size \
         that of state on disk",
    ),
    (
        &[
            "taskmanager.memory.network.",
            "taskmanager.network.memory.buffers-per-channel",
            "taskmanager.network.memory.floating-buffers-per-gate",
            "taskmanager.network.memory.max-buffers-per-channel",
            "taskmanager.network.memory.max-overdraft-buffers-per-gate",
            "taskmanager.network.memory.read-buffer.",
            "taskmanager.network.memory.buffer-debloat.",
        ],
        "a channel's memory is taskmanager.network.memory.max-bytes-per-channel",
    ),
    (
        &[
            "taskmanager.network.netty.",
            "taskmanager.network.request-backoff.",
            "taskmanager.network.retries",
            "taskmanager.network.max-num-tcp-connections",
            "taskmanager.network.tcp-connection.",
            "taskmanager.network.partition-request-timeout",
        ],
        "there is one connection between two processes",
    ),
    (
        &[
            "taskmanager.network.batch-shuffle.",
            "taskmanager.network.blocking-shuffle.",
            "taskmanager.network.hybrid-shuffle.",
            "taskmanager.network.sort-shuffle.",
            "taskmanager.network.compression.",
        ],
        "batch jobs are pipelined, and nothing is compressed between processes",
    ),
    (&["jobmanager.bind-host"], "a process listens where it is called: jobmanager.rpc.address"),
    (&["pipeline.object-reuse"], "records are handed over: only what goes two ways is cloned"),
    (&["pipeline.generic-types", "pipeline.serialization-config"], "types are serde's"),
    (&["execution.checkpointing.unaligned.forced"], "there are no iterations"),
    (
        &[
            "execution.checkpointing.unaligned.interruptible-timers.",
            "execution.checkpointing.unaligned.max-subtasks-per-channel-state-file",
            "execution.checkpointing.unaligned.recover-output-on-downstream.",
        ],
        "records in flight are state of the operator that they were sent to, and a barrier waits for the timers of \
         one watermark",
    ),
    (&["state.backend.rocksdb."], "what state on disk may take is taskmanager.memory.managed.size"),
];

/// Why an option of Flink has no effect, if it is one of those.
pub(super) fn why(key: &str) -> Option<&'static str> {
    let is_it = |known: &&str| {
        if known.ends_with(['.', '-']) { key.starts_with(known) } else { key == *known }
    };
    let found = FOREIGN.iter().find(|(keys, _)| keys.iter().any(is_it));
    found.map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::super::{Configuration, Origin, options};
    use super::*;

    #[test]
    fn no_option_of_ours_is_foreign() {
        for option in options::ALL {
            for key in std::iter::once(option.key()).chain(option.aliases().iter().copied()) {
                assert_eq!(why(key), None, "{key}");
            }
        }
    }

    #[test]
    fn a_mistyped_option_is_refused_though_flink_has_some_that_begin_like_it() {
        for (typo, meant) in [
            ("taskmanager.memory.managed.sise", "taskmanager.memory.managed.size"),
            (
                "taskmanager.network.memory.max-byte-per-channel",
                "taskmanager.network.memory.max-bytes-per-channel",
            ),
            (
                "execution.checkpointing.unaligned.enable",
                "execution.checkpointing.unaligned.enabled",
            ),
        ] {
            let mut config = Configuration::new();
            let error = config.set_text(typo, "1", Origin::File).unwrap_err().to_string();
            assert!(error.contains(&format!("did you mean \"{meant}\"")), "{error}");
        }
    }

    #[test]
    fn an_option_of_flink_is_accepted_and_reported() {
        let mut config = Configuration::new();
        for key in ["env.java.opts.all", "taskmanager.memory.jvm-overhead.min", "pekko.ask.timeout"]
        {
            config.set_text(key, "1", Origin::File).unwrap();
        }
        assert_eq!(config.without_effect().count(), 3);
    }
}
