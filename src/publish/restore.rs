//! Puts back targets that a lost race may have left with other bytes.
//!
//! Copies of targets cannot be made on condition. A publisher that was stopped for longer than
//! its lock lasts can wake up in the middle of one, and write over a name that somebody else
//! published in between. It then loses the race for `targets.json`, and before it tries again,
//! whatever becomes of its own change, it reads what lies under those names and puts the right
//! contents back: from another name, from what the other publisher sent, or from here.

use super::remote::{Remote, Standing};
use super::{OWN, Publication, PublishError, headers};
use crate::store::StoreError;
use crate::store::object::Objects;
use crate::tuf::hashes::Digests;
use crate::tuf::metadata::TargetFile;

use super::plan::{content_key, paths};

/// Whether `name` has the content that `target` describes, by reading it.
pub(super) fn has(
    place: &dyn Objects,
    name: &str,
    target: &TargetFile,
) -> Result<bool, PublishError> {
    let mut blob = match place.open(name, 0) {
        Err(StoreError::NotFound(_)) => return Ok(false),
        opened => opened?,
    };
    if blob.len.is_some_and(|len| len != target.length) {
        return Ok(false);
    }
    let digests = Digests::read(&mut blob.body)
        .map_err(|error| PublishError::Make("the hash of a target", error.into()))?;
    Ok(digests.length == target.length && target.hashes.verify(&digests).is_ok())
}

impl Publication<'_> {
    /// Makes what the destination's metadata list lie there again.
    pub(super) fn restore(&mut self, remote: &Remote) -> Result<(), PublishError> {
        let Standing::Verified(theirs) = &remote.standing else {
            return Ok(());
        };
        let consistent = theirs.root().signed.consistent_snapshot;
        let listed = paths(&theirs.targets().signed, consistent);
        for name in self.suspects.clone() {
            let Some((_, target)) = listed.get(&name) else {
                continue;
            };
            if !has(self.place, &name, target)? {
                let key = content_key(target);
                let same = listed.iter().filter(|(other, (_, file))| {
                    **other != name && content_key(file) == key && !self.suspects.contains(*other)
                });
                let mut sources: Vec<String> = same.map(|(other, _)| other.clone()).collect();
                sources.push(format!("{OWN}/blobs/{key}"));
                if !self.put_back(&name, target, &sources)? {
                    // Left to whoever has the file: agents refuse it, and keep what they have.
                    (self.tell)(&format!(
                        "{name} was written over in a race, and its content is nowhere else: publish again from the host that has it"
                    ));
                    continue;
                }
                (self.tell)(&format!(
                    "put back {name}, which was written over in a race"
                ));
            }
            self.suspects.remove(&name);
        }
        Ok(())
    }

    fn put_back(
        &self,
        name: &str,
        target: &TargetFile,
        sources: &[String],
    ) -> Result<bool, PublishError> {
        for source in sources {
            if has(self.place, source, target)? {
                self.place.copy(source, name)?;
                return Ok(true);
            }
        }
        let file = self.repository.layout().repository().join(name);
        let digests = std::fs::File::open(&file).and_then(|mut file| Digests::read(&mut file));
        match digests {
            Ok(digests) if target.hashes.verify(&digests).is_ok() => {
                self.place.upload(name, &file, headers(name))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
