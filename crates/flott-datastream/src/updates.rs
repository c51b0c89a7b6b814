//! How a record is added to what there is of the records before: what rolling aggregates and windows have in common.

use std::ops::AddAssign;

use flott_core::Result;

use crate::outcome::Outcome;

/// Adds a field to that of the first record.
pub(crate) fn sum<T, N: AddAssign + Clone + 'static>(
    field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
) -> impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static {
    move |sum, mut record| {
        *field(sum) += field(&mut record).clone();
        Ok(())
    }
}

/// Puts the lesser field into the first record.
pub(crate) fn min<T, N: PartialOrd + 'static>(
    field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
) -> impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static {
    move |least, mut record| {
        let (least, found) = (field(least), field(&mut record));
        if *found < *least {
            std::mem::swap(least, found);
        }
        Ok(())
    }
}

/// Puts the greater field into the first record.
pub(crate) fn max<T, N: PartialOrd + 'static>(
    field: impl Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
) -> impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static {
    move |greatest, mut record| {
        let (greatest, found) = (field(greatest), field(&mut record));
        if *found > *greatest {
            std::mem::swap(greatest, found);
        }
        Ok(())
    }
}

/// Keeps the record with the lesser field; the first of several.
pub(crate) fn min_by<T, N: PartialOrd>(
    field: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
) -> impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static {
    move |least, record| {
        if field(&record) < field(least) {
            *least = record;
        }
        Ok(())
    }
}

/// Keeps the record with the greater field; the first of several.
pub(crate) fn max_by<T, N: PartialOrd>(
    field: impl Fn(&T) -> N + Clone + Send + Sync + 'static,
) -> impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static {
    move |greatest, record| {
        if field(&record) > field(greatest) {
            *greatest = record;
        }
        Ok(())
    }
}

/// Keeps what the user's function makes of both.
pub(crate) fn reduce<T, R, M>(
    f: impl Fn(&T, T) -> R + Clone + Send + Sync + 'static,
) -> impl Fn(&mut T, T) -> Result<()> + Clone + Send + Sync + 'static
where
    R: Outcome<T, M> + 'static,
    M: 'static,
{
    move |result, record| {
        *result = f(result, record).into_result()?;
        Ok(())
    }
}
