//! Stores beside one in memory that is written the same way.

use std::collections::BTreeMap;

use flott_core::hash::mix;
use flott_state::store::{Batch, MemoryStores, StateStores, StoreSnapshot};

fn all(snapshot: &dyn StoreSnapshot, from: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut last: Option<Vec<u8>> = None;
    snapshot
        .scan(from, &mut |key, value| {
            assert!(last.as_deref() < Some(key), "in order");
            last = Some(key.to_vec());
            found.insert(key.to_vec(), value.to_vec());
            Ok(true)
        })
        .unwrap();
    found
}

/// Writes at random, takes snapshots and lets go of them, and compares with a store in memory.
pub(super) fn is_a_map_with_snapshots(stores: &dyn StateStores) {
    let tree = stores.create("test").unwrap();
    let model = MemoryStores.create("test").unwrap();
    let key = |number: u64| (number % 20_000).to_be_bytes();
    for store in [&tree, &model] {
        let entries = (0..20_000u64).step_by(2);
        store
            .fill(&mut |put| {
                entries.clone().try_for_each(|number| put(&key(number), &number.to_le_bytes()))
            })
            .unwrap();
    }
    let mut snapshots = Vec::new();
    for round in 0..200u64 {
        let mut batch = Batch::default();
        let changes: BTreeMap<[u8; 8], u64> = (0..1_000)
            .map(|at| mix(round * 1_000 + at))
            .map(|random| (key(random), random))
            .collect();
        for (key, random) in changes {
            match random >> 61 {
                0 => batch.remove(&key),
                _ => batch.put(&key, &[random as u8; 100]),
            }
        }
        for store in [&tree, &model] {
            store.write(&batch).unwrap();
        }
        if round % 7 == 0 {
            snapshots.push((tree.snapshot(), model.snapshot()));
        }
        if round % 20 == 19 {
            let (tree, model) = snapshots.swap_remove(mix(round) as usize % snapshots.len());
            assert!(all(&*tree, &[]) == all(&*model, &[]), "round {round}");
            let from = key(mix(round));
            assert!(all(&*tree, &from) == all(&*model, &from));
        }
        for at in 0..50 {
            let key = key(mix(round * 77 + at));
            assert_eq!(tree.get(&key).unwrap(), model.get(&key).unwrap());
            if let Some((tree, model)) = snapshots.last() {
                assert_eq!(tree.get(&key).unwrap(), model.get(&key).unwrap());
            }
        }
    }
    for (tree, model) in snapshots {
        assert!(all(&*tree, &[]) == all(&*model, &[]));
    }
}
