//! `updates promote`: what is there, in further channels.

use serde::Serialize;

use super::change::{self, Change, Linking};
use super::report::{self, Documents, Published};
use super::{CliError, Printer, Surroundings};
use crate::agent::inventory::{Parts, version_channels, version_of};
use crate::tuf::metadata::Targets;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates promote --path updates --component orbit,desktop \\
    --from edge --to stable
  fleetpack updates promote --path updates --component osqueryd \\
    --platform linux --from edge --to stable --and-version-channels";

/// What follows `promote`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Components, such as orbit,desktop
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true)]
    component: Vec<String>,

    /// Platforms [default: all]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,

    /// Channel to take them from
    #[arg(long, value_name = "CHANNEL")]
    from: String,

    /// Channel to publish them in
    #[arg(long, value_name = "CHANNEL")]
    to: String,

    /// Publish them in the channels of their version too: 1.2.3, 1.2 and 1
    #[arg(long)]
    and_version_channels: bool,

    #[command(flatten)]
    linking: Linking,

    #[command(flatten)]
    pub change: Change,
}

/// A target and where it came from.
#[derive(Debug, Serialize)]
struct Promoted {
    from: String,
    #[serde(flatten)]
    published: Published,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    promoted: Vec<Promoted>,
    metadata: Documents,
}

/// Publishes targets of one channel in another.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    for channel in [&args.from, &args.to] {
        crate::tuf::name::check_component("channel", channel)
            .map_err(crate::agent::release::ReleaseError::from)?;
    }
    let (json, validities) = (args.change.json, args.change.validities());
    let copies = args.linking.copies();
    let selection = Selection {
        component: args.component,
        platform: args.platform,
        from: args.from,
        to: args.to,
        and_version_channels: args.and_version_channels,
    };
    let mut repository = args.change.open(surroundings, printer)?;
    let pairs = selection.pairs(&repository.trusted().targets().signed)?;
    change::signing(surroundings, printer, validities, |signing| {
        repository.promote(&pairs, copies, signing)
    })?;
    for (from, to) in &pairs {
        printer.note(format!("published {to} (from {from})"));
    }
    if json {
        let published = Published::of(&repository, pairs.iter().map(|(_, to)| to));
        let promoted = pairs.into_iter().zip(published);
        let promoted = promoted.map(|((from, _), published)| Promoted { from, published });
        let report = Report {
            promoted: promoted.collect(),
            metadata: Documents::of(repository.trusted()),
        };
        report::print(&report, printer)?;
    }
    Ok(())
}

/// Which targets are promoted, and where to.
struct Selection {
    component: Vec<String>,
    platform: Vec<String>,
    from: String,
    to: String,
    and_version_channels: bool,
}

impl Selection {
    fn pairs(&self, targets: &Targets) -> Result<Vec<(String, String)>, CliError> {
        let mut pairs = Vec::new();
        for component in &self.component {
            let before = pairs.len();
            for (name, target) in &targets.targets {
                let Some(parts) = Parts::of(name).filter(|parts| self.takes(component, parts))
                else {
                    continue;
                };
                let version =
                    version_of(target.custom.as_ref()).filter(|_| self.and_version_channels);
                let more = version.map(|version| version_channels(&version));
                let channels = std::iter::once(self.to.clone()).chain(more.into_iter().flatten());
                let new = channels.map(|channel| parts.in_channel(&channel));
                pairs.extend(new.filter(|to| to != name).map(|to| (name.clone(), to)));
            }
            if pairs.len() == before {
                return Err(CliError::usage(
                    format!(
                        "{component} has no target to promote in the channel {}",
                        self.from
                    ),
                    "fleetpack updates status",
                ));
            }
        }
        Ok(pairs)
    }

    fn takes(&self, component: &str, parts: &Parts<'_>) -> bool {
        parts.component == component
            && parts.channel == self.from
            && (self.platform.is_empty() || self.platform.iter().any(|p| p == parts.platform))
    }
}
