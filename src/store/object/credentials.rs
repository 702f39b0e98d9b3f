//! Settings and credentials, found where each cloud's own tools find them.
//!
//! S3: variables (`AWS_…`), else the profile `AWS_PROFILE` in `~/.aws/credentials` and
//! `~/.aws/config` (or the files that `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE`
//! name), else the instance's role. GCS: `GOOGLE_APPLICATION_CREDENTIALS`, else what
//! `gcloud auth application-default login` left, else the instance. Azure: variables
//! (`AZURE_…`), else the `az` program's login. Keys and tokens stay inside the builders.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(60);

type Opened = Result<Arc<dyn ObjectStore>, object_store::Error>;

/// How to reach object storage: an endpoint that is not the cloud's own, and the variables in
/// which credentials are looked for.
#[derive(Clone, Default)]
pub struct Access {
    /// Address of an S3-compatible service, or of an emulator.
    pub endpoint: Option<String>,
    variables: BTreeMap<String, String>,
}

impl Access {
    /// With these variables.
    pub fn new(
        endpoint: Option<String>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let variables = variables.into_iter().filter(|(_, value)| !value.is_empty());
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

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    // The variables that `object_store` knows by the same names in lower case.
    fn known<K: FromStr>(&self, prefix: &str) -> impl Iterator<Item = (K, &String)> {
        let named = self
            .variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix));
        named.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
    }
}

fn client(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        .with_timeout_disabled()
        // Only what a person asked for by its scheme goes without TLS.
        .with_allow_http(endpoint.is_some_and(|url| url.starts_with("http://")))
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
    let profile = Profile::of(access);
    if access.variable("AWS_ACCESS_KEY_ID").is_none()
        && let (Some(id), Some(secret)) = (
            profile.get("aws_access_key_id"),
            profile.get("aws_secret_access_key"),
        )
    {
        builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(secret);
        if let Some(token) = profile.get("aws_session_token") {
            builder = builder.with_token(token);
        }
    }
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

/// Azure Blob Storage; the account comes from its variable.
pub(super) fn az(container: &str, access: &Access) -> Opened {
    let mut builder = MicrosoftAzureBuilder::new();
    for (key, value) in access.known("AZURE_") {
        builder = builder.with_config(key, value);
    }
    if let Some(endpoint) = access.variable("IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    let endpoint = access.endpoint.as_deref();
    if let Some(endpoint) = endpoint {
        builder = builder
            .with_endpoint(endpoint.to_owned())
            .with_allow_http(endpoint.starts_with("http://"));
    }
    let own = [
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
    ];
    if own.iter().all(|name| access.variable(name).is_none()) {
        builder = builder.with_use_azure_cli(true);
    }
    let builder = builder
        .with_container_name(container)
        .with_client_options(client(endpoint))
        .with_retry(retry());
    Ok(Arc::new(builder.build()?))
}

/// A section of the AWS tools' two files.
#[derive(Default)]
struct Profile(BTreeMap<String, String>);

impl Profile {
    fn of(access: &Access) -> Self {
        let variable = |name: &str| access.variable(name);
        let name = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
        let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
        let read = |name: &str, file: &str| {
            let path = variable(name).map_or_else(|| home.join(".aws").join(file), PathBuf::from);
            crate::fs::read_limited(&path, 1 << 20)
                .ok()
                .flatten()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .unwrap_or_default()
        };
        let mut profile = Self::default();
        // The credentials file counts more than the configuration.
        profile.read(&read("AWS_CONFIG_FILE", "config"), &name);
        profile.read(&read("AWS_SHARED_CREDENTIALS_FILE", "credentials"), &name);
        profile
    }

    // Sections are `[NAME]` in one file and `[profile NAME]` in the other.
    fn read(&mut self, text: &str, name: &str) {
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(section) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                let section = section.trim();
                inside = section.strip_prefix("profile ").unwrap_or(section).trim() == name;
                continue;
            }
            let setting = line.split_once('=').filter(|_| inside);
            if let Some((key, value)) = setting.filter(|_| !line.starts_with(['#', ';'])) {
                self.0
                    .insert(key.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles() {
        let config = "[default]\nregion = eu-central-1\n[profile ci]\nregion=eu-west-1 \n# x = y\n";
        let credentials = "[default]\naws_access_key_id=A\n[ci]\naws_access_key_id = B\n";
        for (name, region, id) in [("default", "eu-central-1", "A"), ("ci", "eu-west-1", "B")] {
            let mut profile = Profile::default();
            profile.read(config, name);
            profile.read(credentials, name);
            assert_eq!(profile.get("region"), Some(region));
            assert_eq!(profile.get("aws_access_key_id"), Some(id));
            assert_eq!(profile.get("# x"), None);
        }
    }
}
