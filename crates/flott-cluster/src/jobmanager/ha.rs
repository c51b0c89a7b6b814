//! High availability: what a JobManager writes down, so that the next one can go on.
//!
//! `high-availability.type: filesystem` keeps a folder for the cluster, in any checkpoint storage: who
//! leads ([`lead`]), the job binaries, and a record of each job that is not over ([`record`]). Completed
//! checkpoints need no record: those of a job are in the job's own folder, and the newest is where it goes on.
//!
//! A JobManager that was paused may not know that another one leads. So whatever another one could contradict
//! is written first, under a name of its own; then it asks whether it still leads ([`HaStore::still_leads`]),
//! and only then it acts. Who takes the lead does the same the other way round: it takes the lead, and then
//! reads. Of the two, one sees the other.

mod lead;
mod record;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};

use flott_checkpoint::storage::StoreError;
use flott_control::leadership::Epoch;
use flott_core::config::options::HighAvailability;
use flott_core::config::{Configuration, options};
use flott_core::{Error, JobId, Result};
use flott_runtime::Clock;
use tracing::{error, warn};

use crate::storage::{Place, Stores, prove_writable};
use lead::Lead;
pub(crate) use lead::leader_address;
pub(super) use record::JobRecord;

/// What a JobManager does that finds that another one leads: whatever it did next could be wrong.
pub type LeadLost = fn() -> !;

/// The folder of a cluster, and the lead in it.
pub(super) struct HaStore {
    folder: Place,
    lead: Lead,
    lead_lost: LeadLost,
    /// How many records of each job this process has written.
    written: Mutex<BTreeMap<JobId, u64>>,
}

/// What there is of a job: the file's lead, its number, and whether it says that the job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RecordName {
    epoch: Epoch,
    number: u64,
    is_over: bool,
}

impl RecordName {
    fn parse(name: &str) -> Option<Self> {
        let (numbers, extension) = name.split_once('.')?;
        let (epoch, number) = numbers.split_once('-')?;
        let is_over = match extension {
            "json" => false,
            "over" => true,
            _ => return None,
        };
        Some(Self { epoch: Epoch(epoch.parse().ok()?), number: number.parse().ok()?, is_over })
    }

    fn text(self) -> String {
        let extension = if self.is_over { "over" } else { "json" };
        format!("{:010}-{:010}.{extension}", self.epoch.0, self.number)
    }
}

impl HaStore {
    /// Waits until this process leads; nothing without high availability.
    ///
    /// # Errors
    /// If an option is missing, or the folder cannot be written.
    pub(super) fn lead(
        config: &Configuration,
        stores: &Stores,
        clock: &dyn Clock,
        lead_lost: LeadLost,
    ) -> Result<Option<Self>> {
        let Some(folder) = folder(config)? else { return Ok(None) };
        let folder = stores.place(&folder)?;
        let unusable = |error: StoreError| {
            error.into_error().context(format!("{folder:?} (high-availability.storageDir)"))
        };
        for name in ["jobs", "leaders"] {
            folder.join(name).make_folder().map_err(unusable)?;
        }
        prove_writable(&folder).map_err(unusable)?;
        let lease = config.get(&options::LEASE_DURATION)?;
        let lead = Lead::take(folder.join("leaders"), lease, clock)?;
        Ok(Some(Self { folder, lead, lead_lost, written: Mutex::default() }))
    }

    /// As [`Lead::announce`].
    pub(super) fn announce(&self, address: SocketAddr) -> Result<()> {
        self.lead.announce(address)
    }

    /// As [`Lead::is_clean`].
    pub(super) fn is_clean(&self) -> bool {
        self.lead.is_clean()
    }

    /// As [`Lead::has_settled`].
    pub(super) fn has_settled(&self) -> Result<()> {
        self.lead.has_settled()
    }

    /// Returns if what was written before may be acted on; does not if another JobManager leads.
    ///
    /// # Errors
    /// If that cannot be known.
    pub(super) fn still_leads(&self) -> Result<()> {
        if self.lead.is_held()? {
            return Ok(());
        }
        error!("Another JobManager leads: this one ends, and what it has begun does not count.");
        (self.lead_lost)()
    }

    /// Shows that this JobManager is there, until `stop` ends; then the lead is given up.
    pub(super) fn show(self: Arc<Self>, stop: &Receiver<()>) {
        loop {
            self.lead.beat();
            if let Err(error) = self.still_leads() {
                warn!("Whether this JobManager still leads is not known: {}", error.report());
            }
            if stop.recv_timeout(self.lead.interval()) != Err(RecvTimeoutError::Timeout) {
                return self.lead.release();
            }
        }
    }

    /// Where job binaries are kept.
    pub(super) fn binaries(&self) -> Place {
        self.folder.join("binaries")
    }

    /// Writes a job down; returns when it is safe, and may be acted on.
    ///
    /// # Errors
    /// If that fails: then the record is this one, or the one before, or none.
    pub(super) fn put(&self, record: &JobRecord) -> Result<()> {
        let text = serde_json::to_vec(record)?;
        let name = self.next_name(record.job, false);
        self.create(record.job, name, &text)?;
        if let Some(number) = name.number.checked_sub(1) {
            // The newest counts: one that stays behind is only a stray file.
            let _ = self.job(record.job).join(&RecordName { number, ..name }.text()).delete();
        }
        self.still_leads()
    }

    /// Forgets a job: it is over. Returns when nobody will take it over, and its files may be deleted.
    ///
    /// # Errors
    /// If that is not known.
    pub(super) fn remove(&self, job: JobId) -> Result<()> {
        self.create(job, self.next_name(job, true), b"")?;
        self.still_leads()?;
        if let Err(error) = self.job(job).delete() {
            let error = error.into_error().report();
            warn!("The record of a job that is over stays: {error}");
        }
        Ok(())
    }

    /// Takes the jobs over that are not over. What cannot be read is an error in its place, and stays.
    ///
    /// # Errors
    /// If the folder cannot be read, or written.
    pub(super) fn take_jobs(&self) -> Result<Vec<Result<JobRecord>>> {
        let since = self.lead.last_complete()?;
        let mut records = Vec::new();
        for entry in self.folder.join("jobs").list()? {
            let folder = self.folder.join("jobs").join(&entry.name);
            let names = folder.list()?.into_iter().filter_map(|file| RecordName::parse(&file.name));
            let newest = names.filter(|name| name.epoch >= since).max();
            // What is older than that was written by one that did not lead any more.
            let Some(newest) = newest.filter(|newest| !newest.is_over) else {
                folder.delete().map_err(StoreError::into_error)?;
                continue;
            };
            let place = folder.join(&newest.text());
            let text = place.read(None).map_err(StoreError::into_error)?;
            let own = RecordName { epoch: self.lead.epoch(), number: 0, is_over: false };
            folder.join(&own.text()).create_once(&text).map_err(StoreError::into_error)?;
            records.push(JobRecord::decode(&text, &place));
        }
        self.lead.has_taken_all()?;
        self.still_leads()?;
        Ok(records)
    }

    fn job(&self, job: JobId) -> Place {
        self.folder.join("jobs").join(&job.to_string())
    }

    fn next_name(&self, job: JobId, is_over: bool) -> RecordName {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let number = written.entry(job).or_default();
        *number += 1;
        RecordName { epoch: self.lead.epoch(), number: *number, is_over }
    }

    fn create(&self, job: JobId, name: RecordName, text: &[u8]) -> Result<()> {
        let folder = self.job(job);
        let written =
            folder.make_folder().and_then(|()| folder.join(&name.text()).create_once(text));
        written.map_err(|error| error.into_error().context("the job's record cannot be written"))
    }
}

/// The folder of the cluster; nothing without high availability.
fn folder(config: &Configuration) -> Result<Option<String>> {
    if config.get(&options::HIGH_AVAILABILITY)? == HighAvailability::None {
        return Ok(None);
    }
    let directory = config.get(&options::HA_STORAGE_DIR)?.ok_or_else(|| {
        Error::invalid(
            "high-availability.type is filesystem, but high-availability.storageDir is not set",
        )
    })?;
    let cluster = config.get(&options::HA_CLUSTER_ID)?;
    Ok(Some(format!("{}/{cluster}", directory.trim_end_matches('/'))))
}

/// Where it stands which JobManager leads; nothing without high availability.
///
/// # Errors
/// If an option is missing or wrong.
pub(crate) fn leaders_folder(config: &Configuration) -> Result<Option<String>> {
    Ok(folder(config)?.map(|folder| format!("{folder}/leaders")))
}

#[cfg(test)]
mod tests;
