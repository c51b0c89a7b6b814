//! State in a store is as state on the heap is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flott_checkpoint::snapshot::OperatorSnapshot;
use flott_core::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::restore::{KeyedData, StateMemory};
use crate::store::{Batch, MemoryStores, Put, StateStore, StateStores, StoreSnapshot};
use crate::testing::{OPERATOR, finish, inline_writer, keyed};
use crate::{DiskBackend, StateBackend};

/// A store with a table before it, which takes so many bytes, but has few entries at least.
pub(super) fn on_disk(bytes: usize) -> StateBackend {
    StateBackend::Disk(DiskBackend::new(Arc::new(MemoryStores), bytes))
}

/// All kinds of state, in one place.
struct States {
    place: StateBackend,
    ttl: Option<StateTtlConfig>,
    backend: KeyedBackend<u32>,
    value: ValueState<String>,
    list: ListState<u8>,
    map: MapState<u8, u8>,
    sum: ReducingState<i64>,
}

/// A snapshot: its bytes, and what the process has kept of it.
type Kept = (OperatorSnapshot, Vec<(String, StateMemory)>);

impl States {
    fn new(
        place: StateBackend,
        ttl: Option<StateTtlConfig>,
        now: i64,
        restored: Vec<RestoredKeyedState>,
    ) -> Self {
        let mut backend = KeyedBackend::new("all", max(4).range_of(0, 1), max(4)).on(place.clone());
        backend.set_now(Timestamp(now));
        backend.restore(restored);
        let disabled = StateTtlConfig::new(Duration::ZERO).update_type(UpdateType::Disabled);
        let own = ttl.unwrap_or(disabled);
        let value = backend.value_state(ValueStateDescriptor::new("value").ttl(own)).unwrap();
        let list = backend.list_state(ListStateDescriptor::new("list").ttl(own)).unwrap();
        let map = backend.map_state(MapStateDescriptor::new("map").ttl(own)).unwrap();
        let sum = ReducingStateDescriptor::new("sum", super::sum()).ttl(own);
        let sum = backend.reducing_state(sum).unwrap();
        Self { place, ttl, backend, value, list, map, sum }
    }

    fn snapshot(&mut self) -> Kept {
        let snapshot = self.backend.snapshot().unwrap();
        let memories = snapshot.memories().map(|(name, memory)| (name.to_owned(), memory));
        let memories = memories.collect();
        let mut writer = inline_writer();
        snapshot.write(OPERATOR, &mut writer).unwrap();
        (finish(writer), memories)
    }

    fn restored(&self, snapshot: &OperatorSnapshot) -> Vec<RestoredKeyedState> {
        keyed(std::slice::from_ref(snapshot), self.backend.range())
    }

    /// Begins again from what was kept.
    fn roll_back(&self, (snapshot, memories): &Kept, now: i64) -> Self {
        let mut restored = self.restored(snapshot);
        for state in &mut restored {
            let kept = memories.iter().find(|(name, _)| *name == state.handle.name);
            state.data = KeyedData::Memory(kept.unwrap().1.clone());
        }
        Self::new(self.place.clone(), self.ttl, now, restored)
    }

    /// Does a step, and says what it sees.
    fn apply(&mut self, key: u32, act: &Act) -> String {
        let Self { backend, value, list, map, sum, .. } = self;
        backend.set_current_key(hash(&key), key);
        match act {
            Act::Read => {
                let (value, sum) = (value.get(backend).unwrap().cloned(), sum.get(backend));
                let sum = sum.unwrap().copied();
                let list = list.get(backend).unwrap().to_vec();
                let map: Vec<_> = map.iter(backend).unwrap().map(|(k, v)| (*k, *v)).collect();
                return format!("{value:?} {sum:?} {list:?} {map:?}");
            }
            Act::Value(new) => value.update(backend, format!("value {new}")).unwrap(),
            Act::Append(new) => {
                value.get_or_insert_with(backend, String::new).unwrap().push(char::from(*new));
            }
            Act::Add(new) => list.add(backend, *new).unwrap(),
            Act::Put(at, new) => map.put(backend, *at, *new).unwrap(),
            Act::Remove(at) => return format!("{:?}", map.remove(backend, at).unwrap()),
            Act::Sum(new) => sum.add(backend, i64::from(*new)).unwrap(),
            Act::Clear => {
                value.clear(backend).unwrap();
                list.clear(backend).unwrap();
                sum.clear(backend).unwrap();
            }
        }
        String::new()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Read,
    Value(u8),
    Append(u8),
    Add(u8),
    Put(u8, u8),
    Remove(u8),
    Sum(u8),
    Clear,
}

#[derive(Clone, Debug)]
enum Step {
    Act(u32, Act),
    /// All of these keys.
    Fill(u32, u8),
    Pass(i64),
    Snapshot,
    /// Begins again from the newest snapshot, which the process has kept.
    RollBack,
    /// Begins again from the bytes of the newest snapshot.
    Restore,
    /// What was on the heap goes to disk, and the other way round.
    Swap,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Read),
        2 => any::<u8>().prop_map(Act::Value),
        2 => (b'a'..=b'z').prop_map(Act::Append),
        2 => any::<u8>().prop_map(Act::Add),
        2 => (0..4u8, any::<u8>()).prop_map(|(at, new)| Act::Put(at, new)),
        1 => (0..4u8).prop_map(Act::Remove),
        2 => any::<u8>().prop_map(Act::Sum),
        1 => Just(Act::Clear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (0..40u32, act()).prop_map(|(key, act)| Step::Act(key, act)),
        3 => (50..300u32, any::<u8>()).prop_map(|(keys, value)| Step::Fill(keys, value)),
        4 => (1..60i64).prop_map(Step::Pass),
        3 => Just(Step::Snapshot),
        2 => Just(Step::RollBack),
        2 => Just(Step::Restore),
        1 => Just(Step::Swap),
    ]
}

proptest! {
    #[test]
    fn state_on_disk_is_as_on_the_heap(
        steps in prop::collection::vec(step(), 1..200),
        ttl in prop::option::of(50..150u64),
        bytes in prop_oneof![Just(0), 1_000..200_000usize],
    ) {
        let ttl = ttl.map(|millis| StateTtlConfig::new(Duration::from_millis(millis)));
        let mut now = 0;
        let places = [StateBackend::Heap, on_disk(bytes)];
        let mut both = places.map(|place| States::new(place, ttl, now, Vec::new()));
        let mut kept: Option<[Kept; 2]> = None;
        for step in steps {
            match step {
                Step::Act(key, act) => {
                    let [heap, disk] = both.each_mut().map(|states| states.apply(key, &act));
                    prop_assert_eq!(heap, disk);
                }
                Step::Fill(keys, value) => {
                    for key in 100..100 + keys {
                        for states in &mut both {
                            states.apply(key, &Act::Value(value));
                        }
                    }
                }
                Step::Pass(millis) => {
                    now += millis;
                    both.iter_mut().for_each(|states| states.backend.set_now(Timestamp(now)));
                }
                Step::Snapshot => {
                    let taken = both.each_mut().map(States::snapshot);
                    let [heap, disk] = taken.each_ref().map(|(snapshot, _)| {
                        let states = snapshot.keyed.iter();
                        let entries = states.map(|state| (state.name.clone(), state.entries()));
                        (snapshot.digest, entries.collect::<Vec<_>>())
                    });
                    prop_assert_eq!(heap, disk);
                    kept = Some(taken);
                }
                Step::RollBack => {
                    let Some([heap, disk]) = &kept else { continue };
                    both = [both[0].roll_back(heap, now), both[1].roll_back(disk, now)];
                }
                Step::Restore => {
                    let Some(kept) = &kept else { continue };
                    both = [0, 1].map(|at: usize| {
                        let States { place, ttl, .. } = &both[at];
                        let restored = both[at].restored(&kept[at].0);
                        States::new(place.clone(), *ttl, now, restored)
                    });
                }
                Step::Swap => {
                    let Some(before) = &kept else { continue };
                    both = [0, 1].map(|at: usize| {
                        let States { place, ttl, .. } = &both[at];
                        let restored = both[at].restored(&before[1 - at].0);
                        States::new(place.clone(), *ttl, now, restored)
                    });
                    // What the other one has kept is not its own.
                    kept = None;
                }
            }
        }
        let [heap, disk] = both.each_mut().map(|states| states.snapshot().0);
        prop_assert_eq!(heap.digest, disk.digest);
    }
}

#[test]
fn what_is_not_in_use_is_not_in_memory() {
    let bytes = 4 << 20;
    let backend = KeyedBackend::<u64>::new("all", max(8).range_of(0, 1), max(8));
    let mut backend = backend.on(on_disk(bytes));
    let value = backend.value_state(ValueStateDescriptor::<u64>::new("value")).unwrap();
    let table = |backend: &KeyedBackend<u64>| {
        let table = backend.states[0].table.as_any();
        let shaped = table.downcast_ref::<ShapedTable<u64, shape::Plain<u64>>>().unwrap();
        shaped.table.iter().map(|(key, _)| *key).collect::<Vec<_>>()
    };
    let (mut most, mut least) = (0, usize::MAX);
    for key in 0..200_000 {
        // Some are used again and again.
        for key in [key, key % 100] {
            backend.set_current_key(hash(&key), key);
            value.update(&mut backend, key).unwrap();
        }
        if key % 1_000 == 0 && key > 100_000 {
            let in_memory = table(&backend);
            let often = in_memory.iter().filter(|key| **key < 100).count();
            (most, least) = (most.max(in_memory.len()), least.min(often));
        }
    }
    assert!(most * 64 < bytes, "{most} entries");
    assert!(most > 5_000 && least > 50, "{most} entries, {least} of those that are used often");
    for key in [0, 77, 199_999] {
        backend.set_current_key(hash(&key), key);
        assert_eq!(value.get(&mut backend).unwrap(), Some(&key));
    }
}

#[test]
fn an_error_that_a_function_ignores_is_not_forgotten() {
    struct Broken(AtomicBool);
    impl StateStores for Arc<Broken> {
        fn create(&self, _: &str) -> Result<Arc<dyn StateStore>> {
            Ok(self.clone())
        }
    }
    impl StateStore for Broken {
        fn write(&self, _: &Batch) -> Result<()> {
            let is_broken = self.0.load(Ordering::Relaxed);
            if is_broken { Err(Error::new(ErrorKind::Io, "the disk is full")) } else { Ok(()) }
        }
        fn fill(&self, all: &mut dyn FnMut(&mut Put<'_>) -> Result<()>) -> Result<()> {
            all(&mut |_, _| self.write(&Batch::default()))
        }
        fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>> {
            Ok(None)
        }
        fn is_strained(&self) -> bool {
            false
        }
        fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
            MemoryStores.create("").unwrap().snapshot()
        }
    }
    let stores = Arc::new(Broken(AtomicBool::new(true)));
    let place = StateBackend::Disk(DiskBackend::new(Arc::new(stores.clone()), 0));
    let mut states = States::new(place, None, 0, Vec::new());
    let States { backend, value, .. } = &mut states;
    let mut put = |key: u32| {
        backend.set_current_key(hash(&key), key);
        value.update(backend, String::new())
    };
    let error = (0..20).find_map(|key| put(key).err()).unwrap();
    assert!(error.report().contains("the disk is full"), "{}", error.report());
    stores.0.store(false, Ordering::Relaxed);
    let error = put(21).unwrap_err();
    assert!(error.report().contains("is lost"), "{}", error.report());
    assert!(states.backend.snapshot().is_err());
}

/// Whether a state is in a store.
fn is_in_store(backend: &KeyedBackend<u64>) -> bool {
    let table = backend.states[0].table.as_any();
    let shaped = table.downcast_ref::<ShapedTable<u64, shape::Plain<String>>>().unwrap();
    matches!(shaped.beyond, Beyond::Disk(_))
}

#[test]
fn state_goes_to_disk_when_it_does_not_fit_and_stays_on_the_heap_if_the_disk_is_full() {
    struct Full(AtomicBool);
    impl StateStores for Arc<Full> {
        fn create(&self, label: &str) -> Result<Arc<dyn StateStore>> {
            if self.0.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Io, "the disk is full"));
            }
            MemoryStores.create(label)
        }
    }
    let stores = Arc::new(Full(AtomicBool::new(true)));
    let place = StateBackend::Disk(DiskBackend::new(Arc::new(stores.clone()), 1 << 20));
    let backend = KeyedBackend::<u64>::new("all", max(8).range_of(0, 1), max(8));
    let mut backend = backend.on(place);
    let value = backend.value_state(ValueStateDescriptor::<String>::new("value")).unwrap();
    let put = |backend: &mut KeyedBackend<u64>, key: u64| {
        backend.set_current_key(hash(&key), key);
        value.update(backend, format!("value of {key}"))
    };
    let failed = (0..100_000).find_map(|key| Some((key, put(&mut backend, key).err()?)));
    let (failed, error) = failed.unwrap();
    assert!((2_000..10_000).contains(&failed), "{failed} entries take half a megabyte");
    let report = error.report();
    assert!(report.contains("does not fit into memory") && report.contains("is full"), "{report}");
    let handle = finish_one(&mut backend);
    stores.0.store(false, Ordering::Relaxed);
    for key in failed..failed + 5_000 {
        put(&mut backend, key).unwrap();
    }
    assert!(is_in_store(&backend));
    let other = finish_one(&mut backend);
    assert!(handle.keyed[0].entries() == failed && other.keyed[0].entries() == failed + 5_000);
    for key in 0..failed + 5_000 {
        backend.set_current_key(hash(&key), key);
        assert_eq!(value.get(&mut backend).unwrap(), Some(&format!("value of {key}")));
    }

    // What is restored goes where it fits.
    for (snapshot, is_in_store_then) in [(&handle, false), (&other, true)] {
        let again = KeyedBackend::<u64>::new("all", max(8).range_of(0, 1), max(8));
        let mut again = again.on(StateBackend::Disk(DiskBackend::new(
            Arc::new(MemoryStores),
            if is_in_store_then { 1 << 20 } else { 4 << 20 },
        )));
        again.restore(keyed(std::slice::from_ref(snapshot), again.range()));
        let value = again.value_state(ValueStateDescriptor::<String>::new("value")).unwrap();
        assert_eq!(is_in_store(&again), is_in_store_then);
        again.set_current_key(hash(&7), 7);
        assert_eq!(value.get(&mut again).unwrap().unwrap(), "value of 7");
        assert_eq!(finish_one(&mut again).digest, snapshot.digest);
    }
}

fn finish_one(backend: &mut KeyedBackend<u64>) -> OperatorSnapshot {
    let mut writer = inline_writer();
    backend.snapshot().unwrap().write(OPERATOR, &mut writer).unwrap();
    finish(writer)
}

#[test]
fn times_of_last_use_come_and_go_with_ttl() {
    let ttl = Some(StateTtlConfig::new(Duration::from_millis(50)));
    for (before, after) in [(None, ttl), (ttl, None)] {
        let mut states = States::new(on_disk(0), before, 0, Vec::new());
        for key in 0..300 {
            states.apply(key, &Act::Value(7));
            states.apply(key, &Act::Add(1));
            states.apply(key, &Act::Put(1, 2));
        }
        let (snapshot, _) = states.snapshot();
        let mut again = States::new(on_disk(0), after, 40, states.restored(&snapshot));
        let all = |states: &mut States| {
            (0..300).map(|key| states.apply(key, &Act::Read)).collect::<Vec<_>>()
        };
        states.backend.set_now(Timestamp(40));
        assert_eq!(all(&mut again), all(&mut states), "from {before:?} to {after:?}");
        let mut on_heap = States::new(StateBackend::Heap, after, 40, states.restored(&snapshot));
        assert_eq!(again.snapshot().0.digest, on_heap.snapshot().0.digest);
    }
}

#[test]
fn keys_of_a_batch_come_in_whatever_their_order_and_also_twice() {
    let mut backend = KeyedBackend::new("all", max(8).range_of(0, 1), max(8)).on(on_disk(1 << 20));
    let sums = backend.register_raw_value::<u64>("sums").unwrap();
    for round in 0..6 {
        for batch in 0..100 {
            // In no order, some new, some long gone from the table, one three times.
            let mut keys: Vec<u64> =
                (0..100).map(|at| (at * 7919 + batch * 104_729) % 20_000).collect();
            keys.extend([keys[50], keys[3], keys[50]]);
            sums.fetch(&mut backend, keys.iter().map(|key| (hash(key), key))).unwrap();
            let table = sums.table_mut(&mut backend).unwrap();
            keys.iter().for_each(|key| *table.upsert(hash(key), *key, || 0) += 1);
        }
        let mut sum = 0;
        let add = |own: &u64| {
            sum += own;
            Ok(())
        };
        sums.for_each(&mut backend, add).unwrap();
        assert_eq!(sum, (round + 1) * 100 * 103);
    }
}
