//! What a signing machine remembers, beside its keys: the root that it trusts
//! (`pinned-root.json`) and what it signed (`signed.json`: version and sha256 of the canonical
//! form, per role). It needs no copy of the repository.

use std::path::PathBuf;

use super::{CeremonyError, Payload, Review};
use crate::tuf::client::ROOT_LIMIT;
use crate::tuf::metadata::{Root, Signed};
use crate::tuf::repository::{Layout, Memory, RepositoryError, Seen};
use crate::tuf::trusted::{Expiry, Roots};

/// The machine that signs.
pub struct Machine<'a> {
    layout: &'a Layout,
}

impl<'a> Machine<'a> {
    /// With its memory where the keys of `layout` are.
    pub fn new(layout: &'a Layout) -> Self {
        Self { layout }
    }

    fn signed(&self) -> PathBuf {
        self.layout.state().with_file_name("signed.json")
    }

    /// The root that is trusted here.
    pub fn pinned(&self) -> Result<Vec<u8>, CeremonyError> {
        let path = self.layout.pinned();
        match crate::fs::read_document(&path, ROOT_LIMIT) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(CeremonyError::NoPin(path)),
            Err(source) => Err(CeremonyError::Io { path, source }),
        }
    }

    /// Whether a root is trusted here already.
    pub fn has_pin(&self) -> Result<bool, CeremonyError> {
        let path = self.layout.pinned();
        crate::fs::exists(&path).map_err(|source| CeremonyError::Io { path, source })
    }

    /// Checks a root that a person says to be the right one: it must be signed by itself.
    pub fn check_root(bytes: &[u8]) -> Result<Signed<Root>, CeremonyError> {
        let roots = Roots::anchor(bytes, Expiry::Ignored);
        let roots = roots.map_err(|source| CeremonyError::Chain { pinned: 0, source })?;
        Ok(roots.root().clone())
    }

    /// Refuses what is older than what was signed here, or another of the same version
    /// (`replaced` allows that one).
    pub fn check(
        &self,
        payload: &Payload,
        message: &[u8],
        replaced: bool,
    ) -> Result<(), CeremonyError> {
        let role = payload.role();
        let memory = Memory::read(&self.signed()).map_err(Box::new)?;
        let Some(seen) = memory.seen(role) else {
            return Ok(());
        };
        let this = Seen::of_bytes(payload.version(), message);
        if this.version < seen.version {
            let signed = seen.version;
            return Err(CeremonyError::OlderThanSigned { role, signed });
        }
        match this.version == seen.version && this != *seen && !replaced {
            true => Err(CeremonyError::SignedAnother {
                role,
                version: this.version,
            }),
            false => Ok(()),
        }
    }

    /// Remembers what is about to be signed, and the root that was verified on the way.
    pub fn remember(
        &self,
        payload: &Payload,
        review: &Review,
        message: &[u8],
    ) -> Result<(), RepositoryError> {
        let mut memory = Memory::read(&self.signed())?;
        memory.note(payload.role(), Seen::of_bytes(payload.version(), message));
        memory.write(&self.signed())?;
        crate::tuf::repository::pin(self.layout, review.root.bytes())
    }
}
