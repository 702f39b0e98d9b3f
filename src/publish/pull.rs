//! What others published comes into this copy.

use std::io::{Read as _, Write as _};
use std::path::Path;

use super::journal;
use super::known::Known;
use super::merge::Meeting;
use super::remote::{Remote, Standing};
use super::{PublishError, Tell};
use crate::fs::{Step, step, sync_file};
use crate::steps::{Kind, Told};
use crate::store::object::Objects;
use crate::tuf::client::{
    ROOT_LIMIT, SNAPSHOT_LIMIT, TARGETS_LIMIT, TIMESTAMP_LIMIT, target_paths,
};
use crate::tuf::hashes::Hasher;
use crate::tuf::metadata::{Role, TargetFile};
use crate::tuf::repository::{Agreed, Arrived, Layout, Other, Repository, Signing};
use crate::tuf::trusted::{Expiry, Roots, Trusted};

/// What was pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Metadata were taken over.
    pub metadata: bool,
    /// Targets whose files were fetched.
    pub targets: Vec<String>,
    /// Bytes fetched for them.
    pub fetched: u64,
}

/// Takes over what is published at `place`; with `files`, also targets that are missing here.
/// Changes of this copy that are not published yet are an error: publishing unites both.
pub fn pull(
    repository: &mut Repository,
    place: &dyn Objects,
    known: &Known,
    files: bool,
    signing: &mut Signing<'_>,
    tell: Tell<'_>,
) -> Result<Pulled, PublishError> {
    let mut pulled = Pulled::default();
    let remote = read(repository, place, known, tell)?;
    let theirs = match &remote.standing {
        Standing::Verified(theirs) => theirs,
        Standing::Empty => return Err(PublishError::Nothing(place.describe())),
        Standing::Discounted => return Err(PublishError::Unpublished(place.describe())),
    };
    let meeting = Meeting {
        known: known.documents(place)?,
        ours: repository.trusted(),
        theirs,
        newer_roots: !remote.newer_roots.is_empty(),
        prefer: None,
    };
    let agreed = meeting.agree()?;
    let mut other = Other {
        roots: &remote.newer_roots,
        trusted: theirs,
        files: &[],
    };
    let possible = |agreed| repository.needs_no_key(&other, agreed);
    if !agreed.as_ref().is_none_or(possible) {
        return Err(PublishError::Unpublished(place.describe()));
    }
    let listing = match &agreed {
        Some(Agreed::Theirs { .. }) => theirs,
        _ => repository.trusted(),
    };
    // Before the metadata that name them.
    let files = match files {
        true => fetch_missing(repository, place, listing, &mut pulled, tell)?,
        false => Vec::new(),
    };
    other.files = &files;
    match agreed {
        None => repository.place_targets(&files)?,
        Some(agreed) => {
            repository.unite(&other, &agreed, signing)?;
            pulled.metadata = matches!(agreed, Agreed::Theirs { .. });
        }
    }
    known.save(place, theirs)?;
    Ok(pulled)
}

// What is there may be half of a publication: one that goes on is waited for, one that was
// broken off is finished.
fn read(
    repository: &mut Repository,
    place: &dyn Objects,
    known: &Known,
    tell: Tell<'_>,
) -> Result<Remote, PublishError> {
    match Remote::read(place, repository, known, false, Vec::new()) {
        Err(error) if error.may_be_halfway() && journal::is_busy(place)? => {
            super::finish(repository, place, known, tell)?;
            Remote::read(place, repository, known, false, Vec::new())
        }
        read => read,
    }
}

fn fetch_missing(
    repository: &Repository,
    place: &dyn Objects,
    listing: &Trusted,
    pulled: &mut Pulled,
    tell: Tell<'_>,
) -> Result<Vec<Arrived>, PublishError> {
    let folder = repository.incoming()?;
    let consistent = listing.root().signed.consistent_snapshot;
    let mut files = Vec::new();
    for (name, target) in &listing.targets().signed.targets {
        for path in target_paths(name, target, consistent) {
            let here = repository.layout().repository().join("targets").join(&path);
            // A length is not enough, and what is listed is not for that here: metadata may have
            // been taken over without the files.
            let length = std::fs::metadata(&here).map(|m| m.len());
            if length.is_ok_and(|length| length == target.length) && holds(&here, target) {
                continue;
            }
            tell(&format!("fetching {path}"));
            let file = folder.join(files.len().to_string());
            fetch(place, &path, (name, target), &file)?;
            files.push(Arrived {
                path: path.clone(),
                file,
            });
            pulled.targets.push(path);
            pulled.fetched += target.length;
        }
    }
    Ok(files)
}

// Whether a file is this target's.
fn holds(path: &Path, target: &TargetFile) -> bool {
    let hashed = || -> std::io::Result<Hasher> {
        let (mut file, mut hasher) = (std::fs::File::open(path)?, Hasher::new());
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher),
                n => hasher.update(&buffer[..n]),
            }
        }
    };
    hashed().is_ok_and(|hasher| target.hashes.verify(&hasher.finish()).is_ok())
}

fn fetch(
    place: &dyn Objects,
    path: &str,
    (name, target): (&str, &TargetFile),
    to: &Path,
) -> Result<(), PublishError> {
    let failed = |error: std::io::Error| PublishError::Make("a copy of a target", error.into());
    let blob = place.open(&format!("targets/{path}"), 0)?;
    let body = blob.body.take(target.length.saturating_add(1));
    let mut body = Told::new(body, Kind::Download, name, Some(target.length));
    let mut file = crate::fs::create_unsynced(to, 0o644).map_err(failed)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = body.read(&mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        step(Step::Write, "write", to, || file.write_all(&buffer[..n])).map_err(failed)?;
    }
    let digests = hasher.finish();
    if digests.length != target.length || target.hashes.verify(&digests).is_err() {
        return Err(PublishError::ReadBack(name.to_owned()));
    }
    sync_file(to, &file).map_err(failed)
}

/// Makes a first copy of the metadata at `place`, from `anchor` on, where `layout` has none.
/// Without an anchor the oldest root there is taken; the caller says so to a person.
pub fn first(
    layout: &Layout,
    place: &dyn Objects,
    anchor: Option<&[u8]>,
) -> Result<(), PublishError> {
    let nothing = || PublishError::Nothing(place.describe());
    let invalid = |source| PublishError::Invalid {
        place: place.describe(),
        source,
    };
    let get = |name: &str, limit| -> Result<Option<Vec<u8>>, PublishError> {
        Ok(place.get(name, limit)?.map(|(bytes, _)| bytes))
    };
    let anchor = match anchor {
        Some(anchor) => anchor.to_vec(),
        None => get("1.root.json", ROOT_LIMIT)?.ok_or_else(nothing)?,
    };
    let mut roots = Roots::anchor(&anchor, Expiry::Ignored).map_err(invalid)?;
    let mut files = Vec::new();
    let version = roots.root().version();
    files.push((Role::Root.versioned_file(version), anchor.clone()));
    let mut newest = anchor;
    loop {
        let file = roots.next_file();
        let Some(bytes) = get(&file, ROOT_LIMIT)? else {
            break;
        };
        roots.accept(&bytes).map_err(invalid)?;
        files.push((file, bytes.clone()));
        newest = bytes;
    }
    for (role, limit) in [
        (Role::Targets, TARGETS_LIMIT),
        (Role::Snapshot, SNAPSHOT_LIMIT),
        (Role::Timestamp, TIMESTAMP_LIMIT),
    ] {
        let bytes = get(&role.file(), limit)?.ok_or_else(nothing)?;
        files.push((role.file(), bytes));
    }
    files.push((Role::Root.file(), newest));
    let folder = layout.repository();
    let failed = |error: std::io::Error| PublishError::Make("the copy", error.into());
    crate::fs::create_folders(&folder.join("targets"), 0o755).map_err(failed)?;
    for (name, bytes) in files {
        crate::fs::write_atomic(&folder.join(name), &bytes, 0o644).map_err(failed)?;
    }
    Ok(())
}
