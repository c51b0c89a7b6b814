//! How batches and control elements become bytes between processes. Both ends are the same program; but
//! checkpoints keep batches, too, as they are here (see [`crate::in_flight`]).
//!
//! The first byte says what follows: a control element, or records, with timestamps or without.

use flott_core::codec::{self, Data};
use flott_core::element::Control;
use flott_core::{Error, ErrorKind, Result, Timestamp};
use serde::Serialize;

use crate::batch::{Batch, NO_TIMESTAMP};
use crate::channel::Message;

const CONTROL: u8 = 0;
const UNTIMED: u8 = 1;
const TIMED: u8 = 2;

/// Encodes a batch.
///
/// # Errors
/// If a record's `Serialize` implementation fails.
pub(crate) fn encode_batch<T: Serialize>(batch: &Batch<T>) -> Result<Vec<u8>> {
    // Nearly all records are at least as large in memory as encoded.
    let mut bytes = Vec::with_capacity(batch.len() * size_of::<T>() + 16);
    bytes.push(if batch.is_timed() { TIMED } else { UNTIMED });
    codec::encode_into(&(batch.len() as u32), &mut bytes)?;
    if batch.is_timed() {
        for (record, timestamp) in batch.timed_records() {
            codec::encode_into(&timestamp, &mut bytes)?;
            codec::encode_into(record, &mut bytes)?;
        }
    } else {
        for record in batch.records() {
            codec::encode_into(record, &mut bytes)?;
        }
    }
    Ok(bytes)
}

/// Encodes a control element.
///
/// # Errors
/// None in practice: a control element can be encoded.
pub(crate) fn encode_control(control: Control) -> Result<Vec<u8>> {
    let mut bytes = vec![CONTROL];
    codec::encode_into(&control, &mut bytes)?;
    Ok(bytes)
}

/// The control element that a frame holds, if it holds one. Damaged ones are told when they are decoded.
pub(super) fn control(frame: &[u8]) -> Option<Control> {
    let (kind, rest) = frame.split_first()?;
    if *kind == CONTROL { codec::decode(rest).ok() } else { None }
}

/// Whether a frame holds a control element.
pub(super) fn is_control(frame: &[u8]) -> bool {
    frame.first() == Some(&CONTROL)
}

/// Decodes a frame, into `free` if it is a batch.
///
/// # Errors
/// If the bytes are none.
pub(crate) fn decode<T: Data>(frame: &[u8], mut free: Batch<T>) -> Result<Message<T>> {
    let damaged = || Error::new(ErrorKind::Corrupt, "a frame between workers is damaged");
    let (kind, rest) = frame.split_first().ok_or_else(damaged)?;
    let timed = match *kind {
        CONTROL => return codec::decode(rest).map(Message::Control),
        UNTIMED => false,
        TIMED => true,
        _ => return Err(damaged()),
    };
    let (count, mut rest) = codec::decode_prefix::<u32>(rest)?;
    // A count that is not true must not cost memory; records may take no bytes at all.
    free.reserve((count as usize).min(frame.len()));
    for _ in 0..count {
        let mut timestamp = NO_TIMESTAMP;
        if timed {
            (timestamp, rest) = codec::decode_prefix::<Timestamp>(rest)?;
        }
        let (record, after) = codec::decode_prefix(rest)?;
        free.push(record, timestamp);
        rest = after;
    }
    if rest.is_empty() { Ok(Message::Batch(free)) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use flott_core::CheckpointId;
    use flott_core::element::Barrier;
    use proptest::prelude::*;

    use super::*;
    use crate::align::testing::unaligned;
    use crate::in_flight::InFlight;

    fn drained<T>(batch: &mut Batch<T>) -> Vec<(T, Timestamp)> {
        let mut records = Vec::new();
        batch
            .try_drain(|record, timestamp| {
                records.push((record, timestamp));
                Ok(())
            })
            .unwrap();
        records
    }

    proptest! {
        #[test]
        fn a_batch_arrives_as_it_was_sent(
            records: Vec<(String, Option<u64>)>, timestamps: Option<Vec<i64>>,
        ) {
            let mut batch = Batch::default();
            for (index, record) in records.iter().enumerate() {
                let timestamp = timestamps.as_ref().and_then(|all| all.get(index));
                batch.push(record.clone(), timestamp.map_or(NO_TIMESTAMP, |t| Timestamp(*t)));
            }
            let expected = drained(&mut batch.clone());
            let timed = batch.is_timed();
            let frame = encode_batch(&batch).unwrap();
            prop_assert!(!is_control(&frame));
            let Message::Batch(mut arrived) = decode(&frame, Batch::default()).unwrap() else {
                return Err(TestCaseError::fail("it is a batch"));
            };
            prop_assert_eq!(&drained(&mut arrived), &expected);
            // What a checkpoint keeps of a channel are such frames.
            match codec::decode::<InFlight<(String, Option<u64>)>>(&frame).unwrap() {
                InFlight::Records(kept) => {
                    prop_assert!(!timed);
                    prop_assert_eq!(kept, records);
                }
                InFlight::TimedRecords(kept) => {
                    prop_assert!(timed);
                    let kept: Vec<_> = kept.into_iter().map(|(time, record)| (record, time)).collect();
                    prop_assert_eq!(kept, expected);
                }
                InFlight::Time(_) => prop_assert!(false, "it is a batch"),
            }
        }

        #[test]
        fn arbitrary_bytes_are_an_error_at_most(bytes: Vec<u8>) {
            let _ = decode::<(String, u8)>(&bytes, Batch::default());
        }
    }

    #[test]
    fn a_control_element_arrives_as_it_was_sent() {
        let barrier =
            Barrier { triggered_at: Timestamp(9), base: Some(CheckpointId(6)), ..unaligned(7) };
        let frame = encode_control(Control::Barrier(barrier)).unwrap();
        assert!(is_control(&frame));
        let arrived = decode::<u8>(&frame, Batch::default()).unwrap();
        assert!(matches!(arrived, Message::Control(Control::Barrier(b)) if b == barrier));
    }
}
