//! What trees keep, and what they refuse.

use super::*;
use crate::disk_state::tests;

fn stores(memory: usize) -> LsmStores {
    LsmStores::new(None, memory).unwrap()
}

#[test]
fn a_tree_is_a_map_and_snapshots_stay_what_they_were() {
    tests::is_a_map_with_snapshots(&stores(1 << 20));
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
