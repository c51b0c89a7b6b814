//! How many records a task takes at once.

use std::time::Duration;

/// How long a step should take at most: whoever waits for the task meanwhile are barriers, cancellations, and other
/// tasks of the thread.
const STEP: Duration = Duration::from_millis(10);

/// How many records are taken at once before it is known how long they take.
const FIRST: usize = 16;

/// How many records a task takes at once: as many as fit into a batch, unless user code needs so long for each that
/// a batch would take longer than a step should.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: usize,
    most: usize,
}

impl Pace {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { at_once: FIRST.min(most), most }
    }

    /// How many records to take at once.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Whether a step that has taken so many records has taken enough.
    pub(super) fn is_enough(&self, records: u64) -> bool {
        self.at_once < self.most && records >= self.at_once as u64
    }

    /// A step has taken so many records, and so long for them.
    pub(super) fn measure(&mut self, records: u64, took: Duration) {
        if records == 0 {
            return;
        }
        let each = (took.as_nanos() / u128::from(records)).max(1);
        let fitting = usize::try_from(STEP.as_nanos() / each).unwrap_or(usize::MAX);
        self.at_once = fitting.min(self.at_once.saturating_mul(2)).clamp(1, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_records_are_taken_in_whole_batches_before_long() {
        let mut pace = Pace::new(1024);
        for _ in 0..6 {
            assert!(pace.at_once() < 1024);
            pace.measure(8 * pace.at_once() as u64, Duration::from_micros(100));
        }
        assert_eq!(pace.at_once(), 1024);
        assert!(!pace.is_enough(8 * 1024), "a step takes several");
    }

    #[test]
    fn slow_records_are_taken_by_the_few() {
        let mut pace = Pace::new(1024);
        pace.measure(16, Duration::from_millis(320));
        assert_eq!(pace.at_once(), 1);
        assert!(pace.is_enough(1));
        // Faster again.
        pace.measure(1, Duration::from_millis(1));
        pace.measure(2, Duration::from_millis(2));
        assert_eq!(pace.at_once(), 4);
        pace.measure(0, Duration::from_secs(1));
        assert_eq!(pace.at_once(), 4);
    }

    #[test]
    fn there_is_a_most() {
        let mut pace = Pace::new(1);
        pace.measure(1, Duration::ZERO);
        assert_eq!(pace.at_once(), 1);
    }
}
