//! Accumulators: what user functions add up beside their output, over all subtasks of an operator. Kinds
//! and merging are those of Flink's `org.apache.flink.api.common.accumulators`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What an accumulator has come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum AccumulatorValue {
    /// A sum.
    LongCounter(i64),
    /// A sum of floating-point numbers.
    DoubleCounter(f64),
    /// The largest of all; [`i64::MIN`] of none.
    LongMaximum(i64),
    /// The smallest of all; [`i64::MAX`] of none.
    LongMinimum(i64),
}

impl AccumulatorValue {
    /// Flink's name of the kind.
    pub fn kind(self) -> &'static str {
        match self {
            Self::LongCounter(_) => "LongCounter",
            Self::DoubleCounter(_) => "DoubleCounter",
            Self::LongMaximum(_) => "LongMaximum",
            Self::LongMinimum(_) => "LongMinimum",
        }
    }

    /// What two subtasks have come to together; nothing if they are of different kinds.
    pub fn merge(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::LongCounter(a), Self::LongCounter(b)) => {
                Some(Self::LongCounter(a.wrapping_add(b)))
            }
            (Self::DoubleCounter(a), Self::DoubleCounter(b)) => Some(Self::DoubleCounter(a + b)),
            (Self::LongMaximum(a), Self::LongMaximum(b)) => Some(Self::LongMaximum(a.max(b))),
            (Self::LongMinimum(a), Self::LongMinimum(b)) => Some(Self::LongMinimum(a.min(b))),
            (
                Self::LongCounter(_)
                | Self::DoubleCounter(_)
                | Self::LongMaximum(_)
                | Self::LongMinimum(_),
                _,
            ) => None,
        }
    }

    fn bits(self) -> i64 {
        match self {
            Self::LongCounter(value) | Self::LongMaximum(value) | Self::LongMinimum(value) => value,
            Self::DoubleCounter(value) => value.to_bits().cast_signed(),
        }
    }

    /// The same kind, of another value.
    fn with_bits(self, bits: i64) -> Self {
        match self {
            Self::LongCounter(_) => Self::LongCounter(bits),
            Self::DoubleCounter(_) => Self::DoubleCounter(f64::from_bits(bits.cast_unsigned())),
            Self::LongMaximum(_) => Self::LongMaximum(bits),
            Self::LongMinimum(_) => Self::LongMinimum(bits),
        }
    }
}

impl fmt::Display for AccumulatorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongCounter(value) | Self::LongMaximum(value) | Self::LongMinimum(value) => {
                write!(f, "{value}")
            }
            Self::DoubleCounter(value) => write!(f, "{value:?}"),
        }
    }
}

/// What the subtasks of a job have come to together, by name.
///
/// Where the same name is of different kinds in different operators, the first one is told.
pub fn merged<'a>(
    all: impl IntoIterator<Item = &'a Accumulators>,
) -> BTreeMap<String, AccumulatorValue> {
    let mut merged: BTreeMap<String, AccumulatorValue> = BTreeMap::new();
    for (name, value) in all.into_iter().flat_map(Accumulators::values) {
        merged
            .entry(name)
            .and_modify(|known| *known = known.merge(value).unwrap_or(*known))
            .or_insert(value);
    }
    merged
}

/// The accumulators of one task. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Accumulators(Arc<Mutex<BTreeMap<String, Cell>>>);

/// A value that its task changes and others read. The kind stays.
#[derive(Clone, Debug)]
struct Cell {
    kind: AccumulatorValue,
    bits: Arc<AtomicI64>,
}

impl Accumulators {
    /// A sum. Asked for twice by the same name, it is the same.
    ///
    /// # Errors
    /// If there is an accumulator of that name and of another kind.
    pub fn long_counter(&self, name: &str) -> Result<LongCounter> {
        self.cell(name, AccumulatorValue::LongCounter(0)).map(LongCounter)
    }

    /// A sum of floating-point numbers.
    ///
    /// # Errors
    /// As [`Self::long_counter`].
    pub fn double_counter(&self, name: &str) -> Result<DoubleCounter> {
        self.cell(name, AccumulatorValue::DoubleCounter(0.0)).map(DoubleCounter)
    }

    /// The largest of what is added.
    ///
    /// # Errors
    /// As [`Self::long_counter`].
    pub fn long_maximum(&self, name: &str) -> Result<LongMaximum> {
        self.cell(name, AccumulatorValue::LongMaximum(i64::MIN)).map(LongMaximum)
    }

    /// The smallest of what is added.
    ///
    /// # Errors
    /// As [`Self::long_counter`].
    pub fn long_minimum(&self, name: &str) -> Result<LongMinimum> {
        self.cell(name, AccumulatorValue::LongMinimum(i64::MAX)).map(LongMinimum)
    }

    /// What each has come to so far, by name.
    pub fn values(&self) -> BTreeMap<String, AccumulatorValue> {
        let value = |cell: &Cell| cell.kind.with_bits(cell.bits.load(Ordering::Relaxed));
        self.lock().iter().map(|(name, cell)| (name.clone(), value(cell))).collect()
    }

    /// Somebody else has added up this.
    pub fn set(&self, name: &str, value: AccumulatorValue) {
        let cell = Cell { kind: value, bits: Arc::new(AtomicI64::new(value.bits())) };
        self.lock().insert(name.to_owned(), cell);
    }

    fn cell(&self, name: &str, kind: AccumulatorValue) -> Result<Arc<AtomicI64>> {
        let mut cells = self.lock();
        let cell = cells
            .entry(name.to_owned())
            .or_insert_with(|| Cell { kind, bits: Arc::new(AtomicI64::new(kind.bits())) });
        if cell.kind.kind() != kind.kind() {
            let (was, is) = (cell.kind.kind(), kind.kind());
            return Err(Error::invalid(format!(
                "the accumulator \"{name}\" is a {was} and is asked for as a {is}: give one of \
                 them another name"
            )));
        }
        Ok(cell.bits.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Cell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sum.
#[derive(Clone, Debug, Default)]
pub struct LongCounter(Arc<AtomicI64>);

impl LongCounter {
    /// Adds `value`.
    #[inline]
    pub fn add(&self, value: i64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }
}

/// A sum of floating-point numbers.
#[derive(Clone, Debug, Default)]
pub struct DoubleCounter(Arc<AtomicI64>);

impl DoubleCounter {
    /// Adds `value`.
    #[inline]
    pub fn add(&self, value: f64) {
        // The task is the only one that writes.
        let sum = f64::from_bits(self.0.load(Ordering::Relaxed).cast_unsigned()) + value;
        self.0.store(sum.to_bits().cast_signed(), Ordering::Relaxed);
    }
}

/// The largest of what is added.
#[derive(Clone, Debug, Default)]
pub struct LongMaximum(Arc<AtomicI64>);

impl LongMaximum {
    /// Looks at `value`.
    #[inline]
    pub fn add(&self, value: i64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

/// The smallest of what is added.
#[derive(Clone, Debug, Default)]
pub struct LongMinimum(Arc<AtomicI64>);

impl LongMinimum {
    /// Looks at `value`.
    #[inline]
    pub fn add(&self, value: i64) {
        self.0.fetch_min(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtasks_come_to_one_value() {
        let tasks = [Accumulators::default(), Accumulators::default()];
        for (task, value) in tasks.iter().zip([3, 8]) {
            task.long_counter("sum").unwrap().add(value);
            task.long_counter("sum").unwrap().add(1);
            task.double_counter("mean").unwrap().add(0.5);
            task.long_maximum("most").unwrap().add(value);
            task.long_minimum("least").unwrap().add(value);
        }
        let all = merged(&tasks);
        let text: Vec<String> = all.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(text, ["least 3", "mean 1.0", "most 8", "sum 13"]);
    }

    #[test]
    fn a_name_has_one_kind() {
        let own = Accumulators::default();
        own.long_counter("seen").unwrap();
        let error = own.long_maximum("seen").unwrap_err().report();
        assert!(error.contains("\"seen\" is a LongCounter and is asked for as a LongMaximum"));
        let other = Accumulators::default();
        other.set("seen", AccumulatorValue::LongMinimum(4));
        assert_eq!(merged([&own, &other])["seen"], AccumulatorValue::LongCounter(0));
    }
}
