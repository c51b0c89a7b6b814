//! Numbers of many checkpoints in a few.

use serde::{Serialize, Serializer};

/// Least, greatest, mean and percentiles.
#[derive(Serialize)]
pub(super) struct StatsSummary {
    min: i64,
    max: i64,
    avg: i64,
    p50: Percentile,
    p90: Percentile,
    p95: Percentile,
    p99: Percentile,
    p999: Percentile,
}

/// A percentile; that of nothing is `"NaN"`, as Java's writers of JSON put it.
struct Percentile(Option<f64>);

impl Serialize for Percentile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(value) => serializer.serialize_f64(value),
            None => serializer.serialize_str("NaN"),
        }
    }
}

impl StatsSummary {
    pub(super) fn of(numbers: impl Iterator<Item = i64>) -> Self {
        let mut sorted: Vec<i64> = numbers.collect();
        sorted.sort_unstable();
        let percentile = |p: f64| Percentile(percentile(&sorted, p));
        Self {
            min: sorted.first().copied().unwrap_or(0),
            max: sorted.last().copied().unwrap_or(0),
            avg: sorted.iter().sum::<i64>().checked_div(sorted.len() as i64).unwrap_or(0),
            p50: percentile(0.5),
            p90: percentile(0.9),
            p95: percentile(0.95),
            p99: percentile(0.99),
            p999: percentile(0.999),
        }
    }
}

/// Interpolated between the neighbours of place `p · (n + 1)`, as Flink's library does.
pub(super) fn percentile(sorted: &[i64], p: f64) -> Option<f64> {
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let place = p * (sorted.len() + 1) as f64;
    if place < 1.0 {
        return Some(first as f64);
    }
    let below = place as usize;
    let (Some(low), Some(high)) = (sorted.get(below - 1), sorted.get(below)) else {
        return Some(last as f64);
    };
    Some(*low as f64 + place.fract() * (high - low) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_interpolated_and_end_at_the_greatest() {
        let sorted: Vec<i64> = (1..=9).collect();
        assert_eq!(percentile(&sorted, 0.5), Some(5.0));
        assert_eq!(percentile(&sorted, 0.99), Some(9.0));
        assert_eq!(percentile(&[1, 2], 0.5), Some(1.5));
        assert_eq!(percentile(&[7], 0.5), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn nothing_is_zero_with_percentiles_that_are_no_numbers() {
        let json = serde_json::to_value(StatsSummary::of(std::iter::empty())).unwrap();
        assert_eq!(json["avg"], 0);
        assert_eq!(json["p999"], "NaN");
    }
}
