//! From resolved options to files: fetch once per platform, then one installer after the
//! other, each appearing whole under its name or not at all.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::applicable::{Applied, applied};
use super::intune;
use super::naming::{self, Installer};
use super::options::{Options, Place};
use super::rebuild;
use super::signing::Signing;
use crate::agent::component::Platform;
use crate::agent::fetch::{Early, Fetcher};
use crate::agent::fetched::{Fetched, Program};
use crate::agent::{AgentError, identity, linux, macos, windows};
use crate::cli::{CliError, Printer, Surroundings};
use crate::compress::{Codec, Compressor, Wanted};
use crate::fs::AtomicFile;
use crate::install::{Arch, Content, Identity, Node, Os, Shared, Tree};
use crate::package::{BuildContext, BuildError, Builder, Format, Output, builder};
use crate::steps;
use crate::store;
use crate::tuf::client::{self, Client};
use crate::tuf::state::State;
use crate::tuf::trusted::Expiry;

/// An installer that was made.
#[derive(Clone, Debug)]
pub struct Built {
    /// Which format.
    pub format: Format,
    /// For which processor.
    pub arch: Arch,
    /// Where it lies.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What it installs.
    pub tree: Tree,
    /// Files that were made beside it.
    pub beside: Vec<PathBuf>,
    /// What it holds.
    pub programs: Vec<Program>,
    /// Flags that do not apply to it.
    pub left_out: Vec<&'static str>,
}

/// An installer that has its name.
pub(super) struct Committed {
    /// Bytes.
    pub(super) size: u64,
    /// What was made beside it.
    pub(super) beside: Vec<PathBuf>,
}

/// One installer to make.
pub(super) struct Job<'a> {
    pub(super) format: Format,
    pub(super) arch: Arch,
    pub(super) builder: &'a dyn Builder,
    pub(super) applied: &'a Applied,
    pub(super) fetched: &'a Fetched,
}

/// Makes all installers.
pub fn build(
    options: &Options,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Vec<Built>, CliError> {
    let applied = applied(options)?;
    check_place(&options.place)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let compressor = compressor(options, threads)?;
    let treatment = treatment(options, &applied);
    // A content that is not what it must be is named by the builder, which reads it again.
    let early = |contents: &[Shared]| {
        if let Some((codec, wanted)) = treatment {
            let _told_later = compressor.prepare(contents, codec, wanted);
        }
    };
    let fetched = fetch_all(options, surroundings, threads, &early, printer)?;
    let mut jobs = Vec::new();
    for (format, arch) in &options.installers {
        let platform = Platform::of(format.os(), *arch);
        if let (Some(applied), Some(fetched)) = (applied.get(format), fetched.get(&platform)) {
            jobs.push(Job {
                format: *format,
                arch: *arch,
                builder: builder_of(options, *format),
                applied,
                fetched,
            });
        }
    }
    build_jobs(options, &jobs, &compressor, printer)
}

fn builder_of(options: &Options, format: Format) -> &dyn Builder {
    match format {
        Format::Rpm => &options.rpm,
        other => builder(other),
    }
}

fn compressor(options: &Options, threads: NonZeroUsize) -> Result<Compressor, CliError> {
    let compressor = Compressor::new(threads)
        .map_err(BuildError::from)?
        .with_cache(options.cache.clone());
    Ok(match options.installers.len() {
        1 => compressor.for_one(),
        _ => compressor,
    })
}

/// How the only installer of a run treats what it shares with others.
fn treatment(options: &Options, applied: &BTreeMap<Format, Applied>) -> Option<(Codec, Wanted)> {
    match options.installers[..] {
        [(format, _)] => builder_of(options, format).treatment(applied.get(&format)?.compression),
        _ => None,
    }
}

pub(super) fn check_place(place: &Place) -> Result<(), CliError> {
    let folder = match place {
        Place::Folder(folder) => folder.as_path(),
        Place::File(file) => file.parent().unwrap_or(Path::new(".")),
    };
    if folder.as_os_str().is_empty() || folder.is_dir() {
        // Tried before anything is fetched: the file has no name yet, and goes away at once.
        let attempt = AtomicFile::create(&folder.join("fleetpack"), 0o600);
        return attempt.map(|_| ()).map_err(CliError::Place);
    }
    let shown = folder.display();
    Err(match folder.exists() {
        true => CliError::Usage {
            message: format!("cannot write into {shown}: it is no folder"),
            hint: None,
        },
        false => CliError::usage(
            format!("the output folder {shown} does not exist"),
            format!("mkdir -p {shown}"),
        ),
    })
}

fn fetch_all(
    options: &Options,
    surroundings: &Surroundings,
    threads: NonZeroUsize,
    early: Early<'_>,
    printer: &Printer,
) -> Result<BTreeMap<Platform, Fetched>, CliError> {
    let store = store::open(&options.source, options.http.clone())?;
    printer.note(format!(
        "Verifying the update repository {}",
        store.describe()
    ));
    let store = match &options.documents {
        Some(documents) => rebuild::as_of(store, documents),
        None => store,
    };
    let state = options.state.as_deref();
    let state = state.map(|base| State::for_repository(base, &options.anchor, &options.source));
    let anchor = options.anchor.clone();
    let mut client = Client::new(store, anchor, state, client::Options::default());
    let phase = steps::phase("verifying");
    client.refresh_with(match options.documents {
        Some(_) => Expiry::Ignored,
        None => Expiry::At(surroundings.now),
    })?;
    drop(phase);
    let _phase = steps::phase("fetching");
    let platforms = options.installers.iter();
    let platforms: BTreeSet<Platform> = platforms
        .map(|(format, arch)| Platform::of(format.os(), *arch))
        .collect();
    // Installers for one platform hold the same programs: all are read before the first
    // installer gets its name.
    let mut fetcher = Fetcher::new(client, options.cache.clone(), threads)
        .verifying_while_packing(platforms.len() == 1);
    let mut fetched = BTreeMap::new();
    for (format, arch) in &options.installers {
        let platform = Platform::of(format.os(), *arch);
        if let Entry::Vacant(vacant) = fetched.entry(platform) {
            printer.note(format!("Fetching the agent for {}", platform.word()));
            vacant.insert(fetcher.fetch_beside(platform, &options.config, early)?);
        }
    }
    Ok(fetched)
}

fn build_jobs(
    options: &Options,
    jobs: &[Job<'_>],
    compressor: &Compressor,
    printer: &Printer,
) -> Result<Vec<Built>, CliError> {
    let mut trees = Vec::new();
    for job in jobs {
        let tree = tree(job)?;
        job.builder.check(&tree.identity)?;
        trees.push(tree);
    }
    let installers: Vec<Installer<'_>> = jobs
        .iter()
        .zip(&trees)
        .map(|(job, tree)| Installer {
            format: job.format,
            builder: job.builder,
            identity: &tree.identity,
        })
        .collect();
    let paths = naming::paths(&options.place, &options.naming, &installers)?;
    let mut built = Vec::new();
    for ((job, tree), path) in jobs.iter().zip(trees).zip(paths) {
        printer.note(format!("Building {}", path.display()));
        let phase = steps::phase("building");
        let Committed { size, beside } = make(job, &tree, options, compressor, &path, printer)?;
        drop(phase);
        built.push(Built {
            format: job.format,
            arch: job.arch,
            path,
            size,
            tree,
            beside,
            programs: job.fetched.programs.clone(),
            left_out: job.applied.left_out.clone(),
        });
    }
    for note in options.cache.iter().flat_map(|cache| cache.notes()) {
        printer.note(note);
    }
    Ok(built)
}

/// Makes one installer and gives it its name.
pub(super) fn make(
    job: &Job<'_>,
    tree: &Tree,
    options: &Options,
    compressor: &Compressor,
    path: &Path,
    printer: &Printer,
) -> Result<Committed, CliError> {
    let context = BuildContext {
        compressor,
        compression: job.applied.compression,
        epoch: options.epoch,
        cancelled: &|| false,
    };
    let file = write(job, tree, &context, path, options.signing.as_ref())?;
    match job.format {
        Format::Pkg => options.finish.commit(file, path, &tree.identity, printer),
        Format::Msi if options.intunewin => intune::commit(file, path, options.epoch, printer),
        _ => commit(file),
    }
}

/// What it is that a job makes.
pub(super) fn identity_of(job: &Job<'_>) -> Result<Identity, AgentError> {
    let identifier = job.applied.config.identifier.as_deref();
    Ok(identity(job.fetched.version()?, job.arch, identifier))
}

/// What a job's installer puts on a host.
pub(super) fn tree(job: &Job<'_>) -> Result<Tree, AgentError> {
    let (config, fetched) = (&job.applied.config, job.fetched);
    let identity = identity_of(job)?;
    let mut tree = match job.format.os() {
        Os::Linux => linux::tree(config, fetched, identity)?,
        Os::Macos => macos::tree(config, fetched, identity)?,
        Os::Windows => windows::tree(config, fetched, identity)?,
    };
    tree.lifecycle.admin = job.applied.scripts.clone();
    Ok(tree)
}

// An installer holds secrets: nobody but its owner reads it.
fn write(
    job: &Job<'_>,
    tree: &Tree,
    context: &BuildContext<'_>,
    path: &Path,
    signing: Option<&Signing>,
) -> Result<AtomicFile, CliError> {
    let file = AtomicFile::create(path, 0o600)?;
    let mut output = Output::new(file.handle()?, path);
    job.builder.build(tree, context, &mut output)?;
    nothing_unverified(tree, context.compressor)?;
    let _: File = output.finish()?;
    if let Some(signing) = signing.filter(|_| job.format == Format::Msi) {
        signing.sign(file.handle()?, &tree.identity)?;
    }
    Ok(file)
}

/// Builders read every file of a tree, and so verify it. Should one ever leave something out,
/// it is read here.
fn nothing_unverified(tree: &Tree, compressor: &Compressor) -> Result<(), BuildError> {
    let contents = tree.entries.iter().filter_map(|entry| match &entry.node {
        Node::File(Content::Shared(shared)) => shared.promise().map(|_| shared.clone()),
        _ => None,
    });
    let contents: Vec<Shared> = contents.collect();
    compressor.digests(&contents, Wanted::NONE)?;
    Ok(())
}

fn commit(file: AtomicFile) -> Result<Committed, CliError> {
    let size = file.handle()?.metadata()?.len();
    file.commit()?;
    Ok(Committed {
        size,
        beside: Vec::new(),
    })
}
