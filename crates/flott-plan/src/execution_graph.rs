//! The job graph multiplied out by parallelism: tasks and channels.
//!
//! Nothing is stored: whoever deploys asks these functions, and every process gets the same answer
//! in the same order.

use std::ops::Range;

use flott_core::TaskId;

use crate::job_graph::{EdgeId, JobEdge, JobGraph};

/// Every task of the job: the vertices in their order, the subtasks of each from 0.
pub fn tasks(graph: &JobGraph) -> Vec<TaskId> {
    graph
        .vertices
        .iter()
        .flat_map(|vertex| {
            (0..vertex.parallelism).map(|subtask| TaskId { vertex: vertex.id, subtask })
        })
        .collect()
}

/// The channels of an edge: pairs of (producer's subtask, consumer's subtask), in the order of
/// producers, then consumers.
///
/// Pointwise edges (forward, rescale) join contiguous ranges of subtasks, as in Flink: every
/// subtask of both ends has a channel, and with equal parallelism `i` is joined to `i`. All other
/// edges join every producer to every consumer.
pub fn channels(
    edge: &JobEdge,
    producer_parallelism: u32,
    consumer_parallelism: u32,
) -> Vec<(u32, u32)> {
    let pointwise = edge.partitioning.is_pointwise();
    let consumers_of = |producer| {
        if pointwise {
            pointwise_consumers(producer, producer_parallelism, consumer_parallelism)
        } else {
            0..consumer_parallelism
        }
    };
    (0..producer_parallelism)
        .flat_map(|producer| consumers_of(producer).map(move |consumer| (producer, consumer)))
        .collect()
}

/// The consumers that a producer of a pointwise edge is joined to.
///
/// With more producers than consumers, consumer `c` owns the producers from `floor(c·P/C)` up to
/// `floor((c+1)·P/C)`, so producer `p` goes to the last `c` with `floor(c·P/C) <= p`. Otherwise
/// producer `p` owns the consumers from `ceil(p·C/P)` up to `ceil((p+1)·C/P)`.
fn pointwise_consumers(producer: u32, producers: u32, consumers: u32) -> Range<u32> {
    let (p, producers, consumers) =
        (u64::from(producer), u64::from(producers), u64::from(consumers));
    if consumers == 0 {
        return 0..0;
    }
    let range = if producers >= consumers {
        let consumer = ((p + 1) * consumers - 1) / producers;
        consumer..consumer + 1
    } else {
        (p * consumers).div_ceil(producers)..((p + 1) * consumers).div_ceil(producers)
    };
    range.start as u32..range.end as u32
}

/// The task at the receiving end of a channel of an edge.
pub fn consumer(graph: &JobGraph, edge: EdgeId, subtask: u32) -> Option<TaskId> {
    let edge = graph.edges.iter().find(|other| other.id == edge)?;
    Some(TaskId { vertex: edge.target_vertex, subtask })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flott_core::VertexId;

    use super::*;
    use crate::job_graph::EdgeId;
    use crate::partitioning::Partitioning;
    use crate::stream_graph::NodeId;

    fn pairs(partitioning: Partitioning, producers: u32, consumers: u32) -> Vec<(u32, u32)> {
        let edge = JobEdge {
            id: EdgeId(0),
            stream_edge: 0,
            source_vertex: VertexId::from_name("a"),
            source_node: NodeId(0),
            target_vertex: VertexId::from_name("b"),
            target_node: NodeId(1),
            partitioning,
            side_output: None,
        };
        channels(&edge, producers, consumers)
    }

    #[test]
    fn forward_joins_each_subtask_to_its_own_number() {
        assert_eq!(pairs(Partitioning::Forward, 3, 3), [(0, 0), (1, 1), (2, 2)]);
    }

    #[test]
    fn other_partitionings_join_all_to_all_in_order() {
        for partitioning in [
            Partitioning::Rebalance,
            Partitioning::Shuffle,
            Partitioning::Broadcast,
            Partitioning::Global,
            Partitioning::Hash,
            Partitioning::Custom,
        ] {
            assert_eq!(pairs(partitioning, 2, 2), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        }
    }

    #[test]
    fn rescale_joins_the_subtasks_that_flink_joins() {
        assert_eq!(pairs(Partitioning::Rescale, 2, 4), [(0, 0), (0, 1), (1, 2), (1, 3)]);
        assert_eq!(pairs(Partitioning::Rescale, 4, 2), [(0, 0), (1, 0), (2, 1), (3, 1)]);
        assert_eq!(pairs(Partitioning::Rescale, 2, 3), [(0, 0), (0, 1), (1, 2)]);
        assert_eq!(pairs(Partitioning::Rescale, 3, 2), [(0, 0), (1, 1), (2, 1)]);
    }

    #[test]
    fn rescale_reaches_everyone_evenly_and_in_order() {
        for producers in 1..=16u32 {
            for consumers in 1..=16u32 {
                let pairs = pairs(Partitioning::Rescale, producers, consumers);
                let context = format!("{producers} to {consumers}: {pairs:?}");
                assert!(pairs.is_sorted(), "{context}");
                assert_eq!(pairs.len() as u32, producers.max(consumers), "{context}");
                let of =
                    |end: fn(&(u32, u32)) -> u32| pairs.iter().map(end).collect::<BTreeSet<_>>();
                assert!(of(|pair| pair.0).into_iter().eq(0..producers), "{context}");
                assert!(of(|pair| pair.1).into_iter().eq(0..consumers), "{context}");
                // Flink's own words for the side with fewer subtasks.
                if producers >= consumers {
                    for consumer in 0..consumers {
                        let range = consumer * producers / consumers
                            ..(consumer + 1) * producers / consumers;
                        let joined = pairs.iter().filter(|pair| pair.1 == consumer);
                        assert!(joined.map(|pair| pair.0).eq(range), "{context}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_end_without_subtasks_has_no_channels() {
        assert!(pairs(Partitioning::Rescale, 2, 0).is_empty());
        assert!(pairs(Partitioning::Rescale, 0, 2).is_empty());
        assert!(pairs(Partitioning::Hash, 0, 2).is_empty());
    }
}
