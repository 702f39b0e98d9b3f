//! Switches a repository to consistent snapshots (TUF 6.2).
//!
//! A new root says so; it is all that is signed. Before it appears, all that it leads to lies
//! there under names that never get other contents: `N.targets.json`, `N.snapshot.json`, and
//! each target under a prefix of each of its hashes. Plain names stay published, for clients
//! that have not seen the new root and for people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::edit::{Change, Signing, expires};
use super::keyring::Keyring;
use super::pending::{Edit, Outcome};
use super::stage::{self, Copies};
use super::targets::places;
use super::{Repository, RepositoryError, commit, exists, io_error};
use crate::tuf::metadata::{Metadata, Role, Signed, TargetFile, Targets};
use crate::tuf::state::quoted;

impl Repository {
    /// Switches; says whether it was not so already.
    pub fn make_consistent(
        &mut self,
        copies: Copies,
        signing: &mut Signing<'_>,
    ) -> Result<bool, RepositoryError> {
        if self.consistent() {
            return Ok(false);
        }
        self.check_no_pending()?;
        let mut ring = Keyring::new(self.tokens.clone());
        let mut root = self.base.root().signed.clone();
        root.consistent_snapshot = true;
        root.common_mut().version += 1;
        root.common_mut().expires = expires(Role::Root, signing)?;
        self.check_hand(Role::Root, &root, &mut ring, signing)?;
        let keys = ring.role(&self.layout, Role::Root, signing.ask)?;
        let change = Change {
            root: Some(keys.sign(&root, &[&self.base.root().signed])?),
            ..Change::default()
        };
        commit::clear_stage(&self.layout)?;
        let files = match self.stage_versions(copies) {
            Ok(files) => files,
            Err(error) => {
                commit::remove_tree(&self.layout.work().join("stage"))?;
                return Err(error);
            }
        };
        let edit = Edit {
            what: "consistent-snapshot on".to_owned(),
            change,
            files,
            ..Edit::default()
        };
        match self.settle(edit, &mut ring, signing)? {
            Outcome::Published => Ok(true),
            Outcome::Held(missing) => Err(RepositoryError::Held(missing)),
        }
    }

    // What the new root leads to, under the names that it leads to.
    fn stage_versions(&self, copies: Copies) -> Result<Vec<String>, RepositoryError> {
        let stage = self.layout.work().join("stage");
        let delegated = self.delegated_documents()?;
        let mut documents: Vec<(String, &[u8])> = delegated
            .iter()
            .map(|(role, document)| {
                let name = format!("{}.{}.json", document.version(), quoted(role));
                (name, document.bytes())
            })
            .collect();
        for role in [Role::Targets, Role::Snapshot] {
            let name = role.versioned_file(self.base.version(role));
            documents.push((name, self.base.bytes(role)));
        }
        commit::stage_documents(&self.layout, &documents)?;
        let mut files: Vec<String> = documents.into_iter().map(|(name, _)| name).collect();
        let top = &self.base.targets().signed;
        let all = std::iter::once(top).chain(delegated.values().map(|document| &document.signed));
        let targets: Vec<(&String, &TargetFile)> = all.flat_map(|doc| &doc.targets).collect();
        let paths = targets.iter().map(|(name, file)| self.file_of(name, file));
        let paths = paths.collect::<Result<Vec<PathBuf>, _>>()?;
        // Under the name of a hash nothing may lie that has another.
        let digests = stage::hash_all(&paths)?;
        let mut copied = Vec::new();
        for (((name, target), path), digests) in targets.iter().zip(&paths).zip(&digests) {
            super::targets::check_content(name, target, digests)?;
            for place in places(name, target, true) {
                if !files.contains(&place) && !exists(&self.layout.published(&place))? {
                    let to = stage.join(&place);
                    stage::make_parents_unsynced(&to)?;
                    copies.copy(path, &to)?;
                    copied.push(to);
                    files.push(place);
                }
            }
        }
        crate::fs::sync_files(&copied).map_err(io_error("write the targets"))?;
        Ok(files)
    }

    /// The documents of delegated roles that the snapshot lists, by role.
    pub fn delegated_documents(
        &self,
    ) -> Result<BTreeMap<String, Signed<Targets>>, RepositoryError> {
        let own = Role::ALL.map(Role::file);
        let mut documents = BTreeMap::new();
        for (file, meta) in &self.base.snapshot().signed.meta {
            // go-tuf 0.5.2 lists root.json there.
            let Some(role) = file.strip_suffix(".json").filter(|_| !own.contains(file)) else {
                continue;
            };
            let plain = self.layout.published(&format!("{}.json", quoted(role)));
            let numbered = format!("{}.{}.json", meta.version, quoted(role));
            let numbered = self.layout.published(&numbered);
            let path = match self.consistent() && exists(&numbered)? {
                true => numbered,
                false => plain,
            };
            let bytes = super::read(&path, crate::tuf::client::TARGETS_LIMIT)?;
            documents.insert(role.to_owned(), Signed::<Targets>::parse(&bytes)?);
        }
        Ok(documents)
    }
}
