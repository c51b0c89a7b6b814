//! Which indices a subtask generates: splits that can be cut and dealt out anew without losing or
//! doubling an index.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use flott_datastream::Batch;
use serde::{Deserialize, Serialize};

/// Into how many pieces a subtask cuts what it has left, for the checkpoint: so many times as many
/// subtasks can share it after a restore. A power of two, so that pieces can be put together again
/// by pairs.
const PIECES: usize = 8;

/// The indices `next`, `next + step`, … below `end`. The order is that of `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Split {
    next: u64,
    end: u64,
    step: u64,
}

impl Split {
    fn is_exhausted(&self) -> bool {
        self.next >= self.end
    }

    /// Emits up to `limit` indices below `bound`; returns how many.
    #[inline]
    fn take<T>(
        &mut self,
        limit: usize,
        bound: u64,
        f: impl Fn(u64) -> T,
        out: &mut Batch<T>,
    ) -> usize {
        let left = self.end.min(bound).saturating_sub(self.next).div_ceil(self.step);
        let count = left.min(limit as u64);
        let Self { next, step, .. } = *self;
        // The last index lies below `end`, so no product or sum here overflows.
        out.extend_untimed((0..count).map(|i| f(next + i * step)));
        self.next = next.saturating_add(count.saturating_mul(step));
        count as usize
    }
}

/// What a subtask has left to generate. The split with the lowest index comes first.
#[derive(Default)]
pub(super) struct Splits(BinaryHeap<Reverse<Split>>);

impl Splits {
    /// The share of one subtask of all indices: every `parallelism`-th.
    pub(super) fn fresh(count: Option<u64>, subtask: u32, parallelism: u32) -> Self {
        let end = count.unwrap_or(u64::MAX);
        Self::of([Split { next: u64::from(subtask), end, step: u64::from(parallelism) }])
    }

    /// What a checkpoint has for the subtask: pieces of one or more subtasks, put together as far
    /// as they fit.
    pub(super) fn restore(pieces: &[Split]) -> Self {
        let mut splits: BTreeSet<Split> = pieces.iter().copied().collect();
        while let Some((one, other)) = pair(&splits) {
            splits.remove(&one);
            splits.remove(&other);
            splits.insert(Split { step: one.step / 2, ..one });
        }
        Self::of(splits)
    }

    fn of(splits: impl IntoIterator<Item = Split>) -> Self {
        Self(splits.into_iter().filter(|split| !split.is_exhausted()).map(Reverse).collect())
    }

    /// What is left, in pieces for the checkpoint.
    pub(super) fn pieces(&self) -> Vec<Split> {
        // Halving keeps the number of pieces bounded however often they are dealt out anew.
        let mut cuts = PIECES;
        while cuts > 1 && cuts * self.0.len() > PIECES {
            cuts /= 2;
        }
        let mut splits: Vec<Split> = self.0.iter().map(|Reverse(split)| *split).collect();
        splits.sort_unstable();
        let cut = |split: Split| {
            let cuts = cuts as u64;
            let step = split.step.saturating_mul(cuts);
            (0..cuts).map_while(move |i| {
                let next = split.next.checked_add(split.step.checked_mul(i)?)?;
                (next < split.end).then_some(Split { next, step, ..split })
            })
        };
        splits.into_iter().flat_map(cut).collect()
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.0.is_empty()
    }

    /// Emits `f` of up to `limit` indices, in ascending order.
    pub(super) fn take<T>(&mut self, limit: usize, f: impl Fn(u64) -> T, out: &mut Batch<T>) {
        let mut left = limit;
        while left > 0 {
            let Some(Reverse(mut first)) = self.0.pop() else { return };
            let bound = self.0.peek().map_or(u64::MAX, |Reverse(second)| second.next);
            // Two splits never have the same next index; the guard is against a damaged state.
            left -= first.take(left, bound.max(first.next + 1), &f, out);
            if !first.is_exhausted() {
                self.0.push(Reverse(first));
            }
        }
    }
}

/// Two splits that are one, the lower first.
fn pair(splits: &BTreeSet<Split>) -> Option<(Split, Split)> {
    splits.iter().find_map(|split| {
        let next = split.next.checked_add(split.step / 2)?;
        let other = Split { next, ..*split };
        (split.step % 2 == 0 && splits.contains(&other)).then_some((*split, other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(splits: &mut Splits, limit: usize) -> Vec<u64> {
        let mut out = Batch::default();
        splits.take(limit, |index| index, &mut out);
        out.records().to_vec()
    }

    /// Deals pieces as a checkpoint does when the parallelism changes.
    fn deal(all: &[Splits], parallelism: usize) -> Vec<Splits> {
        let pieces: Vec<Split> = all.iter().flat_map(Splits::pieces).collect();
        let share = |subtask| {
            let pieces = pieces.iter().skip(subtask).step_by(parallelism);
            Splits::restore(&pieces.copied().collect::<Vec<_>>())
        };
        (0..parallelism).map(share).collect()
    }

    #[test]
    fn pieces_of_one_subtask_make_its_split_again() {
        let mut splits = Splits::fresh(None, 1, 3);
        assert_eq!(take(&mut splits, 4), [1, 4, 7, 10]);
        let pieces = splits.pieces();
        assert_eq!(pieces.len(), PIECES);
        let mut restored = Splits::restore(&pieces);
        assert_eq!(restored.0.len(), 1);
        assert_eq!(take(&mut restored, 3), [13, 16, 19]);
    }

    #[test]
    fn however_the_parallelism_changes_every_index_comes_once() {
        for count in [0, 1, 5, 100, 999] {
            let mut all: Vec<Splits> =
                (0..2).map(|subtask| Splits::fresh(Some(count), subtask, 2)).collect();
            let mut seen = Vec::new();
            for (round, parallelism) in [3, 1, 4, 16, 5, 2, 7, 1].into_iter().enumerate() {
                for (subtask, splits) in all.iter_mut().enumerate() {
                    let taken = take(splits, 5 * (round + 1) + subtask);
                    assert!(taken.is_sorted());
                    seen.extend(taken);
                }
                all = deal(&all, parallelism);
                assert!(all.iter().map(|splits| splits.0.len()).sum::<usize>() < 300);
            }
            seen.extend(take(&mut all[0], usize::MAX));
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_end_of_all_indices_is_an_end() {
        let mut splits = Splits::of([Split { next: u64::MAX - 3, end: u64::MAX, step: 2 }]);
        assert_eq!(take(&mut splits, 10), [u64::MAX - 3, u64::MAX - 1]);
        assert!(splits.is_exhausted());
    }
}
