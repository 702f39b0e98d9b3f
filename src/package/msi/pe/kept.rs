//! What was read of a program, in the cache (kind `programs`, named by the program's sha256),
//! so that a program whose compressed segments are kept need not be there at all.

use serde::{Deserialize, Serialize};

use super::{Machine, Program, Version};
use crate::cache::{Cache, CacheKey, Damaged};

/// Changes with what is read of a program.
const READER: &str = "1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    sha256: String,
    /// COFF machine number.
    machine: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
}

fn key(sha256: &[u8; 32]) -> CacheKey {
    CacheKey::new("programs", &format!("{}-{READER}", hex::encode(sha256)))
}

/// Keeps what was read of a program that was verified in this run.
pub fn keep(cache: &Cache, sha256: &[u8; 32], program: &Program) {
    let version = program.version.as_ref();
    let head = Head {
        sha256: hex::encode(sha256),
        machine: program.machine.number(),
        version: version.map(|version| version.number.clone()),
        language: version.and_then(|version| version.language.clone()),
    };
    if let Ok(head) = serde_json::to_vec(&head) {
        cache.put(&key(sha256), &head, &[]);
    }
}

/// What an earlier run read of the program with this sha256.
pub fn kept(cache: &Cache, sha256: &[u8; 32]) -> Option<Program> {
    let key = key(sha256);
    let entry = cache.get(&key)?;
    let head = serde_json::from_slice::<Head>(entry.head()).ok();
    let Some(head) = head.filter(|head| head.sha256 == hex::encode(sha256)) else {
        cache.discard(&key, &Damaged::Form);
        return None;
    };
    let language = head.language;
    Some(Program {
        machine: Machine::of(head.machine),
        version: head.version.map(|number| Version { number, language }),
    })
}
