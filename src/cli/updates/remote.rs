//! `--path s3://BUCKET/PREFIX`: a repository that is not here.
//!
//! Metadata alone are fetched, into a working copy beside the memory, verified from what the
//! memory knows before anything is signed. The command changes that copy, and what is new goes
//! up by the rules of `updates publish`. What a broken connection left unpublished is still in
//! the copy, and goes up with the next command. An edit that waits for signatures waits there
//! too. Two commands read contents of targets as well: `add --rehash`, `consistent-snapshot`.

use std::path::PathBuf;

use super::{At, CliError, Printer, Surroundings};
use crate::publish::{self, Known, Options, PublishError, Pulled};
use crate::store::Store;
use crate::store::object::{self, Access, Cloud, Objects};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Layout, Memory, Repository, Signing, Validities};

/// Largest root that is read.
const LIMIT: u64 = crate::tuf::client::ROOT_LIMIT;

/// A repository elsewhere, while a command changes its working copy.
pub struct Remote {
    pub objects: Box<dyn Objects>,
    at: At,
    layout: Layout,
}

/// What is published, to be read.
pub struct Published {
    pub store: Box<dyn Store>,
    /// The root to begin with.
    pub anchor: Vec<u8>,
    /// What may not be older there.
    pub memory: Memory,
}

/// Opens a place to publish to.
pub fn objects(place: &str, endpoint: Option<&str>) -> Result<Box<dyn Objects>, CliError> {
    let access = Access::of_process(endpoint.map(str::to_owned));
    Ok(object::open(place, &access).map_err(PublishError::from)?)
}

impl At {
    /// Its URL, when it is object storage.
    pub fn url(&self) -> Option<&str> {
        self.path.to_str().filter(|path| object::is_cloud(path))
    }

    // Working copy, keys and memory of a repository that is not here.
    fn working_copy(&self, url: &str) -> Result<Layout, CliError> {
        let keys = self.keys.clone().ok_or_else(|| {
            CliError::usage(
                format!("--path {url} needs --keys"),
                "--keys DIR, the folder with the key files and the memory of what was signed",
            )
        })?;
        let state = self.state.clone().unwrap_or(keys.join("state.json"));
        let digest = crate::compress::sha256(url.trim_end_matches('/').as_bytes());
        let name = format!("work-{}", hex::encode(&digest[..8]));
        let work = state
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default()
            .join(name);
        Ok(Layout::new(&work)
            .with_keys(Some(keys))
            .with_state(Some(state))
            .metadata_only())
    }

    /// Becomes the working copy of the repository at `url`, which may not be there yet.
    pub fn use_working_copy(&mut self, url: &str) -> Result<Layout, CliError> {
        let layout = self.working_copy(url)?;
        *self = Self {
            path: layout.path().to_owned(),
            keys: Some(layout.keys()),
            state: Some(layout.state()),
            endpoint: self.endpoint.clone(),
            trust_current: self.trust_current,
            sparse: true,
        };
        Ok(layout)
    }

    /// Fails when no command was given here with that URL.
    pub fn check_working_copy(&self, url: &str) -> Result<(), CliError> {
        match self.clone().layout().repository().is_dir() {
            true => Ok(()),
            false => Err(CliError::usage(
                format!("no edit of {url} waits beside {}", self.shown_keys()),
                "the command that was to be signed comes first, with the same --path and --keys",
            )),
        }
    }

    fn shown_keys(&self) -> String {
        let keys = self.keys.clone().unwrap_or_default();
        keys.display().to_string()
    }

    /// Becomes an empty working copy for a repository that is to be made at `url`.
    pub fn begin(&mut self, url: &str) -> Result<Remote, CliError> {
        let layout = self.use_working_copy(url)?;
        let objects = objects(url, self.endpoint.as_deref())?;
        for name in ["timestamp.json", "root.json", "1.root.json"] {
            let there = objects.get(name, LIMIT).map_err(PublishError::from)?;
            if there.is_some() {
                return Err(CliError::usage(
                    format!("{url} holds an update repository already: it has {name}"),
                    "another prefix, or another command with --trust-current",
                ));
            }
        }
        // Whether listing is allowed shows before keys are made, not after.
        objects.list("targets").map_err(PublishError::from)?;
        Ok(Remote {
            objects,
            at: self.clone(),
            layout,
        })
    }

    /// Becomes the working copy, brought to what is published; with `files`, targets' too.
    pub fn enter(
        &mut self,
        files: bool,
        surroundings: &Surroundings,
        printer: &Printer,
    ) -> Result<Remote, CliError> {
        let url = self.url().unwrap_or_default().to_owned();
        let trust_current = self.trust_current;
        let layout = self.use_working_copy(&url)?;
        let objects = objects(&url, self.endpoint.as_deref())?;
        if !layout.repository().join("root.json").exists() {
            let anchor = anchor(&layout, &*objects, &url, trust_current)?;
            publish::first(&layout, &*objects, anchor.as_deref())?;
        }
        let mut repository = self.clone().open(printer)?;
        let known = Known::of(&layout);
        let pulled = signing(surroundings, printer, |signing| {
            let tell = |line: &str| printer.note(line);
            publish::pull(&mut repository, &*objects, &known, files, signing, &tell)
        });
        match pulled {
            // Nothing was ever there: a new repository that did not come up.
            Err(PublishError::Unpublished(_) | PublishError::Nothing(_)) => {
                printer.note("an earlier change is not published yet");
            }
            pulled => {
                let Pulled { .. } = pulled?;
            }
        }
        if files {
            self.sparse = false;
        }
        Ok(Remote {
            objects,
            at: self.clone(),
            layout,
        })
    }

    /// What is published at the URL, to be read from an anchor that does not come from there.
    pub fn look(self, url: &str) -> Result<Published, CliError> {
        let layout = self.working_copy(url)?;
        let access = Access::of_process(self.endpoint.clone());
        let cloud = Cloud::new(url, &access).map_err(PublishError::from)?;
        let memory = Memory::read(&layout.state())?;
        let anchor = match anchor(&layout, &cloud, url, self.trust_current)? {
            Some(anchor) => anchor,
            None => published_root(&cloud, url, 1)?,
        };
        Ok(Published {
            store: Box::new(cloud),
            anchor,
            memory,
        })
    }
}

fn signing<T>(
    surroundings: &Surroundings,
    printer: &Printer,
    act: impl FnOnce(&mut Signing<'_>) -> T,
) -> T {
    super::change::signing(surroundings, printer, Validities::default(), act)
}

fn published_root(objects: &dyn Objects, url: &str, version: u64) -> Result<Vec<u8>, CliError> {
    let name = Role::Root.versioned_file(version);
    let there = objects.get(&name, LIMIT).map_err(PublishError::from)?;
    let (bytes, _) = there.ok_or_else(|| PublishError::Nothing(url.to_owned()))?;
    Ok(bytes)
}

// The anchor is what the memory knows. Without one a person says that the oldest root there
// is to be trusted, which is no anchor.
fn anchor(
    layout: &Layout,
    objects: &dyn Objects,
    url: &str,
    trust_current: bool,
) -> Result<Option<Vec<u8>>, CliError> {
    let memory = Memory::read(&layout.state())?;
    let Some(version) = memory.version(Role::Root) else {
        if trust_current {
            return Ok(None);
        }
        return Err(CliError::usage(
            format!(
                "nothing here says which root of {url} to trust: {} does not exist",
                layout.state().display()
            ),
            "--trust-current, after comparing `fleetpack updates roots` with a host that knows it",
        ));
    };
    let bytes = published_root(objects, url, version)?;
    memory.check(Role::Root, version, &bytes)?;
    Ok(Some(bytes))
}

impl Remote {
    /// Opens the working copy.
    pub fn open(&self, printer: &Printer) -> Result<Repository, CliError> {
        self.at.clone().open(printer)
    }

    /// Publishes what the command changed.
    pub fn leave(self, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
        let mut repository = self.open(&printer.silent())?;
        let known = Known::of(&self.layout);
        let published = signing(surroundings, printer, |signing| {
            publish::publish(
                &mut repository,
                &*self.objects,
                &known,
                &Options::default(),
                signing,
                &|line| printer.note(line),
            )
        })?;
        printer.note(format!(
            "published {} files, {} bytes sent",
            published.written.len(),
            published.sent
        ));
        // What was sent is there; this copy keeps metadata alone.
        let targets = self.layout.repository().join("targets");
        Ok(crate::fs::remove_tree(&targets)?)
    }
}
