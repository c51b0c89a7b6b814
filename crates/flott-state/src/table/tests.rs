//! The table against a model, with snapshots at any time.

use std::collections::BTreeMap;

use flott_core::hash::stable_hash;
use proptest::prelude::*;

use super::*;

type Model = BTreeMap<u64, u64>;

#[derive(Clone, Debug)]
enum Op {
    Upsert(u64, u64),
    /// What is known of a key is used at once, or after other changes.
    Hint(u64),
    UseHint(u64, bool),
    UpsertMany(u64, u64),
    Insert(u64),
    Change(u64),
    Remove(u64),
    RemoveMany(u64, u64),
    Snapshot,
    DropSnapshot,
    Roll,
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0u64..600;
    prop_oneof![
        6 => (key.clone(), any::<u64>()).prop_map(|(key, value)| Op::Upsert(key, value)),
        4 => key.clone().prop_map(Op::Hint),
        4 => (key.clone(), any::<bool>()).prop_map(|(value, any)| Op::UseHint(value, any)),
        2 => (key.clone(), 0u64..300).prop_map(|(key, n)| Op::UpsertMany(key, n)),
        4 => key.clone().prop_map(Op::Insert),
        4 => key.clone().prop_map(Op::Change),
        6 => key.clone().prop_map(Op::Remove),
        1 => (key, 0u64..400).prop_map(|(key, n)| Op::RemoveMany(key, n)),
        2 => Just(Op::Snapshot),
        1 => Just(Op::DropSnapshot),
        1 => Just(Op::Roll),
    ]
}

fn hash(key: u64) -> u64 {
    stable_hash(&key).unwrap()
}

fn entries<'a>(iter: impl Iterator<Item = (&'a u64, &'a u64)>) -> Vec<(u64, u64)> {
    let mut entries: Vec<_> = iter.map(|(key, value)| (*key, *value)).collect();
    entries.sort_unstable();
    entries
}

fn table(max: u32) -> PagedTable<u64, u64> {
    let max = MaxParallelism::new(max).unwrap();
    PagedTable::new(max.range_of(0, 1), max)
}

fn check(table: &PagedTable<u64, u64>, model: &Model) {
    assert_eq!(table.len(), model.len());
    assert_eq!(entries(table.iter()), model.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
    for (key, value) in model {
        assert_eq!(table.get(hash(*key), key), Some(value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_table_and_its_snapshots_agree_with_an_ordered_map(
        ops in proptest::collection::vec(op(), 1..250), max in 1u32..4,
    ) {
        let mut table = table(max);
        let mut model = Model::new();
        let mut snapshots: Vec<(TableSnapshot<u64, u64>, Model)> = Vec::new();
        let (mut hinted, mut hint) = (0, Hint::default());
        for op in ops {
            match op {
                Op::Upsert(key, value) => {
                    *table.upsert(hash(key), key, || 0) = value;
                    model.insert(key, value);
                }
                Op::Hint(key) => {
                    (hinted, hint) = (key, table.hint(hash(key)));
                    table.refine(&mut hint, hash(key));
                }
                Op::UseHint(value, inserts) => {
                    let at = hash(hinted);
                    let found = table.get_mut_at(hint, at, &hinted).map(|found| *found);
                    prop_assert_eq!(found, model.get(&hinted).copied());
                    prop_assert!(table.is_small());
                    let located = table.locate(at);
                    let found = table.get_mut_at(located, at, &hinted).map(|found| *found);
                    prop_assert_eq!(found, model.get(&hinted).copied());
                    if inserts {
                        *table.upsert_at(hint, at, hinted, || 0) ^= value;
                        *table.entry_at(located, at, &hinted, || 0) ^= 1;
                        *table.entry_at(hint, at, &hinted, || 0) ^= 1;
                        *model.entry(hinted).or_insert(0) ^= value;
                    }
                }
                Op::UpsertMany(key, n) => for key in key..key + n {
                    *table.upsert(hash(key), key, || 1) += n;
                    *model.entry(key).or_insert(1) =
                        model.get(&key).copied().unwrap_or(1).wrapping_add(n);
                },
                Op::Insert(key) => {
                    let found = *table.entry_or_insert_with(hash(key), &key, || 5);
                    prop_assert_eq!(found, *model.entry(key).or_insert(5));
                }
                Op::Change(key) => {
                    let value = table.get_mut(hash(key), &key);
                    prop_assert_eq!(value.is_some(), model.contains_key(&key));
                    if let Some(value) = value {
                        *value ^= 1;
                        *model.get_mut(&key).unwrap() ^= 1;
                    }
                }
                Op::Remove(key) => {
                    prop_assert_eq!(table.remove(hash(key), &key), model.remove(&key));
                }
                Op::RemoveMany(key, n) => for key in key..key + n {
                    prop_assert_eq!(table.remove(hash(key), &key), model.remove(&key));
                },
                Op::Snapshot => snapshots.push((table.snapshot(), model.clone())),
                Op::DropSnapshot => drop(snapshots.pop()),
                Op::Roll => if let Some((snapshot, then)) = snapshots.first() {
                    table = PagedTable::from_snapshot(snapshot, table.max);
                    model = then.clone();
                },
            }
        }
        check(&table, &model);
        for (snapshot, then) in &snapshots {
            prop_assert_eq!(snapshot.len(), then.len());
            prop_assert_eq!(
                entries(snapshot.iter()), then.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn a_large_table_keeps_every_entry_and_its_pages_stay_small() {
    let mut table = table(4);
    for key in 0..50_000 {
        table.upsert(hash(key), key, || key);
        table.prefetch(hash(key));
    }
    assert_eq!(table.len(), 50_000);
    assert!((0..50_000).all(|key| table.get(hash(key), &key) == Some(&key)));
    for group in &table.groups {
        let group = group.get();
        let sizes = (0..).map_while(|page| group.page(page)).map(<[_]>::len);
        let pages = sizes.inspect(|slots| assert!(*slots <= page::PAGE_ENTRIES)).count();
        assert!(pages < 12_500 / 16, "{pages} pages for about 12,500 entries");
    }
}

#[test]
fn room_that_was_made_is_used_whatever_comes() {
    for (expected, comes) in
        [(0, 0), (0, 5_000), (1, 1), (20_000, 20_000), (20_000, 7), (9, 20_000)]
    {
        let (mut table, keys) = (table(1), 0..comes);
        table.reserve(KeyGroup(0), expected);
        let pages = |table: &PagedTable<u64, u64>| {
            (0..).map_while(|page| table.groups[0].get().page(page).map(|_| ())).count()
        };
        let before = pages(&table);
        assert!(table.is_empty());
        for key in keys.clone() {
            table.upsert(hash(key), key, || key);
        }
        check(&table, &keys.clone().map(|key| (key, key)).collect());
        if expected as u64 == comes {
            assert!(before <= pages(&table) && pages(&table) <= before + before / 8, "{before}");
        }
        // Only an empty group is given room: the entries are still there.
        table.reserve(KeyGroup(0), 100);
        assert_eq!(table.len() as u64, comes);
        keys.for_each(|key| assert_eq!(table.remove(hash(key), &key), Some(key)));
        assert!(table.is_empty());
    }
}

#[test]
fn a_page_that_no_hash_bit_can_split_grows() {
    /// All of these have the same hash.
    #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
    struct Same(u64);
    impl serde::Serialize for Same {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    let max = MaxParallelism::new(1).unwrap();
    let mut table = PagedTable::new(max.range_of(0, 1), max);
    let hash = stable_hash(&Same(0)).unwrap();
    for key in 0..100 {
        table.upsert(hash, Same(key), || key);
    }
    assert!(table.groups[0].get().directory_len() <= 128);
    for key in (0..100).step_by(3) {
        assert_eq!(table.remove(hash, &Same(key)), Some(key));
    }
    for key in 0..100 {
        let expected = (key % 3 != 0).then_some(key);
        assert_eq!(table.get(hash, &Same(key)).copied(), expected);
    }
}

#[test]
fn the_groups_of_a_snapshot_hold_the_keys_of_that_group() {
    let max = MaxParallelism::new(16).unwrap();
    let range = max.range_of(1, 2);
    let mut table = PagedTable::new(range, max);
    for key in (0..1000u64).filter(|key| range.contains(max.key_group(hash(*key)))) {
        table.upsert(hash(key), key, || ());
    }
    let snapshot = table.snapshot();
    assert_eq!(snapshot.groups().count(), 8);
    for group in snapshot.groups() {
        assert!(group.iter().all(|(key, ())| max.key_group(hash(*key)) == group.group()));
        assert_eq!(group.iter().count(), group.len());
    }
}

#[test]
fn a_table_without_entries_has_no_groups_to_show() {
    let mut table = table(8);
    table.upsert(hash(1), 1, || 1);
    table.remove(hash(1), &1);
    assert_eq!(table.snapshot().groups().count(), 0);
    assert!(table.is_empty() && table.groups.iter().all(|group| group.shared.is_none()));
}

#[test]
fn only_written_pages_are_copied_after_a_snapshot() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static CLONES: AtomicUsize = AtomicUsize::new(0);
    struct Counted;
    impl Clone for Counted {
        fn clone(&self) -> Self {
            CLONES.fetch_add(1, Ordering::Relaxed);
            Self
        }
    }
    let max = MaxParallelism::new(1).unwrap();
    let mut table = PagedTable::new(max.range_of(0, 1), max);
    for key in 0..10_000u64 {
        table.upsert(hash(key), key, || Counted);
    }
    let snapshot = table.snapshot();
    assert_eq!(CLONES.load(Ordering::Relaxed), 0);
    assert!(table.get_mut(hash(20_000), &20_000).is_none(), "an absent key copies nothing");
    assert_eq!(CLONES.load(Ordering::Relaxed), 0);
    let _ = table.get_mut(hash(7), &7);
    let _ = table.get_mut(hash(7), &7);
    assert!((1..=256).contains(&CLONES.load(Ordering::Relaxed)));
    drop(snapshot);
    let copied = CLONES.load(Ordering::Relaxed);
    let _ = table.get_mut(hash(8), &8);
    assert_eq!(CLONES.load(Ordering::Relaxed), copied, "a dropped snapshot costs nothing more");
}

#[test]
fn a_sweep_goes_round_all_entries() {
    let mut table = table(4);
    for key in 0..5_000 {
        table.upsert(hash(key), key, || key);
    }
    let mut cursor = SweepCursor::default();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..8_000 {
        table.sweep(&mut cursor, 12, |key, _| {
            seen.insert(*key);
        });
    }
    assert_eq!(seen.len(), 5_000);
}
