//! `fleetpack updates …`: keeps an update repository.
//!
//! One file per command: its arguments and one call. What all share is here: the folder, the
//! state file, times of validity.

mod add;
mod change;
mod consistent;
mod expires;
mod grace;
mod groups;
mod headings;
mod init;
mod keys;
mod look;
mod manifest;
mod mirror;
mod outcome;
mod passphrases;
mod payload;
mod pending;
mod promote;
mod prune;
mod publish;
mod pull;
mod remote;
mod remove;
mod report;
mod roots;
mod rotate;
mod serve;
mod status;
mod timestamp;
pub(super) mod tls;
mod tokens;
mod verify;

use std::path::PathBuf;

use super::hints::Typed;
use super::{CliError, Printer, Surroundings};
use crate::tuf::repository::{self, Layout, Opened, Repository};
use passphrases::{NewPassphrases, Passphrases};

const GROUPS: &str = "\
By purpose:
  programs    init, add, mirror, promote, remove, prune
  upkeep      timestamp, status, verify, consistent-snapshot
  delivery    roots, publish, pull, serve
  keys        keys, rotate
  signatures of others
              pending, payload, sign, attach";

/// What follows `updates`.
#[derive(Debug, clap::Args)]
#[command(after_help = GROUPS, mut_subcommands = headings::set)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a new repository with its four keys
    Init(init::Args),
    /// Add programs and publish them
    #[command(disable_version_flag = true)]
    Add(add::Args),
    /// Publish targets of another repository under your own keys
    Mirror(mirror::Args),
    /// Sign a new timestamp: due at least every 14 days
    Timestamp(timestamp::Args),
    /// Publish targets of one channel in another
    Promote(promote::Args),
    /// Take targets out
    Remove(remove::Args),
    /// Delete files that no metadata name any more
    Prune(prune::Args),
    /// Give metadata and targets names that never change their content
    ConsistentSnapshot(consistent::Args),
    /// Print what is there and how long it is valid
    Status(status::Args),
    /// Do what an agent would: refresh, download and hash
    Verify(verify::Args),
    /// Print the root metadata, for `--update-roots`
    Roots(roots::Args),
    /// Publish to object storage or a folder, so that no agent is misled on the way
    Publish(publish::Args),
    /// Take over what another host published
    Pull(pull::Args),
    /// Serve what metadata name, on this machine
    Serve(serve::Args),
    /// List and change the keys of each role
    Keys(keys::Args),
    /// Replace keys
    Rotate(rotate::Args),
    /// Show or give up the edit that waits for signatures
    Pending(pending::Args),
    /// Write what waits for a signature into a file, to carry to the machine with the key
    Payload(payload::PayloadArgs),
    /// Show what such a file changes, and sign it; needs keys, not the repository
    Sign(payload::SignArgs),
    /// Take the signatures back from such a file, and publish when they suffice
    Attach(payload::AttachArgs),
}

impl Args {
    /// Where the repository is, as it was typed.
    pub(super) fn typed(&mut self) -> Typed {
        let (at, _) = self.command.place();
        Typed::new(&at.path, at.keys.as_deref())
    }
}

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let mut command = args.command;
    let (at, reach) = command.place();
    let Some(url) = at.url().map(str::to_owned) else {
        return run_here(command, surroundings, printer);
    };
    let remote = match reach {
        Reach::Folder(hint) => {
            return Err(CliError::usage(
                format!("--path {url} is no folder, which this command needs"),
                hint.replace("URL", &url),
            ));
        }
        // It reads the URL itself.
        Reach::Itself => None,
        Reach::Keys => {
            at.use_working_copy(&url)?;
            None
        }
        Reach::Waiting => {
            at.use_working_copy(&url)?;
            at.check_working_copy(&url)?;
            None
        }
        Reach::New => Some(at.begin(&url)?),
        Reach::Metadata | Reach::Read => Some(at.enter(false, surroundings, printer)?),
        Reach::Files => Some(at.enter(true, surroundings, printer)?),
    };
    if let (Command::Prune(args), Some(remote)) = (&command, &remote) {
        return prune::run_elsewhere(args, remote, surroundings, printer);
    }
    run_here(command, surroundings, printer)?;
    match remote.filter(|_| reach != Reach::Read) {
        Some(remote) => remote.leave(surroundings, printer),
        None => Ok(()),
    }
}

/// What a command needs of a repository whose `--path` is a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It makes no sense there; the way out.
    Folder(&'static str),
    /// Reading, by the command itself.
    Itself,
    /// Nothing but what lies beside the keys.
    Keys,
    /// The edit that waits beside the keys.
    Waiting,
    /// A new one.
    New,
    /// Metadata, to read them.
    Read,
    /// Metadata, to change them.
    Metadata,
    /// Metadata and every target's file.
    Files,
}

impl Command {
    /// Where the repository is, and what is needed of it when it is elsewhere.
    fn place(&mut self) -> (&mut At, Reach) {
        const PULL: &str = "fleetpack updates pull URL --path DIR, then give DIR as --path";
        match self {
            Self::Add(args) => {
                let reach = match args.rehashes() {
                    true => Reach::Files,
                    false => Reach::Metadata,
                };
                (args.change.place.at(), reach)
            }
            Self::Promote(args) => (args.change.place.at(), Reach::Metadata),
            Self::Remove(args) => (args.change.place.at(), Reach::Metadata),
            Self::Mirror(args) => (args.change.place.at(), Reach::Metadata),
            Self::Timestamp(args) => (args.place.at(), Reach::Metadata),
            Self::Prune(args) => (args.place.at(), Reach::Metadata),
            Self::Rotate(args) => (args.at(), Reach::Metadata),
            Self::Attach(args) => (args.place.at(), Reach::Metadata),
            Self::ConsistentSnapshot(args) => (args.place.at(), Reach::Files),
            Self::Keys(args) => args.place(),
            Self::Init(args) => (args.place.at(), Reach::New),
            Self::Status(args) => (args.look.place.at(), Reach::Itself),
            Self::Verify(args) => (args.look.place.at(), Reach::Itself),
            Self::Roots(args) => (args.place.at(), Reach::Read),
            Self::Pending(args) => (args.place(), Reach::Waiting),
            Self::Payload(args) => (args.place.at(), Reach::Waiting),
            Self::Sign(args) => (args.place.at(), Reach::Keys),
            Self::Publish(args) => (args.place.at(), Reach::Folder(PULL)),
            Self::Serve(args) => (args.place.at(), Reach::Folder(PULL)),
            Self::Pull(args) => (
                args.place.at(),
                Reach::Folder("--path DIR, a folder to take it over into"),
            ),
        }
    }
}

fn run_here(
    command: Command,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    match command {
        Command::Init(args) => init::run(args, surroundings, printer),
        Command::Add(args) => add::run(args, surroundings, printer),
        Command::Timestamp(args) => timestamp::run(args, surroundings, printer),
        Command::Promote(args) => promote::run(args, surroundings, printer),
        Command::Remove(args) => remove::run(args, surroundings, printer),
        Command::Prune(args) => prune::run(args, surroundings, printer),
        Command::Mirror(args) => mirror::run(args, surroundings, printer),
        Command::ConsistentSnapshot(args) => consistent::run(args, surroundings, printer),
        Command::Status(args) => status::run(args, surroundings, printer),
        Command::Verify(args) => verify::run(args, surroundings, printer),
        Command::Rotate(args) => rotate::run(args, surroundings, printer),
        Command::Publish(args) => publish::run(args, surroundings, printer),
        Command::Pull(args) => pull::run(args, surroundings, printer),
        Command::Serve(args) => serve::run(args, printer),
        Command::Keys(args) => keys::run(args, surroundings, printer),
        Command::Pending(args) => pending::run(args, printer),
        Command::Payload(args) => payload::payload(args, printer),
        Command::Sign(args) => payload::sign(args, surroundings, printer),
        Command::Attach(args) => payload::attach(args, surroundings, printer),
        Command::Roots(args) => roots::run(args, printer),
    }
}

/// Where the repository is, and its keys.
#[derive(Clone, Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    at: At,

    /// Folder with the key files [default: keys/ below --path]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

/// Where the repository is.
#[derive(Clone, Debug, clap::Args)]
struct At {
    /// Folder that holds `repository/`, `keys/` and `staged/`; or a published repository,
    /// s3://BUCKET/PREFIX, gs://… or az://…, with --keys
    #[arg(long, value_name = "DIR|URL", default_value = ".")]
    path: PathBuf,

    /// File that remembers what was signed and seen, for a `keys/` that cannot be written
    /// [default: state.json beside the keys]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Address of an S3-compatible service, for s3:// URLs
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Trust the root of a URL that nothing here knows yet
    #[arg(long)]
    trust_current: bool,

    /// Key files in another folder.
    #[arg(skip)]
    keys: Option<PathBuf>,

    /// Targets' files are elsewhere.
    #[arg(skip)]
    sparse: bool,
}

impl Place {
    /// With the folder of keys taken in.
    fn at(&mut self) -> &mut At {
        self.at.keys = self.keys.take().or(self.at.keys.take());
        &mut self.at
    }

    fn layout(mut self) -> Layout {
        self.at().clone().layout()
    }

    /// See [`At::looked_at`].
    fn looked_at(mut self, printer: &Printer) -> Layout {
        self.at().clone().looked_at(printer)
    }

    /// Opens it for a change, and tells what that brought to light.
    fn open(mut self, printer: &Printer) -> Result<Repository, CliError> {
        self.at().clone().open(printer)
    }
}

const FINISHED: &str = "finished a change that had been interrupted";

impl At {
    fn layout(self) -> Layout {
        let layout = Layout::new(&self.path)
            .with_keys(self.keys)
            .with_state(self.state);
        match self.sparse {
            true => layout.metadata_only(),
            false => layout,
        }
    }

    /// For commands that only look: finishes a change that was interrupted first. Where nothing
    /// can be written they see it as it is.
    fn looked_at(self, printer: &Printer) -> Layout {
        let layout = self.layout();
        if repository::finish_interrupted(&layout).unwrap_or(false) {
            printer.note(FINISHED);
        }
        layout
    }

    /// Opens it for a change, and tells what that brought to light.
    fn open(self, printer: &Printer) -> Result<Repository, CliError> {
        let layout = self.layout();
        let shown = layout.path().display().to_string();
        let (repository, opened) = Repository::open(layout, || {
            printer.note(format!("waiting for another process to leave {shown}"));
        })?;
        let Opened {
            recovered,
            first_seen,
        } = opened;
        if recovered {
            printer.note(FINISHED);
        }
        if let Some(root) = first_seen {
            printer.note(format!(
                "no state file yet: trusting this repository's root, version {}, sha256 {}",
                root.version, root.sha256
            ));
        }
        Ok(repository)
    }
}
