//! Everything that can end a command, its hint, and its exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use super::package;
use crate::agent::AgentError;
use crate::agent::config::ConfigError;
use crate::agent::fetch::FetchError;
use crate::agent::release::ReleaseError;
use crate::agent::sample::SampleError;
use crate::apple::manifest::ManifestError;
use crate::apple::notary::NotaryError;
use crate::apple::signing::SigningError;
use crate::cache::CacheError;
use crate::hint::Hint;
use crate::inspect::InspectError;
use crate::intune::IntuneError;
use crate::package::BuildError;
use crate::package::read::{Difference, ReadError};
use crate::package::rpm::KeyError;
use crate::provenance::BomError;
use crate::publish::PublishError;
use crate::store::StoreError;
use crate::tuf::ceremony::CeremonyError;
use crate::tuf::client::ClientError;
use crate::tuf::metadata::Role;
use crate::tuf::repository::RepositoryError;
use crate::tuf::token::TokenError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command could not do what was asked.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// Metadata expire soon.
    ExpiresSoon = 3,
    /// Metadata have expired.
    Expired = 4,
    /// The change waits for signatures, and nothing is published yet.
    Waiting = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with its causes, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// A command's error: one variant per floor below, and what only this floor can find wrong.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Arguments that do not go together, or a value that is none.
    #[error("{message}")]
    Usage {
        /// What is wrong, naming the flag.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// Standard output or the terminal failed.
    #[error("cannot write to standard output")]
    Print(#[source] std::io::Error),
    /// A bill of materials could not be written.
    #[error(transparent)]
    Bom(#[from] BomError),
    /// A setting that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The update repository could not be read, or a certificate for it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The update repository cannot be trusted, or followed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Programs could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Configuration and programs do not make an installer.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The sample agent could not be made.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// An installer could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An installer that was just made holds something else than it should.
    #[error("the installer is not what it should be")]
    Difference(#[from] Difference),
    /// The installer could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A payload is not to be signed.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// A token's key could not be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The update repository could not be read or changed.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// Publishing or pulling failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A program that cannot be published.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// An installer could not be inspected.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The key for rpm files cannot be used.
    #[error(transparent)]
    Signing(#[from] KeyError),
    /// A manifest of many installers that cannot be followed.
    #[error("cannot follow the manifest {}", path.display())]
    Batching {
        /// The manifest.
        path: PathBuf,
        /// Where it is wrong.
        source: package::ManifestError,
    },
    /// Some of many installers could not be made.
    #[error("{failed} of {of} installers could not be made")]
    Batch {
        /// How many failed.
        failed: usize,
        /// Of how many.
        of: usize,
    },
    /// Metadata have expired or are about to.
    #[error("{role}.json {} at {expires}", if *exit == Exit::Expired { "expired" } else { "expires" })]
    Expiry {
        /// What it is.
        exit: Exit,
        /// Whose metadata.
        role: Role,
        /// When.
        expires: String,
    },
    /// What was printed is wrong with a repository.
    #[error("the repository at {place} has {faults} fault{}", if *faults == 1 { "" } else { "s" })]
    Faults {
        /// How many.
        faults: usize,
        /// Folder or URL.
        place: String,
    },
    /// A macOS package could not be signed.
    #[error(transparent)]
    MacosSigning(#[from] SigningError),
    /// A macOS package could not be notarised.
    #[error(transparent)]
    Notary(#[from] NotaryError),
    /// The manifest of a macOS package could not be made.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A Windows package could not be wrapped.
    #[error(transparent)]
    Intune(#[from] IntuneError),
    /// An installer that other flags, programs or another fleetpack made.
    #[error("{} is not what these flags make", .0.display())]
    Unlike(PathBuf),
    /// The cache that was named cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Nothing can be written where installers are to go.
    #[error(transparent)]
    Place(std::io::Error),
    /// A file named on the command line.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl CliError {
    /// A usage error with a hint.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::Config(_) | Self::Batching { .. } => Exit::Usage,
            Self::Expiry { exit, .. } => *exit,
            Self::Repository(RepositoryError::Held(_)) => Exit::Waiting,
            _ => Exit::Failed,
        }
    }
}

impl Hint for CliError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } => hint.clone(),
            Self::Config(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
            Self::Agent(error) => error.hint(),
            Self::Repository(error) => error.hint(),
            Self::Publish(error) => error.hint(),
            Self::Expiry { role, .. } => Some(match role {
                Role::Timestamp => "fleetpack updates timestamp".to_owned(),
                role => format!("fleetpack updates rotate {role}"),
            }),
            Self::Cache(error) => error.hint(),
            Self::Place(_) => Some("--outdir DIR names a folder that can be written".to_owned()),
            Self::Faults { .. } | Self::Unlike(_) => None,
            Self::Release(error) => error.hint(),
            Self::Inspect(error) => error.hint(),
            Self::Ceremony(error) => error.hint(),
            Self::Token(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::Signing(error) => error.hint(),
            Self::MacosSigning(error) => error.hint(),
            Self::Notary(error) => error.hint(),
            Self::Print(_)
            | Self::Batching { .. }
            | Self::Batch { .. }
            | Self::Io(_)
            | Self::Manifest(_)
            | Self::Intune(_)
            | Self::Sample(_)
            | Self::Read(_)
            | Self::Difference(_)
            | Self::Bom(_) => None,
        }
    }
}
