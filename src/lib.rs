//! fleetpack: update repositories and installers for Fleet's agent.
//!
//! The map of the house. A floor knows only what is below it; data flows one way:
//!
//! ```text
//! flags ──► agent::Config ──┐
//!                           ├──► agent::{linux,macos,windows} ──► install::Tree ──► package::Builder ──► file
//! repository ─► tuf::client ┘
//! ```
//!
//! - [`fs`]: the operating system: atomic writes, locks, syncing.
//! - [`store`]: where a repository's files come from and go to: a folder, a web server,
//!   object storage.
//! - [`tuf`]: The Update Framework: metadata, keys, client workflow, repository editing.
//! - [`install`]: what an installer is, in no format's terms.
//! - [`agent`]: what fleetd is; makes an [`install::Tree`] of a configuration and fetched components.
//! - [`apple`]: signature, notarisation and MDM files of a macOS package that was built.
//! - [`intune`]: what Microsoft Intune wants of a Windows package that was built.
//! - [`cache`]: what is kept from one run to the next, and cannot be forged.
//! - [`compress`]: parallel, deterministic compression; digests alongside.
//! - [`templates`]: scripts, units and documents for hosts, filled in by named escapes.
//! - [`package`]: one room per format, behind one trait.
//! - [`inspect`]: what is inside a finished installer, and how two differ.
//! - [`publish`]: a repository to and from object storage; a web server; the status page.
//! - [`provenance`]: checksums, bill of materials and statement of a finished installer.
//! - [`doctor`]: what will go wrong with a repository and its installers.
//! - [`programs`]: other programs that are started.
//! - [`steps`]: what takes time, told to whoever listens.
//! - [`cli`]: arguments, prompts, output. The only floor that reads the terminal or prints.
//!
//! What the program does can be done from Rust. A tree becomes a deb, and the deb is read back:
//!
//! ```
//! # use std::num::NonZeroUsize;
//! use fleetpack::compress::Compressor;
//! use fleetpack::fs::AtomicFile;
//! use fleetpack::install::{Arch, Entry, Identity, Lifecycle, Os, Tree};
//! use fleetpack::package::{BuildContext, Format, Output, builder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let entries = vec![
//!     Entry::customer("/etc/demo.conf", 0o600, "colour=blue\n"),
//!     Entry::link("/usr/bin/demo", "/opt/demo/demo"),
//! ];
//! let tree = Tree {
//!     os: Os::Linux,
//!     identity: Identity {
//!         name: "demo".into(),
//!         version: "1.2.3".into(),
//!         arch: Arch::Amd64,
//!         maintainer: "Example <demo@example.com>".into(),
//!         summary: "a demonstration".into(),
//!         # display_name: "Demo".into(),
//!         # identifier: "com.example.demo".into(),
//!         # vendor: "Example".into(),
//!         # homepage: "https://example.com".into(),
//!         # description: "A demonstration.".into(),
//!         # license: "MIT".into(),
//!         // …
//!     },
//!     entries: Tree::settle(Os::Linux, entries)?,
//!     service: None,
//!     settings: Vec::new(),
//!     properties: Vec::new(),
//!     lifecycle: Lifecycle::default(),
//!     leftovers: Vec::new(),
//!     windows: None,
//! };
//!
//! let deb = builder(Format::Deb);
//! let path = folder.join(deb.file_name(&tree.identity));
//! let compressor = Compressor::new(NonZeroUsize::MIN)?;
//! let context = BuildContext {
//!     compressor: &compressor,
//!     compression: None,
//!     epoch: 1_790_000_000,
//!     cancelled: &|| false,
//! };
//! // The file gets its name when it is whole.
//! let file = AtomicFile::create(&path, 0o600)?;
//! let mut output = Output::new(file.handle()?, &path);
//! deb.build(&tree, &context, &mut output)?;
//! output.finish()?;
//! file.commit()?;
//!
//! let report = fleetpack::inspect::inspect(&path)?;
//! assert_eq!(report.file.name, "demo_1.2.3_amd64.deb");
//! assert!(report.files.iter().any(|file| file.path == "/etc/demo.conf"));
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod agent;
pub mod apple;
pub mod cache;
pub mod cli;
pub mod compress;
pub mod doctor;
pub mod fs;
pub mod hint;
pub mod inspect;
pub mod install;
pub mod intune;
pub mod package;
pub mod programs;
pub mod provenance;
pub mod publish;
pub mod steps;
pub mod store;
pub mod templates;
pub mod tuf;
