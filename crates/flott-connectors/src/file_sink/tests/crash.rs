//! A job with the sink, cut short between any two file operations, once or twice, with and without
//! a loss of power, restored with any parallelism: no line is lost, none comes twice, and none is
//! seen that could come again.

use std::sync::Arc;
use std::time::Duration;

use flott_core::{CheckpointId, Result};
use flott_datastream::{NO_TIMESTAMP, TwoPhaseCommitSink};

use super::faulty::Faulty;
use super::{FileCommittable, FileWriter, FileWriterState, folder, lines, names, out};
use crate::file_sink::FileSink;
use crate::harness;

const LINES: usize = 20;
const LINES_PER_CHECKPOINT: usize = 3;

/// How a run goes.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// After how many operations of each attempt it crashes; after that it does not.
    crashes: [Option<usize>; 2],
    loses_power: bool,
    /// Of each attempt; the last one goes on.
    parallelism: [usize; 3],
    rolls_on_checkpoint: bool,
}

/// A completed checkpoint.
#[derive(Clone, Default)]
struct Completed {
    /// How many lines lie before it.
    position: usize,
    pending: Vec<FileCommittable>,
    writers: Vec<FileWriterState>,
}

struct Job {
    sink: FileSink,
    disk: Faulty,
    completed: Completed,
    /// The highest position that some completed checkpoint had.
    visible_max: usize,
}

type Lines =
    dyn TwoPhaseCommitSink<String, Committable = FileCommittable, WriterState = FileWriterState>;

impl Job {
    /// One attempt: from the last completed checkpoint to the end, or to a crash.
    fn attempt(&mut self, parallelism: usize) -> Result<()> {
        let completed = self.completed.clone();
        let mut writers: Vec<Box<Lines>> = Vec::new();
        for subtask in 0..parallelism {
            let mut writer: Box<Lines> = Box::new(FileWriter::new(self.sink.clone()));
            let instance = harness::instance(subtask as u32, parallelism as u32);
            writer.open(&instance, completed.writers.clone())?;
            let mine = completed.pending.iter().skip(subtask).step_by(parallelism);
            mine.into_iter().try_for_each(|committable| writer.commit(committable))?;
            writers.push(writer);
        }
        // What is prepared and not committed, by subtask: aborted checkpoints leave theirs.
        let mut pending: Vec<Vec<FileCommittable>> = vec![Vec::new(); parallelism];
        let mut checkpoint = 0;
        for position in completed.position..=LINES {
            let is_last = position == LINES;
            if position % LINES_PER_CHECKPOINT == 0 || is_last {
                checkpoint += 1;
                let mut states = Vec::new();
                for (writer, pending) in writers.iter_mut().zip(&mut pending) {
                    if is_last {
                        writer.finish()?;
                    }
                    pending.extend(writer.prepare_commit(CheckpointId(checkpoint))?);
                    states.extend(writer.writer_state(CheckpointId(checkpoint))?);
                }
                // Every third checkpoint is aborted.
                if checkpoint % 3 != 2 || is_last {
                    let all = pending.iter().flatten().cloned().collect();
                    self.completed = Completed { position, pending: all, writers: states };
                    self.visible_max = self.visible_max.max(position);
                    for (writer, pending) in writers.iter_mut().zip(&mut pending) {
                        for committable in pending.drain(..) {
                            writer.commit(&committable)?;
                        }
                    }
                }
            }
            if !is_last {
                let writer = &mut writers[position % parallelism];
                writer.write(format!("{position:02}"), NO_TIMESTAMP)?;
                if position % 7 == 6 {
                    // Old enough to be closed between two checkpoints.
                    writer.on_processing_time(harness::at(0))?;
                    writer.on_processing_time(harness::at(3_600_000))?;
                }
            }
        }
        Ok(())
    }
}

/// Runs a job to its end; returns whether every planned crash happened.
fn run(plan: Plan) -> bool {
    let (folder, _) = folder();
    let disk = Faulty::default();
    let mut sink = FileSink::new(out(&folder)).on(Arc::new(disk.clone())).max_part_bytes(12);
    sink = sink.rollover_interval(Duration::from_secs(60));
    if plan.rolls_on_checkpoint {
        sink = sink.roll_on_checkpoint();
    }
    let completed = Completed::default();
    let mut job = Job { sink, disk: disk.clone(), completed, visible_max: 0 };
    let mut crashed = 0;
    for (attempt, parallelism) in plan.parallelism.into_iter().enumerate() {
        let crash = plan.crashes.get(attempt).copied().flatten();
        if let Some(operations) = crash {
            disk.crash_after(operations);
        }
        let result = job.attempt(parallelism);
        job.disk.restart(plan.loses_power && result.is_err());
        if !out(&folder).exists() {
            crashed += 1;
            continue;
        }
        let seen = lines(&out(&folder));
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), seen.len(), "{plan:?}: a line is seen twice: {seen:?}");
        let limit = format!("{:02}", job.visible_max);
        assert!(sorted.iter().all(|line| *line < limit), "{plan:?}: seen too early: {seen:?}");
        match result {
            Ok(()) => {
                let all: Vec<String> = (0..LINES).map(|line| format!("{line:02}")).collect();
                assert_eq!(sorted, all, "{plan:?}");
                assert_eq!(names(&out(&folder), false), [""; 0], "{plan:?}: left over");
                break;
            }
            Err(error) => {
                assert!(error.report().contains("crashed"), "{plan:?}: {}", error.report());
                crashed += 1;
            }
        }
    }
    crashed == plan.crashes.iter().flatten().count()
}

const NO_CRASH: Plan = Plan {
    crashes: [None, None],
    loses_power: false,
    parallelism: [2, 2, 2],
    rolls_on_checkpoint: false,
};

#[test]
fn without_a_crash_every_line_comes_once() {
    assert!(run(NO_CRASH));
    assert!(run(Plan { rolls_on_checkpoint: true, ..NO_CRASH }));
}

#[test]
fn after_a_crash_between_any_two_operations_every_line_comes_once() {
    for rolls_on_checkpoint in [false, true] {
        for loses_power in [false, true] {
            for parallelism in [[1, 1, 1], [2, 2, 2], [2, 3, 1], [3, 1, 2]] {
                for crash in 0.. {
                    let crashes = [Some(crash), None];
                    let plan = Plan { crashes, loses_power, parallelism, rolls_on_checkpoint };
                    if !run(plan) {
                        assert!(crash > 30, "a run has more operations than that");
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn after_a_second_crash_while_recovering_every_line_comes_once() {
    for loses_power in [false, true] {
        for first in (5..90).step_by(4) {
            for second in 0..40 {
                let crashes = [Some(first), Some(second)];
                let parallelism = if first % 8 == 1 { [3, 2, 1] } else { [2, 3, 2] };
                run(Plan { crashes, loses_power, parallelism, rolls_on_checkpoint: false });
            }
        }
    }
}
