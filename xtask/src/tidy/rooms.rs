//! Who may use whom: the table of crates. Adding an edge is a design change; it is made here, with
//! its reason.

use MayUse::{Anything, Only};

/// A crate of the workspace.
pub(super) struct Room {
    pub(super) name: &'static str,
    /// A quiet crate has no sockets, no runtime and no clock: it lacks the dependencies.
    pub(super) quiet: bool,
    pub(super) may_use: MayUse,
    /// Why these and no others.
    pub(super) reason: &'static str,
}

/// The crates of the workspace that a room may depend on.
pub(super) enum MayUse {
    Only(&'static [&'static str]),
    Anything,
}

/// What quiet crates may use from outside.
pub(super) const QUIET_DEPENDENCIES: [&str; 5] =
    ["crc32c", "postcard", "serde", "serde_json", "smallvec"];

/// What must not be anywhere below a quiet crate: runtimes, sockets, clocks, randomness, logging.
pub(super) const LOUD_DEPENDENCIES: &[&str] = &[
    "async-std",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "futures",
    "getrandom",
    "hyper",
    "jiff",
    "libc",
    "log",
    "mio",
    "nix",
    "object_store",
    "parking_lot",
    "quanta",
    "rand",
    "rand_core",
    "rayon",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tonic",
    "tracing",
    "uuid",
    "windows-sys",
];

pub(super) const ROOMS: &[Room] = &[
    Room {
        name: "flott-core",
        quiet: true,
        may_use: Only(&[]),
        reason: "it holds the words that all others share, so it knows none of them",
    },
    Room {
        name: "flott-plan",
        quiet: true,
        may_use: Only(&["flott-core"]),
        reason: "a plan is names and settings, without operators, state or machines",
    },
    Room {
        name: "flott-checkpoint",
        quiet: true,
        may_use: Only(&["flott-core"]),
        reason: "when the past is safe is decided without knowing what a task or a backend does",
    },
    Room {
        name: "flott-state",
        quiet: true,
        may_use: Only(&["flott-core", "flott-checkpoint"]),
        reason: "a snapshot is handed over in the checkpoint's words",
    },
    Room {
        name: "flott-runtime",
        quiet: true,
        may_use: Only(&["flott-core", "flott-plan", "flott-checkpoint", "flott-state"]),
        reason: "a task runs a piece of the plan and snapshots its state; it knows no operator",
    },
    Room {
        name: "flott-control",
        quiet: true,
        may_use: Only(&["flott-core", "flott-plan", "flott-checkpoint"]),
        reason: "who runs where is decided without running anything",
    },
    Room {
        name: "flott-datastream",
        quiet: true,
        may_use: Only(&[
            "flott-core",
            "flott-plan",
            "flott-checkpoint",
            "flott-state",
            "flott-runtime",
        ]),
        reason: "a verb adds to the plan and brings its operator; it does not know who runs it",
    },
    Room {
        name: "flott-cluster",
        quiet: false,
        may_use: Only(&[
            "flott-core",
            "flott-plan",
            "flott-checkpoint",
            "flott-state",
            "flott-runtime",
            "flott-control",
            "flott-datastream",
        ]),
        reason: "it performs what the quiet crates decide",
    },
    Room {
        name: "flott-rest",
        quiet: false,
        may_use: Only(&["flott-core", "flott-plan", "flott-checkpoint", "flott-control"]),
        reason: "it shows what is published to it; who runs the job is not its business",
    },
    Room {
        name: "flott-connectors",
        quiet: false,
        may_use: Only(&[
            "flott-core",
            "flott-checkpoint",
            "flott-state",
            "flott-runtime",
            "flott-datastream",
        ]),
        reason: "sources and sinks are operators with I/O; which cluster runs them is not theirs",
    },
    Room {
        name: "flott",
        quiet: false,
        may_use: Only(&[
            "flott-core",
            "flott-plan",
            "flott-state",
            "flott-runtime",
            "flott-datastream",
            "flott-cluster",
            "flott-connectors",
            "flott-rest",
        ]),
        reason: "the door for users opens to what a program names, the embedded cluster and its page",
    },
    Room {
        name: "flott-cli",
        quiet: false,
        may_use: Only(&["flott-core", "flott-plan", "flott-cluster", "flott-rest"]),
        reason: "it speaks the REST API, as the command lines of others do, and is every process of a \
                 cluster but the workers",
    },
    Room { name: "flott-testkit", quiet: false, may_use: Anything, reason: "it tests all of them" },
    Room {
        name: "flott-examples",
        quiet: false,
        may_use: Only(&["flott"]),
        reason: "an example shows what a user has in hand",
    },
    Room {
        name: "flott-benches",
        quiet: false,
        may_use: Anything,
        reason: "it measures all of them",
    },
    Room {
        name: "xtask",
        quiet: false,
        may_use: Only(&[]),
        reason: "it must build when nothing else does",
    },
];
