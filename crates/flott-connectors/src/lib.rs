//! Brings data in and out: one file per connector, each an extension trait on
//! [`StreamExecutionEnvironment`](flott_datastream::StreamExecutionEnvironment) or
//! [`DataStream`](flott_datastream::DataStream).
//!
//! | in | | after a restart |
//! |---|---|---|
//! | [`ReadTextFile`] | lines of files, once or followed | exactly once |
//! | [`Generate`] | functions of an index, sequences | exactly once |
//! | [`FromCollection`] | records at hand | exactly once |
//! | [`SocketTextStream`] | lines from a socket | lost since the last checkpoint |
//!
//! | out | | after a restart |
//! |---|---|---|
//! | [`SinkToFiles`] | text files | exactly once |
//! | [`Print`] | standard output and error | again since the last checkpoint |
//! | [`Discard`] | nothing | – |
//!
//! Sources remember positions as operator state; the file sink is a
//! [`TwoPhaseCommitSink`](flott_datastream::TwoPhaseCommitSink). This crate may talk to the outside
//! world. It reads no clock (the time comes with each call), and it knows neither tasks nor the
//! cluster.

mod collection;
mod datagen;
mod discard;
mod file_sink;
mod lines;
mod print;
mod socket;
mod state;
mod text_file;

#[cfg(test)]
mod harness;

pub use collection::FromCollection;
pub use datagen::{Generate, Generator};
pub use discard::Discard;
pub use file_sink::{FileSink, SinkToFiles};
pub use print::Print;
pub use socket::SocketTextStream;
pub use text_file::{ReadTextFile, TextFileSource};
