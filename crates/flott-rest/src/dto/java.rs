//! Objects in Java's serialization, for Flink's clients: they read some answers as objects, and give up without.
//! The format is in the Java Object Serialization Specification, chapter 6.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flott_core::accumulator::AccumulatorValue;
use serde::Serialize;

/// A failure, as every client of Flink's reads it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FailureCause {
    class: &'static str,
    stack_trace: String,
    serialized_throwable: String,
}

impl FailureCause {
    pub(super) fn new(class: &'static str, message: &str) -> Self {
        let serialized_throwable = BASE64_STANDARD.encode(throwable(class, message));
        Self { class, stack_trace: message.to_owned(), serialized_throwable }
    }
}

/// The serialized class `org.apache.flink.util.OptionalFailure`, up to its value.
const OPTIONAL_FAILURE: &[u8] = b"\xac\xed\x00\x05sr\x00\x25org.apache.flink.util.OptionalFailure\
    \x00\x00\x00\x00\x00\x00\x00\x01\x03\x00\x01L\x00\x0cfailureCauset\x00\x15Ljava/lang/Throwable;xpp";

/// The serialized class `java.lang.Number`, as the parent of another.
const NUMBER: &[u8] = b"xr\x00\x10java.lang.Number\x86\xac\x95\x1d\x0b\x94\xe0\x8b\x02\x00\x00xp";

/// An `OptionalFailure` of a boxed number.
pub(super) fn number(value: AccumulatorValue) -> Vec<u8> {
    let (class, bits) = match value {
        AccumulatorValue::LongCounter(value)
        | AccumulatorValue::LongMaximum(value)
        | AccumulatorValue::LongMinimum(value) => (
            &b"sr\x00\x0ejava.lang.Long\x3b\x8b\xe4\x90\xcc\x8f\x23\xdf\x02\x00\x01J\x00\x05value"[..],
            value.to_be_bytes(),
        ),
        AccumulatorValue::DoubleCounter(value) => (
            &b"sr\x00\x10java.lang.Double\x80\xb3\xc2\x4a\x29\x6b\xfb\x04\x02\x00\x01D\x00\x05value"
                [..],
            value.to_be_bytes(),
        ),
    };
    [OPTIONAL_FAILURE, class, NUMBER, &bits, b"x"].concat()
}

/// What begins a stream.
const STREAM: &[u8] = b"\xac\xed\x00\x05";
const NULL: u8 = b'p';
const OBJECT: u8 = b's';
const CLASS: u8 = b'r';
const TEXT: u8 = b't';
const LONG_TEXT: u8 = b'|';
/// The end of what a class says of itself, or of what an object has written by itself.
const END: u8 = b'x';
/// The first text of the stream again: the type of a text.
const TYPE_OF_TEXT: &[u8] = b"q\x00\x7e\x00\x01";
const SERIALIZABLE: u8 = 2;
/// It also writes something by itself, and ends that.
const WRITES: u8 = 1;

/// A `SerializedThrowable` without a cause, whose class is said to be `class`.
fn throwable(class: &str, message: &str) -> Vec<u8> {
    let mut out = STREAM.to_vec();
    out.push(OBJECT);
    begin_class(
        &mut out,
        "org.apache.flink.util.SerializedThrowable",
        0x6516_9df5_1fa7_13f3,
        SERIALIZABLE,
        3,
    );
    field(&mut out, b'L', "fullStringifiedStackTrace", Some("Ljava/lang/String;"));
    field(&mut out, b'L', "originalErrorClassName", None);
    field(&mut out, b'[', "serializedException", Some("[B"));
    out.push(END);
    begin_class(&mut out, "java.lang.Exception", 0xd0fd_1f3e_1a3b_1cc4, SERIALIZABLE, 0);
    out.push(END);
    begin_class(&mut out, "java.lang.Throwable", 0xd5c6_3527_3977_b8cb, SERIALIZABLE | WRITES, 4);
    field(&mut out, b'L', "cause", Some("Ljava/lang/Throwable;"));
    field(&mut out, b'L', "detailMessage", None);
    field(&mut out, b'[', "stackTrace", Some("[Ljava/lang/StackTraceElement;"));
    field(&mut out, b'L', "suppressedExceptions", Some("Ljava/util/List;"));
    out.extend([END, NULL]);
    // The cause, the message, the stack, what was suppressed; then what the class itself has.
    out.push(NULL);
    text(&mut out, &format!("{class}: {message}"));
    out.extend([NULL, NULL, END]);
    text(&mut out, &format!("{class}: {message}"));
    text(&mut out, class);
    out.push(NULL);
    out
}

fn begin_class(out: &mut Vec<u8>, name: &str, version: u64, flags: u8, fields: u16) {
    out.push(CLASS);
    name_of(out, name);
    out.extend(version.to_be_bytes());
    out.push(flags);
    out.extend(fields.to_be_bytes());
}

/// A field of a class; its type is that of the first text of the stream if none is given.
fn field(out: &mut Vec<u8>, kind: u8, name: &str, class: Option<&str>) {
    out.push(kind);
    name_of(out, name);
    match class {
        Some(class) => text(out, class),
        None => out.extend(TYPE_OF_TEXT),
    }
}

/// Names of this file are short.
fn name_of(out: &mut Vec<u8>, name: &str) {
    out.extend((name.len() as u16).to_be_bytes());
    out.extend(name.as_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = modified_utf8(text);
    match u16::try_from(bytes.len()) {
        Ok(length) => {
            out.push(TEXT);
            out.extend(length.to_be_bytes());
        }
        Err(_) => {
            out.push(LONG_TEXT);
            out.extend((bytes.len() as u64).to_be_bytes());
        }
    }
    out.extend(bytes);
}

/// Java writes no zero byte, and each half of a surrogate pair by itself.
fn modified_utf8(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7f => bytes.push(unit as u8),
            0 | 0x80..=0x7ff => {
                bytes.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8])
            }
            _ => bytes.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | ((unit >> 6) & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That Flink 2.3's client reads it is tried by a test of the command line.
    #[test]
    fn a_throwable_is_what_flinks_client_reads() {
        let bytes = throwable("x.CheckpointException", "Checkpoint expired.");
        assert!(
            bytes.starts_with(
                b"\xac\xed\x00\x05sr\x00\x29org.apache.flink.util.SerializedThrowable"
            )
        );
        assert!(bytes.ends_with(b"t\x00\x15x.CheckpointExceptionp"));
        let message = b"x.CheckpointException: Checkpoint expired.";
        assert_eq!(bytes.windows(message.len()).filter(|part| part == message).count(), 2);
    }

    #[test]
    fn texts_of_any_kind_and_length_are_written() {
        assert_eq!(modified_utf8("a\0ä€"), b"a\xc0\x80\xc3\xa4\xe2\x82\xac");
        assert_eq!(modified_utf8("\u{1f600}"), b"\xed\xa0\xbd\xed\xb8\x80");
        let mut out = Vec::new();
        text(&mut out, &"x".repeat(70_000));
        assert_eq!((out[0], out.len()), (LONG_TEXT, 70_009));
    }
}
