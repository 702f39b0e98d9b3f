//! A TUF client on fleetpack's library, with the command line that the public suite
//! theupdateframework/tuf-conformance drives:
//!
//! ```text
//! tuf_client --metadata-dir D init TRUSTED_ROOT
//! tuf_client --metadata-dir D --metadata-url U refresh
//! tuf_client --metadata-dir D --metadata-url U --target-name N [--target-name N …] \
//!            --target-base-url T --target-dir O download
//! ```
//!
//! Trusted metadata lie in D under their unversioned names. The exit code is 0 or 1.

#![allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command of its own: it prints, and its files are its user's"
)]

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fleetpack::store::{self, HttpOptions};
use fleetpack::tuf::client::{Client, Options};
use fleetpack::tuf::hashes::Digests;
use fleetpack::tuf::metadata::{Role, TargetFile};
use fleetpack::tuf::state::{State, quoted};
use fleetpack::tuf::trusted::{Expiry, Roots};

/// A client of The Update Framework
#[derive(Parser)]
struct Args {
    /// Folder of the trusted metadata
    #[arg(long)]
    metadata_dir: PathBuf,

    /// Where metadata are published
    #[arg(long)]
    metadata_url: Option<String>,

    /// Target to download; may be given more than once
    #[arg(long = "target-name")]
    target_names: Vec<String>,

    /// Where targets are published
    #[arg(long)]
    target_base_url: Option<String>,

    /// Folder for downloaded targets
    #[arg(long)]
    target_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trust a root document from now on
    Init {
        /// The document
        trusted_root: PathBuf,
    },
    /// Follow the repository to its newest metadata
    Refresh,
    /// Refresh and download targets
    Download,
}

fn main() -> ExitCode {
    // A mistake in the arguments is a failure like any other.
    let done = Args::try_parse()
        .map_err(Into::into)
        .and_then(|args| run(&args));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    match &args.command {
        Command::Init { trusted_root } => init(&args.metadata_dir, trusted_root),
        Command::Refresh => client(args).map(drop),
        Command::Download => download(args),
    }
}

fn init(folder: &Path, trusted_root: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(trusted_root)?;
    Roots::anchor(&bytes, Expiry::Ignored)?;
    State::at(folder).write(Role::Root.name(), &bytes)?;
    Ok(())
}

/// A client that has refreshed.
fn client(args: &Args) -> Result<Client, Box<dyn Error>> {
    let url = args
        .metadata_url
        .as_deref()
        .ok_or("--metadata-url is missing")?;
    let anchor = std::fs::read(args.metadata_dir.join("root.json"))?;
    let options = Options {
        target_prefix: "",
        ..Options::default()
    };
    let state = Some(State::at(&args.metadata_dir));
    let mut client = Client::new(
        store::open(url, HttpOptions::default())?,
        anchor,
        state,
        options,
    );
    if let Some(url) = &args.target_base_url {
        client = client.with_targets_from(store::open(url, HttpOptions::default())?);
    }
    client.refresh(jiff::Timestamp::now())?;
    Ok(client)
}

fn download(args: &Args) -> Result<(), Box<dyn Error>> {
    let folder = args
        .target_dir
        .as_deref()
        .ok_or("--target-dir is missing")?;
    let client = client(args)?;
    for name in &args.target_names {
        let target = client.target(name)?;
        let path = folder.join(quoted(name));
        if !is_there(&path, &target) {
            fetch(&client, name, folder, &path)?;
        }
    }
    Ok(())
}

fn is_there(path: &Path, target: &TargetFile) -> bool {
    let digests = File::open(path).and_then(|mut file| Digests::read(&mut file));
    digests.is_ok_and(|d| d.length == target.length && target.hashes.verify(&d).is_ok())
}

fn fetch(client: &Client, name: &str, folder: &Path, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    client.download(name, file.as_file_mut())?;
    file.persist(path)?;
    Ok(())
}
