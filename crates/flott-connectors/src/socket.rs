//! `socket_text_stream`: lines from a TCP connection.

mod reader;
#[cfg(test)]
mod tests;

use flott_core::element::Barrier;
use flott_core::{Now, Result};
use flott_datastream::{
    Collector, DataStream, OpenContext, OperatorParts, Source, SourceStatus,
    StreamExecutionEnvironment,
};

use self::reader::{Address, Reader, Taken};

/// Reads lines from sockets. For demonstrations and experiments: a socket cannot be read again, so
/// lines that were read after the last checkpoint are lost when the job restarts. (A few thousand
/// at most: what is read ahead is bounded.) The restarted job connects anew.
pub trait SocketTextStream {
    /// The lines that `host:port` sends, up to `\n` or `\r\n`, in UTF-8. The stream ends when the
    /// peer closes the connection; what it sent after the last line end is a line too. Runs in one
    /// subtask.
    fn socket_text_stream(&self, host: &str, port: u16) -> DataStream<String>;

    /// As [`SocketTextStream::socket_text_stream`], connecting again when the connection cannot be
    /// made or ends: `max_retries` times in all, with half a second between, or (`None`) without
    /// end.
    fn socket_text_stream_with_retries(
        &self,
        host: &str,
        port: u16,
        max_retries: Option<u32>,
    ) -> DataStream<String>;
}

impl SocketTextStream for StreamExecutionEnvironment {
    fn socket_text_stream(&self, host: &str, port: u16) -> DataStream<String> {
        self.socket_text_stream_with_retries(host, port, Some(0))
    }

    fn socket_text_stream_with_retries(
        &self,
        host: &str,
        port: u16,
        max_retries: Option<u32>,
    ) -> DataStream<String> {
        let address = Address { host: host.to_owned(), port, retries_max: max_retries };
        self.add_single_source("Socket Stream", move |_| SocketSource {
            address: address.clone(),
            reader: None,
        })
    }
}

struct SocketSource {
    address: Address,
    reader: Option<Reader>,
}

impl Source<String> for SocketSource {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<()> {
        context.report_unclaimed_all();
        self.reader = Some(Reader::start(self.address.clone(), context.waker.clone())?);
        Ok(())
    }

    fn poll(&mut self, limit: usize, out: &mut Collector<String>, _: Now) -> Result<SourceStatus> {
        let Some(reader) = &self.reader else { return Ok(SourceStatus::EndOfInput) };
        Ok(match reader.take(limit, out.collected())? {
            Taken::More => SourceStatus::More,
            Taken::Nothing => SourceStatus::Idle(None),
            Taken::End => SourceStatus::EndOfInput,
        })
    }

    fn snapshot(&mut self, _: Barrier, _: &mut OperatorParts) -> Result<()> {
        // There is no position to go back to.
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        // Dropping the reader ends its thread.
        self.reader = None;
        Ok(())
    }
}
