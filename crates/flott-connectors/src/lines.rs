//! What a line of text is, for every source of lines: bytes up to `\n`, without a `\r` before it,
//! in UTF-8.

use std::str::Utf8Error;

/// How long a line may be, in bytes: a source without line ends is a mistake that should not eat
/// the memory of the process.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// The text of a line, given with or without its line end.
pub(crate) fn text(mut line: Vec<u8>) -> Result<String, Utf8Error> {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|error| error.utf8_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_loses_its_line_end_and_nothing_else() {
        for (bytes, line) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a", "a"),
            ("\n", ""),
            ("\r\r\n", "\r"),
            (" a\tb \n", " a\tb "),
        ] {
            assert_eq!(text(bytes.into()).unwrap(), line);
        }
        assert!(text(vec![0xff]).is_err());
    }
}
