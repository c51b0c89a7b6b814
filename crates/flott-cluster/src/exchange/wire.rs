//! What workers say to each other on a connection, byte by byte. All numbers are little-endian.
//!
//! The one that connects says who it is and whom it wants: [`MAGIC`], job, ticket, its own number,
//! the other's. The other answers with one byte if that is right, and closes if it is not. Then both
//! send frames: length of the payload, CRC-32C of everything after itself, kind, attempt, edge,
//! producer, consumer, payload.

use std::io::{Error, ErrorKind, Read, Result, Write};

use flott_control::WorkerId;
use flott_core::codec::checksum;
use flott_core::{AttemptNumber, JobId};
use flott_plan::EdgeId;
use flott_runtime::exchange::{ChannelId, Frame, FrameBody};

/// Ends with the version of the protocol.
const MAGIC: [u8; 8] = *b"flottx\0\x01";
const GREETING: usize = 8 + 16 + 16 + 4 + 4;
const WELCOME: u8 = 1;
const HEADER: usize = 25;

/// The largest payload: more is a damaged length. A batch is far smaller, unless a single record is
/// not.
const PAYLOAD_MAX: u32 = 1 << 30;

/// Who a worker is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// The job that it works for.
    pub(crate) job: JobId,
    /// What only the workers of this job know.
    pub(crate) ticket: u128,
    /// Which of them it is.
    pub(crate) worker: WorkerId,
}

fn greeting(own: Identity, from: WorkerId, to: WorkerId) -> [u8; GREETING] {
    let mut bytes = [0; GREETING];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..24].copy_from_slice(&own.job.as_u128().to_le_bytes());
    bytes[24..40].copy_from_slice(&own.ticket.to_le_bytes());
    bytes[40..44].copy_from_slice(&from.0.to_le_bytes());
    bytes[44..].copy_from_slice(&to.0.to_le_bytes());
    bytes
}

/// Greets another worker, and waits for its answer.
pub(super) fn greet(stream: &mut (impl Read + Write), own: Identity, to: WorkerId) -> Result<()> {
    stream.write_all(&greeting(own, own.worker, to))?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer[0] == WELCOME { Ok(()) } else { Err(damaged("an unknown answer")) }
}

/// Answers a greeting.
pub(super) fn answer(stream: &mut (impl Read + Write), own: Identity) -> Result<()> {
    let mut bytes = [0; GREETING];
    stream.read_exact(&mut bytes)?;
    let from = u32::from_le_bytes([bytes[40], bytes[41], bytes[42], bytes[43]]);
    if bytes[..8] != MAGIC {
        return Err(damaged("it speaks another protocol"));
    }
    if bytes != greeting(own, WorkerId(from), own.worker) {
        return Err(damaged("it wants another job or another worker"));
    }
    stream.write_all(&[WELCOME])
}

const OPEN: u8 = 1;
const DATA: u8 = 2;
const CREDIT: u8 = 3;

/// Writes a frame.
pub(super) fn write(out: &mut impl Write, frame: &Frame) -> Result<()> {
    let Frame { attempt, channel, body } = frame;
    let credit;
    let (kind, payload) = match body {
        FrameBody::Open => (OPEN, &[][..]),
        FrameBody::Data(bytes) => (DATA, &bytes[..]),
        FrameBody::Credit(bytes) => {
            credit = bytes.to_le_bytes();
            (CREDIT, &credit[..])
        }
    };
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= PAYLOAD_MAX);
    let length = length.ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "a batch of more than 1 GiB between two workers")
    })?;
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[8] = kind;
    let ChannelId { edge, producer, consumer } = channel;
    for (place, number) in [attempt.0, edge.0, *producer, *consumer].into_iter().enumerate() {
        header[9 + 4 * place..13 + 4 * place].copy_from_slice(&number.to_le_bytes());
    }
    let check = check(&header, payload);
    header[4..8].copy_from_slice(&check.to_le_bytes());
    out.write_all(&header)?;
    out.write_all(payload)
}

/// Covers the length, too, which stands before it.
fn check(header: &[u8; HEADER], payload: &[u8]) -> u32 {
    let mut own = *header;
    own[4..8].copy_from_slice(&checksum(payload).to_le_bytes());
    checksum(&own)
}

/// Reads a frame; nothing at the end of the connection.
pub(super) fn read(input: &mut impl Read) -> Result<Option<Frame>> {
    let mut header = [0; HEADER];
    if input.read(&mut header[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut header[1..])?;
    let number = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let length = number(0);
    if length > PAYLOAD_MAX {
        return Err(damaged("a frame of an impossible length"));
    }
    let mut payload = Vec::new();
    input.by_ref().take(u64::from(length)).read_to_end(&mut payload)?;
    if payload.len() < length as usize {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if number(4) != check(&header, &payload) {
        return Err(damaged("a frame with a wrong checksum"));
    }
    let body = match (header[8], <[u8; 8]>::try_from(&payload[..])) {
        (OPEN, _) => FrameBody::Open,
        (DATA, _) => FrameBody::Data(payload),
        (CREDIT, Ok(bytes)) => FrameBody::Credit(u64::from_le_bytes(bytes)),
        (..) => return Err(damaged("a frame of an unknown kind")),
    };
    let channel =
        ChannelId { edge: EdgeId(number(13)), producer: number(17), consumer: number(21) };
    Ok(Some(Frame { attempt: AttemptNumber(number(9)), channel, body }))
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        let channel = ChannelId { edge: EdgeId(3), producer: 1, consumer: 70_000 };
        let bodies = [FrameBody::Open, FrameBody::Data(vec![7; 300]), FrameBody::Credit(1 << 40)];
        bodies.map(|body| Frame { attempt: AttemptNumber(9), channel, body }).to_vec()
    }

    #[test]
    fn frames_arrive_as_they_were_sent() {
        let mut bytes = Vec::new();
        frames().iter().for_each(|frame| write(&mut bytes, frame).unwrap());
        let mut input = &bytes[..];
        for frame in frames() {
            assert_eq!(read(&mut input).unwrap(), Some(frame));
        }
        assert_eq!(read(&mut input).unwrap(), None);
    }

    #[test]
    fn any_bit_that_changes_on_the_way_is_seen() {
        for frame in frames() {
            let mut bytes = Vec::new();
            write(&mut bytes, &frame).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(read(&mut &bytes[..]).is_err(), "bit {bit} of {frame:?}");
            }
            for length in 1..bytes.len() {
                assert!(read(&mut &bytes[..length]).is_err());
            }
        }
    }
}
