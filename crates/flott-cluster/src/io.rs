//! The threads that talk to storage, so that neither tasks nor the job master wait for it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use flott_core::{Error, ErrorKind, Result};

type Work = Box<dyn FnOnce() + Send>;

/// How much less urgent than others these threads are.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// A small pool for work that blocks. Dropping it waits for what is under way.
pub(crate) struct IoPool {
    sender: Option<Sender<Work>>,
    threads: Vec<JoinHandle<()>>,
}

impl IoPool {
    pub(crate) fn start(threads: usize) -> Result<Self> {
        let (sender, receiver) = channel::<Work>();
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = (0..threads).map(|index| {
            let receiver = receiver.clone();
            let body = move || {
                yield_to_tasks();
                work(&receiver);
            };
            Builder::new().name(format!("io-{index}")).spawn(body).map_err(|e| {
                Error::with_source(ErrorKind::Io, "cannot start a thread for storage", e)
            })
        });
        Ok(Self { sender: Some(sender), threads: threads.collect::<Result<_>>()? })
    }

    /// Runs the work on some thread of the pool, in the order of submission.
    pub(crate) fn submit(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(sender) = &self.sender {
            // The receivers live as long as the pool.
            let _ = sender.send(Box::new(work));
        }
    }
}

/// Where there are fewer processors than busy threads, this one gets about a third of what a task gets: to encode a
/// large state in one go, as it would else, makes records milliseconds late. Where it cannot be said, nothing is lost.
fn yield_to_tasks() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
    }
}

fn work(receiver: &Mutex<Receiver<Work>>) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(work) => work(),
            Err(_) => return,
        }
    }
}

impl Drop for IoPool {
    fn drop(&mut self) {
        self.sender = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
