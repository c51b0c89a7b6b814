//! What a dashboard is told.

use std::time::Duration;

use super::*;

#[test]
fn a_completed_checkpoint_is_told_task_by_task() {
    let mut f = Fixture::triggered(&[]);
    f.millis = 1_200;
    f.feed(ack(1, "s0"));
    let entry = &f.coordinator.stats().history[0];
    assert_eq!((entry.num_acknowledged(), entry.tasks.len()), (1, 3));
    assert_eq!(entry.status, CheckpointStatus::InProgress);
    f.millis = 1_500;
    f.feed(ack(1, "s1"));
    f.feed(ack(1, "k0"));
    f.millis = 1_600;
    f.feed(persisted(1));
    let stats = f.coordinator.stats();
    let entry = stats.latest_completed.as_ref().unwrap();
    assert_eq!(entry, &stats.history[0]);
    assert_eq!(entry.duration, Duration::from_millis(500));
    assert_eq!((entry.state_bytes, entry.checkpointed_bytes), (30, 30));
    assert_eq!(entry.tasks[&task("s0")].unwrap().duration, Duration::from_millis(200));
    let counts = CheckpointCounts { total: 1, completed: 1, ..Default::default() };
    assert_eq!(stats.counts, counts);
}

#[test]
fn the_history_is_bounded_and_newest_first() {
    let mut f = Fixture::completed(&[]);
    for checkpoint in 2..=15 {
        f.tick(checkpoint * 1_000);
        f.complete(checkpoint);
    }
    let history: Vec<_> = f.coordinator.stats().history.iter().map(|e| e.checkpoint.0).collect();
    assert_eq!(history, (6..=15).rev().collect::<Vec<_>>());
}

#[test]
fn a_restart_from_a_checkpoint_counts_as_restored() {
    let mut f = Fixture::completed(&[]);
    f.feed(Input::Stop);
    f.feed(tasks_running(1));
    let stats = f.coordinator.stats();
    assert_eq!(stats.counts.restored, 1);
    assert_eq!(stats.latest_restored.unwrap().checkpoint, CheckpointId(1));
}
