//! A folder in memory and on disk, and commands that run in this process.
//!
//! What lies in the folder is taken down as [`Disk`] and put back, so that one base serves
//! every trial of a command. Commands run through [`fleetpack::cli`], where the hook of
//! [`fleetpack::fs`] sees each of their steps.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use fleetpack::cli::{Args, CliError, Printer, Surroundings};
use fleetpack::tuf::client::{Client, Options};
use fleetpack::tuf::state::State;

/// What lies in a folder: paths relative to it, modes, contents (none for a folder).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Disk(pub BTreeMap<PathBuf, Entry>);

/// Mode, and what a file holds.
type Entry = (u32, Option<Arc<Vec<u8>>>);

impl Disk {
    /// Takes down a folder in which others may be at work. Contents that are as in `like` are
    /// kept once.
    pub fn read(folder: &Path, like: &Self) -> Self {
        let mut disk = Self::default();
        disk.collect(folder, folder, like);
        disk
    }

    fn collect(&mut self, top: &Path, folder: &Path, like: &Self) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            // What another thread renames or removes right now is not there.
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            let name = path.strip_prefix(top).unwrap().to_owned();
            let mode = metadata.mode() & 0o7777;
            if metadata.is_dir() {
                self.0.insert(name, (mode, None));
                self.collect(top, &path, like);
                continue;
            }
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            let known = like.contents(&name).filter(|known| ***known == bytes);
            let bytes = known.cloned().unwrap_or_else(|| Arc::new(bytes));
            self.0.insert(name, (mode, Some(bytes)));
        }
    }

    /// Makes the folder hold this and nothing else.
    pub fn restore(&self, folder: &Path) {
        if folder.exists() {
            std::fs::remove_dir_all(folder).unwrap();
        }
        std::fs::create_dir_all(folder).unwrap();
        for (name, (mode, bytes)) in &self.0 {
            let path = folder.join(name);
            match bytes {
                None => std::fs::create_dir(&path).unwrap(),
                Some(bytes) => std::fs::write(&path, bytes.as_slice()).unwrap(),
            }
            std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
        }
    }

    /// A file's contents.
    pub fn contents(&self, name: &Path) -> Option<&Arc<Vec<u8>>> {
        self.0.get(name).and_then(|(_, bytes)| bytes.as_ref())
    }

    /// The files with their names.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &Arc<Vec<u8>>)> {
        let entries = self.0.iter();
        entries.filter_map(|(name, (_, bytes))| Some((name.as_path(), bytes.as_ref()?)))
    }

    /// Only the entries that `wanted` wants.
    pub fn only(&self, wanted: impl Fn(&Path) -> bool) -> Self {
        let entries = self.0.iter().filter(|(name, _)| wanted(name));
        Self(entries.map(|(n, e)| (n.clone(), e.clone())).collect())
    }

    /// Names that differ.
    pub fn differing(&self, other: &Self) -> Vec<PathBuf> {
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |name: &&&PathBuf| self.0.get(**name) != other.0.get(**name);
        names.iter().filter(differs).map(|n| (*n).clone()).collect()
    }
}

/// A folder that commands work in; on a disk in memory where there is one.
pub struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// Holds what `disk` holds.
    pub fn new(disk: &Disk) -> Self {
        let memory = Path::new("/dev/shm");
        let above = match memory.is_dir() {
            true => memory,
            false => Path::new(env!("CARGO_TARGET_TMPDIR")),
        };
        let builder = tempfile::Builder::new()
            .prefix("fleetpack-scene-")
            .tempdir_in(above);
        let scene = Self {
            folder: builder.unwrap(),
        };
        disk.restore(&scene.path());
        scene
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("w")
    }

    /// What it holds now.
    pub fn disk(&self, like: &Disk) -> Disk {
        Disk::read(&self.path(), like)
    }

    /// Runs `fleetpack …` in this process. `%` in a word is the scene's folder, `ID` what the
    /// file of that name holds, `ARGS` what packages are made of.
    pub fn run(&self, words: &str) -> Result<(), Failure> {
        let here = self.path().display().to_string();
        let id = std::fs::read_to_string(self.path().join("ID")).unwrap_or_default();
        let words = words
            .replace("ARGS", PACKAGE)
            .replace(" ID", &format!(" {id}"));
        let words = words.split(' ').map(|word| match word.split_once('%') {
            Some((front, name)) => format!("{front}{here}/{name}"),
            None => word.to_owned(),
        });
        let words: Vec<_> = ["fleetpack".to_owned()].into_iter().chain(words).collect();
        let args = Args::try_parse_from(words).unwrap_or_else(|e| panic!("{e}"));
        let home = self.path().join("home").display().to_string();
        let mut variables: BTreeMap<String, String> = VARIABLES
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        variables.insert("HOME".to_owned(), home);
        let surroundings = Surroundings::of(variables, jiff::Timestamp::now());
        fleetpack::cli::run(args, &surroundings, &Printer::mute()).map_err(Failure::of)
    }

    /// What an agent gets from the repository at `place` for a target. It remembers in `memory`,
    /// if that is given.
    pub fn client(
        &self,
        place: &str,
        memory: Option<&str>,
        target: &str,
    ) -> Result<(u64, Vec<u8>), String> {
        let here = self.path();
        let memory = memory.map(|name| here.join(name));
        let anchor = here.join("anchor.json");
        client(&here.join(place), &anchor, memory.as_deref(), target)
    }
}

/// What an agent gets from the repository in a folder: version of the targets metadata, and a
/// target's contents. It begins with an anchor, and remembers in `memory`, if that is given.
pub fn client(
    folder: &Path,
    anchor: &Path,
    memory: Option<&Path>,
    target: &str,
) -> Result<(u64, Vec<u8>), String> {
    let anchor = std::fs::read(anchor).unwrap();
    let store = fleetpack::store::Disk::new(folder.to_owned()).map_err(|e| e.to_string())?;
    let state = memory.map(State::at);
    let mut client = Client::new(Box::new(store), anchor, state, Options::default());
    let refreshed = client.refresh(jiff::Timestamp::now());
    let version = refreshed.map_err(|e| e.to_string())?.targets().version();
    let mut file = tempfile::tempfile().unwrap();
    client
        .download(target, &mut file)
        .map_err(|e| e.to_string())?;
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    Ok((version, bytes))
}

const PACKAGE: &str = "--update-url=%qs/updates/repository \
    --update-roots=@%qs/updates/repository/1.root.json --outdir=%out --fleet-desktop \
    --agent-update-url=https://updates.example.com --fleet-url=https://fleet.example.com \
    --enroll-secret=0123456789abcdefghijklmnopqrstuv";

/// What commands find in the environment.
const VARIABLES: &[(&str, &str)] = &[
    ("FLEET_ROOT_PASSPHRASE", "root-pass-1"),
    ("FLEET_TARGETS_PASSPHRASE", "targets-pass-2"),
    ("FLEET_TARGETS_NEW_PASSPHRASE", "targets-pass-2"),
    ("FLEET_SNAPSHOT_PASSPHRASE", "snapshot-pass-3"),
    ("FLEET_TIMESTAMP_PASSPHRASE", "timestamp-pass-4"),
    ("SOURCE_DATE_EPOCH", "1790000000"),
];

/// A command's error, as it is told.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// The sentence and its causes.
    pub text: String,
}

impl Failure {
    fn of(error: CliError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        Self {
            code: error.exit() as u8,
            text,
        }
    }
}
