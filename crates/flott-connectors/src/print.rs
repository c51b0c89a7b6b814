//! `print`: what a stream carries, on standard output or standard error.

use std::fmt::Debug;
use std::io::{self, ErrorKind as IoErrorKind, Write};

use flott_core::codec::Data;
use flott_core::{Error, ErrorKind, Now, Result};
use flott_datastream::{Batch, Collector, DataStream, DataStreamSink, Operator, OperatorInstance};

/// Prints streams. For looking at a job: nothing is transactional, so records since the last
/// checkpoint are printed again after a restart.
pub trait Print {
    /// Prints each record (`{:?}`) on a line of its own to standard output. If more than one subtask
    /// prints, each line begins with the number of its subtask, counted from 1: `2> `.
    fn print(self) -> DataStreamSink;

    /// As [`Print::print`], to standard error.
    fn print_to_err(self) -> DataStreamSink;

    /// As [`Print::print`], with something to tell streams apart by: each line begins with
    /// `<identifier>> `, or with `<identifier>:<number>> ` if more than one subtask prints.
    fn print_with_identifier(self, identifier: &str) -> DataStreamSink;
}

impl<T: Data + Debug> Print for DataStream<T> {
    fn print(self) -> DataStreamSink {
        add(self, "Print to Std. Out", String::new(), io::stdout)
    }

    fn print_to_err(self) -> DataStreamSink {
        add(self, "Print to Std. Err", String::new(), io::stderr)
    }

    fn print_with_identifier(self, identifier: &str) -> DataStreamSink {
        add(self, "Print to Std. Out", identifier.to_owned(), io::stdout)
    }
}

fn add<T: Data + Debug, W: Write + Send + 'static>(
    stream: DataStream<T>,
    name: &str,
    identifier: String,
    target: fn() -> W,
) -> DataStreamSink {
    stream.add_sink(name, false, move |instance| Printer {
        prefix: prefix(&identifier, instance),
        lines: Vec::new(),
        target: target(),
    })
}

/// Flink's prefixes.
fn prefix(identifier: &str, instance: &OperatorInstance) -> String {
    let number = instance.subtask + 1;
    match (identifier.is_empty(), instance.parallelism > 1) {
        (true, false) => String::new(),
        (true, true) => format!("{number}> "),
        (false, false) => format!("{identifier}> "),
        (false, true) => format!("{identifier}:{number}> "),
    }
}

struct Printer<W> {
    prefix: String,
    /// The lines of a batch: written in one piece, so that subtasks never cut each other's lines.
    lines: Vec<u8>,
    target: W,
}

impl<T: Debug, W: Write + Send> Operator<T, ()> for Printer<W> {
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Collector<()>, _: Now) -> Result<()> {
        self.lines.clear();
        let Self { prefix, lines, target } = self;
        batch.try_drain(|record, _| Ok(writeln!(lines, "{prefix}{record:?}")?))?;
        target.write_all(lines).and_then(|()| target.flush()).map_err(cannot_print)
    }
}

fn cannot_print(error: io::Error) -> Error {
    let message = if error.kind() == IoErrorKind::BrokenPipe {
        "cannot print: whatever read the output has closed it; keep the reader running, or write \
         to a file"
    } else {
        "cannot print: the output cannot be written"
    };
    Error::with_source(ErrorKind::Io, message, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness;

    fn printed(identifier: &str, subtask: u32, parallelism: u32) -> String {
        let instance = harness::instance(subtask, parallelism);
        let mut printer = Printer {
            prefix: prefix(identifier, &instance),
            lines: Vec::new(),
            target: Vec::new(),
        };
        let mut batch = Batch::default();
        batch.extend_untimed([("hello", 1), ("world", 2)]);
        printer.process(&mut batch, &mut Collector::detached(), harness::at(0)).unwrap();
        String::from_utf8(printer.target).unwrap()
    }

    #[test]
    fn lines_have_the_prefixes_of_flink() {
        assert_eq!(printed("", 0, 1), "(\"hello\", 1)\n(\"world\", 2)\n");
        assert_eq!(printed("", 1, 2), "2> (\"hello\", 1)\n2> (\"world\", 2)\n");
        assert_eq!(printed("x", 0, 1), "x> (\"hello\", 1)\nx> (\"world\", 2)\n");
        assert_eq!(printed("x", 2, 3), "x:3> (\"hello\", 1)\nx:3> (\"world\", 2)\n");
    }

    #[test]
    fn a_closed_pipe_is_an_error_that_says_so() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(IoErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut printer = Printer { prefix: String::new(), lines: Vec::new(), target: Closed };
        let mut batch = Batch::default();
        batch.extend_untimed([1]);
        let error =
            printer.process(&mut batch, &mut Collector::detached(), harness::at(0)).unwrap_err();
        assert!(error.to_string().contains("has closed it"), "{error}");
    }
}
