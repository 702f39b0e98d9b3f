//! Repositories of a run: each is opened and verified once, and each of its programs fetched
//! once, whoever needs it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use crate::agent::component::Platform;
use crate::agent::config::Config;
use crate::agent::fetch::Fetcher;
use crate::agent::fetched::Fetched;
use crate::cache::Cache;
use crate::cli::package::args::Args;
use crate::cli::package::options::Options;
use crate::cli::printer::text;
use crate::cli::{CliError, Printer, Surroundings};
use crate::store;
use crate::tuf::client::{self, Client};
use crate::tuf::state::State;

/// What decides how a repository is reached, beside its address and trust anchor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    files: [Option<PathBuf>; 3],
    insecure: bool,
}

impl Access {
    /// As these flags say.
    pub fn of(args: &Args) -> Self {
        let updates = &args.updates;
        Self {
            files: [
                updates.update_tls_certificate.clone(),
                updates.update_tls_client_certificate.clone(),
                updates.update_tls_client_key.clone(),
            ],
            insecure: args.fleet.insecure,
        }
    }
}

type Key = (String, Vec<u8>, Access);

/// A platform with channels, and with Fleet Desktop or without.
type Choice = (Platform, String, String, Option<String>);

struct Origin {
    fetcher: Fetcher,
    fetched: BTreeMap<Choice, Result<Arc<Fetched>, String>>,
}

/// See the head of this file. Errors are told as text, as many teams have the same one.
pub struct Origins {
    opened: BTreeMap<Key, Result<Origin, String>>,
    cache: Option<Arc<Cache>>,
}

impl Origins {
    /// None is open; what is fetched is kept in `cache`, and looked for there first.
    pub fn new(cache: Option<Arc<Cache>>) -> Self {
        Self {
            opened: BTreeMap::new(),
            cache,
        }
    }

    /// The programs for a team's installers on a platform.
    pub fn fetch(
        &mut self,
        options: &Options,
        access: &Access,
        platform: Platform,
        surroundings: &Surroundings,
        printer: &Printer,
    ) -> Result<Arc<Fetched>, String> {
        let key = (
            options.source.clone(),
            options.anchor.clone(),
            access.clone(),
        );
        let cache = &self.cache;
        let open = || open(options, cache.clone(), surroundings, printer);
        let origin = self.opened.entry(key);
        let origin = origin.or_insert_with(|| open().map_err(|error| text(&error)));
        let origin = origin.as_mut().map_err(|error| error.clone())?;
        let choice = choice(platform, &options.config);
        if let Some(fetched) = origin.fetched.get(&choice) {
            return fetched.clone();
        }
        printer.note(format!("Fetching the agent for {}", platform.word()));
        let fetched = origin.fetcher.fetch(platform, &options.config);
        let fetched = fetched
            .map(Arc::new)
            .map_err(|error| text(&CliError::from(error)));
        origin.fetched.insert(choice, fetched.clone());
        fetched
    }
}

fn choice(platform: Platform, config: &Config) -> Choice {
    let channels = &config.channels;
    let desktop = config.desktop.then(|| channels.desktop.clone());
    let (orbit, osqueryd) = (channels.orbit.clone(), channels.osqueryd.clone());
    (platform, orbit, osqueryd, desktop)
}

fn open(
    options: &Options,
    cache: Option<Arc<Cache>>,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Origin, CliError> {
    let store = store::open(&options.source, options.http.clone())?;
    let shown = store.describe();
    printer.note(format!("Verifying the update repository {shown}"));
    let state = options.state.as_deref();
    let state = state.map(|base| State::for_repository(base, &options.anchor, &options.source));
    let anchor = options.anchor.clone();
    let mut client = Client::new(store, anchor, state, client::Options::default());
    client.refresh(surroundings.now)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(Origin {
        fetcher: Fetcher::new(client, cache, threads),
        fetched: BTreeMap::new(),
    })
}
