//! Verified metadata that some reader in the field would still refuse.

use std::collections::BTreeMap;

use super::Finding;
use crate::tuf::metadata::Role;
use crate::tuf::trusted::Trusted;

/// Looks at verified documents and at the names of all targets, delegated ones included.
pub fn documents<'a>(
    trusted: &Trusted,
    targets: impl IntoIterator<Item = &'a str>,
) -> Vec<Finding> {
    let mut found = roles(trusted);
    found.extend(keys(trusted));
    found.extend(times(trusted));
    // go-tuf before 0.3 listed the root in the snapshot; clients of then held it against it.
    let listed = trusted.snapshot().signed.meta.keys();
    let odd = listed.filter(|name| {
        matches!(
            name.as_str(),
            "root.json" | "timestamp.json" | "snapshot.json"
        )
    });
    found.extend(odd.map(|name| Finding::SnapshotLists(name.clone())));
    found.extend(collisions(targets));
    found
}

fn roles(trusted: &Trusted) -> Vec<Finding> {
    let known = |name: &str| Role::ALL.iter().any(|role| role.name() == name);
    let roles = trusted.root().signed.roles.keys();
    let unknown = roles.filter(|name| !known(name));
    unknown.cloned().map(Finding::UnknownRole).collect()
}

// go-tuf 0.5.2: one key of an unknown type makes it refuse the whole root; it recomputes ids
// and counts those.
fn keys(trusted: &Trusted) -> Vec<Finding> {
    let keys = trusted.root().signed.keys.iter();
    keys.filter_map(|(id, key)| match (key.usable(), key.id()) {
        (false, _) => Some(Finding::UnusableKey {
            id: id.clone(),
            keytype: key.keytype().to_owned(),
        }),
        (true, computed) if computed != *id => Some(Finding::KeyId {
            id: id.clone(),
            computed,
        }),
        _ => None,
    })
    .collect()
}

// TUF 4.2.1: `YYYY-MM-DDTHH:MM:SSZ`.
fn times(trusted: &Trusted) -> Vec<Finding> {
    let odd = Role::ALL.into_iter().filter_map(|role| {
        let expires = trusted.expires(role);
        (!expires.is_plain()).then(|| Finding::ExpiresForm {
            role,
            expires: expires.to_string(),
        })
    });
    odd.collect()
}

fn collisions<'a>(targets: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for name in targets {
        if let Some(first) = seen.insert(name.to_lowercase(), name) {
            found.push(Finding::Collision {
                first: first.to_owned(),
                second: name.to_owned(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_collide() {
        let names = ["a/B", "a/b", "a/c", "É", "é"];
        let found = collisions(names);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            found[0].to_string(),
            "the target names a/B and a/b are one name on a disk that ignores case"
        );
        assert!(collisions(["a", "b"]).is_empty());
    }
}
