//! `--cache` and `--cache-key-file`: which cache a run uses.
//!
//! A cache that nobody asked for is gone without when it cannot be had; one that was named
//! must be one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::{Cache, CacheError, Key, LIMIT};
use crate::cli::{CliError, Printer, Surroundings};
use crate::store::object::Access;

/// Flags of the cache.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Cache")]
pub struct CacheArgs {
    /// Folder or object storage (s3://BUCKET/PREFIX, gs://…, az://…) that keeps programs,
    /// compressed, for the next run; `none` goes without
    #[arg(long, value_name = "PLACE", env = "FLEETPACK_CACHE", hide_env = true)]
    pub cache: Option<String>,

    /// Key of a cache that several users or machines share, instead of the user's own
    #[arg(long, value_name = "FILE")]
    pub cache_key_file: Option<PathBuf>,

    /// Size that a cache in a folder grows to, in MiB
    #[arg(long, value_name = "MIB", default_value_t = LIMIT >> 20)]
    pub cache_size: u64,
}

/// The cache of a run; `None` for a run without.
pub fn resolve(
    args: &CacheArgs,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Option<Arc<Cache>>, CliError> {
    let limit = args.cache_size.saturating_mul(1 << 20);
    let key_file = args.cache_key_file.as_deref();
    let folder = match args.cache.as_deref() {
        Some("none") => return Ok(None),
        Some(url) if url.contains("://") => return Ok(Some(Arc::new(remote(url, key_file)?))),
        Some(folder) => PathBuf::from(folder),
        None => match surroundings.cache_folder() {
            Some(folder) => folder,
            None => return Ok(None),
        },
    };
    match key(key_file, surroundings) {
        Ok(Some(key)) => Ok(Some(Arc::new(Cache::in_folder(&folder, key, limit)))),
        Ok(None) => Ok(None),
        Err(error) if args.cache.is_some() || key_file.is_some() => Err(error.into()),
        Err(error) => {
            printer.note(format!("Going without a cache: {error}"));
            Ok(None)
        }
    }
}

/// Who can write there may be anybody: it takes a key that its users share.
fn remote(url: &str, key_file: Option<&Path>) -> Result<Cache, CacheError> {
    let Some(file) = key_file else {
        return Err(CacheError::Keyless {
            url: url.to_owned(),
        });
    };
    Cache::in_storage(url, Key::read(file)?, &Access::of_process(None))
}

fn key(file: Option<&Path>, surroundings: &Surroundings) -> Result<Option<Key>, CacheError> {
    match (file, surroundings.config_folder()) {
        (Some(file), _) => Key::read(file).map(Some),
        (None, Some(folder)) => Key::read_or_make(&folder.join("cache.key")).map(Some),
        (None, None) => Ok(None),
    }
}
