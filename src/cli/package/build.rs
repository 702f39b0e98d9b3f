//! From resolved options to files: fetch once per platform, then one installer after the
//! other, each appearing whole under its name or not at all.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::options::{Options, Place};
use super::scripts::{Scripts, limited_to};
use crate::agent::component::Platform;
use crate::agent::config::Config;
use crate::agent::fetched::Fetched;
use crate::agent::{AgentError, fetch, identity, linux, macos, windows};
use crate::cli::{CliError, Printer, Surroundings};
use crate::compress::Compressor;
use crate::fs::AtomicFile;
use crate::install::{Arch, Os, Tree};
use crate::package::{BuildContext, Builder, Format, Output, builder};
use crate::store;
use crate::tuf::client::{self, Client};
use crate::tuf::state::State;

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
}

/// One installer to make.
struct Job<'a> {
    format: Format,
    arch: Arch,
    builder: &'static dyn Builder,
    config: Config,
    scripts: Scripts,
    fetched: &'a Fetched,
}

/// Makes all installers.
pub fn build(
    options: &Options,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Vec<Built>, CliError> {
    let configs = configs(options, printer)?;
    check_place(&options.place)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let fetched = fetch_all(options, surroundings, threads, printer)?;
    let mut jobs = Vec::new();
    for (format, arch) in &options.installers {
        let platform = Platform::of(format.os(), *arch);
        if let (Some(config), Some(fetched)) = (configs.get(format), fetched.get(&platform)) {
            jobs.push(Job {
                format: *format,
                arch: *arch,
                builder: builder(*format),
                config: config.clone(),
                scripts: limited_to(&options.scripts, *format).0,
                fetched,
            });
        }
    }
    build_jobs(options, &jobs, threads, printer)
}

/// The configuration for each format. With one system, a flag that it does not know is an
/// error; with several it applies where it can.
fn configs(options: &Options, printer: &Printer) -> Result<BTreeMap<Format, Config>, CliError> {
    let formats: BTreeSet<Format> = options
        .installers
        .iter()
        .map(|(format, _)| *format)
        .collect();
    let one_system = formats
        .iter()
        .map(|f| f.os())
        .collect::<BTreeSet<_>>()
        .len()
        == 1;
    let mut configs = BTreeMap::new();
    for format in formats {
        let os = format.os();
        let (mut config, mut left_out) = options.config.limited_to(os);
        left_out.extend(limited_to(&options.scripts, format).1);
        if one_system && let Some(flag) = left_out.first() {
            return Err(CliError::usage(
                format!("{flag} does not go with --type {format}"),
                format!("leave out {flag}"),
            ));
        }
        match config.check_for(os) {
            Err(error) if one_system => return Err(error.into()),
            Err(_) => {
                config.osquery_db = None;
                left_out.push("--osquery-db");
            }
            Ok(()) => {}
        }
        for flag in left_out {
            printer.note(format!("note: {flag} does not apply to {format}"));
        }
        configs.insert(format, config);
    }
    Ok(configs)
}

fn check_place(place: &Place) -> Result<(), CliError> {
    let folder = match place {
        Place::Folder(folder) => folder.as_path(),
        Place::File(file) => file.parent().unwrap_or(Path::new(".")),
    };
    match folder.as_os_str().is_empty() || folder.is_dir() {
        true => Ok(()),
        false => Err(CliError::usage(
            format!("the output folder {} does not exist", folder.display()),
            format!("mkdir -p {}", folder.display()),
        )),
    }
}

fn fetch_all(
    options: &Options,
    surroundings: &Surroundings,
    threads: NonZeroUsize,
    printer: &Printer,
) -> Result<BTreeMap<Platform, Fetched>, CliError> {
    let store = store::open(&options.source, options.http.clone())?;
    printer.note(format!(
        "Verifying the update repository {}",
        store.describe()
    ));
    let state = options.state.as_deref();
    let state = state.map(|base| State::for_repository(base, &options.anchor, &options.source));
    let anchor = options.anchor.clone();
    let mut client = Client::new(store, anchor, state, client::Options::default());
    client.refresh(surroundings.now)?;
    let mut fetched = BTreeMap::new();
    for (format, arch) in &options.installers {
        let platform = Platform::of(format.os(), *arch);
        if let Entry::Vacant(vacant) = fetched.entry(platform) {
            printer.note(format!("Fetching the agent for {}", platform.word()));
            vacant.insert(fetch::fetch(&client, platform, &options.config, threads)?);
        }
    }
    Ok(fetched)
}

fn build_jobs(
    options: &Options,
    jobs: &[Job<'_>],
    threads: NonZeroUsize,
    printer: &Printer,
) -> Result<Vec<Built>, CliError> {
    let compressor = Compressor::new(threads).map_err(crate::package::BuildError::from)?;
    let context = BuildContext {
        compressor: &compressor,
        compression: options.compression,
        epoch: options.epoch,
        cancelled: &|| false,
    };
    let mut trees = Vec::new();
    for job in jobs {
        trees.push(tree(job)?);
    }
    let paths = paths(options, jobs, &trees)?;
    let mut built = Vec::new();
    for ((job, tree), path) in jobs.iter().zip(trees).zip(paths) {
        printer.note(format!("Building {}", path.display()));
        let size = write(job.builder, &tree, &context, &path)?;
        built.push(Built {
            format: job.format,
            arch: job.arch,
            path,
            size,
            tree,
        });
    }
    Ok(built)
}

fn tree(job: &Job<'_>) -> Result<Tree, AgentError> {
    let (config, fetched) = (&job.config, job.fetched);
    let identity = identity(fetched.version()?, job.arch, config.identifier.as_deref());
    let mut tree = match job.format.os() {
        Os::Linux => linux::tree(config, fetched, identity)?,
        Os::Macos => macos::tree(config, fetched, identity)?,
        Os::Windows => windows::tree(config, fetched, identity)?,
    };
    tree.lifecycle.admin = job.scripts.clone();
    Ok(tree)
}

/// Every file's name, before anything is built; two of one name are refused.
fn paths(options: &Options, jobs: &[Job<'_>], trees: &[Tree]) -> Result<Vec<PathBuf>, CliError> {
    let mut paths = Vec::new();
    for (job, tree) in jobs.iter().zip(trees) {
        let path = match &options.place {
            Place::File(path) => path.clone(),
            Place::Folder(folder) => {
                let name = job.builder.file_name(&tree.identity);
                if folder == Path::new(".") {
                    name.into()
                } else {
                    folder.join(name)
                }
            }
        };
        if paths.contains(&path) {
            return Err(CliError::usage(
                format!("two installers would be written to {}", path.display()),
                "make them one after the other with --outfile",
            ));
        }
        paths.push(path);
    }
    Ok(paths)
}

// An installer holds secrets: nobody but its owner reads it.
fn write(
    builder: &dyn Builder,
    tree: &Tree,
    context: &BuildContext<'_>,
    path: &Path,
) -> Result<u64, CliError> {
    let file = AtomicFile::create(path, 0o600)?;
    let mut output = Output::new(file.handle()?, path);
    builder.build(tree, context, &mut output)?;
    let size = output.position();
    let _: File = output.finish()?;
    file.commit()?;
    Ok(size)
}
