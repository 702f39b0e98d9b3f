//! Which flags apply to which format.
//!
//! A flag that applies to none of the formats that are made is an error. One that applies to
//! some is left out where it cannot be, and the summary says where.

use std::collections::{BTreeMap, BTreeSet};

use super::options::Options;
use super::scripts;
use crate::agent::config::Config;
use crate::cli::CliError;
use crate::package::{Compression, Format};

/// What of the flags is for one format.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What hosts are told.
    pub config: Config,
    /// An administrator's scripts.
    pub scripts: scripts::Scripts,
    /// Payload compression, if not the format's own.
    pub compression: Option<Compression>,
    /// The flags that do not apply.
    pub left_out: Vec<&'static str>,
}

/// For each format what applies to it.
pub fn applied(options: &Options) -> Result<BTreeMap<Format, Applied>, CliError> {
    let formats: BTreeSet<Format> = options.installers.iter().map(|(f, _)| *f).collect();
    let mut all = BTreeMap::new();
    for format in &formats {
        all.insert(*format, limited(options, *format)?);
    }
    for flag in all.values().flat_map(|one| one.left_out.iter().copied()) {
        if all.values().all(|one| one.left_out.contains(&flag)) {
            let words: Vec<&str> = formats.iter().map(|format| format.word()).collect();
            return Err(CliError::usage(
                format!("{flag} does not go with --type {}", words.join(",")),
                format!("leave out {flag}"),
            ));
        }
    }
    Ok(all)
}

fn limited(options: &Options, format: Format) -> Result<Applied, CliError> {
    let os = format.os();
    let (mut config, mut left_out) = options.config.limited_to(os);
    let (scripts, without) = scripts::limited_to(&options.scripts, format);
    left_out.extend(without);
    let systems: BTreeSet<_> = options.installers.iter().map(|(f, _)| f.os()).collect();
    config.check_lengths(os)?;
    match config.check_for(os) {
        Err(error) if systems.len() == 1 => return Err(error.into()),
        Err(_) => {
            config.osquery_db = None;
            left_out.push("--osquery-db");
        }
        Ok(()) => {}
    }
    let compression = options.compression.filter(|c| compresses(format, *c));
    if compression != options.compression {
        left_out.push("--compression");
    }
    if options.rpm.signs() && format != Format::Rpm {
        left_out.push("--rpm-signing-key");
    }
    if options.intunewin && format != Format::Msi {
        left_out.push("--intunewin");
    }
    if options.signing.is_some() && format != Format::Msi {
        left_out.push("--msi-signing-cert");
    }
    Ok(Applied {
        config,
        scripts,
        compression,
        left_out,
    })
}

/// Whether a format's readers take a compression.
fn compresses(format: Format, compression: Compression) -> bool {
    match format {
        Format::Deb | Format::Rpm => true,
        Format::PkgTarZst => compression == Compression::Zstd,
        Format::Pkg => compression == Compression::Gzip,
        Format::Msi => matches!(compression, Compression::Gzip | Compression::None),
    }
}
