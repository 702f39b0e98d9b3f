//! What an object storage service answered, in words.
//!
//! Services say what is wrong in a code inside an XML or JSON body (S3: "Error responses";
//! Azure: "Blob service error codes"; GCS: "HTTP status and error codes"). The codes that a
//! person can do something about become variants here; the service's own text stays the cause.

use std::path::PathBuf;

use crate::hint::Hint;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Neither object storage nor a folder.
    #[error("nothing can be published to `{0}`")]
    Place(String),
    /// A URL without a bucket.
    #[error("`{0}` names no bucket")]
    NoBucketName(String),
    /// A URL with odd folders.
    #[error("`{0}` holds an empty, `.` or `..` part")]
    Prefix(String),
    /// Settings or credentials that cannot be used.
    #[error("{place} cannot be opened")]
    Settings {
        /// The place.
        place: String,
        /// Which ones.
        #[source]
        source: Source,
    },
    /// The bucket does not exist.
    #[error("{place} has no such bucket")]
    NoBucket {
        /// The place.
        place: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// A right is missing.
    #[error("{place} does not allow to {what}")]
    Denied {
        /// The place.
        place: String,
        /// What was tried, such as `list targets`.
        what: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// There are no credentials, or wrong ones.
    #[error("{place} does not accept these credentials")]
    Credentials {
        /// The place.
        place: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// Nothing was found to sign requests with.
    #[error("there are no credentials for {place}")]
    NoCredentials {
        /// The place.
        place: String,
        /// Where they were looked for.
        #[source]
        source: Source,
    },
    /// A profile that needs a login, or another role's keys.
    #[error("there are no keys for {place} in the profile itself")]
    Delegated {
        /// The place.
        place: String,
        /// The profile.
        profile: String,
        /// What it says instead.
        #[source]
        source: Source,
    },
    /// Credentials that were valid once.
    #[error("the credentials for {place} have expired")]
    Expired {
        /// The place.
        place: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// The bucket is elsewhere.
    #[error("the bucket of {place} lies in another region")]
    Region {
        /// The place.
        place: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// The clocks differ too much for a signature.
    #[error("the clock here and the clock of {place} differ by too much")]
    Clock {
        /// The place.
        place: String,
        /// What the service said.
        #[source]
        source: Source,
    },
    /// The service ignores or refuses conditions.
    #[error("{place} cannot write on condition, so that two publishers could mix their files")]
    NoConditions {
        /// The place.
        place: String,
        /// What the service said, if it did.
        #[source]
        source: Option<Source>,
    },
    /// Somebody else wrote in between.
    #[error("{name} at {place} was changed by somebody else")]
    Lost {
        /// The place.
        place: String,
        /// The object.
        name: String,
    },
    /// An object that is not there.
    #[error("{place} has no {name}")]
    NotFound {
        /// The place.
        place: String,
        /// The object.
        name: String,
    },
    /// Larger than anything that is read whole.
    #[error("{name} at {place} is larger than {limit} bytes")]
    TooLarge {
        /// The place.
        place: String,
        /// The object.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// Anything else.
    #[error("cannot {what} at {place}")]
    Service {
        /// The place.
        place: String,
        /// What was tried.
        what: String,
        /// What went wrong.
        #[source]
        source: Source,
    },
    /// A file on this machine.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl Hint for ObjectError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Place(_) | Self::NoBucketName(_) | Self::Prefix(_) => {
                Some("s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or a folder".into())
            }
            Self::NoBucket { place, .. } => Some(make_bucket(place)),
            Self::Denied { what, .. } if what.starts_with("list") => {
                Some("s3:ListBucket (storage.objects.list, or read on the container): without it a missing file answers 403, and agents stop".into())
            }
            Self::Denied { what, .. } if what.starts_with("read") => {
                Some("s3:GetObject and s3:ListBucket under the prefix (storage.objects.get and .list): without listing, a missing file answers 403, and agents stop".into())
            }
            Self::Denied { .. } => {
                Some("s3:GetObject, PutObject, DeleteObject and ListBucket under the prefix, or their like; `fleetpack updates publish --dry-run` and `updates pull` only read".into())
            }
            Self::Delegated { profile, .. } => Some(format!(
                "eval \"$(aws configure export-credentials --profile {profile} --format env)\""
            )),
            Self::Credentials { place, .. }
            | Self::NoCredentials { place, .. }
            | Self::Expired { place, .. } => Some(match () {
                () if place.starts_with("gs:") => "gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS".into(),
                () if place.starts_with("az:") => "az login, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY".into(),
                () => "aws sts get-caller-identity; AWS_PROFILE, or AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY".into(),
            }),
            Self::Region { .. } => Some("AWS_REGION=REGION, the one that `aws s3api get-bucket-location` names".into()),
            Self::Clock { .. } => Some("timedatectl set-ntp true".into()),
            Self::NoConditions { .. } => Some("--endpoint URL of a service that honours If-Match: S3, GCS, Azure, Ceph, SeaweedFS, versitygw".into()),
            _ => None,
        }
    }
}

/// What makes a bucket, with the tool of its cloud.
fn make_bucket(place: &str) -> String {
    let (scheme, rest) = place.split_once("://").unwrap_or(("s3", place));
    let bucket = rest.split('/').next().unwrap_or_default();
    match scheme {
        "gs" => format!("gcloud storage buckets create gs://{bucket}"),
        "az" => format!("az storage container create --name {bucket}"),
        _ => format!("aws s3 mb s3://{bucket}"),
    }
}

/// Marks a write whose refusal may mean that conditions are not understood.
pub(super) const ON_CONDITION: &str = " on condition";

/// What was tried where.
pub(super) struct Attempt<'a> {
    pub place: &'a str,
    pub what: String,
    pub name: &'a str,
}

// What a code means; the first row that fits counts.
#[derive(Clone, Copy)]
enum Meaning {
    NoBucket,
    Expired,
    Clock,
    Region,
    Credentials,
}

const MEANINGS: [(Meaning, &[&str]); 5] = [
    (
        Meaning::NoBucket,
        &[
            "NoSuchBucket",
            "ContainerNotFound",
            "The specified bucket does not exist",
        ],
    ),
    (
        Meaning::Expired,
        &[
            "ExpiredToken",
            "TokenRefreshRequired",
            "token has expired",
            "invalid_grant",
        ],
    ),
    (
        Meaning::Clock,
        &["RequestTimeTooSkewed", "Request time and server"],
    ),
    (
        Meaning::Region,
        &[
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraint",
            "incorrectly configured region",
        ],
    ),
    (
        Meaning::Credentials,
        &[
            "InvalidAccessKeyId",
            // versitygw 1.8
            "XAdminUserNotFound",
            "SignatureDoesNotMatch",
            "AuthenticationFailed",
            "InvalidAuthenticationInfo",
            "NoAuthenticationInformation",
            // Google Cloud Storage
            "AuthenticationRequired",
            "InvalidSecurity",
            // The `az` program: not there, or not logged in.
            "az account get-access-token",
            // The instance's own address, which is asked last and is not there.
            "169.254.169.254",
            "metadata.google.internal",
        ],
    ),
];

/// Puts an answer of a service into words.
pub(super) fn translate(error: object_store::Error, attempt: &Attempt<'_>) -> ObjectError {
    let text = chain(&error);
    let place = attempt.place.to_owned();
    let says = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    let source: Source = shorten(&text).into();
    let meaning = MEANINGS.iter().find(|(_, codes)| says(codes));
    match meaning.map(|(meaning, _)| meaning) {
        Some(Meaning::NoBucket) => ObjectError::NoBucket { place, source },
        Some(Meaning::Expired) => ObjectError::Expired { place, source },
        Some(Meaning::Clock) => ObjectError::Clock { place, source },
        Some(Meaning::Region) => ObjectError::Region { place, source },
        Some(Meaning::Credentials) => ObjectError::Credentials { place, source },
        None => by_status(&error, attempt, &text, source),
    }
}

fn by_status(
    error: &object_store::Error,
    attempt: &Attempt<'_>,
    text: &str,
    source: Source,
) -> ObjectError {
    use object_store::Error;
    let place = attempt.place.to_owned();
    let name = attempt.name.to_owned();
    let conditional = attempt.what.contains(ON_CONDITION);
    let what = attempt.what.replace(ON_CONDITION, "");
    let refused = ["NotImplemented", "501 ", "not yet implemented"];
    match error {
        Error::Unauthenticated { .. } => ObjectError::Credentials { place, source },
        // A refused list comes as a generic error.
        _ if matches!(error, Error::PermissionDenied { .. })
            || text.contains("status code: 403") =>
        {
            ObjectError::Denied {
                place,
                what,
                source,
            }
        }
        Error::Precondition { .. } | Error::AlreadyExists { .. } => {
            ObjectError::Lost { place, name }
        }
        Error::NotFound { .. } => ObjectError::NotFound { place, name },
        _ if conditional && refused.iter().any(|code| text.contains(code)) => {
            ObjectError::NoConditions {
                place,
                source: Some(source),
            }
        }
        _ => ObjectError::Service {
            place,
            what,
            source,
        },
    }
}

// object_store repeats its causes in its sentences; the longest of them says it all.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

// A body may be a page: its code and message are enough.
fn shorten(text: &str) -> String {
    let tag = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>"))
            .map(|(value, _)| value.trim().to_owned())
    };
    match (tag("Code"), tag("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => text.chars().take(400).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(body: &str, status: &str) -> String {
        let error = object_store::Error::Generic {
            store: "S3",
            source: format!("Server returned non-2xx status code: {status}: {body}").into(),
        };
        let attempt = Attempt {
            place: "s3://bucket",
            what: "list targets".into(),
            name: "targets",
        };
        let error = translate(error, &attempt);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        format!("{error} | {cause}")
    }

    #[test]
    fn answers_in_words() {
        for (status, code, words) in [
            ("404", "NoSuchBucket", "s3://bucket has no such bucket"),
            (
                "400",
                "ExpiredToken",
                "the credentials for s3://bucket have expired",
            ),
            (
                "403",
                "RequestTimeTooSkewed",
                "the clock here and the clock of s3://bucket differ by too much",
            ),
            (
                "301",
                "PermanentRedirect",
                "the bucket of s3://bucket lies in another region",
            ),
            (
                "400",
                "AuthorizationHeaderMalformed",
                "the bucket of s3://bucket lies in another region",
            ),
            (
                "403",
                "InvalidAccessKeyId",
                "s3://bucket does not accept these credentials",
            ),
            (
                "403 Forbidden",
                "AccessDenied",
                "s3://bucket does not allow to list targets",
            ),
            ("500", "InternalError", "cannot list targets at s3://bucket"),
        ] {
            let body = format!(
                "<Error><Code>{code}</Code><Message>words of the service</Message><HostId>x</HostId></Error>"
            );
            assert_eq!(
                translated(&body, status),
                format!("{words} | {code}: words of the service")
            );
        }
    }
}
