//! How the records of a stream choose a subtask of the consumer.

use flott_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::settings::Settings;
use crate::stream_graph::{StreamEdge, StreamGraph};

/// How the records of a stream choose a subtask of the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partitioning {
    /// Subtask `i` to subtask `i`; both ends have equal parallelism. The only one that can be
    /// chained.
    Forward,
    /// Round robin over all subtasks.
    Rebalance,
    /// Round robin over the few subtasks that the producer is connected to.
    Rescale,
    /// At random.
    Shuffle,
    /// To every subtask.
    Broadcast,
    /// To subtask 0.
    Global,
    /// To the owner of the key's key group.
    Hash,
    /// By the user's function.
    Custom,
}

impl Partitioning {
    /// The name in plans and on the dashboard, as in Flink.
    pub const fn ship_strategy(self) -> &'static str {
        match self {
            Self::Forward => "FORWARD",
            Self::Rebalance => "REBALANCE",
            Self::Rescale => "RESCALE",
            Self::Shuffle => "SHUFFLE",
            Self::Broadcast => "BROADCAST",
            Self::Global => "GLOBAL",
            Self::Hash => "HASH",
            Self::Custom => "CUSTOM",
        }
    }

    /// Whether barriers may overtake the records on such an edge, so that these are restored, too, at any
    /// parallelism. As in Flink not where a subtask is one of few that may send or get a record, nor
    /// where each is sent to all, who would not be at the same one. What the user's function chooses may
    /// depend on more than the record: it cannot be asked again.
    pub const fn can_be_overtaken(self) -> bool {
        match self {
            Self::Rebalance | Self::Shuffle | Self::Global | Self::Hash => true,
            Self::Forward | Self::Rescale | Self::Broadcast | Self::Custom => false,
        }
    }

    /// Whether a subtask is connected to a few subtasks of the other end instead of to all.
    pub const fn is_pointwise(self) -> bool {
        match self {
            Self::Forward | Self::Rescale => true,
            Self::Rebalance
            | Self::Shuffle
            | Self::Broadcast
            | Self::Global
            | Self::Hash
            | Self::Custom => false,
        }
    }
}

/// The partitioning of an edge, once the parallelism of both ends is known.
pub(crate) fn resolve(
    graph: &StreamGraph,
    edge: &StreamEdge,
    settings: &[Settings],
) -> Result<Partitioning> {
    let up = settings[edge.source.index()].parallelism;
    let down = settings[edge.target.index()].parallelism;
    match edge.partitioning {
        None if up == down => Ok(Partitioning::Forward),
        None => Ok(Partitioning::Rebalance),
        Some(Partitioning::Forward) if up != down => Err(Error::invalid(format!(
            "forward partitioning from operator \"{}\" (parallelism {up}) to operator \"{}\" \
             (parallelism {down}) does not allow a change of parallelism: give both the same \
             parallelism, or use another partitioning such as rebalance, rescale, broadcast, \
             shuffle or global",
            graph.node(edge.source).name,
            graph.node(edge.target).name,
        ))),
        Some(partitioning) => Ok(partitioning),
    }
}
