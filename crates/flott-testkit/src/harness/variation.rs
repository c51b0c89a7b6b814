//! The ways in which a test is run: every one must give the same output.

use std::sync::Arc;

use flott_runtime::batch::BATCH_RECORDS;
use flott_runtime::restore::Reads;
use flott_state::store::MemoryStores;
use flott_state::{DiskBackend, StateBackend};

/// How much of the script is played before the tasks come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feeding {
    /// One step.
    Single,
    /// All steps up to the next movement of the clock, or of another subtask of the source.
    Bulk,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failures {
    /// Nothing.
    None,
    /// After every step a checkpoint is taken, and all tasks start again from it.
    AfterSnapshot,
    /// After every step all tasks fail, start again from the checkpoint before it, and play it once
    /// more. That checkpoint's bytes are written as late as can be: after the step.
    BeforeSnapshot,
}

/// Where keyed state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backends {
    /// On the heap.
    Heap,
    /// In stores, with tables of few entries before them.
    Disk,
    /// In every other deployment on the heap.
    InTurn,
}

impl Backends {
    /// That of a deployment.
    pub(super) fn of(self, deployment: u32) -> StateBackend {
        match self {
            Self::Disk => {}
            Self::InTurn if !deployment.is_multiple_of(2) => {}
            Self::Heap | Self::InTurn => return StateBackend::Heap,
        }
        StateBackend::Disk(DiskBackend::new(Arc::new(MemoryStores), 0))
    }
}

/// A way to run a test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variation {
    pub(super) name: &'static str,
    pub(super) feeding: Feeding,
    pub(super) failures: Failures,
    pub(super) backends: Backends,
    pub(super) reads: Reads,
    pub(super) chaining: bool,
    pub(super) batch_records: usize,
    /// How many bytes a channel holds, if not as many as usual.
    pub(super) channel_bytes: Option<usize>,
    /// Whether checkpoints are taken before anybody has read what the sources emit, with barriers that overtake it.
    pub(super) overtaking: bool,
    /// Whether the last tasks of the job are stepped first.
    pub(super) downstream_first: bool,
    /// The parallelism of each deployment in turn; empty for that of the test.
    pub(super) parallelism: &'static [u32],
}

impl Variation {
    /// Nothing special.
    pub(super) const PLAIN: Self = Self {
        name: "plain",
        feeding: Feeding::Bulk,
        failures: Failures::None,
        backends: Backends::Heap,
        reads: Reads::AtOnce,
        chaining: true,
        batch_records: BATCH_RECORDS,
        channel_bytes: None,
        overtaking: false,
        downstream_first: false,
        parallelism: &[],
    };

    /// Every variation that keeps the parallelism.
    pub(super) const ALL: [Self; 14] = [
        Self::PLAIN,
        Self { name: "one record per batch", feeding: Feeding::Single, ..Self::PLAIN },
        Self { name: "without chaining", chaining: false, ..Self::PLAIN },
        Self {
            name: "without chaining, downstream first, one record per batch",
            chaining: false,
            batch_records: 1,
            downstream_first: true,
            ..Self::PLAIN
        },
        Self {
            name: "without chaining, outputs always full",
            chaining: false,
            batch_records: 1,
            channel_bytes: Some(1),
            ..Self::PLAIN
        },
        Self {
            name: "restored after every step",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            ..Self::PLAIN
        },
        Self {
            name: "restored after every step, without chaining, outputs always full",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            chaining: false,
            batch_records: 1,
            channel_bytes: Some(1),
            ..Self::PLAIN
        },
        Self {
            name: "every step repeated after a failure",
            feeding: Feeding::Single,
            failures: Failures::BeforeSnapshot,
            chaining: false,
            ..Self::PLAIN
        },
        Self {
            name: "restored after every step, with state that is read when it is needed",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            reads: Reads::Later,
            ..Self::PLAIN
        },
        Self {
            name: "every step repeated after a failure, with state that is read when it is needed",
            feeding: Feeding::Single,
            failures: Failures::BeforeSnapshot,
            reads: Reads::Later,
            ..Self::PLAIN
        },
        Self {
            name: "restored after every step with records in flight",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            overtaking: true,
            ..Self::PLAIN
        },
        Self {
            name: "restored after every step with records in flight, without chaining",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            overtaking: true,
            chaining: false,
            ..Self::PLAIN
        },
        Self { name: "with state on disk", backends: Backends::Disk, ..Self::PLAIN },
        Self {
            name: "restored after every step, on the heap and on disk in turn",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            backends: Backends::InTurn,
            ..Self::PLAIN
        },
    ];

    /// Those that change it.
    pub(super) const RESCALED: [Self; 3] = [
        Self {
            name: "rescaled from 1 to 2 to 3 to 1 with every step",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            backends: Backends::InTurn,
            parallelism: &[1, 2, 3],
            ..Self::PLAIN
        },
        Self {
            name: "rescaled from 2 to 3 to 1 to 2 with every step with records in flight",
            feeding: Feeding::Single,
            failures: Failures::AfterSnapshot,
            overtaking: true,
            parallelism: &[2, 3, 1],
            ..Self::PLAIN
        },
        Self {
            name: "rescaled from 3 to 1 to 2 to 3 with every step that is repeated after a failure",
            feeding: Feeding::Single,
            failures: Failures::BeforeSnapshot,
            parallelism: &[3, 1, 2],
            ..Self::PLAIN
        },
    ];
}
