//! Settings and credentials, found where each cloud's own tools find them.
//!
//! S3: see `aws`. GCS: `GOOGLE_APPLICATION_CREDENTIALS`, else what
//! `gcloud auth application-default login` left, else the instance. Azure: variables
//! (`AZURE_…`), else the `az` program's login. Keys and tokens stay inside the builders.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;
use zeroize::Zeroizing;

use super::aws::{self, Profile};
use super::cloud::PART;

/// Variables of the clouds' tools: how their names begin, and others.
const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
const OURS: [&str; 3] = ["HOME", "STORAGE_EMULATOR_HOST", "IDENTITY_ENDPOINT"];

const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);
/// The longest that a request takes: a minute, and the part that it carries at 4 KiB/s, as a web
/// server's answers may.
const REQUEST: Duration = Duration::from_secs(60 + (PART as u64) / 4096);

type Opened = Result<Arc<dyn ObjectStore>, Refusal>;

/// Why object storage cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Settings that do not go together.
    #[error(transparent)]
    Settings(#[from] object_store::Error),
    /// Nothing was found; where it was looked for.
    #[error("{0}")]
    NoCredentials(String),
    /// A profile whose keys other tools get.
    #[error(
        "the keys of the profile {0} are got by the AWS tools, by a login or from another role"
    )]
    Delegated(String),
}

/// How to reach object storage: an endpoint that is not the cloud's own, and the variables in
/// which credentials are looked for.
#[derive(Clone, Default)]
pub struct Access {
    /// Address of an S3-compatible service, or of an emulator.
    pub endpoint: Option<String>,
    variables: BTreeMap<String, Zeroizing<String>>,
}

impl Access {
    /// With these variables.
    pub fn new(
        endpoint: Option<String>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        // Nothing else is kept: what is here may hold passphrases.
        let ours = |name: &str| {
            OURS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name, Zeroizing::new(value)));
        let variables = variables.filter(|(name, value)| !value.is_empty() && ours(name));
        Self {
            endpoint,
            variables: variables.collect(),
        }
    }

    /// With this process's.
    pub fn of_process(endpoint: Option<String>) -> Self {
        let variables = std::env::vars_os();
        let text = variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::new(endpoint, text)
    }

    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| value.to_string())
    }

    // The variables that `object_store` knows by the same names in lower case.
    fn known<K: FromStr>(&self, prefix: &str) -> impl Iterator<Item = (K, &str)> {
        let named = self
            .variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix));
        named.filter_map(|(name, value)| {
            Some((name.to_ascii_lowercase().parse().ok()?, value.as_str()))
        })
    }
}

fn client(endpoint: Option<&str>) -> ClientOptions {
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        .with_timeout(REQUEST)
        // Only what a person asked for by its scheme goes without TLS.
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")));
    // Mozilla's authorities, as for update repositories; the library adds the system's, where
    // there are any.
    TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .fold(options, ClientOptions::with_root_certificate)
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 4,
        retry_timeout: Duration::from_secs(60),
    }
}

/// Amazon S3 and what speaks like it.
pub(super) fn s3(bucket: &str, access: &Access) -> Opened {
    let mut builder = AmazonS3Builder::new();
    for (key, value) in access.known("AWS_") {
        builder = builder.with_config(key, value);
    }
    let profile = Profile::of(access)?;
    builder = aws::authorize(builder, access, &profile)?;
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    if region.iter().all(|name| access.variable(name).is_none())
        && let Some(region) = profile.get("region")
    {
        builder = builder.with_region(region);
    }
    let endpoint = access
        .endpoint
        .clone()
        .or_else(|| access.variable("AWS_ENDPOINT_URL_S3"))
        .or_else(|| access.variable("AWS_ENDPOINT_URL"))
        .or_else(|| profile.get("endpoint_url").map(str::to_owned));
    builder = builder.with_client_options(client(endpoint.as_deref()));
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let builder = builder.with_bucket_name(bucket).with_retry(retry());
    Ok(Arc::new(builder.build()?))
}

/// Google Cloud Storage.
pub(super) fn gs(bucket: &str, access: &Access) -> Opened {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (key, value) in access.known("GOOGLE_") {
        builder = builder.with_config(key, value);
    }
    // Google's own libraries look for an emulator there, with or without a scheme.
    let emulator = access.variable("STORAGE_EMULATOR_HOST");
    let emulator = emulator.map(|host| match host.contains("://") {
        true => host,
        false => format!("http://{host}"),
    });
    let endpoint = access.endpoint.clone().or(emulator);
    if let Some(endpoint) = &endpoint {
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
    }
    let builder = builder
        .with_bucket_name(bucket)
        .with_client_options(client(endpoint.as_deref()))
        .with_retry(retry());
    Ok(Arc::new(builder.build()?))
}

// What the `az` program calls otherwise than `object_store`: single variables, and the parts of
// a connection string.
fn connection(access: &Access) -> Vec<(AzureConfigKey, String)> {
    let mut found = Vec::new();
    let text = access.variable("AZURE_STORAGE_CONNECTION_STRING");
    for part in text.as_deref().unwrap_or_default().split(';') {
        let key = match part.split_once('=') {
            Some(("AccountName", value)) => (AzureConfigKey::AccountName, value),
            Some(("AccountKey", value)) => (AzureConfigKey::AccessKey, value),
            Some(("SharedAccessSignature", value)) => (AzureConfigKey::SasKey, value),
            Some(("BlobEndpoint", value)) => (AzureConfigKey::Endpoint, value),
            _ => continue,
        };
        found.push((key.0, key.1.to_owned()));
    }
    // One with a signature names no account: its endpoint does.
    let named = |key: AzureConfigKey| found.iter().find(|(found, _)| *found == key);
    if named(AzureConfigKey::AccountName).is_none()
        && let Some((_, endpoint)) = named(AzureConfigKey::Endpoint)
        && let Some(account) = account_of(endpoint)
    {
        found.push((AzureConfigKey::AccountName, account));
    }
    for (name, key) in [
        ("AZURE_STORAGE_ACCOUNT", AzureConfigKey::AccountName),
        ("AZURE_STORAGE_KEY", AzureConfigKey::AccessKey),
    ] {
        found.extend(access.variable(name).map(|value| (key, value)));
    }
    found
}

/// The account that an endpoint is of: `https://ACCOUNT.blob.…`, or an emulator's
/// `http://ADDRESS:PORT/ACCOUNT`.
fn account_of(endpoint: &str) -> Option<String> {
    let url = url::Url::parse(endpoint).ok()?;
    let account = match url.host_str()?.split_once(".blob.") {
        Some((account, _)) => account,
        None => url.path_segments()?.next()?,
    };
    (!account.is_empty()).then(|| account.to_owned())
}

/// Azure Blob Storage; the account comes from its variable.
pub(super) fn az(container: &str, access: &Access) -> Opened {
    let mut builder = MicrosoftAzureBuilder::new();
    let variables = access
        .known("AZURE_")
        .map(|(key, value)| (key, value.to_owned()));
    for (key, value) in connection(access).into_iter().chain(variables) {
        builder = builder.with_config(key, value);
    }
    if let Some(endpoint) = access.variable("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    let given = builder.get_config_value(&AzureConfigKey::Endpoint);
    let endpoint = access.endpoint.clone().or(given);
    if let Some(endpoint) = &endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let own = [
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_KEY",
        "AZURE_STORAGE_CONNECTION_STRING",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
    ];
    // Asking the instance's address is left to the `az` program, which knows where it is.
    if own.iter().all(|name| access.variable(name).is_none()) {
        builder = builder.with_use_azure_cli(true);
    }
    let builder = builder
        .with_container_name(container)
        .with_client_options(client(endpoint.as_deref()))
        .with_retry(retry());
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_endpoints() {
        for (endpoint, account) in [
            ("https://example.blob.core.windows.net/", Some("example")),
            (
                "https://example.blob.core.chinacloudapi.cn",
                Some("example"),
            ),
            (
                "http://127.0.0.1:10000/devstoreaccount1",
                Some("devstoreaccount1"),
            ),
            ("http://127.0.0.1:10000/", None),
            ("example", None),
        ] {
            assert_eq!(account_of(endpoint).as_deref(), account, "{endpoint}");
        }
    }
}
