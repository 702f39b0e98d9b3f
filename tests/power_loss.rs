//! What a power loss leaves: no name appears before what it names is on the disk.
//!
//! strace takes down what the real command asks the system for. Of each rename the file, and
//! all in a folder, must have been synced since it was last written to; before timestamp.json
//! and roots appear, the folders must be synced in which targets and metadata appeared; in the
//! end none is left unsynced, new folders among them; and the list of a commit is gone for good
//! before the next change begins.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Trial;

use crate::harness::scratch::Run;
use crate::harness::{Scratch, fixtures, trial_needing};
use crate::updates::{PASSPHRASES, add, elf, init};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let commands: [(&str, &str); 14] = [
        ("init", "updates init --path fresh"),
        (
            "add",
            "updates add --path repo --target new --name orbit --platform linux --version 2 -t stable",
        ),
        ("timestamp", "updates timestamp --path repo"),
        ("rotate", "updates rotate targets --path repo"),
        (
            "promote",
            "updates promote --path repo --component orbit --from edge --to stable",
        ),
        ("consistent", "updates consistent-snapshot on --path repo"),
        (
            "remove",
            "updates remove orbit/linux/edge/orbit --path repo",
        ),
        ("prune", "updates prune --path repo --grace 0"),
        ("publish", "updates publish dest --path repo"),
        ("pull", "updates pull dest --path second"),
        (
            "mirror",
            "updates mirror --path repo --from upstream --update-roots @upstream/1.root.json --channel stable --component osqueryd --platform linux",
        ),
        // With new targets, and with new keys, for a root key that is elsewhere.
        ("held", "updates consistent-snapshot on --path repo"),
        ("attach", "updates attach stick --path repo"),
        (
            "package",
            "package --type deb --update-url qs/updates/repository --disable-updates --update-roots @qs/updates/repository/1.root.json",
        ),
    ];
    let trials = commands.into_iter().map(|(name, words)| {
        trial_needing(&format!("power_loss/{name}"), &["strace"], move || {
            ordered(name, words);
        })
    });
    trials.collect()
}

const CALLS: &str = "trace=openat,creat,write,pwrite64,writev,ftruncate,copy_file_range,sendfile,\
    fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,unlink,unlinkat,chdir";

fn ordered(name: &str, words: &str) {
    let scratch = Scratch::new();
    match name {
        "package" => drop(scratch.fleetpack(["quickstart", "--dir", "qs"]).ok()),
        _ => repository(&scratch),
    }
    let mut code = 0;
    match name {
        "prune" => drop(scratch.write("repo/repository/targets/no/body", "nobody's")),
        "pull" => published_by_another(&scratch),
        "mirror" => {
            let there = fixtures().join("go-tuf/fleetctl-style/repository");
            scratch.copy(&there, "upstream");
        }
        "held" => {
            root_key_away(&scratch);
            code = 5;
        }
        "attach" => signed_elsewhere(&scratch),
        _ => {}
    }
    let mut args = vec!["-f", "-qq", "-y", "-o", "calls", "-s", "0", "-e", CALLS];
    args.push(env!("CARGO_BIN_EXE_fleetpack"));
    args.extend(words.split(' '));
    scratch
        .tool("strace", args)
        .envs(PASSPHRASES)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .fails(code);
    let here = scratch.path().canonicalize().unwrap();
    let mut order = Order::new(here.display().to_string());
    for event in events(&scratch.text("calls")) {
        order.saw(&event);
    }
    let renames = order.ended();
    assert!(renames > 0, "no rename was seen");
    eprintln!("{words}: {renames} renames, each after what it names");
}

fn repository(scratch: &Scratch) {
    init(scratch);
    scratch.write("new", [elf(62).as_slice(), b"new"].concat());
    scratch.write("old", elf(62));
    add(scratch, "old", "1").ok();
    let words =
        "updates add --path repo --target new --name orbit --platform linux --version 3 -t edge";
    scratch.fleetpack(words.split(' ')).envs(PASSPHRASES).ok();
    std::fs::create_dir(scratch.join("dest")).unwrap();
}

fn run(scratch: &Scratch, words: &str) -> Run {
    scratch.fleetpack(words.split(' ')).envs(PASSPHRASES)
}

/// `second` lags behind `dest`.
fn published_by_another(scratch: &Scratch) {
    run(scratch, "updates publish dest --path repo").ok();
    scratch.copy(&scratch.join("repo"), "second");
    let words =
        "updates add --path repo --target new --name orbit --platform linux --version 4 -t stable";
    run(scratch, words).ok();
    run(scratch, "updates publish dest --path repo").ok();
}

/// It is in `vault`.
fn root_key_away(scratch: &Scratch) {
    for file in ["root.json", "pinned-root.json"] {
        let bytes = scratch.read(&format!("repo/keys/{file}"));
        scratch.write(&format!("vault/keys/{file}"), bytes);
    }
    std::fs::remove_file(scratch.join("repo/keys/root.json")).unwrap();
}

/// A rotation that waits, and its signature.
fn signed_elsewhere(scratch: &Scratch) {
    root_key_away(scratch);
    run(scratch, "updates rotate timestamp --path repo").fails(5);
    run(scratch, "updates payload root --path repo --out stick").ok();
    let refused = run(scratch, "updates sign stick --path vault").run();
    let id = refused.stderr.trim_end().rsplit(' ').next().unwrap();
    let words = format!("updates sign stick --path vault --allow-key {id}");
    run(scratch, &words).ok();
}

/// A call when it begins, or when it has ended.
struct Event {
    begins: bool,
    ends: bool,
    call: String,
    /// Between the brackets.
    rest: String,
}

// One per line; two where another thread came in between.
fn events(text: &str) -> Vec<Event> {
    let mut open: BTreeMap<&str, (String, String)> = BTreeMap::new();
    let mut events = Vec::new();
    for line in text.lines() {
        let Some((thread, line)) = line.split_once(' ') else {
            continue;
        };
        let line = line.trim_start();
        if let Some(resumed) = line.strip_prefix("<... ") {
            let Some((call, mut rest)) = open.remove(thread) else {
                continue;
            };
            rest += resumed.split_once('>').map_or("", |(_, rest)| rest);
            events.push(Event {
                begins: false,
                ends: true,
                call,
                rest,
            });
            continue;
        }
        let Some((call, rest)) = line.split_once('(') else {
            continue;
        };
        let whole = !rest.contains("<unfinished ...>");
        if !whole {
            open.insert(thread, (call.to_owned(), rest.to_owned()));
        }
        events.push(Event {
            begins: true,
            ends: whole,
            call: call.to_owned(),
            rest: rest.to_owned(),
        });
    }
    events
}

/// What is not on the disk yet.
struct Order {
    here: String,
    dirty: BTreeSet<String>,
    /// What a file was called before: it may be renamed while it is synced, and the trace knows it
    /// by the name that it had at first.
    renamed: BTreeMap<String, String>,
    /// Folders in which a name appeared.
    folders: BTreeSet<String>,
    /// Work folders in which the stage appeared.
    staging: BTreeSet<String>,
    /// Stages in which something lies.
    staged: BTreeSet<String>,
    /// A commit's list was deleted in this folder, which was not synced since.
    undone: Option<String>,
    renames: usize,
}

impl Order {
    fn new(here: String) -> Self {
        Self {
            here,
            dirty: BTreeSet::new(),
            renamed: BTreeMap::new(),
            folders: BTreeSet::new(),
            staging: BTreeSet::new(),
            staged: BTreeSet::new(),
            undone: None,
            renames: 0,
        }
    }

    // What is kept for speed alone is not synced: entries are checked when they are read.
    fn counts(&self, path: &str) -> bool {
        path.starts_with(&self.here)
            && !path.contains("/.home/cache")
            && !path.contains("(deleted)")
    }

    fn absolute(&self, path: &str) -> String {
        let path = path.trim_start_matches("./");
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{}/{path}", self.here),
        }
    }

    fn saw(&mut self, event: &Event) {
        let failed = event.ends && event.rest.contains(" = -1 ");
        match event.call.as_str() {
            "openat" | "creat" if event.ends && event.rest.contains("O_CREAT") && !failed => {
                // The name is after the sign of equality: 5</path>.
                if let Some(path) = event
                    .rest
                    .rsplit_once(" = ")
                    .and_then(|(_, f)| descriptor(f))
                {
                    self.appeared(&path);
                    self.written(path);
                }
            }
            "write" | "pwrite64" | "writev" | "ftruncate" | "sendfile" if event.begins => {
                if let Some(path) = descriptor(&event.rest) {
                    self.written(path);
                }
            }
            "copy_file_range" if event.begins => {
                let to = event.rest.split(", ").nth(2).and_then(descriptor);
                if let Some(path) = to {
                    self.written(path);
                }
            }
            "fsync" | "fdatasync" if event.ends && !failed => {
                if let Some(path) = descriptor(&event.rest) {
                    self.dirty.remove(&path);
                    if let Some(now) = self.renamed.remove(&path) {
                        self.dirty.remove(&now);
                    }
                    self.folders.remove(&path);
                    self.staging.remove(&path);
                    self.undone.take_if(|folder| *folder == path);
                }
            }
            "mkdir" | "mkdirat" if event.ends && !failed => {
                if let Some(path) = event.rest.split('"').nth(1) {
                    self.appeared(&self.absolute(path));
                }
            }
            "unlink" | "unlinkat" if event.ends && !failed => {
                if let Some(path) = event.rest.split('"').nth(1) {
                    self.deleted(&self.absolute(path));
                }
            }
            "syncfs" if event.ends && !failed => {
                self.dirty.clear();
                self.folders.clear();
                self.staging.clear();
                self.undone = None;
            }
            "rename" | "renameat" | "renameat2" if event.begins => self.renamed(&event.rest),
            "link" | "linkat" if event.begins => self.linked(&event.rest),
            _ => {}
        }
    }

    fn written(&mut self, path: String) {
        if self.counts(&path) {
            self.dirty.insert(path);
        }
    }

    fn appeared(&mut self, path: &str) {
        self.renamed.remove(path);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        // Locks are of no use after a power loss, nor is what was fetched and not used.
        let is_lock = path.ends_with("/lock") || path.ends_with("/write-lock");
        if !self.counts(path) || is_lock || path.contains("/.fleetpack/incoming") {
            return;
        }
        if path.ends_with("/.fleetpack/stage") {
            self.staging.insert(folder.to_owned());
            return;
        }
        if let Some((work, _)) = path.split_once("/.fleetpack/stage/") {
            self.staged.insert(format!("{work}/.fleetpack/stage"));
        }
        let begins = path.contains("/.fleetpack/stage/") || path.contains("/pending/");
        let undone = self.undone.as_ref().filter(|_| begins);
        assert!(
            undone.is_none(),
            "{path} appears, and {undone:?} is not synced"
        );
        self.folders.insert(folder.to_owned());
    }

    fn deleted(&mut self, path: &str) {
        // That of a destination is gone for good with the next publication's lock, beside it.
        let destination = format!("{}/dest/", self.here);
        if let Some(work) = path.strip_suffix("/commit.json")
            && !path.starts_with(&destination)
        {
            self.undone = Some(work.to_owned());
        }
        // Of a temporary file nothing is left to be lost.
        self.dirty.remove(path);
    }

    fn renamed(&mut self, rest: &str) {
        let names: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        let [from, to] = names[..] else { return };
        let (from, to) = (self.absolute(from), self.absolute(to));
        if !self.counts(&to) {
            return;
        }
        self.renames += 1;
        let inside = format!("{from}/");
        let stage = to.contains("/.fleetpack/");
        for path in &self.dirty {
            let named = *path == from || path.starts_with(&inside);
            // Into the stage nothing is published; its files are looked at when they leave it.
            assert!(
                !named || stage,
                "{from} becomes {to}, and {path} is not synced"
            );
        }
        let leads = to.ends_with("/timestamp.json") || to.ends_with("root.json");
        if leads && to.contains("/repository/") && !stage {
            let open = self.folders.iter().find(|f| f.contains("/repository"));
            assert!(open.is_none(), "{to} appears, and {open:?} is not synced");
        }
        if to.ends_with("/.fleetpack/commit.json") {
            let open = self
                .folders
                .iter()
                .find(|f| f.contains("/.fleetpack/stage"));
            assert!(open.is_none(), "{to} appears, and {open:?} is not synced");
            let stage = to.replace("commit.json", "stage");
            let filled = self.staged.remove(&stage);
            let new = self.staging.iter().any(|work| to.starts_with(work));
            assert!(
                !(filled && new),
                "{to} appears, and {stage} is not in its folder"
            );
        }
        let moved: Vec<String> = self.dirty.iter().filter(|p| **p == from).cloned().collect();
        for path in moved {
            self.dirty.remove(&path);
            self.dirty.insert(to.clone());
            self.renamed.insert(path, to.clone());
        }
        self.appeared(&to);
    }

    fn linked(&mut self, rest: &str) {
        let names: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
        if let Some(to) = names.last().map(|to| self.absolute(to)) {
            self.appeared(&to);
        }
    }

    fn ended(&self) -> usize {
        let left = self
            .folders
            .iter()
            .find(|folder| !folder.contains("/.fleetpack/stage"));
        assert!(left.is_none(), "{left:?} is not synced in the end");
        let undone = &self.undone;
        assert!(undone.is_none(), "{undone:?} is not synced in the end");
        self.renames
    }
}

// The path in `5</path>`.
fn descriptor(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    path.starts_with('/').then(|| path.to_owned())
}
