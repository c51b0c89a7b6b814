//! Generators, stepped by hand.

use flott_core::Timestamp;
use flott_datastream::StreamExecutionEnvironment;
use flott_runtime::Progress;

use super::{Generate, Generator};
use crate::harness::Harness;

#[test]
fn a_generator_emits_every_index_once_whatever_the_parallelism() {
    for parallelism in [1, 2, 3, 20] {
        let mut job = Harness::new(parallelism, |env| env.generate("g", Some(19), |i| i * 10));
        job.run_to_end();
        assert_eq!(job.collected(), (0..19).map(|i| i * 10).collect::<Vec<_>>());
        assert!(job.collected_by(0).is_sorted());
    }
}

#[test]
fn a_restored_generator_goes_on_where_it_was() {
    for before in [1, 2, 5] {
        for after in [1, 2, 3, 8, 50] {
            let build = |env: &StreamExecutionEnvironment| env.generate("g", Some(200), |i| i);
            let mut job = Harness::new(before, build);
            job.step();
            job.step();
            let mut records = job.collected();
            let checkpoint = job.checkpoint();
            let mut again = Harness::restored(after, build, &checkpoint);
            again.run_to_end();
            records.extend(again.collected());
            records.sort_unstable();
            assert_eq!(records, (0..200).collect::<Vec<_>>(), "from {before} to {after}");
        }
    }
}

#[test]
fn a_restored_generator_has_work_for_more_subtasks() {
    let build = |env: &StreamExecutionEnvironment| env.generate("g", None, |i| i);
    let mut job = Harness::new(1, build);
    let mut again = Harness::restored(4, build, &job.checkpoint());
    again.step();
    assert!((0..4).all(|subtask| !again.collected_by(subtask).is_empty()));
}

#[test]
fn a_rate_limit_is_that_of_the_job() {
    let generator = || Generator::new(None, |i| i).rate_limited(20.0);
    let mut job = Harness::new(2, |env| env.generate_with("g", generator()));
    job.step();
    // The first record need not wait; after that each of two subtasks has ten a second.
    assert_eq!(job.collected().len(), 2);
    job.step();
    assert_eq!(job.progress(0), Progress::Idle(Some(Timestamp(100))));
    for millis in (0..1100).step_by(10) {
        job.set_time(millis);
        job.step();
    }
    assert_eq!(job.collected().len(), 22);
}

#[test]
fn a_rate_that_is_no_rate_is_refused() {
    let generator = || Generator::new(None, |i| i).rate_limited(-1.0);
    let mut job = Harness::new(1, |env| env.generate_with("g", generator()));
    assert!(job.run_to_failure().contains("cannot generate -1 records per second"));
}

#[test]
fn a_sequence_includes_both_ends() {
    let mut job = Harness::new(2, |env| env.from_sequence(-2, 3));
    job.run_to_end();
    assert_eq!(job.collected(), [-2, -1, 0, 1, 2, 3]);
    let mut ends = Harness::new(1, |env| env.from_sequence(i64::MAX - 1, i64::MAX));
    ends.run_to_end();
    assert_eq!(ends.collected(), [i64::MAX - 1, i64::MAX]);
}

#[test]
fn a_sequence_from_the_greater_to_the_smaller_is_refused() {
    let mut job = Harness::new(1, |env| env.from_sequence(2, 1));
    assert!(job.run_to_failure().contains("from 2 to 1"));
}
