//! When a part is closed.

use std::time::Duration;

use flott_core::{Timestamp, WallTime};

/// When to close a part and begin another.
#[derive(Clone, Copy, Debug)]
pub(super) struct RollingPolicy {
    pub(super) part_bytes_max: u64,
    pub(super) rollover: Duration,
    pub(super) inactivity: Duration,
    pub(super) on_checkpoint: bool,
}

impl Default for RollingPolicy {
    /// Flink's defaults.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            part_bytes_max: 128 << 20,
            rollover: minute,
            inactivity: minute,
            on_checkpoint: false,
        }
    }
}

/// How old a part is, and how long nothing was added. Records come without the time: the part asks
/// to be told it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Age {
    /// When the part was seen first; nothing before that.
    born: Option<WallTime>,
    /// When it was seen last with something added since the time before.
    active: Option<WallTime>,
    written: bool,
}

impl Age {
    /// A record was added.
    pub(super) fn written(&mut self) {
        self.written = true;
    }

    /// When the part wants to look at the time.
    pub(super) fn next_look(&self, policy: &RollingPolicy) -> WallTime {
        match (self.born, self.active) {
            (Some(born), Some(active)) => {
                born.plus(policy.rollover).min(active.plus(policy.inactivity))
            }
            // As soon as possible.
            (None, _) | (_, None) => Timestamp::MIN,
        }
    }

    /// Whether the part is to be closed now.
    pub(super) fn is_over(&mut self, policy: &RollingPolicy, now: WallTime) -> bool {
        let born = *self.born.get_or_insert(now);
        let quiet = self.active.is_some_and(|active| now >= active.plus(policy.inactivity));
        if std::mem::take(&mut self.written) || self.active.is_none() {
            self.active = Some(now);
        } else if quiet {
            return true;
        }
        now >= born.plus(policy.rollover)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1000;

    fn policy() -> RollingPolicy {
        RollingPolicy {
            rollover: Duration::from_secs(60),
            inactivity: Duration::from_secs(10),
            ..RollingPolicy::default()
        }
    }

    /// Adds a record every `pause` seconds up to `last`; returns when the part is closed.
    fn closed_at(pause: i64, last: i64) -> i64 {
        let mut age = Age::default();
        for second in 0.. {
            if second <= last && second % pause == 0 {
                age.written();
            }
            let now = Timestamp(second * SECOND);
            if age.next_look(&policy()) <= now && age.is_over(&policy(), now) {
                return second;
            }
        }
        unreachable!("the loop has no end")
    }

    #[test]
    fn an_active_part_is_closed_when_it_is_old() {
        assert_eq!(closed_at(1, 1000), 60);
    }

    #[test]
    fn a_quiet_part_is_closed_after_once_to_twice_the_interval() {
        assert_eq!(closed_at(1, 0), 10);
        let closed = closed_at(1, 25);
        assert!((35..=45).contains(&closed), "{closed}");
    }
}
