//! `updates status` and `updates verify`: looking at a repository, here or on a server.

use std::io::Write as _;

use jiff::SignedDuration;

use super::{CliError, Place, Printer, Surroundings};
use crate::agent::inventory::{Inventory, Parts};
use crate::cli::Exit;
use crate::cli::package::anchor;
use crate::hint::Hint as _;
use crate::store::{self, HttpOptions};
use crate::tuf::client::{Client, Options};
use crate::tuf::repository;
use crate::tuf::time::Validity;
use crate::tuf::trusted::Expiry;

/// Where to look.
#[derive(Debug, clap::Args)]
struct Look {
    /// Address of a published repository, in place of --path
    #[arg(value_name = "URL")]
    url: Option<String>,

    #[command(flatten)]
    place: Place,

    /// Root metadata to begin with (JSON, or @FILE)
    #[arg(long, value_name = "ROOTS")]
    update_roots: Option<String>,
}

impl Look {
    /// A client of the place; its anchor is never taken from there without being known here.
    fn client(self) -> Result<Client, CliError> {
        let (place, anchor) = match (self.url, self.update_roots) {
            (Some(url), roots) => {
                let anchor = anchor::of(roots.as_deref(), &url)?;
                (url, anchor)
            }
            (None, roots) => {
                let layout = self.place.layout();
                let anchor = match roots {
                    Some(roots) => anchor::of(Some(&roots), "")?,
                    None => repository::known_root(&layout)?,
                };
                (layout.repository().display().to_string(), anchor)
            }
        };
        let store = store::open(&place, HttpOptions::default())?;
        Ok(Client::new(store, anchor, None, Options::default()))
    }
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// Prometheus's text format
    Prometheus,
}

/// What follows `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    look: Look,

    /// Exit with code 3 when anything expires within this time
    /// [default: 7d for timestamp, 30d for the others]
    #[arg(long, value_name = "TIME")]
    warn: Option<Validity>,

    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Prints what is there and how long it is valid.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let now = surroundings.now;
    let mut client = args.look.client()?;
    let trusted = client.refresh_with(Expiry::Ignored)?;
    let inventory = Inventory::of(trusted, now);
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text => text(&inventory, printer)?,
        Format::Prometheus => printer.result(inventory.prometheus().trim_end())?,
        Format::Json => {
            let json = serde_json::to_string_pretty(&inventory).map_err(std::io::Error::from)?;
            printer.result(json)?;
        }
    }
    let limit = args.warn.map(|warn| warn.from(now));
    let limit = limit.transpose().map_err(std::io::Error::other)?;
    let limit: Option<SignedDuration> = limit.map(|end| end.at().duration_since(now));
    match inventory.expiring(limit) {
        None => Ok(()),
        Some(role) => Err(CliError::Expiry {
            exit: match role.seconds_left {
                ..=0 => Exit::Expired,
                _ => Exit::ExpiresSoon,
            },
            role: role.role,
            expires: role.expires.clone(),
        }),
    }
}

fn text(inventory: &Inventory, printer: &Printer) -> Result<(), CliError> {
    for role in &inventory.roles {
        printer.result(format!(
            "{:<9} version {:<6} expires {}  {} of {} keys",
            role.role.name(),
            role.version,
            role.expires,
            role.threshold,
            role.keys.len()
        ))?;
    }
    for target in &inventory.targets {
        printer.result(format!(
            "{}  {}  {} bytes  {}",
            target.target,
            target.version.as_deref().unwrap_or("-"),
            target.size,
            target.hash.get(..16).unwrap_or(&target.hash)
        ))?;
    }
    Ok(())
}

/// What follows `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    look: Look,

    /// Targets of this component alone
    #[arg(long, value_name = "NAME")]
    component: Option<String>,

    /// Targets of this channel alone
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
}

/// Does what an agent would: refreshes, then downloads and hashes every target.
pub fn verify(
    args: VerifyArgs,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let mut client = args.look.client()?;
    let trusted = client.refresh(surroundings.now)?;
    let wanted = |name: &str| match Parts::of(name) {
        Some(parts) => {
            args.component
                .as_deref()
                .is_none_or(|c| c == parts.component)
                && args.channel.as_deref().is_none_or(|c| c == parts.channel)
        }
        None => args.component.is_none() && args.channel.is_none(),
    };
    let names = trusted.targets().signed.targets.keys();
    let names: Vec<String> = names.filter(|name| wanted(name)).cloned().collect();
    let mut file = tempfile::tempfile()?;
    let mut faults = 0;
    for name in &names {
        match client.download(name, &mut file) {
            Ok(_) => printer.note(format!("ok {name}")),
            Err(error) => {
                faults += 1;
                let hint = error
                    .hint()
                    .map(|hint| format!(" ({hint})"))
                    .unwrap_or_default();
                printer.result(format!("fault: {}{hint}", chain(&error)))?;
            }
        }
    }
    file.flush()?;
    match faults {
        0 => printer.result(format!("{} targets verified", names.len())),
        _ => Err(CliError::Faults {
            faults,
            targets: names.len(),
        }),
    }
}

// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
