//! The lead of a cluster: which JobManager has it, and whether it still has.
//!
//! Each lead has a folder, `leaders/<epoch>`. Who creates the file `lead` in it has that lead; then come
//! `address`, and `beat-<n>` again and again. On this machine's files there is also a file `lock`, which the
//! system takes from a process that dies: then nobody has to wait for a lease to pass.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use flott_checkpoint::storage::StoreError;
use flott_control::leadership::{Epoch, LeadSeen, LeaderWatch, Sign, Verdict};
use flott_core::{Error, ErrorKind, Result};
use flott_runtime::Clock;
use tracing::{info, warn};

use crate::storage::{Creation, Found, Place};

/// How often who waits looks whether a process of this machine has died.
const LOCAL_RETRY: Duration = Duration::from_millis(20);

/// Looks at a leader in one lease; the leader shows itself as often, almost.
const LOOKS: u32 = 5;
const BEATS: u32 = 3;

/// What is in the file `lead` if the leader before may still be there; and the file that ends what follows.
const UNCLEAN: &str = "unclean";
const SETTLED: &str = "settled";

/// How many leads are remembered.
const LEADS_MAX: usize = 8;

/// A lead that this process has, or had.
pub(super) struct Lead {
    /// The folder of all of them.
    all: Place,
    /// That of this one.
    own: Place,
    epoch: Epoch,
    /// Whether the leader before is known to be gone.
    is_clean: bool,
    lease: Duration,
    beats: AtomicU64,
    /// Held as long as this process lives.
    _lock: Option<File>,
}

impl Lead {
    /// Waits until this process leads.
    ///
    /// # Errors
    /// If the folder cannot be used.
    #[expect(clippy::disallowed_methods, reason = "nothing says when the leader is gone")]
    pub(super) fn take(all: Place, lease: Duration, clock: &dyn Clock) -> Result<Self> {
        let retry = if all.is_local() { LOCAL_RETRY.min(lease / LOOKS) } else { lease / LOOKS };
        let mut watch = LeaderWatch::new(lease);
        let mut has_said = false;
        epochs(&all)?;
        loop {
            let seen = match look(&all) {
                Ok(seen) => seen,
                // Who waits, waits also for this to pass.
                Err(error) => {
                    warn!("Who leads is not known: {}", error.report());
                    sleep(lease / LOOKS);
                    continue;
                }
            };
            match watch.observe(clock.now().mono, seen) {
                Verdict::Wait => {
                    if !has_said {
                        info!("Another JobManager leads: this one waits.");
                        has_said = true;
                    }
                }
                Verdict::Take { epoch, is_clean } => {
                    if let Some(lead) = Self::claim(&all, epoch, is_clean, lease)? {
                        let after =
                            if is_clean { "" } else { ", after one that may still be there" };
                        info!("This JobManager leads: epoch {}{after}.", epoch.0);
                        lead.forget_others();
                        return Ok(lead);
                    }
                }
            }
            sleep(retry);
        }
    }

    /// Takes a lead, unless somebody else is faster.
    fn claim(all: &Place, epoch: Epoch, is_clean: bool, lease: Duration) -> Result<Option<Self>> {
        let own = folder(all, epoch);
        own.make_folder().map_err(StoreError::into_error)?;
        let lock = match own_lock(&own)? {
            Lock::None => None,
            Lock::Taken => return Ok(None),
            Lock::Held(file) => Some(file),
        };
        let text = if is_clean { "" } else { UNCLEAN };
        let created = own.join("lead").create(text.as_bytes());
        if created.map_err(StoreError::into_error)? == Creation::Exists {
            return Ok(None);
        }
        let all = all.clone();
        let beats = AtomicU64::new(0);
        Ok(Some(Self { all, own, epoch, is_clean, lease, beats, _lock: lock }))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether nothing of what the leader before has begun can happen any more.
    pub(super) fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// How often [`Self::beat`] is to be called.
    pub(super) fn interval(&self) -> Duration {
        self.lease / BEATS
    }

    /// Whether nobody else has taken a later lead. What this process has written before it asked, whoever takes
    /// the lead after it has answered sees.
    ///
    /// # Errors
    /// If that cannot be known.
    pub(super) fn is_held(&self) -> Result<bool> {
        for (epoch, place) in epochs(&self.all)? {
            if epoch > self.epoch && place.join("lead").find()? == Found::File {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shows that this leader is there.
    pub(super) fn beat(&self) {
        let number = self.beats.fetch_add(1, Ordering::Relaxed);
        let beat = |number| self.own.join(&format!("beat-{number}"));
        let shown = beat(number + 1).write(b"").and_then(|()| beat(number).delete());
        if let Err(error) = shown {
            let error = error.into_error().report();
            warn!("This JobManager cannot show that it leads: {error}");
        }
    }

    /// Gives the lead up: this process does nothing more with it.
    pub(super) fn release(&self) {
        if let Err(error) = self.own.join("released").create(b"") {
            warn!("The lead is not given up: {}", error.into_error().report());
        }
    }

    /// Says where TaskManagers and workers reach this JobManager.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(super) fn announce(&self, address: SocketAddr) -> Result<()> {
        let written = self.own.join("address").create_once(address.to_string().as_bytes());
        written.map_err(StoreError::into_error)
    }

    /// All jobs of the leads before have been taken over: what is found of those is nobody's any more.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(super) fn has_taken_all(&self) -> Result<()> {
        self.own.join("taken").create_once(b"").map_err(StoreError::into_error)
    }

    /// Of each job it is written down which of its checkpoints do not count: who comes next need not know that the
    /// leader before this one may still be there.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(super) fn has_settled(&self) -> Result<()> {
        self.own.join(SETTLED).create_once(b"").map_err(StoreError::into_error)
    }

    /// The newest lead, before this one, that had taken all jobs over.
    ///
    /// # Errors
    /// If that cannot be read.
    pub(super) fn last_complete(&self) -> Result<Epoch> {
        for (epoch, place) in epochs(&self.all)? {
            if epoch < self.epoch && place.join("taken").find()? == Found::File {
                return Ok(epoch);
            }
        }
        Ok(Epoch(0))
    }

    /// Deletes what is left of leads of long ago.
    fn forget_others(&self) {
        for (_, place) in epochs(&self.all).unwrap_or_default().into_iter().skip(LEADS_MAX) {
            if let Err(error) = place.delete() {
                warn!("A lead of long ago stays behind: {}", error.into_error().report());
            }
        }
    }
}

/// The address of the JobManager that leads, as far as it is known.
pub(crate) fn leader_address(all: &Place) -> Option<String> {
    let mut newest = epochs(all).ok()?.into_iter().map(|(_, place)| place.join("address"));
    let address = newest.find_map(|address| address.read(None).ok())?;
    String::from_utf8(address).ok().filter(|address| !address.is_empty())
}

fn folder(all: &Place, Epoch(epoch): Epoch) -> Place {
    all.join(&format!("{epoch:010}"))
}

/// The folders of leads, the newest first. Not each of them was taken.
fn epochs(all: &Place) -> Result<Vec<(Epoch, Place)>> {
    let entries = all.list()?.into_iter().filter(|entry| entry.is_folder);
    let numbered = entries.filter_map(|entry| Some((Epoch(entry.name.parse().ok()?), entry.name)));
    let mut found: Vec<_> = numbered.map(|(epoch, name)| (epoch, all.join(&name))).collect();
    found.sort_by_key(|(epoch, _)| std::cmp::Reverse(*epoch));
    Ok(found)
}

/// What is seen of the newest lead.
fn look(all: &Place) -> Result<Option<LeadSeen>> {
    for (epoch, place) in epochs(all)? {
        let names: Vec<String> = place.list()?.into_iter().map(|entry| entry.name).collect();
        if !names.iter().any(|name| name == "lead") {
            continue;
        }
        let numbers = names.iter().filter_map(|name| name.strip_prefix("beat-")?.parse().ok());
        let sign = match other_lock(&place)? {
            // The one before that may still be there.
            Lock::Held(_) if is_unsettled(&place, &names)? => Sign::Released,
            Lock::Held(_) => Sign::Dead,
            Lock::None | Lock::Taken if names.iter().any(|name| name == "released") => {
                Sign::Released
            }
            Lock::None | Lock::Taken => Sign::None,
        };
        return Ok(Some(LeadSeen { epoch, beat: numbers.max().unwrap_or(0), sign }));
    }
    Ok(None)
}

/// Whether a lead began while the leader before may still have been there, and ended before it was written down
/// what that meant for each job.
fn is_unsettled(lead: &Place, names: &[String]) -> Result<bool> {
    if names.iter().any(|name| name == SETTLED) {
        return Ok(false);
    }
    let text = lead.join("lead").read(None).map_err(StoreError::into_error)?;
    Ok(text == UNCLEAN.as_bytes())
}

/// What became of an attempt to lock a lead's file.
enum Lock {
    /// There are no locks here.
    None,
    /// Another process has it.
    Taken,
    /// It is held as long as the file is open.
    Held(File),
}

/// Locks the file of a lead that is about to be taken.
fn own_lock(lead: &Place) -> Result<Lock> {
    if !lead.is_local() {
        return Ok(Lock::None);
    }
    let path = lead.join("lock");
    let failed = |e| Error::with_source(ErrorKind::Io, format!("cannot write {path:?}"), e);
    let file = File::options().create(true).append(true).open(path.to_string()).map_err(failed)?;
    Ok(lock(file))
}

/// Tries to lock the file of another one's lead.
fn other_lock(lead: &Place) -> Result<Lock> {
    if !lead.is_local() {
        return Ok(Lock::None);
    }
    Ok(File::open(lead.join("lock").to_string()).map_or(Lock::None, lock))
}

fn lock(file: File) -> Lock {
    match file.try_lock() {
        Ok(()) => Lock::Held(file),
        Err(TryLockError::WouldBlock) => Lock::Taken,
        // Not every file system has locks.
        Err(TryLockError::Error(_)) => Lock::None,
    }
}
