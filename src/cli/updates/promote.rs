//! `updates promote` and `updates remove`: what is there under other names, or no longer.

use super::{CliError, Passphrases, Place, Printer, Surroundings};
use crate::agent::inventory::{Parts, version_channels, version_of};
use crate::tuf::metadata::Targets;
use crate::tuf::repository::{Signing, Validities};
use crate::tuf::time::Validity;

/// What follows `promote`.
#[derive(Debug, clap::Args)]
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
    change: Change,
}

/// What follows `remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Targets, such as orbit/linux/edge/orbit
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,

    #[command(flatten)]
    change: Change,
}

/// What all changes of targets share.
#[derive(Debug, clap::Args)]
struct Change {
    #[command(flatten)]
    place: Place,

    /// How long the targets metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    targets_expires: Validity,

    /// How long the snapshot metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    snapshot_expires: Validity,

    /// How long the timestamp metadata are valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,
}

impl Change {
    fn validities(&self) -> Validities {
        Validities {
            targets: self.targets_expires,
            snapshot: self.snapshot_expires,
            timestamp: self.timestamp_expires,
            ..Validities::default()
        }
    }
}

/// Publishes targets of one channel in another.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    for channel in [&args.from, &args.to] {
        crate::tuf::name::check_component("channel", channel)
            .map_err(crate::agent::release::ReleaseError::from)?;
    }
    let validities = args.change.validities();
    let selection = Selection {
        component: args.component,
        platform: args.platform,
        from: args.from,
        to: args.to,
        and_version_channels: args.and_version_channels,
    };
    let mut repository = args.change.place.open(printer)?;
    let pairs = selection.pairs(&repository.trusted().targets().signed)?;
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities,
    };
    repository.promote(&pairs, &mut signing)?;
    for (from, to) in pairs {
        printer.note(format!("published {to} (from {from})"));
    }
    Ok(())
}

/// Takes targets out of the repository.
pub fn remove(
    args: RemoveArgs,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let validities = args.change.validities();
    let mut repository = args.change.place.open(printer)?;
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities,
    };
    repository.remove(&args.targets, &mut signing)?;
    for name in args.targets {
        printer.note(format!("removed {name}"));
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
