//! State that is dealt out to another number of subtasks is the same state.

use flott_checkpoint::snapshot::{OperatorSnapshot, Redistribution};
use flott_core::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::testing::{OPERATOR, inline_writer, keyed, operator_states};
use crate::{BroadcastState, OperatorListState, OperatorStateBackend, TimerKind, TimerService};

const GROUPS: u32 = 16;

/// One subtask with every kind of state.
struct Subtask {
    keyed: KeyedBackend<String>,
    timers: TimerService<String>,
    other: OperatorStateBackend,
    handles: Handles,
}

#[derive(Clone, Copy)]
struct Handles {
    value: ValueState<i64>,
    list: ListState<u8>,
    map: MapState<u8, i64>,
    total: ReducingState<i64>,
    mean: AggregatingState<i64, (i64, i64), i64>,
    splits: OperatorListState<String>,
    rules: BroadcastState<u8, String>,
}

impl Subtask {
    fn new(snapshots: &[OperatorSnapshot], subtask: u32, parallelism: u32) -> Self {
        let range = max(GROUPS).range_of(subtask, parallelism);
        let mut restored = keyed(snapshots, range);
        let mut timers = TimerService::new("op", range, max(GROUPS));
        timers.restore(&mut restored).unwrap();
        let mut keyed = KeyedBackend::new("op", range, max(GROUPS));
        keyed.restore(restored);
        let mut other = OperatorStateBackend::new("op");
        other.restore(operator_states(snapshots, subtask as usize, parallelism as usize));
        let handles = Handles {
            value: keyed.value_state(ValueStateDescriptor::new("value")).unwrap(),
            list: keyed.list_state(ListStateDescriptor::new("list")).unwrap(),
            map: keyed.map_state(MapStateDescriptor::new("map")).unwrap(),
            total: keyed.reducing_state(ReducingStateDescriptor::new("total", sum())).unwrap(),
            mean: keyed.aggregating_state(mean()).unwrap(),
            splits: other.list_state("splits", Redistribution::Split).unwrap(),
            rules: other.broadcast_state("rules").unwrap(),
        };
        assert!(keyed.unclaimed().is_empty() && other.unclaimed().is_empty());
        Self { keyed, timers, other, handles }
    }

    fn owns(&self, key: &str) -> bool {
        self.keyed.range().contains(max(GROUPS).key_group(hash(key)))
    }

    fn apply(&mut self, key: &str, x: u8) {
        let value = i64::from(x);
        let h = self.handles;
        at(&mut self.keyed, key);
        h.value.update(&mut self.keyed, value).unwrap();
        h.list.add(&mut self.keyed, x).unwrap();
        h.map.put(&mut self.keyed, x, value).unwrap();
        h.total.add(&mut self.keyed, value).unwrap();
        h.mean.add(&mut self.keyed, value).unwrap();
        let kind =
            if x.is_multiple_of(2) { TimerKind::EventTime } else { TimerKind::ProcessingTime };
        self.timers.register(kind, hash(key), &key.to_owned(), Timestamp(value));
        h.splits.add(&mut self.other, format!("{key}-{x}")).unwrap();
    }

    fn read(&mut self, key: &str) -> String {
        let h = self.handles;
        at(&mut self.keyed, key);
        let b = &mut self.keyed;
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            h.value.get(b).unwrap().copied(),
            h.list.get(b).unwrap().to_vec(),
            entries(h.map, b),
            h.total.get(b).unwrap().copied(),
            h.mean.get(b).unwrap(),
        )
    }

    fn snapshot(&mut self, first: bool) -> OperatorSnapshot {
        let mut writer = inline_writer().counts_broadcast(first);
        self.keyed.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
        self.timers.snapshot().write(OPERATOR, &mut writer).unwrap();
        self.other.snapshot().write(OPERATOR, &mut writer).unwrap();
        crate::testing::finish(writer)
    }
}

fn start(snapshots: &[OperatorSnapshot], parallelism: u32) -> Vec<Subtask> {
    (0..parallelism).map(|subtask| Subtask::new(snapshots, subtask, parallelism)).collect()
}

fn snapshot(subtasks: &mut [Subtask]) -> Vec<OperatorSnapshot> {
    let all = subtasks.iter_mut().enumerate();
    all.map(|(index, subtask)| subtask.snapshot(index == 0)).collect()
}

fn digest(snapshots: &[OperatorSnapshot]) -> u64 {
    snapshots.iter().fold(0, |sum, snapshot| sum.wrapping_add(snapshot.digest))
}

fn timers(subtasks: &mut [Subtask]) -> Vec<(TimerKind, Timestamp, String)> {
    let mut all = Vec::new();
    for kind in [TimerKind::EventTime, TimerKind::ProcessingTime] {
        for subtask in &mut *subtasks {
            while let Some((time, _, key)) = subtask.timers.pop_due(kind, Timestamp::MAX) {
                all.push((kind, time, key));
            }
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn state_and_its_digest_survive_rescaling(
        ops in proptest::collection::vec((0u8..40, any::<u8>()), 0..120),
    ) {
        let mut one = start(&[], 1);
        for (key, x) in &ops {
            one[0].apply(&format!("key-{key}"), *x);
        }
        let h = one[0].handles;
        h.rules.put(&mut one[0].other, 1, "rule".into()).unwrap();
        let mut stored = snapshot(&mut one);
        let expected = digest(&stored);
        prop_assert!(expected != 0);
        for parallelism in [3, 2, 1] {
            let mut subtasks = start(&stored, parallelism);
            for key in (0..40).map(|key| format!("key-{key}")) {
                let owner = subtasks.iter_mut().find(|subtask| subtask.owns(&key)).unwrap();
                prop_assert_eq!(owner.read(&key), one[0].read(&key));
            }
            for subtask in &mut subtasks {
                prop_assert_eq!(h.rules.get(&mut subtask.other, &1).unwrap(), Some(&"rule".into()));
            }
            stored = snapshot(&mut subtasks);
            prop_assert_eq!(digest(&stored), expected);
        }
        let mut last = start(&stored, 1);
        prop_assert_eq!(timers(&mut last), timers(&mut one));
    }
}

#[test]
fn any_difference_changes_the_digest() {
    let digest_of = |ops: &[(&str, u8)]| {
        let mut subtasks = start(&[], 1);
        for (key, x) in ops {
            subtasks[0].apply(key, *x);
        }
        digest(&snapshot(&mut subtasks))
    };
    let all = [digest_of(&[("a", 1)]), digest_of(&[("a", 2)]), digest_of(&[("b", 1)])];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    let moved = |one: &str, two: &str| {
        let mut b = backend();
        let _ = b.value_state(ValueStateDescriptor::<u8>::new(two)).unwrap();
        let state = b.value_state(ValueStateDescriptor::<u8>::new(one)).unwrap();
        state.update(&mut b, 1).unwrap();
        let mut writer = inline_writer();
        b.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
        crate::testing::finish(writer).digest
    };
    assert_ne!(moved("x", "y"), moved("y", "x"), "the name of the state counts");
}
