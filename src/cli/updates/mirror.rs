//! `updates mirror`: targets of another repository, under our own keys.

use serde::Serialize;

use super::change::{self, Change, Linking};
use super::report::{self, Documents, Published};
use super::tls::Tls;
use super::{CliError, Printer, Surroundings};
use crate::agent::inventory::Parts;
use crate::agent::release::Release;
use crate::cli::package::anchor::{self, Address};
use crate::hint::bare;
use crate::store;
use crate::tuf::client::{Client, Options};
use crate::tuf::metadata::TargetFile;
use crate::tuf::repository::{Adding, Mirrored, NewTarget, Repository};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates mirror --path updates --channel stable
  fleetpack updates mirror --path updates --channel stable,edge \\
    --component orbit,osqueryd --platform linux";

/// What follows `mirror`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Address of the repository to take targets from
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://updates.fleetdm.com"
    )]
    from: String,

    /// Root metadata to begin with there (JSON, or @FILE) [default: Fleet's own are known]
    #[arg(long, value_name = "ROOTS")]
    update_roots: Option<String>,

    /// Channels, such as stable
    #[arg(long, value_name = "CHANNEL", value_delimiter = ',', required = true)]
    channel: Vec<String>,

    /// Components [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    component: Vec<String>,

    /// Platforms [default: all]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,

    #[command(flatten)]
    tls: Tls,

    #[command(flatten)]
    linking: Linking,

    #[command(flatten)]
    pub(super) change: Change,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    upstream: Upstream,
    mirrored: Vec<Published>,
    unchanged: Vec<String>,
    metadata: Documents,
}

#[derive(Debug, Serialize)]
struct Upstream {
    url: String,
    metadata: Documents,
}

/// Follows upstream, fetches what is new in it, publishes it.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let from = Address {
        flag: Some("--from"),
        url: &args.from,
    };
    let anchor = anchor::of(args.update_roots.as_deref(), from)?;
    let store = store::open(&args.from, args.tls.options()?)?;
    let (json, validities) = (args.change.json, args.change.validities());
    let selection = Selection {
        channel: args.channel,
        component: args.component,
        platform: args.platform,
    };
    let mut repository = args.change.open(surroundings, printer)?;
    let state = repository.layout().upstream(&anchor, &args.from);
    let mut client = Client::new(store, anchor, Some(state), Options::default());
    let there = client.refresh(surroundings.now)?.clone();
    // Whoever lists it there, and is trusted for its name: here it is our targets role.
    let listed = client.all_targets()?;
    selection.check(&listed, &args.from)?;
    let wanted = listed.iter().filter(|(name, _)| selection.takes(name));
    let mirrored = repository.compare(wanted.map(|(name, target)| (name, target)));
    let new = fetch(&repository, &client, &mirrored, printer)?;
    if new.is_empty() {
        printer.note("nothing is new there");
    } else {
        let adding = Adding {
            copies: args.linking.copies(),
            rehash: false,
        };
        change::signing(surroundings, printer, validities, |signing| {
            repository.add(&new, adding, signing)
        })?;
    }
    let names = || new.iter().flat_map(|new| &new.names);
    for name in names() {
        printer.note(format!("published {name}"));
    }
    if json {
        let report = Report {
            upstream: Upstream {
                url: bare(&args.from),
                metadata: Documents::of(&there),
            },
            mirrored: Published::of(&repository, names()),
            unchanged: mirrored.unchanged,
            metadata: Documents::of(repository.trusted()),
        };
        report::print(&report, printer)?;
    }
    Ok(())
}

// What came is held against the same rules as what people add.
fn fetch(
    repository: &Repository,
    upstream: &Client,
    mirrored: &Mirrored,
    printer: &Printer,
) -> Result<Vec<NewTarget>, CliError> {
    if mirrored.lacking.is_empty() {
        return Ok(Vec::new());
    }
    let new = repository.fetch(upstream, &mirrored.lacking)??;
    for target in &new {
        for name in &target.names {
            let Some(parts) = Parts::of(name) else {
                continue;
            };
            let release = Release {
                file: target.source.clone(),
                name: parts.component.to_owned(),
                platform: parts.platform.to_owned(),
                version: parts.channel.to_owned(),
                tags: Vec::new(),
            };
            if let Some(warning) = release.check()? {
                // The file is on its way; what people know is the target.
                let file = target.source.display().to_string();
                printer.warn(warning.replace(&file, name));
            }
        }
    }
    Ok(new)
}

/// Which targets are taken.
struct Selection {
    channel: Vec<String>,
    component: Vec<String>,
    platform: Vec<String>,
}

impl Selection {
    fn takes(&self, name: &str) -> bool {
        let among = |all: &[String], one: &str| all.is_empty() || all.iter().any(|a| a == one);
        Parts::of(name).is_some_and(|parts| {
            among(&self.channel, parts.channel)
                && among(&self.component, parts.component)
                && among(&self.platform, parts.platform)
        })
    }

    // A channel or component that nobody publishes is a mistake, not an empty wish.
    fn check(&self, there: &[(String, TargetFile)], url: &str) -> Result<(), CliError> {
        type Part = fn(Parts<'_>) -> &str;
        let flags: [(&str, &[String], Part); 3] = [
            ("channel", &self.channel, |parts| parts.channel),
            ("component", &self.component, |parts| parts.component),
            ("platform", &self.platform, |parts| parts.platform),
        ];
        let url = bare(url);
        let parts = || there.iter().filter_map(|(name, _)| Parts::of(name));
        let missing = flags.into_iter().find_map(|(flag, values, part)| {
            let known = |value: &&String| parts().any(|parts| part(parts) == value.as_str());
            let value = values.iter().find(|value| !known(value))?;
            Some(format!("{url} has no target with --{flag} {value}"))
        });
        let none = || !there.iter().any(|(name, _)| self.takes(name));
        let missing = missing.or_else(|| none().then(|| format!("{url} has no such target")));
        let hint = || format!("fleetpack updates status {url} shows what it has");
        missing.map_or(Ok(()), |message| Err(CliError::usage(message, hint())))
    }
}
