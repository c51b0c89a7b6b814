//! Trees beside a store in memory that is written the same way, and what they refuse.

use std::collections::BTreeMap;

use flott_core::hash::mix;
use flott_state::store::MemoryStores;

use super::*;

fn stores(memory: usize) -> LsmStores {
    LsmStores::new(None, memory).unwrap()
}

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
#[test]
fn a_tree_is_a_map_and_snapshots_stay_what_they_were() {
    let tree = stores(1 << 20).create("test").unwrap();
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

#[test]
fn old_snapshots_strain_a_store_that_is_written_to() {
    let tree = stores(0).create("test").unwrap();
    let write = |round: u64| {
        let mut batch = Batch::default();
        (0..2_000u64).for_each(|key| batch.put(&key.to_be_bytes(), &[round as u8; 100]));
        tree.write(&batch).unwrap();
    };
    let snapshot = tree.snapshot();
    let mut round = 0;
    while !tree.is_strained() {
        assert!(round < 1_000);
        write(round);
        round += 1;
    }
    drop(snapshot);
    // What is written to files now lets go of what was kept for it.
    while tree.is_strained() {
        assert!(round < 100_000);
        write(round);
        round += 1;
    }
}

#[test]
fn what_does_not_fit_is_refused_and_folders_go() {
    let stores = stores(1 << 20);
    let folder = stores.folder.path().to_owned();
    let tree = stores.create("test").unwrap();
    let mut batch = Batch::default();
    batch.put(&vec![1; KEY_MAX + 1], &[]);
    let long = vec![1; KEY_MAX + 1];
    let errors = [
        tree.write(&batch).unwrap_err(),
        tree.get(&long).unwrap_err(),
        tree.fill(&mut |put| put(&long, &[])).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.report().contains("state.backend.type"), "{}", error.report());
    }
    let snapshot = tree.snapshot();
    drop(stores);
    assert!(folder.exists(), "it is in use");
    drop(tree);
    drop(snapshot);
    assert!(!folder.exists());
}

#[test]
fn what_is_written_is_read_while_files_are_written_and_merged() {
    let tree = stores(0).create("test").unwrap();
    for round in 0..150u64 {
        let mut batch = Batch::default();
        (0..1_000u64).for_each(|key| batch.put(&key.to_be_bytes(), &[round as u8; 300]));
        tree.write(&batch).unwrap();
        for key in 0..1_000u64 {
            assert_eq!(tree.get(&key.to_be_bytes()).unwrap(), Some(vec![round as u8; 300]));
        }
    }
}
