//! A batch of records: what moves between operators and between tasks.

use flott_core::{Result, Timestamp};

/// The timestamp of a record that has none.
pub const NO_TIMESTAMP: Timestamp = Timestamp::MIN;

/// How many records a sender collects before it sends them, at most.
pub const BATCH_RECORDS: usize = 1024;

/// Records in order, with their event timestamps if any record has one.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    records: Vec<T>,
    /// As long as `records`, or empty if no record has a timestamp.
    timestamps: Vec<Timestamp>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { records: Vec::new(), timestamps: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// How many records it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it holds none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether any record may have a timestamp.
    pub(crate) fn is_timed(&self) -> bool {
        !self.timestamps.is_empty()
    }

    /// Makes room for so many records more.
    pub(crate) fn reserve(&mut self, records: usize) {
        self.records.reserve(records);
    }

    /// The records.
    pub fn records(&self) -> &[T] {
        &self.records
    }

    /// The records with their timestamps, if they have them.
    pub(crate) fn timed_records(&self) -> impl Iterator<Item = (&T, Timestamp)> {
        self.records.iter().zip(self.timestamps.iter().copied())
    }

    /// Appends a record; [`NO_TIMESTAMP`] if it has none.
    #[inline]
    pub fn push(&mut self, record: T, timestamp: Timestamp) {
        if timestamp != NO_TIMESTAMP || !self.timestamps.is_empty() {
            self.push_timestamp(timestamp);
        }
        self.records.push(record);
    }

    /// Out of line: the code of those who push records without timestamps stays short.
    #[inline(never)]
    fn push_timestamp(&mut self, timestamp: Timestamp) {
        if self.timestamps.len() < self.records.len() {
            self.timestamps.resize(self.records.len(), NO_TIMESTAMP);
        }
        self.timestamps.push(timestamp);
    }

    /// Gives each record the timestamp that `f` makes of it and of the one that it has.
    #[inline]
    pub fn assign_timestamps(&mut self, mut f: impl FnMut(&T, Timestamp) -> Timestamp) {
        if self.timestamps.is_empty() {
            self.timestamps.extend(self.records.iter().map(|record| f(record, NO_TIMESTAMP)));
            return;
        }
        for (record, timestamp) in self.records.iter().zip(&mut self.timestamps) {
            *timestamp = f(record, *timestamp);
        }
    }

    /// The greatest timestamp, if any record has one.
    pub fn max_timestamp(&self) -> Option<Timestamp> {
        self.timestamps.iter().copied().max().filter(|greatest| *greatest != NO_TIMESTAMP)
    }

    /// Appends records that have no timestamps.
    pub fn extend_untimed(&mut self, records: impl IntoIterator<Item = T>) {
        self.records.extend(records);
        if !self.timestamps.is_empty() {
            self.timestamps.resize(self.records.len(), NO_TIMESTAMP);
        }
    }

    /// Moves every record of `other` to the end of this batch; swaps if this one is empty.
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        if !self.timestamps.is_empty() || !other.timestamps.is_empty() {
            self.timestamps.resize(self.records.len(), NO_TIMESTAMP);
            other.timestamps.resize(other.records.len(), NO_TIMESTAMP);
            self.timestamps.append(&mut other.timestamps);
        }
        self.records.append(&mut other.records);
    }

    /// Takes out the first records, so many if there are.
    pub(crate) fn split_front(&mut self, count: usize) -> Self {
        let take = count.min(self.records.len());
        let timestamps = take.min(self.timestamps.len());
        Self {
            records: self.records.drain(..take).collect(),
            timestamps: self.timestamps.drain(..timestamps).collect(),
        }
    }

    /// Takes every record out, in order, and calls `f` with so many at a time, in a batch that it must leave empty.
    ///
    /// # Errors
    /// The first error of `f`; the records after it are dropped.
    pub(crate) fn try_in_pieces(
        &mut self,
        size: usize,
        mut f: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut piece = Self::default();
        piece.reserve(size);
        let (mut records, mut timestamps) = (self.records.drain(..), self.timestamps.drain(..));
        while records.len() > 0 {
            piece.records.extend(records.by_ref().take(size));
            piece.timestamps.extend(timestamps.by_ref().take(size));
            f(&mut piece)?;
        }
        Ok(())
    }

    /// Takes every record out, in order, and calls `f` with each and its timestamp.
    ///
    /// # Errors
    /// The first error of `f`; the records after it are dropped.
    #[inline]
    pub fn try_drain(&mut self, mut f: impl FnMut(T, Timestamp) -> Result<()>) -> Result<()> {
        if self.timestamps.is_empty() {
            for record in self.records.drain(..) {
                f(record, NO_TIMESTAMP)?;
            }
        } else {
            for (record, timestamp) in self.records.drain(..).zip(self.timestamps.drain(..)) {
                f(record, timestamp)?;
            }
        }
        Ok(())
    }

    /// Takes every record out, in order, and appends what `f` makes of it to `out`, with its timestamp.
    ///
    /// # Errors
    /// The first error of `f`: `out` has what was made of the records before, those after it are dropped.
    #[inline]
    pub fn try_map_into<U>(
        &mut self,
        out: &mut Batch<U>,
        mut f: impl FnMut(T) -> Result<U>,
    ) -> Result<()> {
        let Batch { records, timestamps } = out;
        let is_timed = !(self.timestamps.is_empty() && timestamps.is_empty());
        if is_timed {
            self.timestamps.resize(self.records.len(), NO_TIMESTAMP);
            timestamps.resize(records.len(), NO_TIMESTAMP);
            timestamps.append(&mut self.timestamps);
        }
        records.reserve(self.records.len());
        let done = self.records.drain(..).try_for_each(|record| {
            records.push(f(record)?);
            Ok(())
        });
        if done.is_err() && is_timed {
            timestamps.truncate(records.len());
        }
        done
    }

    /// Keeps the records for which `f` says so.
    ///
    /// # Errors
    /// The first error of `f`; what the batch holds then is unspecified.
    #[inline]
    pub fn try_retain(&mut self, mut f: impl FnMut(&T) -> Result<bool>) -> Result<()> {
        let mut failure = None;
        let mut keep = |record: &T| {
            failure.is_none()
                && f(record).unwrap_or_else(|error| {
                    failure = Some(error);
                    false
                })
        };
        if self.timestamps.is_empty() {
            self.records.retain(keep);
        } else {
            let mut timestamps = std::mem::take(&mut self.timestamps).into_iter();
            let mut kept = Vec::with_capacity(timestamps.len());
            self.records.retain(|record| {
                let timestamp = timestamps.next().unwrap_or(NO_TIMESTAMP);
                let keeps = keep(record);
                if keeps {
                    kept.push(timestamp);
                }
                keeps
            });
            self.timestamps = kept;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.timestamps.clear();
    }
}

#[cfg(test)]
mod tests {
    use flott_core::Error;

    use super::*;

    fn drained(batch: &mut Batch<u8>) -> Vec<(u8, i64)> {
        let mut out = Vec::new();
        batch
            .try_drain(|record, timestamp| {
                out.push((record, timestamp.0));
                Ok(())
            })
            .unwrap();
        out
    }

    #[test]
    fn records_with_and_without_timestamps_keep_theirs() {
        let mut batch = Batch::default();
        batch.push(1, NO_TIMESTAMP);
        batch.push(2, Timestamp(5));
        batch.extend_untimed([3]);
        let mut other = Batch::default();
        other.push(4, Timestamp(7));
        batch.append(&mut other);
        assert!(other.is_empty());
        assert_eq!(drained(&mut batch), [(1, i64::MIN), (2, 5), (3, i64::MIN), (4, 7)]);
        assert!(batch.is_empty());
    }

    #[test]
    fn mapped_records_keep_their_timestamps_also_before_an_error() {
        let (mut batch, mut out) = (Batch::default(), Batch::default());
        out.extend_untimed([9u8]);
        (1..5u8).for_each(|i| batch.push(i, Timestamp(i64::from(i))));
        let three = |i| if i == 3 { Err(Error::invalid("three")) } else { Ok(i * 10) };
        assert!(batch.try_map_into(&mut out, three).is_err());
        assert!(batch.is_empty() && !batch.is_timed());
        batch.extend_untimed([5]);
        batch.try_map_into(&mut out, Ok).unwrap();
        assert_eq!(drained(&mut out), [(9, i64::MIN), (10, 1), (20, 2), (5, i64::MIN)]);
        batch.extend_untimed([6]);
        batch.try_map_into(&mut out, Ok).unwrap();
        assert!(!out.is_timed());
    }

    #[test]
    fn timestamps_are_made_of_records_and_of_those_before() {
        let mut batch = Batch::default();
        assert_eq!(batch.max_timestamp(), None);
        batch.extend_untimed([3u8, 1]);
        assert_eq!(batch.max_timestamp(), None);
        batch.assign_timestamps(|record, before| {
            assert_eq!(before, NO_TIMESTAMP);
            Timestamp(i64::from(*record) * 10)
        });
        assert_eq!(batch.max_timestamp(), Some(Timestamp(30)));
        batch.assign_timestamps(|_, before| Timestamp(before.0 + 1));
        assert_eq!(drained(&mut batch), [(3, 31), (1, 11)]);
    }

    #[test]
    fn a_batch_is_split_with_its_timestamps() {
        let mut batch = Batch::default();
        (0..5u8).for_each(|i| batch.push(i, Timestamp(i64::from(i))));
        assert_eq!(drained(&mut batch.split_front(2)), [(0, 0), (1, 1)]);
        assert_eq!(drained(&mut batch.split_front(9)), [(2, 2), (3, 3), (4, 4)]);
        assert!(batch.split_front(1).is_empty());
        let mut untimed = Batch::default();
        untimed.extend_untimed([1u8, 2]);
        assert!(!untimed.split_front(1).is_timed());
        assert_eq!(untimed.len(), 1);
    }

    #[test]
    fn pieces_have_all_records_in_order_with_their_timestamps() {
        let mut batch = Batch::default();
        (0..5u8).for_each(|i| batch.push(i, Timestamp(i64::from(i) * 10)));
        let mut seen = Vec::new();
        let collect = |piece: &mut Batch<u8>| {
            seen.push(drained(piece));
            Ok(())
        };
        batch.try_in_pieces(2, collect).unwrap();
        assert_eq!(seen, [vec![(0, 0), (1, 10)], vec![(2, 20), (3, 30)], vec![(4, 40)]]);
        assert!(batch.is_empty());
    }

    #[test]
    fn retained_records_keep_their_timestamps() {
        let mut batch = Batch::default();
        for i in 0..6u8 {
            batch.push(i, Timestamp(i64::from(i)));
        }
        batch.try_retain(|record| Ok(record % 2 == 1)).unwrap();
        assert_eq!(drained(&mut batch), [(1, 1), (3, 3), (5, 5)]);
    }
}
