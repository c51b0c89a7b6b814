//! Which windows a record belongs to.

use std::time::Duration;

use flott_core::{Error, Result, Timestamp};
use flott_state::TimerKind;

use super::TimeWindow;

/// Says to which windows a record belongs.
pub trait WindowAssigner: Clone + Send + Sync + 'static {
    /// Whether windows are of event time or of processing time.
    fn time(&self) -> TimerKind;

    /// Appends the windows of a record with this timestamp (or that comes at this time).
    fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>);

    /// A stretch of time around a timestamp, as long as may be, of which every record belongs to the same windows: while
    /// records are of it, they are assigned once. Nothing if there is none that is known.
    fn stretch(&self, timestamp: Timestamp) -> Option<TimeWindow> {
        let _ = timestamp;
        None
    }

    /// Whether windows of a key that intersect become one: sessions.
    fn is_merging(&self) -> bool {
        false
    }

    /// Says what is wrong with the assigner, before the first record.
    ///
    /// # Errors
    /// If it cannot work.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

/// How long windows are, and how far apart they begin, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Aligned {
    size: i64,
    slide: i64,
    offset: i64,
}

impl Aligned {
    fn new(size: Duration, slide: Duration) -> Self {
        Self { size: millis(size), slide: millis(slide), offset: 0 }
    }

    fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>) {
        let since_start = timestamp.0.saturating_sub(self.offset).rem_euclid(self.slide);
        let mut start = timestamp.0.saturating_sub(since_start);
        while start > timestamp.0.saturating_sub(self.size) {
            let end = Timestamp(start.saturating_add(self.size));
            windows.push(TimeWindow { start: Timestamp(start), end });
            start = start.saturating_sub(self.slide);
        }
    }

    /// From one beginning to the next: only then does every record of it belong to the same windows also where they end.
    fn stretch(&self, timestamp: Timestamp) -> Option<TimeWindow> {
        let since_start = timestamp.0.checked_sub(self.offset)?.rem_euclid(self.slide);
        let start = timestamp.0.checked_sub(since_start)?;
        let end = Timestamp(start.checked_add(self.slide)?);
        (self.size % self.slide == 0).then_some(TimeWindow { start: Timestamp(start), end })
    }

    fn validate(&self, name: &str) -> Result<()> {
        let Self { size, slide, offset } = *self;
        if size <= 0 || slide <= 0 {
            return Err(Error::invalid(format!(
                "{name}: windows of {size} ms, one every {slide} ms: both must be at least a millisecond"
            )));
        }
        if offset.saturating_abs() >= slide {
            return Err(Error::invalid(format!(
                "{name}: an offset of {offset} ms must be less than the {slide} ms after which windows begin"
            )));
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Defines an assigner of windows that begin at fixed times.
macro_rules! aligned {
    ($(#[$doc:meta])* $name:ident, $time:expr, ($($argument:ident),+) => ($size:expr, $slide:expr)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name(Aligned);

        impl $name {
            /// Windows that begin at multiples of their distance since the epoch.
            pub fn of($($argument: Duration),+) -> Self {
                Self(Aligned::new($size, $slide))
            }

            /// Windows begin so many milliseconds later than multiples, or earlier: -8 hours for days in China.
            #[must_use]
            pub fn with_offset(mut self, millis: i64) -> Self {
                self.0.offset = millis;
                self
            }
        }

        impl WindowAssigner for $name {
            fn time(&self) -> TimerKind {
                $time
            }

            fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>) {
                self.0.assign(timestamp, windows);
            }

            fn stretch(&self, timestamp: Timestamp) -> Option<TimeWindow> {
                self.0.stretch(timestamp)
            }

            fn validate(&self) -> Result<()> {
                self.0.validate(stringify!($name))
            }
        }
    };
}

aligned! {
    /// Windows of event time, one after the other.
    TumblingEventTimeWindows, TimerKind::EventTime, (size) => (size, size)
}

aligned! {
    /// Windows of processing time, one after the other.
    TumblingProcessingTimeWindows, TimerKind::ProcessingTime, (size) => (size, size)
}

aligned! {
    /// Windows of event time of a size, one every `slide`: they overlap if that is less.
    SlidingEventTimeWindows, TimerKind::EventTime, (size, slide) => (size, slide)
}

aligned! {
    /// Windows of processing time of a size, one every `slide`: they overlap if that is less.
    SlidingProcessingTimeWindows, TimerKind::ProcessingTime, (size, slide) => (size, slide)
}

/// Defines an assigner of sessions.
macro_rules! sessions {
    ($(#[$doc:meta])* $name:ident, $time:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            gap: i64,
        }

        impl $name {
            /// A session ends when nothing has come for so long.
            pub fn with_gap(gap: Duration) -> Self {
                Self { gap: millis(gap) }
            }
        }

        impl WindowAssigner for $name {
            fn time(&self) -> TimerKind {
                $time
            }

            fn assign(&self, timestamp: Timestamp, windows: &mut Vec<TimeWindow>) {
                let end = Timestamp(timestamp.0.saturating_add(self.gap));
                windows.push(TimeWindow { start: timestamp, end });
            }

            fn is_merging(&self) -> bool {
                true
            }

            fn validate(&self) -> Result<()> {
                if self.gap > 0 {
                    return Ok(());
                }
                let name = stringify!($name);
                Err(Error::invalid(format!("{name}: the gap must be at least a millisecond")))
            }
        }
    };
}

sessions! {
    /// Sessions of event time: windows as long as records of the key keep coming.
    EventTimeSessionWindows, TimerKind::EventTime
}

sessions! {
    /// Sessions of processing time: windows as long as records of the key keep coming.
    ProcessingTimeSessionWindows, TimerKind::ProcessingTime
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(assigner: impl WindowAssigner, timestamp: i64) -> Vec<(i64, i64)> {
        let mut windows = Vec::new();
        assigner.assign(Timestamp(timestamp), &mut windows);
        windows.iter().map(|window| (window.start.0, window.end.0)).collect()
    }

    #[test]
    fn windows_begin_at_multiples_also_before_the_epoch() {
        let ten = TumblingEventTimeWindows::of(Duration::from_millis(10));
        assert_eq!(windows(ten, 0), [(0, 10)]);
        assert_eq!(windows(ten, 9), [(0, 10)]);
        assert_eq!(windows(ten, -1), [(-10, 0)]);
        assert_eq!(windows(ten.with_offset(3), 2), [(-7, 3)]);
        assert_eq!(windows(ten.with_offset(-3), 7), [(7, 17)]);
        let sliding =
            SlidingProcessingTimeWindows::of(Duration::from_millis(10), Duration::from_millis(4));
        assert_eq!(windows(sliding, 9), [(8, 18), (4, 14), (0, 10)]);
        let gaps = SlidingEventTimeWindows::of(Duration::from_millis(2), Duration::from_millis(5));
        assert_eq!(windows(gaps, 11), [(10, 12)]);
        assert_eq!(windows(gaps, 12), []);
    }

    #[test]
    fn in_a_stretch_every_record_belongs_to_the_same_windows() {
        fn check(assigner: impl WindowAssigner) {
            for time in -40..40 {
                let Some(same) = assigner.stretch(Timestamp(time)) else { continue };
                assert!(same.start.0 <= time && time < same.end.0);
                for other in same.start.0..same.end.0 {
                    assert_eq!(windows(assigner.clone(), other), windows(assigner.clone(), time));
                }
            }
        }
        let of = Duration::from_millis;
        check(TumblingEventTimeWindows::of(of(7)).with_offset(3));
        check(SlidingEventTimeWindows::of(of(12), of(4)).with_offset(-1));
        check(SlidingProcessingTimeWindows::of(of(10), of(4)));
        assert!(SlidingProcessingTimeWindows::of(of(10), of(4)).stretch(Timestamp(1)).is_none());
        let second = TumblingEventTimeWindows::of(of(1000));
        assert_eq!(second.stretch(Timestamp(1999)).map(|same| same.start.0), Some(1000));
        for end in [i64::MIN + 1, i64::MAX] {
            assert!(second.stretch(Timestamp(end)).is_none());
        }
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let ten = TumblingEventTimeWindows::of(Duration::from_millis(10));
        assert_eq!(windows(ten, i64::MAX).len(), 1);
        // There is no window there.
        assert_eq!(windows(ten, i64::MIN + 1), []);
        let forever = EventTimeSessionWindows::with_gap(Duration::MAX);
        assert_eq!(windows(forever, 5), [(5, i64::MAX)]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let none = TumblingEventTimeWindows::of(Duration::from_micros(10)).validate();
        assert!(
            none.unwrap_err().to_string().contains("TumblingEventTimeWindows: windows of 0 ms")
        );
        let second = Duration::from_secs(1);
        let offset = SlidingEventTimeWindows::of(second, second).with_offset(-1000).validate();
        assert!(offset.unwrap_err().to_string().contains("an offset of -1000 ms"));
        assert!(ProcessingTimeSessionWindows::with_gap(Duration::ZERO).validate().is_err());
        assert!(TumblingProcessingTimeWindows::of(second).with_offset(999).validate().is_ok());
    }
}
