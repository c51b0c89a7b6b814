//! How many records a task takes at once.

use std::time::Duration;

/// How long a step should take at most: whoever waits for the task meanwhile are barriers, cancellations, and other
/// tasks of the thread.
const STEP: Duration = Duration::from_millis(10);

/// How many records are taken at once before it is known how long they take.
const FIRST: usize = 16;

/// After so many records a step looks how long it has taken.
const LOOK: u64 = 256;

/// How many records a task takes at once: as many as fit into a batch, unless user code needs so long for each that
/// a batch would take longer than a step should. What takes long however few records there are (a request for each
/// batch, say) is no reason to take fewer.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: usize,
    most: usize,
    /// How many records the last step took, and how long they took.
    last: Option<(u64, Duration)>,
    /// When so many records are taken, the step looks at the time.
    look: u64,
}

impl Pace {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { at_once: FIRST.min(most), most, last: None, look: LOOK }
    }

    /// How many records to take at once.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Whether a step that has taken so many records has taken enough; it has taken as long as `took` says.
    pub(super) fn is_enough(&mut self, records: u64, took: impl FnOnce() -> Duration) -> bool {
        if self.at_once < self.most && records >= self.at_once as u64 {
            return true;
        }
        if records < self.look {
            return false;
        }
        self.look = records + LOOK;
        took() >= STEP
    }

    /// A step has taken so many records, and so long for them.
    pub(super) fn measure(&mut self, records: u64, took: Duration) {
        self.look = LOOK;
        if records == 0 {
            return;
        }
        let fitting = fitting(records, took);
        let wanted = match self.last {
            _ if fitting >= self.at_once => fitting,
            None => fitting,
            // Fewer records took longer: they have become slow.
            Some((before, then)) if records <= before && took > then * 3 / 2 => fitting,
            // More or fewer of them: the difference is what records take, the rest is there anyway.
            Some((before, then)) if records.max(before) >= 2 * records.min(before) => {
                let difference = took.saturating_sub(then).max(then.saturating_sub(took));
                let grows = (records > before) == (took > then);
                let difference = if grows { difference } else { Duration::ZERO };
                self::fitting(records.abs_diff(before), difference)
            }
            Some(_) => self.at_once,
        };
        self.at_once = wanted.min(self.at_once.saturating_mul(2)).clamp(1, self.most);
        self.last = Some((records, took));
    }
}

/// How many records fit into a step, if so many take so long.
fn fitting(records: u64, took: Duration) -> usize {
    let each = (took.as_nanos() / u128::from(records.max(1))).max(1);
    usize::try_from(STEP.as_nanos() / each).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes steps in which each record takes so long, and each step something beside; says how many it takes then.
    fn steps(pace: &mut Pace, count: usize, each: Duration, beside: Duration) -> usize {
        for _ in 0..count {
            let records = pace.at_once() as u32;
            pace.measure(u64::from(records), each * records + beside);
        }
        pace.at_once()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn quick_records_are_taken_in_whole_batches_before_long() {
        let mut pace = Pace::new(1024);
        assert_eq!(steps(&mut pace, 6, MS / 1000, Duration::ZERO), 1024);
        assert!(!pace.is_enough(1024, || MS), "a step takes several");
    }

    #[test]
    fn slow_records_are_taken_by_the_few() {
        let mut pace = Pace::new(1024);
        assert_eq!(steps(&mut pace, 10, 20 * MS, Duration::ZERO), 1);
        assert!(pace.is_enough(1, || MS));
        // Faster again, and slower.
        assert_eq!(steps(&mut pace, 10, MS, Duration::ZERO), 10);
        assert_eq!(steps(&mut pace, 10, MS / 1000, Duration::ZERO), 1024);
        assert_eq!(steps(&mut pace, 10, 2 * MS, Duration::ZERO), 5);
        pace.measure(0, 1000 * MS);
        assert_eq!(pace.at_once(), 5);
    }

    #[test]
    fn what_takes_long_for_any_number_of_records_is_no_reason_to_take_fewer() {
        let mut pace = Pace::new(1024);
        assert_eq!(steps(&mut pace, 20, Duration::ZERO, 50 * MS), 1024);
        assert_eq!(steps(&mut pace, 20, MS / 1000, 50 * MS), 1024);
        let taken = steps(&mut pace, 40, MS, 50 * MS);
        assert!((5..=20).contains(&taken), "{taken}");
    }

    #[test]
    fn a_step_that_has_become_slow_ends() {
        let mut pace = Pace::new(1024);
        steps(&mut pace, 10, MS / 1000, Duration::ZERO);
        assert!(!pace.is_enough(255, || 20 * MS), "it does not look each time");
        assert!(!pace.is_enough(256, || MS) && !pace.is_enough(300, || 20 * MS));
        assert!(pace.is_enough(512, || 20 * MS));
    }

    #[test]
    fn there_is_a_most() {
        let mut pace = Pace::new(1);
        pace.measure(1, Duration::ZERO);
        assert_eq!(pace.at_once(), 1);
    }
}
