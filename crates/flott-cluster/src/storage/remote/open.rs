//! How stores elsewhere are reached.

use std::sync::{Arc, OnceLock};

use flott_core::config::Configuration;
use flott_core::{Error, ErrorKind, Result};
use tokio::runtime::{Handle, Runtime};

use super::super::store::Store;
use super::Kind;
use super::object::RemoteStore;

/// Threads that carry what is read and written; they belong to the process.
const THREADS: usize = 2;

/// Opens a store, if this program is built with its kind.
///
/// # Errors
/// If its configuration is wrong.
pub(super) fn open(
    kind: Kind,
    root: &str,
    config: &Configuration,
) -> Result<Option<Arc<dyn Store>>> {
    Ok(match kind {
        #[cfg(feature = "hdfs")]
        Kind::Hdfs => Some(Arc::new(hdfs(root)?)),
        #[cfg(feature = "cloud")]
        Kind::S3 => Some(Arc::new(store(cloud::s3(root, config)?, root)?)),
        #[cfg(feature = "cloud")]
        Kind::Gs => Some(Arc::new(store(cloud::gs(root)?, root)?)),
        #[cfg(feature = "cloud")]
        Kind::Az => Some(Arc::new(store(cloud::az(root)?, root)?)),
        #[cfg(not(all(feature = "hdfs", feature = "cloud")))]
        _ => {
            let _ = (root, config);
            None
        }
    })
}

/// A store that is reached through this library.
fn store(objects: Arc<dyn object_store::ObjectStore>, root: &str) -> Result<RemoteStore> {
    Ok(RemoteStore {
        objects,
        root: root.to_owned(),
        runtime: runtime()?,
        #[cfg(feature = "hdfs")]
        folders: None,
    })
}

#[cfg(feature = "hdfs")]
fn hdfs(root: &str) -> Result<RemoteStore> {
    let client = hdfs_native::ClientBuilder::new().with_io_runtime(runtime()?);
    // Without a host, that of Hadoop's own configuration is meant.
    let client = if root == "hdfs://" { client } else { client.with_url(root) };
    let client = client.build().map_err(|e| {
        Error::with_source(ErrorKind::InvalidInput, "this process is not configured for it", e)
    })?;
    let objects = Arc::new(hdfs_native_object_store::HdfsObjectStore::new(client.clone()));
    Ok(RemoteStore { folders: Some(client), ..store(objects, root)? })
}

/// The stores that are reached by HTTP. Credentials that the configuration does not have come from the
/// environment, or from whom the cloud's machines ask.
#[cfg(feature = "cloud")]
mod cloud {
    use std::sync::Arc;
    use std::time::Duration;

    use flott_core::config::{Configuration, options};
    use flott_core::{Error, ErrorKind, Result};
    use object_store::ClientConfigKey::Timeout;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
    use object_store::{ObjectStore, RetryConfig};

    /// For how long a request is tried again that a store could not answer.
    const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

    /// How long a single request may take, in the words of the builders.
    const REQUEST_TIMEOUT: &str = "120 seconds";

    pub(super) fn s3(root: &str, config: &Configuration) -> Result<Arc<dyn ObjectStore>> {
        choose_tls();
        let builder = s3_builder(root, config)?.with_retry(retry());
        let key = AmazonS3ConfigKey::Client(Timeout);
        opened(builder.with_config(key, REQUEST_TIMEOUT).build())
    }

    pub(super) fn gs(root: &str) -> Result<Arc<dyn ObjectStore>> {
        choose_tls();
        let builder = GoogleCloudStorageBuilder::from_env().with_url(root).with_retry(retry());
        let key = GoogleConfigKey::Client(Timeout);
        opened(builder.with_config(key, REQUEST_TIMEOUT).build())
    }

    pub(super) fn az(root: &str) -> Result<Arc<dyn ObjectStore>> {
        choose_tls();
        let builder = MicrosoftAzureBuilder::from_env().with_url(root).with_retry(retry());
        let key = AzureConfigKey::Client(Timeout);
        opened(builder.with_config(key, REQUEST_TIMEOUT).build())
    }

    /// The cryptography of TLS is chosen once in a process, before the first store is made.
    fn choose_tls() {
        // An error means that the program has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    fn retry() -> RetryConfig {
        RetryConfig { retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() }
    }

    fn opened(built: object_store::Result<impl ObjectStore>) -> Result<Arc<dyn ObjectStore>> {
        let store = built.map_err(|e| {
            Error::with_source(ErrorKind::InvalidInput, "this process is not configured for it", e)
        })?;
        Ok(Arc::new(store))
    }

    fn s3_builder(root: &str, config: &Configuration) -> Result<AmazonS3Builder> {
        let bucket = root.split_once("://").map_or(root, |(_, bucket)| bucket);
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(region) = config.get(&options::S3_REGION)? {
            builder = builder.with_region(region);
        }
        let keys = (config.get(&options::S3_ACCESS_KEY)?, config.get(&options::S3_SECRET_KEY)?);
        if let (Some(access), Some(secret)) = &keys {
            builder =
                builder.with_access_key_id(access.reveal()).with_secret_access_key(secret.reveal());
        } else if keys != (None, None) {
            return Err(Error::invalid("of s3.access-key and s3.secret-key, one is missing"));
        }
        let endpoint = config.get(&options::S3_ENDPOINT)?;
        let is_path_style = config.get(&options::S3_PATH_STYLE)?;
        if let Some(is_path_style) = is_path_style {
            builder = builder.with_virtual_hosted_style_request(!is_path_style);
        }
        if let Some(endpoint) = endpoint {
            let is_path_style = is_path_style.unwrap_or(true);
            let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", &endpoint));
            let bucket = if is_path_style { String::new() } else { format!("{bucket}.") };
            builder = builder
                .with_allow_http(scheme == "http")
                .with_endpoint(format!("{scheme}://{bucket}{host}"));
        }
        Ok(builder)
    }
}

/// The threads of this process that carry what is read and written.
fn runtime() -> Result<Handle> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("storage")
        .enable_all()
        .build()
        .map_err(|e| Error::with_source(ErrorKind::Io, "cannot start threads for storage", e))?;
    // Of two that are made at once, one goes.
    Ok(RUNTIME.get_or_init(|| runtime).handle().clone())
}
