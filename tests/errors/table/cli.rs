//! Errors of `src/cli` itself. What it passes on from below has its own list; here is one of each.

use fleetpack::agent::AgentError;
use fleetpack::agent::config::ConfigError;
use fleetpack::agent::fetch::FetchError;
use fleetpack::agent::release::ReleaseError;
use fleetpack::agent::sample::SampleError;
use fleetpack::apple::manifest::ManifestError as AppleManifestError;
use fleetpack::apple::notary::NotaryError;
use fleetpack::apple::signing::SigningError;
use fleetpack::cache::CacheError;
use fleetpack::cli::package::ManifestError;
use fleetpack::cli::{CliError, Exit};
use fleetpack::inspect::InspectError;
use fleetpack::intune::IntuneError;
use fleetpack::package::BuildError;
use fleetpack::package::read::{Difference, ReadError};
use fleetpack::package::rpm::KeyError;
use fleetpack::provenance::BomError;
use fleetpack::publish::PublishError;
use fleetpack::store::StoreError;
use fleetpack::tuf::ceremony::CeremonyError;
use fleetpack::tuf::client::ClientError;
use fleetpack::tuf::metadata::Role;
use fleetpack::tuf::repository::RepositoryError;
use fleetpack::tuf::token::TokenError;

use super::{Examples, cause, every, io, one, path, s};

pub fn all() -> Vec<Examples> {
    vec![cli(), manifest()]
}

every! { cli: CliError as |error| error;
    Usage { message: s("--keys N is given twice"), hint: Some(s("fleetpack updates rotate ROLE --keys N")) },
    Usage { message: s("cannot write into text.deb: it is no folder"), hint: None },
    Print(io()),
    Bom(BomError { name: s("fleet-osquery.deb"), source: cause() }),
    Config(ConfigError::Exclusive("--insecure", "--fleet-certificate")),
    Store(StoreError::NotFound(s("https://updates.example.com/timestamp.json"))),
    Client(ClientError::NotRefreshed),
    Fetch(FetchError::Temporary { folder: path("/tmp"), source: io() }),
    Agent(AgentError::NoVersion(s("orbit/linux/stable/orbit"))),
    Sample(SampleError::Archive(io())),
    Read(ReadError::Truncated { part: s("data.tar.gz") }),
    Difference(Difference::Missing(s("/opt/orbit/certs.pem"))),
    Build(BuildError::Cancelled),
    Ceremony(CeremonyError::NoKey(Role::Root)),
    Token(TokenError::PinLocked),
    Repository(RepositoryError::NothingPending),
    Publish(PublishError::Again),
    Release(ReleaseError::Unusable { path: path("orbit"), reason: "it is empty" }),
    Inspect(InspectError::Unknown { path: path("agent.deb") }),
    Signing(KeyError::Revoked { key: s("4C9B8D0A5E") }),
    Batching { path: path("teams.toml"), source: line() },
    Batch { failed: 2, of: 5 },
    Expiry { exit: Exit::Expired, role: Role::Timestamp, expires: s("2026-11-30T00:00:00Z") },
    Expiry { exit: Exit::ExpiresSoon, role: Role::Root, expires: s("2026-11-30T00:00:00Z") },
    Faults { faults: 1, place: s("updates") },
    MacosSigning(SigningError::NotBuilt),
    Notary(NotaryError::Unauthorized(401)),
    Manifest(AppleManifestError::Read(io())),
    Intune(IntuneError::Io { name: s("fleet-osquery.msi"), source: io() }),
    Unlike(path("fleet-osquery.deb")),
    Cache(CacheError::Keyless { url: s("s3://example-cache") }),
    Place(io()),
    Io(io()),
}

fn line() -> ManifestError {
    ManifestError {
        line: 3,
        what: s("there is no setting `flet-url`"),
    }
}

one! { manifest: ManifestError as |source| CliError::Batching { path: path("teams.toml"), source };
    line()
}
