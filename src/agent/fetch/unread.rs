//! Programs that lie in a repository on this machine and were not read yet.
//!
//! Reading 130 MB for their digests and once more to pack them takes a tenth of the time of a
//! package. So the builder, which reads all of it anyway, takes both digests that signed
//! metadata list, and fails when either differs ([`crate::install::Shared::judge`]).

use std::sync::Arc;

use super::kept;
use crate::cache::Cache;
use crate::install::Promise;
use crate::tuf::hashes::Digests;
use crate::tuf::metadata::TargetFile;

/// What such a program must be.
pub(super) struct Unread {
    pub(super) digests: Digests,
    pub(super) listed: TargetFile,
    pub(super) cache: Option<Arc<Cache>>,
}

impl Promise for Unread {
    fn sha512(&self) -> [u8; 64] {
        self.digests.sha512
    }

    fn kept(&self) {
        if let Some(cache) = &self.cache {
            kept::put_digests(cache, &self.listed, &self.digests);
        }
    }
}
