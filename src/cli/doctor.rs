//! `fleetpack doctor`: a repository and installers together, and what will go wrong.

use std::path::PathBuf;

use serde::Serialize;
use url::Url;

use super::error::with_causes;
use super::hints::Typed;
use super::package::anchor;
use super::{CliError, Printer, Surroundings};
use crate::agent::inventory::Inventory;
use crate::doctor::{self, Diagnosis};
use crate::hint::Hint;
use crate::inspect::{self, Report};
use crate::store::{self, HttpOptions, StoreError};
use crate::tuf::client::{Client, ClientError, Options};
use crate::tuf::metadata::{Role, TargetFile};
use crate::tuf::repository::{self, Layout};
use crate::tuf::survey::{self, Finding};
use crate::tuf::trusted::{Expiry, Trusted};

const EXAMPLES: &str = "\
Examples:
  fleetpack doctor --path updates
  fleetpack doctor --update-url https://updates.example.com fleet-osquery_1.50.0_amd64.deb
  fleetpack doctor --json --update-url https://updates.example.com --update-roots @root.json | jq -r .found[].name";

/// What follows `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Installers made for the repository: deb, rpm, pkg.tar.zst, pkg or msi
    #[arg(value_name = "INSTALLER")]
    installers: Vec<PathBuf>,

    /// Folder that holds `repository/` and `keys/`
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,

    /// Address of the published repository, in place of --path
    #[arg(long, value_name = "URL", conflicts_with = "path")]
    update_url: Option<String>,

    /// Root metadata to begin with (JSON, or @FILE) [default: the first installer's, or the one
    /// beside the keys]
    #[arg(long, value_name = "ROOTS")]
    update_roots: Option<String>,

    /// Print one JSON object (docs/schema/doctor.json)
    #[arg(long)]
    json: bool,
}

// `docs/schema/doctor.json`.
#[derive(Serialize)]
struct Examined<'a> {
    repository: &'a str,
    installers: Vec<&'a str>,
    found: &'a [Diagnosis],
}

/// The repository as it was found.
struct Place {
    shown: String,
    anchor: Vec<u8>,
    layout: Option<Layout>,
}

impl Place {
    fn resolve(args: &Args, installers: &[Installer]) -> Result<Self, CliError> {
        let inside = || {
            installers
                .iter()
                .find_map(|i| i.report.agent.as_ref()?.anchor.clone())
        };
        let given = args.update_roots.as_deref();
        if let Some(url) = &args.update_url {
            let anchor = match (given, inside()) {
                (None, Some(inside)) => inside,
                _ => anchor::of(given, url)?,
            };
            let shown = url.clone();
            return Ok(Self {
                shown,
                anchor,
                layout: None,
            });
        }
        let layout = Layout::new(&args.path);
        // Where nothing can be written it is examined as it is.
        let _ = repository::finish_interrupted(&layout);
        let anchor = match given {
            Some(_) => anchor::of(given, "")?,
            None => repository::known_root(&layout)?,
        };
        let shown = layout.repository().display().to_string();
        Ok(Self {
            shown,
            anchor,
            layout: Some(layout),
        })
    }

    // Expired metadata are one finding of several, and not the end of looking.
    fn client(&self, anchor: Vec<u8>) -> Result<Client, ClientError> {
        let store = store::open(&self.shown, HttpOptions::default()).map_err(|source| {
            ClientError::Fetch {
                document: "root.json".into(),
                source,
            }
        })?;
        let mut client = Client::new(store, anchor, None, Options::default());
        client.refresh_with(Expiry::Ignored)?;
        Ok(client)
    }
}

struct Installer {
    path: PathBuf,
    report: Report,
}

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let installers = args
        .installers
        .iter()
        .map(|path| {
            printer.note(format!("Reading {}", path.display()));
            Ok(Installer {
                path: path.clone(),
                report: inspect::inspect(path)?,
            })
        })
        .collect::<Result<Vec<_>, CliError>>()?;
    let place = Place::resolve(&args, &installers)?;
    printer.note(format!("Examining {}", place.shown));
    let mut found = Vec::new();
    match place.client(place.anchor.clone()) {
        Err(error) => found.extend(refused(&place, &error)?),
        Ok(client) => examine(&place, &client, &installers, surroundings, &mut found)?,
    }
    if place.layout.is_some() {
        let typed = Typed::new(&args.path, None);
        for diagnosis in &mut found {
            diagnosis.hint = diagnosis.hint.take().map(|hint| typed.placed(hint));
        }
    }
    tell(&args, &place, &installers, &found, printer)
}

/// All there is to say of a repository that a client accepts.
fn examine(
    place: &Place,
    client: &Client,
    installers: &[Installer],
    surroundings: &Surroundings,
    found: &mut Vec<Diagnosis>,
) -> Result<(), CliError> {
    let Some(trusted) = client.trusted() else {
        return Ok(());
    };
    let targets = client.all_targets()?;
    let now = surroundings.now;
    let inventory = Inventory::of(trusted, &targets, now, |_, _| None);
    found.extend(doctor::expiring(&place.shown, &inventory));
    found.extend(files(place, trusted, &targets)?);
    if let Some(url) = web_address(&place.shown) {
        found.extend(doctor::web::examine(&url, trusted.version(Role::Root), now));
    }
    let known = doctor::Repository {
        place: &place.shown,
        targets: targets.iter().map(|(name, _)| name.as_str()).collect(),
        versions: [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets]
            .map(|role| trusted.version(role)),
    };
    for installer in installers {
        let anchor = installer
            .report
            .agent
            .as_ref()
            .and_then(|agent| agent.anchor.clone());
        let leads = anchor.and_then(|anchor| place.client(anchor).err());
        let on_disk = std::fs::metadata(&installer.path)?;
        let leads = leads.map(|error| with_causes(&error));
        found.extend(doctor::installer(
            &installer.report,
            &on_disk,
            &known,
            leads,
        ));
    }
    Ok(())
}

/// What the files say beyond the documents.
fn files(
    place: &Place,
    trusted: &Trusted,
    targets: &[(String, TargetFile)],
) -> Result<Vec<Diagnosis>, CliError> {
    let names = targets.iter().map(|(name, _)| name.as_str());
    let mut findings = survey::documents(trusted, names);
    if let Some(layout) = &place.layout {
        findings.extend(survey::folder(layout, trusted)?);
        findings.extend(survey::target_files(layout, trusted, targets)?);
    }
    Ok(findings
        .iter()
        .map(|finding| of_finding(&place.shown, finding))
        .collect())
}

fn of_finding(place: &str, finding: &Finding) -> Diagnosis {
    let message = finding.to_string();
    let mut diagnosis = match finding.is_fault() {
        true => Diagnosis::fault(finding.name(), place, message),
        false => Diagnosis::warning(finding.name(), place, message),
    };
    diagnosis.hint = finding.hint();
    diagnosis
}

/// Why no client gets to the newest documents.
fn refused(place: &Place, error: &ClientError) -> Result<Vec<Diagnosis>, CliError> {
    if let Some(layout) = &place.layout {
        let missing = survey::chain(layout)?;
        if !missing.is_empty() {
            return Ok(missing
                .iter()
                .map(|finding| of_finding(&place.shown, finding))
                .collect());
        }
    }
    let name = match error {
        ClientError::Fetch {
            document,
            source: StoreError::Status { .. },
        } if document.ends_with("root.json") => "missing-root-not-404",
        ClientError::Fetch { source, .. } if source.is_tls() => "tls",
        ClientError::Fetch { .. } => "unreachable",
        _ => "untrusted",
    };
    let mut diagnosis = Diagnosis::fault(name, &place.shown, with_causes(error));
    diagnosis.hint = error.hint();
    Ok(vec![diagnosis])
}

fn web_address(place: &str) -> Option<Url> {
    let url = Url::parse(place).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

fn tell(
    args: &Args,
    place: &Place,
    installers: &[Installer],
    found: &[Diagnosis],
    printer: &Printer,
) -> Result<(), CliError> {
    if args.json {
        let examined = Examined {
            repository: &place.shown,
            installers: installers
                .iter()
                .map(|i| i.report.file.name.as_str())
                .collect(),
            found,
        };
        let text = serde_json::to_string_pretty(&examined).map_err(std::io::Error::from)?;
        printer.result(text)?;
    } else {
        for one in found {
            printer.result(format!(
                "{} {}: {}: {}",
                one.kind, one.name, one.about, one.message
            ))?;
            if let Some(hint) = &one.hint {
                printer.result(format!("  hint: {hint}"))?;
            }
        }
        if found.is_empty() {
            printer.result("nothing found that will go wrong")?;
        }
    }
    match found.iter().filter(|one| one.kind == "fault").count() {
        0 => Ok(()),
        faults => Err(CliError::Faults {
            faults,
            place: place.shown.clone(),
        }),
    }
}
