//! The plan: `/jobs/:jobid/plan`, and part of `/jobs/:jobid`.

use std::collections::BTreeMap;

use flott_control::view::JobView;
use flott_core::Now;
use flott_plan::{JobGraph, JobVertex, NodeId};
use serde::Serialize;

/// `/jobs/:jobid/plan`.
#[derive(Serialize)]
pub(crate) struct JobPlanInfo {
    plan: Plan,
}

impl JobPlanInfo {
    pub(crate) fn of(_now: Now, job: &JobView) -> Self {
        Self { plan: Plan::of(job) }
    }

    /// Of a job that does not run.
    pub(crate) fn of_graph(name: &str, graph: &JobGraph) -> Self {
        Self { plan: Plan::of_graph(String::new(), name, graph) }
    }
}

/// A job's vertices, sinks first.
#[derive(Serialize)]
pub(super) struct Plan {
    jid: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nodes: Vec<Node>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    operator: &'static str,
    parallelism: u32,
    operator_strategy: &'static str,
    description: String,
    optimizer_properties: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Input>,
}

#[derive(Serialize)]
struct Input {
    id: String,
    num: usize,
    exchange: &'static str,
    ship_strategy: &'static str,
}

impl Plan {
    pub(super) fn of(job: &JobView) -> Self {
        let description = &job.description;
        Self::of_graph(description.job.to_string(), &description.name, &description.graph)
    }

    fn of_graph(jid: String, name: &str, graph: &JobGraph) -> Self {
        let node = |vertex: &JobVertex| Node {
            id: vertex.id.to_string(),
            operator: "",
            parallelism: vertex.parallelism,
            operator_strategy: "",
            description: description(vertex),
            optimizer_properties: BTreeMap::new(),
            inputs: graph
                .inputs_of(vertex.id)
                .enumerate()
                .map(|(num, edge)| Input {
                    id: edge.source_vertex.to_string(),
                    num,
                    exchange: "pipelined_bounded",
                    ship_strategy: edge.partitioning.ship_strategy(),
                })
                .collect(),
        };
        Self {
            jid,
            name: name.to_owned(),
            kind: graph.job_type.to_string(),
            nodes: graph.vertices.iter().rev().map(node).collect(),
        }
    }
}

/// The operators of a vertex as a tree, in HTML: Flink's dashboard shows it as it is.
fn description(vertex: &JobVertex) -> String {
    let mut html = String::new();
    if let Some(head) = vertex.operators.first() {
        html.push_str(&format!("{}<br/>", escape(&head.name)));
        describe_consumers(vertex, head.node, "", &mut html);
    }
    html
}

fn describe_consumers(vertex: &JobVertex, node: NodeId, prefix: &str, html: &mut String) {
    let edges = vertex.chained_edges.iter().filter(|edge| edge.source == node);
    let consumers: Vec<NodeId> = edges.map(|edge| edge.target).collect();
    for (index, consumer) in consumers.iter().enumerate() {
        let is_last = index + 1 == consumers.len();
        let (branch, below) = if is_last { ("+- ", "   ") } else { (":- ", ":  ") };
        let operator = vertex.operators.iter().find(|operator| operator.node == *consumer);
        let name = operator.map_or("", |operator| operator.name.as_str());
        html.push_str(&format!("{prefix}{branch}{}<br/>", escape(name)));
        describe_consumers(vertex, *consumer, &format!("{prefix}{below}"), html);
    }
}

fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(c),
        }
    }
    html
}
