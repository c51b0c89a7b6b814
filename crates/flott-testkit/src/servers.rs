//! Real servers, for tests of what talks to them. They are installed where they are needed first, and end
//! when they are dropped.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A server with its files in a folder of its own.
pub struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Server {
    /// An S3-compatible server.
    pub fn s3() -> Self {
        Self::start("s3")
    }

    /// A NameNode and a DataNode of HDFS.
    pub fn hdfs() -> Self {
        Self::start("hdfs").ready()
    }

    /// An emulator of Azure's blob storage; the container `az://flott` is there.
    pub fn azure() -> Self {
        Self::start("azure").ready()
    }

    /// The variables with which [`Server::azure`] is reached.
    pub fn azure_variables(&self) -> [(&'static str, String); 2] {
        let url = format!("http://{}", self.address());
        [("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()), ("AZURITE_BLOB_STORAGE_URL", url)]
    }

    /// Waits until it says that it is ready: its port may be open before.
    fn ready(mut self) -> Self {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        self
    }

    fn start(kind: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/server");
        let folder = tempfile::tempdir().unwrap();
        // Free now; nobody else is likely to take it.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = Command::new(script);
        command.arg(kind).arg(folder.path()).arg(port.to_string()).stdout(Stdio::piped());
        let mut server = Self { child: command.spawn().unwrap(), port, folder };
        // The first start may have to install it.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("the server {kind} for tests does not start: {status}");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        server
    }

    /// Its address: host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where its files are. Those of S3 are as they are called, in the folder `flott` of the bucket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The options, as lines of a configuration, with which [`Server::s3`] is reached. Its bucket is
    /// `s3://flott`.
    pub fn s3_options(&self) -> [String; 3] {
        [
            format!("s3.endpoint: http://{}", self.address()),
            "s3.access-key: flott".to_owned(),
            "s3.secret-key: flott-secret".to_owned(),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its own children end with it if it can say so.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
