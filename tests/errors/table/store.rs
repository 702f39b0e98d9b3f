//! Errors of `src/store`, `src/publish` and `src/cache`.

use std::path::Path;

use fleetpack::cache::{CacheError, Damaged};
use fleetpack::cli::CliError;
use fleetpack::publish::PublishError;
use fleetpack::store::StoreError;
use fleetpack::store::http::TooSlow;
use fleetpack::store::object::ObjectError;
use fleetpack::store::tls::TlsError;
use fleetpack::tuf::client::ClientError;
use fleetpack::tuf::metadata::Role;
use fleetpack::tuf::repository::RepositoryError;
use fleetpack::tuf::trusted::Rejected;

use super::{Examples, cause, every, io, one, path, s};

pub fn all() -> Vec<Examples> {
    vec![
        store(),
        too_slow(),
        tls(),
        object(),
        publish(),
        cache(),
        damaged(),
    ]
}

const URL: &str = "https://updates.example.com/timestamp.json";
const BUCKET: &str = "s3://example-updates/fleet";

every! { store: StoreError as CliError::Store;
    Place(s("ftp://updates.example.com")),
    NoFolder(path("updates")),
    Name(s("../root.json")),
    NotFound(s(URL)),
    Status { url: s(URL), status: 403 },
    Status { url: s(URL), status: 500 },
    Downgrade { url: s(URL) },
    Transport { url: s(URL), source: cause() },
    Io { path: path("updates/repository/root.json"), source: io() },
    Object(Box::new(ObjectError::NoBucketName(s("s3://")))),
    Tls(TlsError::NoCertificate { name: s("ca.pem") }),
}

one! { too_slow: TooSlow as |error| CliError::Client(ClientError::CutOff {
        document: s("targets.json"),
        received: error.bytes,
        source: Some(std::io::Error::new(std::io::ErrorKind::TimedOut, error)),
    });
    TooSlow { bytes: 120, seconds: 60 }
}

every! { tls: TlsError as |error| CliError::Store(error.into());
    NoCertificate { name: s("ca.pem") },
    NoKey { name: s("key.pem") },
    Broken { name: s("ca.pem"), source: cause() },
    NoPair { certificate: s("client.crt"), key: s("client.key") },
    Key { key: s("client.key"), source: rustls::Error::General(s("what the library says")) },
}

every! { object: ObjectError as |error| CliError::Publish(error.into());
    Place(s("https://updates.example.com")),
    NoBucketName(s("s3://")),
    Prefix(s("s3://example-updates/../fleet")),
    Settings { place: s(BUCKET), source: cause() },
    NoBucket { place: s(BUCKET), source: cause() },
    NoBucket { place: s("gs://example-updates"), source: cause() },
    NoBucket { place: s("az://example-updates/fleet"), source: cause() },
    Denied { place: s(BUCKET), what: s("list its files"), source: cause() },
    Denied { place: s(BUCKET), what: s("read root.json"), source: cause() },
    Denied { place: s(BUCKET), what: s("write root.json"), source: cause() },
    Credentials { place: s(BUCKET), source: cause() },
    NoCredentials { place: s("gs://example-updates"), source: cause() },
    Delegated { place: s(BUCKET), profile: s("sso"), source: cause() },
    Expired { place: s("az://example-updates/fleet"), source: cause() },
    Region { place: s(BUCKET), source: cause() },
    Clock { place: s(BUCKET), source: cause() },
    NoConditions { place: s(BUCKET), source: None },
    Lost { place: s(BUCKET), name: s("timestamp.json") },
    NotFound { place: s(BUCKET), name: s("timestamp.json") },
    TooLarge { place: s(BUCKET), name: s("timestamp.json"), limit: 16_384 },
    Service { place: s(BUCKET), what: s("write timestamp.json"), source: cause() },
    Io { what: "read", path: path("updates/repository/root.json"), source: io() },
}

every! { publish: PublishError as CliError::Publish;
    Object(ObjectError::NoBucketName(s("s3://"))),
    Repository(RepositoryError::NoTarget(s("orbit/linux/stable/orbit"))),
    Store(StoreError::NotFound(s(URL))),
    Foreign { place: s(BUCKET), document: s("1.root.json"), ours_before: false },
    Foreign { place: s(BUCKET), document: s("1.root.json"), ours_before: true },
    RolledBack { place: s(BUCKET), role: Role::Targets, found: 4, seen: 5 },
    Forked { place: s(BUCKET), role: Role::Targets, version: 5 },
    Invalid { place: s(BUCKET), source: Rejected::Vanished { entry: s("targets.json") } },
    Replaced { place: s(BUCKET), document: s("targets.json"), found: s("version 4"), named: 5 },
    Incomplete { place: s(BUCKET), document: s("snapshot.json") },
    Gone(s(BUCKET)),
    Nothing(s(BUCKET)),
    Conflict(vec![s("orbit/linux/stable/orbit"), s("orbit/linux/edge/orbit")]),
    NoFile(s("orbit/linux/stable/orbit")),
    WrongFile(s("orbit/linux/stable/orbit")),
    ReadBack(s("timestamp.json")),
    Unpublished(s(BUCKET)),
    Make("the status page", cause()),
    Again,
    SourceGone,
    Stale(vec![s("timestamp.json"), s("snapshot.json")]),
    Public(2),
}

every! { cache: CacheError as CliError::Cache;
    Key { path: path("cache.key"), source: io() },
    ShortKey { path: path("cache.key"), len: 8 },
    NoKey { path: path("/var/cache/fleetpack"), source: io() },
    Keyless { url: s("s3://example-cache") },
    Remote { url: s("s3://example-cache"), source: Box::new(ObjectError::NoBucketName(s("s3://"))) },
    Place { url: s("https://cache.example.com") },
}

// A damaged entry is made anew, and this is the warning.
every! { damaged: Damaged as |damaged| CliError::Usage {
        message: format!("{}: {damaged}", Path::new("cache/entry").display()),
        hint: None,
    };
    Missing,
    Read(io()),
    Form,
    Mac,
    Part,
}
