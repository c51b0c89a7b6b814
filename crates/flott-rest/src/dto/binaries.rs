//! Job binaries: `/jars` and what is below it. Where Flink has jars, Flott has executables.

use flott_control::actions::{Binary, Submission};
use flott_core::JobId;
use serde::{Deserialize, Serialize};

/// `/jars`.
#[derive(Serialize)]
pub(crate) struct JarListInfo {
    address: String,
    files: Vec<JarFileInfo>,
}

#[derive(Serialize)]
struct JarFileInfo {
    id: String,
    name: String,
    uploaded: i64,
    entry: Vec<JarEntryInfo>,
}

#[derive(Serialize)]
struct JarEntryInfo {
    name: String,
    description: Option<String>,
}

impl JarListInfo {
    pub(crate) fn of(host: &str, binaries: Vec<Binary>) -> Self {
        let file = |binary: Binary| JarFileInfo {
            id: binary.id,
            name: binary.name,
            uploaded: binary.uploaded.0,
            entry: entries(binary.jobs),
        };
        Self { address: format!("http://{host}"), files: binaries.into_iter().map(file).collect() }
    }
}

fn entries(jobs: Vec<(String, Option<String>)>) -> Vec<JarEntryInfo> {
    jobs.into_iter().map(|(name, description)| JarEntryInfo { name, description }).collect()
}

/// `/jars/upload`. Clients take what follows the last slash for the id.
#[derive(Serialize)]
pub(crate) struct JarUploadResponse {
    filename: String,
    status: &'static str,
}

impl JarUploadResponse {
    pub(crate) fn of(binary: &Binary) -> Self {
        Self { filename: format!("/{}", binary.id), status: "success" }
    }
}

/// What runs or plans a job. Clients leave out what they have no wish about.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JarRunRequest {
    entry_class: Option<String>,
    parallelism: Option<u32>,
    program_args_list: Option<Vec<String>>,
    savepoint_path: Option<String>,
    allow_non_restored_state: Option<bool>,
    claim_mode: Option<String>,
    /// What it was called before.
    restore_mode: Option<String>,
    flink_configuration: Option<std::collections::BTreeMap<String, String>>,
}

impl JarRunRequest {
    /// What is wanted of this binary. Flink's clients say some things in the query; the body has
    /// precedence.
    ///
    /// # Errors
    /// Names a query parameter that is wrong, and its value.
    pub(crate) fn submission(
        self,
        binary: &str,
        query: &[(String, String)],
    ) -> Result<Submission, (&'static str, String)> {
        let named = |name: &'static str| query.iter().find(|(key, _)| key == name);
        let text = |name| named(name).map(|(_, value)| value.clone()).filter(|v| !v.is_empty());
        let arguments = query.iter().filter(|(key, _)| key == "programArg");
        let arguments = arguments.map(|(_, value)| value.clone()).collect();
        let parallelism = text("parallelism").map(|value| match value.parse() {
            Ok(parallelism) => Ok(parallelism),
            Err(_) => Err(("parallelism", value)),
        });
        let allow = text("allowNonRestoredState").map(|value| match value.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(("allowNonRestoredState", value)),
        });
        let (parallelism, allow) = (parallelism.transpose()?, allow.transpose()?);
        let mut options = self.flink_configuration.unwrap_or_default();
        if let Some(mode) = self.claim_mode.or(self.restore_mode) {
            options.insert("execution.state-recovery.claim-mode".to_owned(), mode);
        }
        Ok(Submission {
            binary: binary.to_owned(),
            job: self.entry_class.or_else(|| text("entry-class")).filter(|job| !job.is_empty()),
            arguments: self.program_args_list.unwrap_or(arguments),
            parallelism: self.parallelism.or(parallelism),
            savepoint: self.savepoint_path.or_else(|| text("savepointPath")),
            allow_non_restored_state: self.allow_non_restored_state.or(allow).unwrap_or(false),
            options: options.into_iter().collect(),
        })
    }
}

/// `/jars/:jarid/run`.
#[derive(Serialize)]
pub(crate) struct JarRunResponse {
    jobid: String,
    /// A job is its own application.
    #[serde(rename = "applicationId")]
    application_id: String,
}

impl JarRunResponse {
    pub(crate) fn of(job: JobId) -> Self {
        Self { jobid: job.to_string(), application_id: job.to_string() }
    }
}
