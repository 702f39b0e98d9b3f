//! Targets that the cache knows: fetched, and unpacked, only when somebody reads their bytes.
//!
//! Whoever reads them wants what is not in the cache any more, or never was (a compression
//! that keeps no segments). The bytes come from the cache or from the repository, and are
//! verified either way.

use std::error::Error;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use super::unpack::{Place, unpack};
use super::{kept, temporary};
use crate::cache::Cache;
use crate::install::Later;
use crate::tuf::client::{Client, Job};
use crate::tuf::hashes::Digests;

type Failed = Box<dyn Error + Send + Sync>;

/// A target that was verified in an earlier run.
pub(super) struct LaterTarget {
    pub(super) client: Arc<Client>,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) name: String,
    pub(super) digests: Digests,
    /// Whether the repository's own file will do ([`Job::in_place`]).
    pub(super) in_place: bool,
    pub(super) fetched: Mutex<Option<Arc<File>>>,
}

impl LaterTarget {
    pub(super) fn file(&self) -> Result<Arc<File>, Failed> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*fetched {
            return Ok(file.clone());
        }
        let file = Arc::new(self.obtain()?);
        *fetched = Some(file.clone());
        Ok(file)
    }

    fn obtain(&self) -> Result<File, Failed> {
        let is_here = self.client.is_here(&self.name)?;
        let cache = self.cache.as_deref().filter(|_| !is_here);
        if let Some(file) = cache.and_then(|cache| kept::download(cache, &self.digests)) {
            return Ok(file);
        }
        let job = Job {
            name: self.name.clone(),
            spool: temporary()?,
            in_place: self.in_place,
        };
        let obtained = self.client.download_all(vec![job], NonZeroUsize::MIN)?;
        let (file, _) = obtained.into_iter().next().ok_or("nothing came")?;
        if let Some(cache) = cache {
            kept::put_download(cache, &file, &self.digests)?;
        }
        Ok(file)
    }
}

impl Later for LaterTarget {
    fn fetch(&self) -> Result<(Arc<File>, u64), Failed> {
        Ok((self.file()?, 0))
    }
}

/// An archive whose members the cache knows.
pub(super) struct LaterArchive {
    pub(super) target: Arc<LaterTarget>,
    pub(super) unpacked: Mutex<Option<Spool>>,
}

/// Members' bytes in one file.
pub(super) type Spool = (Arc<File>, Arc<[Option<Place>]>);

impl LaterArchive {
    fn unpacked(&self) -> Result<Spool, Failed> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spool) = &*unpacked {
            return Ok(spool.clone());
        }
        let archive = self.target.file()?;
        (&*archive).seek(SeekFrom::Start(0))?;
        let (file, members) = unpack(&self.target.name, &*archive)?;
        let places = members.into_iter().map(|spooled| spooled.place).collect();
        let spool = (Arc::new(file), places);
        *unpacked = Some(spool.clone());
        Ok(spool)
    }
}

/// One member of it, by its number in the archive.
pub(super) struct LaterMember {
    pub(super) archive: Arc<LaterArchive>,
    pub(super) number: usize,
}

impl Later for LaterMember {
    fn fetch(&self) -> Result<(Arc<File>, u64), Failed> {
        let (file, places) = self.archive.unpacked()?;
        let place = places.get(self.number).copied().flatten();
        let place = place.ok_or("the archive has no such member")?;
        Ok((file, place.at))
    }
}
