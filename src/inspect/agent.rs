//! Fleet's agent inside a package: its programs, variables, metadata and secret.
//!
//! The names of files are those of [`crate::agent`]'s layout, which all installers of the
//! agent share. The packaged metadata are parsed, not verified: there is nothing here to
//! verify them by. Programs are held against them all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::variables;
use crate::agent::{component, fetched};
use crate::package::Format;
use crate::package::read::{Found, Kind, Package};
use crate::tuf::hashes::{Digests, Hashes};
use crate::tuf::metadata::{Metadata, Root, Signed, Snapshot, Targets, Timestamp};

/// Largest file that is looked into.
const MAX_SMALL: u64 = 4 << 20;
const UNIX_ROOT: &str = "/opt/orbit/";
/// orbit's second path on Windows, below `bin`; an installer may store it once for both.
const WINDOWS_COPY: &str = "orbit/orbit.exe";
/// A property's value that means "not set".
const UNSET: &str = "dummy";

/// What an installer says of the agent.
#[derive(Clone, Debug, Serialize)]
pub struct Agent {
    /// The server, when one is baked in.
    pub fleet_url: Option<String>,
    /// The update repository.
    pub update_url: Option<String>,
    /// Component → channel, as the variables say.
    pub channels: BTreeMap<String, String>,
    /// The enroll secret.
    pub secret: Secret,
    /// All variables but the secret.
    pub variables: BTreeMap<String, String>,
    /// The programs inside.
    pub components: Vec<Component>,
    /// The packaged metadata, when they can be read.
    pub trust: Option<Trust>,
    /// The trust anchor as it lies there.
    #[serde(skip)]
    pub anchor: Option<Vec<u8>>,
    /// Certificates that the update server's is checked against (PEM), when there are own ones.
    #[serde(skip)]
    pub update_certificates: Option<Vec<u8>>,
    /// The packaged metadata as they lie there, when all four do.
    #[serde(skip)]
    pub documents: Option<fetched::Documents>,
}

/// The enroll secret.
#[derive(Clone, Debug, Serialize)]
pub struct Secret {
    /// Whether there is one inside.
    pub inside: bool,
    /// What it is, when it is to be shown.
    pub value: Option<String>,
    #[serde(skip)]
    hidden: Option<Zeroizing<String>>,
}

impl Secret {
    /// Puts it where it is shown.
    pub fn reveal(&mut self) {
        self.value = self.hidden.as_ref().map(|secret| secret.to_string());
    }

    /// How many characters it has, when there is one.
    pub fn length(&self) -> Option<usize> {
        self.hidden.as_ref().map(|secret| secret.chars().count())
    }

    /// Whether two are the same, without showing them.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.hidden == other.hidden
    }
}

/// One of the agent's programs.
#[derive(Clone, Debug, Serialize)]
pub struct Component {
    /// `orbit`, `osqueryd`, `desktop`.
    pub name: String,
    /// Platform in the target's name.
    pub platform: String,
    /// Channel in the target's name.
    pub channel: String,
    /// The target's name.
    pub target: String,
    /// Version, as the packaged metadata say.
    pub version: Option<String>,
    /// Whether the program, or the digest beside an unpacked one, is the target of the
    /// packaged metadata. `None` when these do not list it, or not by a digest that is there.
    pub is_target: Option<bool>,
    /// Digest of the target, lower-case hex; of an unpacked one it is not known.
    pub sha256: Option<String>,
    /// Digest of the target, lower-case hex; without the archive it is what its `.sha512` says.
    pub sha512: Option<String>,
    /// What the `.sha512` of an archive is; `None` where the target is the program itself.
    #[serde(skip)]
    pub beside: Option<Beside>,
}

/// The `.sha512` beside an unpacked program, which agents read in place of the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// It is not there. Agents hash the archive then, where that is.
    Missing,
    /// What is in it is no sha512.
    Unreadable,
    /// It is the digest that the packaged metadata list, or not; `None` when these do not list
    /// the target by its sha512.
    Digest(Option<bool>),
}

/// Digests of a target, lower-case hex.
#[derive(Clone, Debug, Default)]
struct Program {
    /// Unknown of an unpacked target: only its sha512 lies beside it.
    sha256: Option<String>,
    sha512: Option<String>,
}

impl Program {
    fn read(mut contents: &mut dyn Read) -> io::Result<Self> {
        let digests = Digests::read(&mut contents)?;
        Ok(Self {
            sha256: Some(hex::encode(digests.sha256)),
            sha512: Some(hex::encode(digests.sha512)),
        })
    }

    /// Of an unpacked target, by the digest that lies beside it.
    fn beside(text: &[u8]) -> Option<Self> {
        let mut sha512 = [0; 64];
        hex::decode_to_slice(text.trim_ascii(), &mut sha512).ok()?;
        Some(Self {
            sha256: None,
            sha512: Some(hex::encode(sha512)),
        })
    }

    /// Whether this is what metadata list; `None` without a digest in common.
    fn is(&self, listed: &Hashes) -> Option<bool> {
        let pairs = [
            (listed.get("sha256"), self.sha256.as_deref()),
            (listed.get("sha512"), self.sha512.as_deref()),
        ];
        let compared = pairs
            .into_iter()
            .filter_map(|(named, found)| Some(named?.eq_ignore_ascii_case(found?)));
        compared.reduce(|all, same| all && same)
    }
}

/// The packaged metadata: what the agent trusts when it starts.
#[derive(Clone, Debug, Serialize)]
pub struct Trust {
    /// The trust anchor.
    pub root: Document,
    /// `timestamp.json`.
    pub timestamp: Option<Document>,
    /// `snapshot.json`.
    pub snapshot: Option<Document>,
    /// `targets.json`.
    pub targets: Option<Document>,
}

/// One document of the packaged metadata.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// Its version.
    pub version: u64,
    /// End of validity, RFC 3339.
    pub expires: String,
    /// Digest of the document as it lies in the package, lower-case hex.
    pub sha256: String,
}

/// What was picked up on the walk.
#[derive(Default)]
pub(super) struct Gathered {
    small: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// Targets by their names, and orbit's copy by its path.
    programs: BTreeMap<String, Program>,
    /// What the `.sha512` of an archive says, by the target's name; `None` when it is no digest.
    beside: BTreeMap<String, Option<Program>>,
}

impl Gathered {
    /// Looks at a file while it passes.
    pub(super) fn look(&mut self, found: &Found, contents: &mut dyn Read) -> io::Result<()> {
        let path = inner_path(&found.path);
        let target = path.strip_prefix("bin/");
        if let Some(target) = target.filter(|name| is_target(name) || *name == WINDOWS_COPY) {
            if let Some(archive) = target.strip_suffix(".sha512") {
                let said = small(found, contents)?.and_then(|text| Program::beside(&text));
                self.beside.insert(archive.to_owned(), said);
            } else {
                let program = Program::read(contents)?;
                self.programs.insert(target.to_owned(), program);
            }
            return Ok(());
        }
        let wanted = matches!(
            path,
            "updates-metadata.json"
                | "tuf-metadata.json"
                | "secret.txt"
                | "update.pem"
                | "/etc/default/orbit"
        );
        let daemon = path.starts_with("/Library/LaunchDaemons/") && path.ends_with(".plist");
        if (wanted || daemon)
            && let Some(text) = small(found, contents)?
        {
            self.small.insert(path.to_owned(), text);
        }
        Ok(())
    }

    /// What it all says; `None` when there is no agent inside.
    pub(super) fn agent(mut self, package: &Package) -> Option<Agent> {
        let is_program = |found: &Found| {
            let path = inner_path(&found.path);
            matches!(path, "bin/orbit/orbit" | "bin/orbit/orbit.exe")
                || path
                    .strip_prefix("bin/orbit/")
                    .is_some_and(|rest| rest.contains('/'))
        };
        if !package.files.iter().any(is_program) {
            return None;
        }
        self.settle_copy(package);
        let documents = self.text("updates-metadata.json");
        let documents = documents.or_else(|| self.text("tuf-metadata.json"));
        let documents = documents.as_deref().and_then(|text| parse(text));
        let mut variables = self.variables(package);
        let baked = variables.remove("ORBIT_ENROLL_SECRET").map(Zeroizing::new);
        let file = self.text("secret.txt");
        let secret = baked
            .or(file)
            .filter(|s| !s.is_empty() && s.as_str() != UNSET);
        let variable = |name: &str| variables.get(name).filter(|v| !v.is_empty()).cloned();
        let channels = component::Component::ALL
            .into_iter()
            .filter_map(|component| {
                let name = format!("ORBIT_{}_CHANNEL", component.word().to_uppercase());
                Some((component.word().to_owned(), variable(&name)?))
            });
        Some(Agent {
            fleet_url: variable("ORBIT_FLEET_URL"),
            update_url: variable("ORBIT_UPDATE_URL"),
            channels: channels.collect(),
            secret: Secret {
                inside: secret.is_some(),
                value: None,
                hidden: secret,
            },
            components: self
                .components(package, documents.as_ref().and_then(|d| d.targets.as_ref())),
            anchor: documents.as_ref().map(|documents| documents.anchor.clone()),
            update_certificates: self.small.get("update.pem").map(|pem| pem.to_vec()),
            documents: documents.as_ref().and_then(|d| d.whole.clone()),
            trust: documents.map(|documents| documents.trust),
            variables,
        })
    }

    /// Gives orbit's target the digest of its copy, when these are the same contents.
    fn settle_copy(&mut self, package: &Package) {
        let Some(program) = self.programs.remove(WINDOWS_COPY) else {
            return;
        };
        let below_bin = |found: &Found| {
            inner_path(&found.path)
                .strip_prefix("bin/")
                .map(str::to_owned)
        };
        let copy = package
            .files
            .iter()
            .find(|f| below_bin(f).as_deref() == Some(WINDOWS_COPY));
        let sha256 = copy.and_then(|copy| copy.sha256);
        let same = package
            .files
            .iter()
            .filter(|f| f.sha256.is_some() && f.sha256 == sha256);
        for target in same.filter_map(below_bin).filter(|name| is_target(name)) {
            self.programs
                .entry(target)
                .or_insert_with(|| program.clone());
        }
    }

    fn text(&mut self, path: &str) -> Option<Zeroizing<String>> {
        let bytes = self.small.get(path)?;
        let text = std::str::from_utf8(bytes).ok()?;
        Some(Zeroizing::new(text.to_owned()))
    }

    fn variables(&mut self, package: &Package) -> BTreeMap<String, String> {
        if package.format == Format::Msi {
            let fields = package.metadata.iter();
            let properties = fields
                .clone()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            let properties = properties.filter(|(_, value)| *value != UNSET).collect();
            let mut rows = fields.filter(|(name, _)| name.ends_with("\\Environment"));
            let row = rows.next().map(|(_, value)| value.as_str());
            return variables::of_formatted(row.unwrap_or_default(), &properties);
        }
        if let Some(text) = self.text("/etc/default/orbit") {
            return variables::of_environment_file(&text);
        }
        let daemons = self
            .small
            .iter()
            .filter(|(path, _)| path.ends_with(".plist"));
        let daemons = daemons.filter_map(|(_, bytes)| std::str::from_utf8(bytes).ok());
        let variables = daemons.map(variables::of_launch_daemon);
        variables.max_by_key(BTreeMap::len).unwrap_or_default()
    }

    fn components(&self, package: &Package, targets: Option<&Targets>) -> Vec<Component> {
        let unpacked = package.files.iter().filter_map(|found| {
            let path = inner_path(&found.path).strip_prefix("bin/")?;
            let (target, channel) = component::Target::of_unpacked(path)?;
            Some(target.name(channel))
        });
        let unpacked: BTreeSet<_> = unpacked.collect();
        let programs = self.programs.keys().chain(self.beside.keys());
        let names: BTreeSet<_> = programs.chain(&unpacked).collect();
        let components = names.into_iter().map(|target| {
            let said = self.beside.get(target);
            let archive = unpacked.contains(target) || target.ends_with(".tar.gz");
            let program = self.programs.get(target);
            let program = program.or_else(|| said?.as_ref()).cloned();
            let program = program.unwrap_or_default();
            let mut words = target.split('/').map(str::to_owned);
            let mut word = || words.next().unwrap_or_default();
            let listed = targets.and_then(|targets| targets.targets.get(target));
            let version =
                listed.and_then(|listed| listed.custom.as_ref()?.get("version")?.as_str());
            let is = |program: &Program| listed.and_then(|listed| program.is(&listed.hashes));
            let beside = match said {
                None => Beside::Missing,
                Some(None) => Beside::Unreadable,
                Some(Some(said)) => Beside::Digest(is(said)),
            };
            Component {
                name: word(),
                platform: word(),
                channel: word(),
                target: target.clone(),
                version: version.map(str::to_owned),
                is_target: is(&program),
                sha256: program.sha256,
                sha512: program.sha512,
                beside: archive.then_some(beside),
            }
        });
        components.collect()
    }
}

/// The path below the agent's folder; others stay absolute.
fn inner_path(path: &str) -> &str {
    path.strip_prefix(UNIX_ROOT).unwrap_or(path)
}

/// `<component>/<platform>/<channel>/<file>` of a component that is known.
fn is_target(name: &str) -> bool {
    let component = name.split('/').next().unwrap_or_default();
    let known = component::Component::ALL
        .iter()
        .any(|c| c.word() == component);
    known && name.split('/').count() == 4
}

fn small(found: &Found, contents: &mut dyn Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    if found.len > MAX_SMALL || found.kind != Kind::File {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(found.len as usize));
    contents.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

struct Documents {
    anchor: Vec<u8>,
    whole: Option<fetched::Documents>,
    trust: Trust,
    targets: Option<Targets>,
}

/// One object of document name → document; `None` without a root that can be read.
fn parse(text: &str) -> Option<Documents> {
    fn document<T: Metadata>(
        documents: &BTreeMap<String, Box<RawValue>>,
        name: &str,
    ) -> Option<(Signed<T>, Document)> {
        let text = documents.get(name)?.get().as_bytes();
        let signed: Signed<T> = Signed::parse(text).ok()?;
        let facts = Document {
            version: signed.version(),
            expires: signed.expires().to_string(),
            sha256: hex::encode(Digests::of(text).sha256),
        };
        Some((signed, facts))
    }
    let documents: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
    let (_, root) = document::<Root>(&documents, "root.json")?;
    let timestamp = document::<Timestamp>(&documents, "timestamp.json");
    let snapshot = document::<Snapshot>(&documents, "snapshot.json");
    let (targets, listing) = document::<Targets>(&documents, "targets.json").unzip();
    let bytes = |name: &str| Some(documents.get(name)?.get().as_bytes().to_vec());
    let anchor = bytes("root.json")?;
    let whole = || {
        Some(fetched::Documents {
            root: bytes("root.json")?,
            timestamp: bytes("timestamp.json")?,
            snapshot: bytes("snapshot.json")?,
            targets: bytes("targets.json")?,
        })
    };
    Some(Documents {
        anchor,
        whole: whole(),
        trust: Trust {
            root,
            timestamp: timestamp.map(|(_, facts)| facts),
            snapshot: snapshot.map(|(_, facts)| facts),
            targets: listing,
        },
        targets: targets.map(|targets| targets.signed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_held_against_the_digests_that_are_listed() {
        let read = Program::read(&mut &b"a program"[..]).unwrap();
        let sha512 = read.sha512.as_deref().unwrap();
        let beside = Program::beside(sha512.to_uppercase().as_bytes()).unwrap();
        let sha256 = read.sha256.as_deref().unwrap();
        let other = "0".repeat(64);
        for (name, program, listed, expected) in [
            (
                "both",
                &read,
                vec![("sha256", sha256), ("sha512", sha512)],
                Some(true),
            ),
            ("sha256 alone", &read, vec![("sha256", sha256)], Some(true)),
            ("sha512 alone", &read, vec![("sha512", sha512)], Some(true)),
            (
                "one of two",
                &read,
                vec![("sha256", &*other), ("sha512", sha512)],
                Some(false),
            ),
            (
                "unpacked",
                &beside,
                vec![("sha256", sha256), ("sha512", sha512)],
                Some(true),
            ),
            (
                "unpacked, sha256 alone",
                &beside,
                vec![("sha256", sha256)],
                None,
            ),
            ("another algorithm", &read, vec![("sha3-256", &other)], None),
        ] {
            let listed: BTreeMap<_, _> = listed.into_iter().collect();
            let hashes = serde_json::from_value(serde_json::to_value(listed).unwrap()).unwrap();
            assert_eq!(program.is(&hashes), expected, "{name}");
        }
    }
    #[test]
    fn what_is_no_digest_is_none() {
        for text in [
            "",
            "none",
            "0123456789abcdef",
            &"0".repeat(127),
            &"g".repeat(128),
        ] {
            assert!(Program::beside(text.as_bytes()).is_none(), "{text:?}");
        }
        let line = format!("{}\n", "0".repeat(128));
        assert!(Program::beside(line.as_bytes()).is_some());
    }
}
