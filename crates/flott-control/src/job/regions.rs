//! What fails together: a failover region is a set of tasks between which records flow.
//!
//! Records are pipelined everywhere, so regions are the connected parts of the graph of tasks. A keyed job
//! is one region; a job without an exchange between its subtasks has one for each of them.

use std::collections::{BTreeMap, BTreeSet};

use flott_core::TaskId;

use super::spec::TaskSpec;

/// The regions of a job.
#[derive(Debug)]
pub(super) struct Regions(Vec<BTreeSet<TaskId>>);

impl Regions {
    pub(super) fn new(specs: &[TaskSpec]) -> Self {
        let mut neighbours: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
        for TaskSpec { info, .. } in specs {
            neighbours.entry(info.id).or_default().extend(&info.inputs);
            for input in &info.inputs {
                neighbours.entry(*input).or_default().push(info.id);
            }
        }
        let mut regions = Vec::new();
        while let Some((first, next)) = neighbours.pop_first() {
            let mut region = BTreeSet::from([first]);
            let mut open = next;
            while let Some(task) = open.pop() {
                if let Some(next) = neighbours.remove(&task) {
                    region.insert(task);
                    open.extend(next);
                }
            }
            regions.push(region);
        }
        Self(regions)
    }

    /// All tasks.
    pub(super) fn all(&self) -> BTreeSet<TaskId> {
        self.0.iter().flatten().copied().collect()
    }

    /// The whole regions that these tasks are of.
    pub(super) fn around(&self, tasks: &BTreeSet<TaskId>) -> BTreeSet<TaskId> {
        self.0.iter().filter(|region| !region.is_disjoint(tasks)).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use flott_checkpoint::TaskInfo;
    use flott_core::VertexId;

    use super::*;

    fn task(vertex: u128, subtask: u32) -> TaskId {
        TaskId { vertex: VertexId::from_u128(vertex), subtask }
    }

    fn spec(id: TaskId, inputs: Vec<TaskId>) -> TaskSpec {
        let info = TaskInfo { id, is_source: inputs.is_empty(), operators: Vec::new(), inputs };
        TaskSpec { info, name: String::new() }
    }

    #[test]
    fn tasks_that_records_flow_between_are_one_region() {
        let side_by_side = |subtask| {
            let source = spec(task(1, subtask), Vec::new());
            [source, spec(task(2, subtask), vec![task(1, subtask)])]
        };
        let mut specs: Vec<TaskSpec> = (0..3).flat_map(side_by_side).collect();
        let regions = Regions::new(&specs);
        let own = BTreeSet::from([task(1, 1), task(2, 1)]);
        assert_eq!(regions.around(&BTreeSet::from([task(2, 1)])), own);
        assert_eq!(regions.all().len(), 6);
        let both = BTreeSet::from([task(1, 0), task(2, 2)]);
        assert_eq!(regions.around(&both).len(), 4);
        // One reader of all makes them one.
        specs.push(spec(task(3, 0), (0..3).map(|subtask| task(2, subtask)).collect()));
        assert_eq!(Regions::new(&specs).around(&own).len(), 7);
    }
}
