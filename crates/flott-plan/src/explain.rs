//! The plan as text, and its fingerprint.
//!
//! The text holds everything about a plan that a worker could notice, in a fixed order, so that
//! comparing texts is comparing plans. Names are quoted and escaped: a line break in one cannot
//! pass for a line of the plan.

use std::fmt;

use flott_core::hash::hash128;

use crate::job_graph::{JobGraph, JobType, JobVertex, Operator};

/// The plan for people: vertices in topological order, and under each its operators and outputs.
/// The same graph gives the same text in every process.
pub fn explain(graph: &JobGraph) -> String {
    Plan(graph).to_string()
}

/// The hash of [`explain`]'s text. Two processes that have different fingerprints have built
/// different plans and must not work on the same job.
pub fn fingerprint(graph: &JobGraph) -> u128 {
    hash128(explain(graph).as_bytes())
}

struct Plan<'a>(&'a JobGraph);

impl fmt::Display for Plan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.job_type == JobType::Batch {
            writeln!(f, "job type {}\n", self.0.job_type)?;
        }
        for (index, vertex) in self.0.vertices.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "vertex {} {:?}", vertex.id, vertex.name)?;
            writeln!(
                f,
                "  parallelism {}, max parallelism {}, slot sharing group {:?}{}",
                vertex.parallelism,
                vertex.max_parallelism,
                vertex.slot_sharing_group,
                if vertex.is_source { ", source" } else { "" }
            )?;
            writeln!(f, "  operators")?;
            for operator in &vertex.operators {
                write_operator(f, vertex, operator)?;
            }
            write_outputs(f, self.0, vertex)?;
        }
        Ok(())
    }
}

fn write_operator(
    f: &mut fmt::Formatter<'_>,
    vertex: &JobVertex,
    operator: &Operator,
) -> fmt::Result {
    write!(f, "    {} {:?}, uid {:?}", operator.node, operator.name, operator.uid)?;
    for (flag, text) in [
        (!operator.explicit_uid, " (derived)"),
        (operator.stateful, ", stateful"),
        (operator.keyed, ", keyed"),
        (operator.max_parallelism_explicit, ", max parallelism set"),
    ] {
        if flag {
            f.write_str(text)?;
        }
    }
    let handed_on = vertex.chained_edges.iter().filter(|edge| edge.source == operator.node);
    for (index, edge) in handed_on.enumerate() {
        write!(f, "{}{}", if index == 0 { " -> " } else { ", " }, edge.target)?;
        write_side_output(f, edge.side_output.as_deref())?;
    }
    writeln!(f)
}

fn write_outputs(f: &mut fmt::Formatter<'_>, graph: &JobGraph, vertex: &JobVertex) -> fmt::Result {
    for (index, edge) in graph.outputs_of(vertex.id).enumerate() {
        if index == 0 {
            writeln!(f, "  outputs")?;
        }
        write!(
            f,
            "    edge {}: {} {} -> {}",
            edge.id.0,
            edge.partitioning.ship_strategy(),
            edge.source_node,
            edge.target_node,
        )?;
        write_side_output(f, edge.side_output.as_deref())?;
        match graph.vertex(edge.target_vertex) {
            Some(target) => writeln!(f, ", to vertex {} {:?}", target.id, target.name)?,
            None => writeln!(f, ", to vertex {}, which is missing", edge.target_vertex)?,
        }
    }
    Ok(())
}

fn write_side_output(f: &mut fmt::Formatter<'_>, side_output: Option<&str>) -> fmt::Result {
    match side_output {
        Some(tag) => write!(f, " (side output {tag:?})"),
        None => Ok(()),
    }
}
