//! When state expires.

use std::time::Duration;

/// How long a value lives after its last use. A value has expired when its last use plus the duration is not after
/// now, by the wall clock or in event time.
///
/// It counts per value; in a list state per element, in a map state per entry. Expired values are
/// removed when they are met, a few more on every access to the state, and none is written into a
/// snapshot.
///
/// The configuration is not part of a snapshot: state that was written without TTL is taken as
/// used just now when it is restored with it (in event time, when it is next used: until then it does not expire), and
/// the times are dropped the other way round. They are taken as they are when it changes which time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTtlConfig {
    ttl: Duration,
    update_type: UpdateType,
    visibility: StateVisibility,
    time: TtlTimeCharacteristic,
}

/// Which time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtlTimeCharacteristic {
    /// That of the wall clock.
    #[default]
    ProcessingTime,
    /// Event time. A value is used at the timestamp of the record, or at the watermark if that is later; it expires
    /// when the watermark has passed the end of its life. While an event-time timer fires it is the time of that
    /// timer. So the same records give the same results, however late they are processed. Without watermarks nothing
    /// expires, and the end of the input expires nothing.
    EventTime,
}

/// What counts as a use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateType {
    /// Nothing: the state has no TTL and never expires.
    Disabled,
    /// Writing.
    #[default]
    OnCreateAndWrite,
    /// Reading and writing.
    OnReadAndWrite,
}

/// Whether a value that has expired can still be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateVisibility {
    /// It cannot.
    #[default]
    NeverReturnExpired,
    /// It can until it is removed.
    ReturnExpiredIfNotCleanedUp,
}

impl StateTtlConfig {
    /// Values live for `ttl` after they were last written.
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            update_type: UpdateType::default(),
            visibility: StateVisibility::default(),
            time: TtlTimeCharacteristic::default(),
        }
    }

    /// Says what counts as a use.
    #[must_use]
    pub fn update_type(self, update_type: UpdateType) -> Self {
        Self { update_type, ..self }
    }

    /// Says whether expired values can be read.
    #[must_use]
    pub fn visibility(self, visibility: StateVisibility) -> Self {
        Self { visibility, ..self }
    }

    /// Says which time passes.
    #[must_use]
    pub fn time_characteristic(self, time: TtlTimeCharacteristic) -> Self {
        Self { time, ..self }
    }

    pub(super) fn is_in_event_time(self) -> bool {
        self.time == TtlTimeCharacteristic::EventTime
    }

    pub(super) fn ttl(self) -> Duration {
        self.ttl
    }

    pub(super) fn is_enabled(self) -> bool {
        self.update_type != UpdateType::Disabled
    }

    pub(super) fn touches_on_read(self) -> bool {
        self.update_type == UpdateType::OnReadAndWrite
    }

    pub(super) fn hides_expired(self) -> bool {
        self.visibility == StateVisibility::NeverReturnExpired
    }
}
