//! Leads and job records, on this machine's files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use flott_core::config::Origin;

use super::record::tests::record;
use super::*;
use crate::clock::SystemClock;

fn lead_lost() -> ! {
    panic!("the lead is lost")
}

fn store(folder: &Path) -> HaStore {
    let mut config = Configuration::new();
    for (key, value) in [
        ("high-availability.type", "filesystem"),
        ("high-availability.storageDir", folder.to_str().unwrap()),
        ("high-availability.leader-election.lease-duration", "200 ms"),
    ] {
        config.set_text(key, value, Origin::File).unwrap();
    }
    let stores = Stores::new(&config);
    HaStore::lead(&config, &stores, &SystemClock, lead_lost).unwrap().unwrap()
}

fn jobs(store: &HaStore) -> Vec<JobRecord> {
    store.take_jobs().unwrap().into_iter().map(Result::unwrap).collect()
}

/// Whether a leader finds that it is none any more.
fn is_lost<T>(act: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

#[test]
fn jobs_are_found_again_until_they_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let (first, mut own) = (store(folder.path()), record());
    assert!(jobs(&first).is_empty());
    first.put(&own).unwrap();
    own.leads += 1;
    first.put(&own).unwrap();
    drop(first);
    for _ in 0..2 {
        let next = store(folder.path());
        assert!(next.is_clean(), "its process has let go of the lock");
        assert_eq!(jobs(&next), std::slice::from_ref(&own));
    }
    let last = store(folder.path());
    last.remove(own.job).unwrap();
    last.remove(own.job).unwrap();
    assert!(jobs(&last).is_empty());
    assert_eq!(last.folder.join("jobs").list().unwrap(), []);
}

#[test]
fn what_cannot_be_read_is_named_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let jobs = first.folder.join("jobs");
    for (job, text) in [("a", "{\"version\": 1"), ("b", "{\"version\": 9, \"job\": []}")] {
        jobs.join(job).make_folder().unwrap();
        jobs.join(job).join("0000000001-0000000000.json").write(text.as_bytes()).unwrap();
    }
    drop(first);
    for _ in 0..2 {
        let read = store(folder.path()).take_jobs().unwrap();
        let mut errors: Vec<_> = read.into_iter().map(|read| read.unwrap_err().report()).collect();
        errors.sort();
        assert!(errors[0].contains("/a/") && errors[0].contains("is damaged"), "{errors:?}");
        assert!(errors[1].contains("/b/") && errors[1].contains("is of version 9"), "{errors:?}");
    }
}

#[test]
fn who_does_not_show_itself_is_replaced_and_changes_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (paused, own) = (store(folder.path()), record());
    let mut other = own.clone();
    other.job = JobId::from_u128(8);
    assert!(jobs(&paused).is_empty());
    for record in [&own, &other] {
        paused.put(record).unwrap();
    }
    let next = store(folder.path());
    assert!(!next.is_clean(), "it is there, and holds its lock");
    let mut found = jobs(&next);
    found.sort_by_key(|record| record.job);
    assert_eq!(found, [own.clone(), other.clone()]);
    next.remove(other.job).unwrap();

    let mut stale = own.clone();
    stale.leads = 99;
    assert!(is_lost(|| paused.put(&stale)));
    assert!(is_lost(|| paused.put(&other)));
    assert!(is_lost(|| paused.remove(own.job)));
    assert!(is_lost(|| paused.still_leads()));
    next.still_leads().unwrap();
    drop(next);
    let last = store(folder.path());
    assert_eq!(jobs(&last), [own], "a job that is over is back, or one is changed");
}

#[test]
fn that_a_leader_may_still_be_there_is_known_until_it_is_settled_what_that_means() {
    let folder = tempfile::tempdir().unwrap();
    let _paused = store(folder.path());
    drop(store(folder.path()));
    let third = store(folder.path());
    assert!(!third.is_clean(), "the second one is dead, and has not settled anything");
    third.has_settled().unwrap();
    drop(third);
    assert!(store(folder.path()).is_clean());
}

#[test]
fn who_gives_the_lead_up_is_replaced_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let first = Arc::new(store(folder.path()));
    first.announce("127.0.0.1:6123".parse().unwrap()).unwrap();
    let all = first.folder.join("leaders");
    assert_eq!(leader_address(&all).unwrap(), "127.0.0.1:6123");
    let (stop, stopped) = std::sync::mpsc::channel();
    drop(stop);
    first.clone().show(&stopped);
    let next = store(folder.path());
    assert!(!next.is_clean(), "it may still be about to end");
    assert!(is_lost(|| first.still_leads()));
    // Until it has said where it is, the one before is asked.
    assert_eq!(leader_address(&all).unwrap(), "127.0.0.1:6123");
    next.announce("127.0.0.1:6124".parse().unwrap()).unwrap();
    assert_eq!(leader_address(&all).unwrap(), "127.0.0.1:6124");
}
