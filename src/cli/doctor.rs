//! `fleetpack doctor`: a repository and installers together, and what will go wrong.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::error::with_causes;
use super::hints::Typed;
use super::package::anchor::{self, Address};
use super::updates::tls::Tls;
use super::{CliError, Printer, Surroundings};
use crate::agent::inventory::Inventory;
use crate::doctor::{self, Diagnosis};
use crate::hint::{Hint, bare, word};
use crate::inspect::{self, Report};
use crate::store::tls::TrustedRoots;
use crate::store::{self, HttpOptions, Store, StoreError};
use crate::tuf::client::{Client, ClientError, Options, ROOT_LIMIT};
use crate::tuf::metadata::{Role, Root, Signed, TargetFile};
use crate::tuf::repository::{self, Layout, RepositoryError};
use crate::tuf::survey::{self, Finding};
use crate::tuf::trusted::{Expiry, Trusted};

const EXAMPLES: &str = "\
Examples:
  fleetpack doctor --path updates
  fleetpack doctor --update-url https://updates.example.com \\
    fleet-osquery_1.50.0_amd64.deb
  fleetpack doctor --json --update-url https://updates.example.com \\
    --update-roots @root.json | jq -r '.found[].name'";

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

    /// Root metadata to begin with (JSON, or @FILE) [default: the one that was seen last beside
    /// the keys, or that of an installer which leads there]
    #[arg(long, value_name = "ROOTS")]
    update_roots: Option<String>,

    #[command(flatten)]
    tls: Tls,

    /// Do not check the server's certificate; the repository's signatures are checked
    #[arg(long, conflicts_with = "update_tls_certificate")]
    insecure: bool,

    /// Print one JSON object (docs/schema/doctor.json)
    #[arg(long)]
    json: bool,
}

// `docs/schema/doctor.json`.
#[derive(Serialize)]
struct Examined<'a> {
    repository: &'a str,
    installers: Vec<String>,
    found: &'a [Diagnosis],
}

/// The repository as it was found.
struct Place {
    /// Folder or URL, as requests need it.
    address: String,
    /// The same as it may be printed.
    shown: String,
    anchors: Vec<Vec<u8>>,
    origin: Origin,
    http: HttpOptions,
    layout: Option<Layout>,
}

/// Where the anchors are from. One that an installer brings says nothing of the repository when
/// it does not lead there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Person,
    Installers,
}

/// A repository that a client accepts.
struct Opened {
    client: Client,
    targets: Vec<(String, TargetFile)>,
}

impl Place {
    fn resolve(args: &Args, installers: &[Installer]) -> Result<Self, CliError> {
        let inside: Vec<_> = installers.iter().filter_map(Installer::anchor).collect();
        let given = args.update_roots.as_deref();
        let (layout, address, shown) = match &args.update_url {
            Some(url) => {
                published(url).check()?;
                (None, url.clone(), bare(url))
            }
            None => {
                let layout = Layout::new(&args.path);
                let folder = layout.repository().display().to_string();
                (Some(layout), folder.clone(), folder)
            }
        };
        let kept = match &layout {
            Some(layout) if given.is_none() => {
                // Where nothing can be written it is examined as it is.
                let _ = repository::finish_interrupted(layout);
                match repository::known_root(layout) {
                    Err(RepositoryError::NoAnchor(_)) if !inside.is_empty() => None,
                    root => Some(root?),
                }
            }
            None if given.is_none() && !inside.is_empty() => None,
            _ => Some(anchor::of(given, published(&address))?),
        };
        let (anchors, origin) = match kept {
            Some(anchor) => (vec![anchor], Origin::Person),
            None => (inside, Origin::Installers),
        };
        Ok(Self {
            address,
            shown,
            anchors,
            origin,
            http: http(args, installers)?,
            layout,
        })
    }

    fn store(&self) -> Result<Box<dyn Store>, StoreError> {
        store::open(&self.address, self.http.clone())
    }

    // Expired metadata are one finding of several, and not the end of looking.
    fn client(&self, anchor: Vec<u8>) -> Result<Client, ClientError> {
        let store = self.store().map_err(|source| ClientError::Fetch {
            document: "root.json".into(),
            source,
        })?;
        let mut client = Client::new(store, anchor, None, Options::default());
        client.refresh_with(Expiry::Ignored)?;
        Ok(client)
    }

    /// With the first anchor that leads there; else why the first of all does not, if any.
    fn open(&self) -> Result<Opened, Option<ClientError>> {
        let mut refused = None;
        for anchor in &self.anchors {
            let opened = self.client(anchor.clone()).and_then(|client| {
                let targets = client.all_targets()?;
                Ok(Opened { client, targets })
            });
            match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused)
    }

    /// Why the anchor of an installer does not lead to a repository that no anchor led to:
    /// nothing when the repository has that very root, for then the fault is its own.
    fn foreign(&self, anchor: Vec<u8>) -> Option<ClientError> {
        let own = self.origin == Origin::Person || self.has_root(&anchor).unwrap_or(false);
        let error = self.client(anchor).err().filter(|_| !own)?;
        (!matches!(error, ClientError::Fetch { .. })).then_some(error)
    }

    // Installers hold the document with other white space than was signed.
    fn has_root(&self, anchor: &[u8]) -> Option<bool> {
        let version = Signed::<Root>::parse(anchor).ok()?.version();
        let blob = self
            .store()
            .ok()?
            .open(&Role::Root.versioned_file(version), 0);
        let mut bytes = Vec::new();
        let mut body = blob.ok()?.body.take(ROOT_LIMIT);
        body.read_to_end(&mut bytes).ok()?;
        let signed = |bytes| {
            Some(
                serde_json::from_slice::<Value>(bytes)
                    .ok()?
                    .get("signed")?
                    .clone(),
            )
        };
        Some(signed(anchor)? == signed(&bytes)?)
    }

    /// The published folder, when it is on this machine. Another folder that was named is none.
    fn folder(&self) -> Option<PathBuf> {
        let layout = self.layout.as_ref().map(Layout::repository);
        let folder = layout.or_else(|| {
            let folder = PathBuf::from(&self.address);
            let documents = [Role::Root, Role::Timestamp].map(|role| folder.join(role.file()));
            documents.iter().any(|file| file.exists()).then_some(folder)
        })?;
        folder.is_dir().then_some(folder)
    }
}

fn published(url: &str) -> Address<'_> {
    let flag = Some("--update-url");
    Address { flag, url }
}

/// How hosts speak to the server, as far as the person does not say otherwise.
fn http(args: &Args, installers: &[Installer]) -> Result<HttpOptions, CliError> {
    let mut options = args.tls.options()?;
    options.insecure = args.insecure;
    if options.roots.is_none() && !args.insecure {
        let inside = installers.iter().find_map(|installer| {
            let agent = installer.report.agent.as_ref()?;
            Some((agent.update_certificates.as_deref()?, &installer.path))
        });
        let roots = inside.map(|(pem, path)| {
            TrustedRoots::from_pem(pem, &format!("update.pem of {}", path.display()))
        });
        options.roots = roots.transpose().map_err(StoreError::from)?;
    }
    Ok(options)
}

struct Installer {
    path: PathBuf,
    report: Report,
}

impl Installer {
    fn anchor(&self) -> Option<Vec<u8>> {
        self.report.agent.as_ref()?.anchor.clone()
    }
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
    match place.open() {
        Ok(opened) => accepted(&place, &opened, &installers, surroundings, &mut found)?,
        Err(error) => refused(&place, error, &installers, surroundings, &mut found)?,
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
fn accepted(
    place: &Place,
    opened: &Opened,
    installers: &[Installer],
    surroundings: &Surroundings,
    found: &mut Vec<Diagnosis>,
) -> Result<(), CliError> {
    let Opened { client, targets } = opened;
    let Some(trusted) = client.trusted() else {
        return Ok(());
    };
    let now = surroundings.now;
    let inventory = Inventory::of(trusted, targets, now, |_, _| None);
    found.extend(doctor::expiring(&place.shown, &inventory));
    found.extend(files(place, trusted, targets, installers)?);
    found.extend(modes(place)?);
    if let Some(url) = web_address(&place.address) {
        let newest = Some(trusted.version(Role::Root));
        let http = place.http.clone();
        found.extend(doctor::web::examine(&url, http, newest, now));
    }
    let trusted = doctor::Trusted {
        targets: targets.iter().map(|(name, _)| name.as_str()).collect(),
        versions: [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets]
            .map(|role| trusted.version(role)),
    };
    let repository = doctor::Repository {
        place: &place.shown,
        trusted: Some(trusted),
    };
    for one in installers {
        let foreign = one.anchor().and_then(|anchor| place.client(anchor).err());
        found.extend(installer(one, &repository, foreign)?);
    }
    Ok(())
}

/// What there is to say without trust in the repository: why no client gets to the newest
/// documents, and what installers, files and the server show by themselves.
fn refused(
    place: &Place,
    error: Option<ClientError>,
    installers: &[Installer],
    surroundings: &Surroundings,
    found: &mut Vec<Diagnosis>,
) -> Result<(), CliError> {
    let foreign: Vec<_> = installers
        .iter()
        .map(|installer| place.foreign(installer.anchor()?))
        .collect();
    if let Some(error) = error
        .as_ref()
        .filter(|_| foreign.iter().all(Option::is_none))
    {
        found.extend(why_refused(place, error)?);
    }
    found.extend(modes(place)?);
    if let Some(folder) = place.folder() {
        let keys = survey::private_keys(&folder)?;
        found.extend(keys.iter().map(|key| of_finding(&place.shown, key)));
    }
    if let Some(url) = web_address(&place.address).filter(|_| error.as_ref().is_none_or(answers)) {
        let (http, now) = (place.http.clone(), surroundings.now);
        found.extend(doctor::web::examine(&url, http, None, now));
    }
    let repository = doctor::Repository {
        place: &place.shown,
        trusted: None,
    };
    for (one, foreign) in installers.iter().zip(foreign) {
        found.extend(installer(one, &repository, foreign)?);
    }
    Ok(())
}

fn installer(
    installer: &Installer,
    repository: &doctor::Repository<'_>,
    foreign: Option<ClientError>,
) -> Result<Vec<Diagnosis>, CliError> {
    let mode = std::fs::metadata(&installer.path)?.permissions().mode();
    let on_disk = doctor::OnDisk {
        report: &installer.report,
        path: &installer.path.display().to_string(),
        mode,
    };
    let foreign = foreign.map(|error| with_causes(&error));
    Ok(doctor::installer(&on_disk, repository, foreign))
}

/// What the files say beyond the documents: those of a folder with its keys all, elsewhere
/// those that the installers' hosts will ask for.
fn files(
    place: &Place,
    trusted: &Trusted,
    targets: &[(String, TargetFile)],
    installers: &[Installer],
) -> Result<Vec<Diagnosis>, CliError> {
    let names = targets.iter().map(|(name, _)| name.as_str());
    let mut findings = survey::documents(trusted, names);
    let mut found = Vec::new();
    if let Some(layout) = &place.layout {
        findings.extend(survey::folder(layout, trusted)?);
        findings.extend(survey::target_files(layout, trusted, targets)?);
    } else {
        let agents = installers.iter().filter_map(|i| i.report.agent.as_ref());
        let followed: BTreeSet<_> = agents.flat_map(doctor::followed).collect();
        let followed = targets.iter().filter(|(name, _)| followed.contains(name));
        let followed = followed.map(|(name, target)| (name.as_str(), target));
        let consistent = trusted.root().signed.consistent_snapshot;
        let store = place.store()?;
        found = doctor::targets::examine(&*store, &place.shown, consistent, followed);
    }
    let findings = findings.iter();
    found.extend(findings.map(|finding| of_finding(&place.shown, finding)));
    Ok(found)
}

fn modes(place: &Place) -> Result<Vec<Diagnosis>, CliError> {
    let mut found = Vec::new();
    if let Some(folder) = place.folder() {
        let keys = survey::private_keys(&folder)?;
        let keys = keys.into_iter().filter_map(|key| match key {
            Finding::PrivateKey(path) => Some(path),
            _ => None,
        });
        let keys: Vec<_> = keys.collect();
        found.extend(doctor::modes::folder(&folder, &place.shown, &keys)?);
    }
    if let Some(layout) = &place.layout {
        found.extend(doctor::modes::keys(&layout.keys(), &place.shown));
    }
    Ok(found)
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
fn why_refused(place: &Place, error: &ClientError) -> Result<Vec<Diagnosis>, CliError> {
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
    diagnosis.hint = error.hint().or_else(|| look_there(place));
    Ok(vec![diagnosis])
}

/// What is there, and since when: of documents that are not trusted there is no more to say.
fn look_there(place: &Place) -> Option<String> {
    if let Some(folder) = place.folder() {
        return Some(format!("ls -lt {}", word(&folder.display().to_string())));
    }
    web_address(&place.address)?;
    let url = place.shown.trim_end_matches('/');
    let document = word(&format!("{url}/{}", Role::Timestamp.file()));
    (!url.contains('?')).then(|| format!("curl -I {document}"))
}

/// Whether there is a server to ask more of.
fn answers(error: &ClientError) -> bool {
    !matches!(
        error,
        ClientError::Fetch {
            source: StoreError::Transport { .. } | StoreError::Tls(_),
            ..
        }
    )
}

fn web_address(address: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
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
                .map(|i| i.path.display().to_string())
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
