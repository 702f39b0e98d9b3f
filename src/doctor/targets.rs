//! Whether the place that agents ask has the files of the targets that they follow.

use super::Diagnosis;
use crate::hint::word;
use crate::store::{Store, StoreError};
use crate::tuf::client::target_paths;
use crate::tuf::metadata::TargetFile;

/// Asks for each target under every name that clients ask for. The request is an agent's own,
/// for servers answer others (HEAD, ranges) by other rules; the body is not read.
pub fn examine<'a>(
    store: &dyn Store,
    place: &str,
    consistent: bool,
    followed: impl IntoIterator<Item = (&'a str, &'a TargetFile)>,
) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for (name, target) in followed {
        for path in target_paths(name, target, consistent) {
            let opened = store.open(&format!("targets/{path}"), 0);
            let found_here = match opened.map(|blob| blob.len) {
                Err(error) => Some(failed(place, name, &error)),
                Ok(Some(length)) if length != target.length => {
                    Some(other_length(place, name, &path, length, target.length))
                }
                Ok(_) => None,
            };
            found.extend(found_here);
        }
    }
    found
}

fn failed(place: &str, name: &str, error: &StoreError) -> Diagnosis {
    let fault = |kind, why: &str| {
        let message = format!("hosts follow the target {name}, and {error}{why}");
        Diagnosis::fault(kind, place, message)
    };
    match error {
        StoreError::Transport { source, .. } => fault("unreachable", &format!(": {source}")),
        StoreError::Io { source, .. } => fault("missing-file", &format!(": {source}")),
        StoreError::Status { status: 403, .. } => fault("missing-file", "").or_try(
            "nginx: chmod -R o+rX of the folder in `root`; S3: \"Action\": \"s3:GetObject\" in the bucket's policy",
        ),
        _ => fault("missing-file", "").or_try(format!(
            "fleetpack updates publish DEST, or when no one has the file: fleetpack updates remove {}",
            word(name)
        )),
    }
}

fn other_length(place: &str, name: &str, path: &str, found: u64, expected: u64) -> Diagnosis {
    let message = format!("targets/{path} is {found} bytes long, and the target {name} {expected}");
    Diagnosis::fault("wrong-length", place, message).or_try(format!(
        "fleetpack updates publish DEST, or when no one has the file: fleetpack updates remove {}",
        word(name)
    ))
}
