//! How often somebody may ask: a bucket of requests for everybody who has a name, which fills up again, and one for all
//! who have none, who may be guessing tokens.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many requests one who has a name may send in a second, on average. A page that is looked at sends five.
const PER_SECOND: u64 = 1000;

/// The same for all who have none, together.
const PER_SECOND_UNKNOWN: u64 = 100;

/// After a pause, so many seconds' worth may come at once.
const BURST_SECONDS: u64 = 10;

/// A request costs so much of a bucket; what fills it in a nanosecond is the number of requests in a second.
const REQUEST: u64 = 1_000_000_000;

/// The buckets of those who ask. Their names are in the file of tokens: there are not more than there.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<BTreeMap<Option<String>, Bucket>>);

#[derive(Debug)]
struct Bucket {
    left: u64,
    /// When it was last seen.
    at: Duration,
}

impl Pace {
    /// Takes a request from the bucket of `name`, at a time that does not go backwards; if there is none, says when
    /// there will be.
    pub(crate) fn take(&self, name: Option<&str>, now: Duration) -> Result<(), Duration> {
        let per_second = if name.is_some() { PER_SECOND } else { PER_SECOND_UNKNOWN };
        let full = per_second * BURST_SECONDS * REQUEST;
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket =
            buckets.entry(name.map(str::to_owned)).or_insert(Bucket { left: full, at: now });
        let passed = now.saturating_sub(bucket.at).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        bucket.left = bucket.left.saturating_add(passed.saturating_mul(per_second)).min(full);
        bucket.at = bucket.at.max(now);
        match bucket.left.checked_sub(REQUEST) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(Duration::from_nanos((REQUEST - bucket.left).div_ceil(per_second))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_for_one_name_and_fills_up_again() {
        let pace = Pace::default();
        let start = Duration::from_secs(7);
        let burst = PER_SECOND * BURST_SECONDS;
        assert!((0..burst).all(|_| pace.take(Some("ci"), start).is_ok()));
        let wait = pace.take(Some("ci"), start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1) / PER_SECOND as u32);
        assert!(pace.take(Some("grafana"), start).is_ok(), "another one");
        assert!(pace.take(Some("ci"), start + wait).is_ok());
        assert!(pace.take(Some("ci"), start + wait).is_err());
        assert!(pace.take(Some("ci"), start).is_err(), "a clock that goes backwards gives nothing");
        let later = start + Duration::from_secs(1000);
        assert!((0..burst).all(|_| pace.take(Some("ci"), later).is_ok()));
        assert!(pace.take(Some("ci"), later).is_err(), "no more than a full one");
    }

    #[test]
    fn who_has_no_name_gets_less() {
        let pace = Pace::default();
        let burst = PER_SECOND_UNKNOWN * BURST_SECONDS;
        let passed = (0..2 * burst).filter(|_| pace.take(None, Duration::ZERO).is_ok()).count();
        assert_eq!(passed as u64, burst);
    }
}
