//! `--path s3://BUCKET/PREFIX`: a repository that is not here.
//!
//! Metadata alone are fetched, into a working copy beside the memory, verified from what the
//! memory knows before anything is signed. The command changes that copy, and what is new goes
//! up by the rules of `updates publish`. What a broken connection left unpublished is still in
//! the copy, and goes up with the next command.

use std::path::PathBuf;

use super::{CliError, Elsewhere, Passphrases, Place, Printer, Surroundings};
use crate::publish::{self, Known, Options, PublishError};
use crate::store::object::{self, Access, Objects};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Layout, Memory, Signing, Validities};

/// A repository elsewhere, while a command changes its working copy.
pub struct Remote {
    objects: Box<dyn Objects>,
    place: Place,
    layout: Layout,
}

impl Place {
    /// Its URL, when it is object storage.
    pub fn url(&self) -> Option<&str> {
        self.path.to_str().filter(|path| object::is_cloud(path))
    }

    // Working copy, keys and memory of a repository that is not here.
    fn working_copy(&self, elsewhere: &Elsewhere, url: &str) -> Result<Layout, CliError> {
        let keys = elsewhere.keys.clone().ok_or_else(|| {
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

    /// Makes `place` the working copy when it is a URL.
    pub fn enter(
        &mut self,
        elsewhere: &Elsewhere,
        surroundings: &Surroundings,
        printer: &Printer,
    ) -> Result<Option<Remote>, CliError> {
        let Some(url) = self.url().map(str::to_owned) else {
            self.keys.clone_from(&elsewhere.keys);
            return Ok(None);
        };
        let layout = self.working_copy(elsewhere, &url)?;
        let access = Access::of_process(None);
        let objects = object::open(&url, &access).map_err(PublishError::from)?;
        if !layout.repository().join("root.json").exists() {
            first_copy(&layout, &*objects, &url, elsewhere.trust_current)?;
        }
        let state = layout.state();
        let place = Place {
            path: layout.path().to_owned(),
            keys: Some(layout.keys()),
            state: Some(state),
            sparse: true,
        };
        let mut repository = place.clone().open(printer)?;
        let known = Known::of(&layout);
        let mut passphrases = Passphrases::new(surroundings, printer);
        let mut signing = Signing {
            ask: &mut passphrases,
            now: surroundings.now,
            validities: Validities::default(),
        };
        let tell = |line: &str| printer.note(line);
        match publish::pull(
            &mut repository,
            &*objects,
            &known,
            false,
            &mut signing,
            &tell,
        ) {
            Err(PublishError::Unpublished(_)) => {
                printer.note("an earlier change was not published yet; it will be now");
            }
            pulled => drop(pulled?),
        }
        drop(repository);
        *self = place.clone();
        Ok(Some(Remote {
            objects,
            place,
            layout,
        }))
    }
}

// The anchor is what the memory knows; without one a person says that it is to be trusted.
fn first_copy(
    layout: &Layout,
    objects: &dyn Objects,
    url: &str,
    trust_current: bool,
) -> Result<(), CliError> {
    let memory = Memory::read(&layout.state())?;
    let anchor = match memory.version(Role::Root) {
        None if trust_current => None,
        None => {
            return Err(CliError::usage(
                format!(
                    "nothing here says which root of {url} to trust: {} does not exist",
                    layout.state().display()
                ),
                "--trust-current, after comparing `fleetpack updates roots` with a host that knows it",
            ));
        }
        Some(version) => {
            let name = Role::Root.versioned_file(version);
            let there = objects.get(&name, 1 << 20).map_err(PublishError::from)?;
            let (bytes, _) = there.ok_or_else(|| PublishError::Nothing(url.to_owned()))?;
            memory.check(Role::Root, version, &bytes)?;
            Some(bytes)
        }
    };
    Ok(publish::first(layout, objects, anchor.as_deref())?)
}

impl Remote {
    /// Publishes what the command changed.
    pub fn leave(self, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
        let mut repository = self.place.open(&printer.silent())?;
        let known = Known::of(&self.layout);
        let mut passphrases = Passphrases::new(surroundings, printer);
        let mut signing = Signing {
            ask: &mut passphrases,
            now: surroundings.now,
            validities: Validities::default(),
        };
        let published = publish::publish(
            &mut repository,
            &*self.objects,
            &known,
            &Options::default(),
            &mut signing,
            &|line| printer.note(line),
        )?;
        printer.note(format!(
            "published {} files, {} bytes sent",
            published.written.len(),
            published.sent
        ));
        // What was sent is there; this copy keeps metadata alone.
        let targets = self.layout.repository().join("targets");
        match std::fs::remove_dir_all(&targets) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }
}
