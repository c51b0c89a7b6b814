//! When a JobManager that waits takes the lead.
//!
//! Leads are numbered: epochs. Who leads shows it again and again, by numbers that grow (beats). Who waits
//! takes the next epoch when the leader is known to be gone, or has shown nothing for as long as a lease
//! lasts, by the own clock of who waits. A leader that was only slow finds the next epoch taken before
//! it does anything that another one could contradict.

use std::time::Duration;

use flott_core::MonoTime;

/// The number of a lead; the first is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after this.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What is seen of the newest lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeadSeen {
    /// Which one it is.
    pub epoch: Epoch,
    /// The last beat of its leader; any number that changes will do.
    pub beat: u64,
    /// What is known of its leader beside that.
    pub sign: Sign,
}

/// What is known of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing: its beats say whether it is there.
    None,
    /// It has given the lead up, and is about to end.
    Released,
    /// It has ended: nothing of what it has begun will happen any more.
    Dead,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody leads.
    Wait,
    /// Try to take this lead.
    Take {
        /// Its epoch.
        epoch: Epoch,
        /// Whether the leader before does nothing any more. If not, it may still be there: what it has begun
        /// may yet happen.
        is_clean: bool,
    },
}

/// Watches who leads.
#[derive(Debug)]
pub struct LeaderWatch {
    lease: Duration,
    /// What was seen last, and since when.
    seen: Option<((Epoch, u64), MonoTime)>,
}

impl LeaderWatch {
    /// Leaders have so long between two beats.
    pub fn new(lease: Duration) -> Self {
        Self { lease, seen: None }
    }

    /// Takes in what is seen now; nothing if nobody has ever led.
    pub fn observe(&mut self, now: MonoTime, lead: Option<LeadSeen>) -> Verdict {
        let Some(lead) = lead else { return Verdict::Take { epoch: Epoch(1), is_clean: true } };
        let epoch = lead.epoch.next();
        if lead.sign != Sign::None {
            return Verdict::Take { epoch, is_clean: lead.sign == Sign::Dead };
        }
        let key = (lead.epoch, lead.beat);
        match self.seen {
            Some((seen, since)) if seen == key => {
                if now.since(since) < self.lease {
                    return Verdict::Wait;
                }
                Verdict::Take { epoch, is_clean: false }
            }
            _ => {
                self.seen = Some((key, now));
                Verdict::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn at(seconds: u64) -> MonoTime {
        MonoTime(0).plus(Duration::from_secs(seconds))
    }

    fn lead(epoch: u64, beat: u64) -> Option<LeadSeen> {
        Some(LeadSeen { epoch: Epoch(epoch), beat, sign: Sign::None })
    }

    #[test]
    fn the_first_one_leads_at_once() {
        let verdict = LeaderWatch::new(LEASE).observe(at(0), None);
        assert_eq!(verdict, Verdict::Take { epoch: Epoch(1), is_clean: true });
    }

    #[test]
    fn who_shows_itself_leads_and_who_does_not_is_replaced() {
        let mut watch = LeaderWatch::new(LEASE);
        // Whenever it was that the leader beat last, it has a lease from when that is seen.
        assert_eq!(watch.observe(at(100), lead(3, 7)), Verdict::Wait);
        assert_eq!(watch.observe(at(114), lead(3, 7)), Verdict::Wait);
        assert_eq!(watch.observe(at(114), lead(3, 8)), Verdict::Wait);
        assert_eq!(watch.observe(at(128), lead(3, 8)), Verdict::Wait);
        let take = Verdict::Take { epoch: Epoch(4), is_clean: false };
        assert_eq!(watch.observe(at(129), lead(3, 8)), take);
        // Somebody else was faster.
        assert_eq!(watch.observe(at(129), lead(4, 0)), Verdict::Wait);
    }

    #[test]
    fn who_is_known_to_be_gone_is_replaced_at_once() {
        let mut watch = LeaderWatch::new(LEASE);
        assert_eq!(watch.observe(at(0), lead(3, 7)), Verdict::Wait);
        for (sign, is_clean) in [(Sign::Released, false), (Sign::Dead, true)] {
            let gone = LeadSeen { epoch: Epoch(3), beat: 7, sign };
            let take = Verdict::Take { epoch: Epoch(4), is_clean };
            assert_eq!(watch.observe(at(1), Some(gone)), take);
        }
    }
}
