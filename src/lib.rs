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
