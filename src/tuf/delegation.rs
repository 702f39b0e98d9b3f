//! Which delegated roles are trusted for a target's name (TUF 4.5, 5.6.7.2).
//!
//! A pattern is matched component by component, so that `*` never reaches over a slash; `?`
//! is one character, `[abc]`, `[a-z]` and `[!a]` are sets (as python-tuf and go-tuf do).
//! Visiting the roles in order is [`super::client`]'s.

use std::collections::HashSet;

use aws_lc_rs::digest;

use super::metadata::{DelegatedRole, Delegations, Role, SuccinctRoles};

/// How many roles are visited for one name, the top-level one included.
pub const VISITED_LIMIT: usize = 32;

/// A role to ask, with the keys that its delegator gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegated {
    /// Its name.
    pub name: String,
    /// Ids of its keys.
    pub keyids: Vec<String>,
    /// How many must sign.
    pub threshold: u64,
    /// Whether the search ends with it.
    pub terminating: bool,
}

impl Delegated {
    fn of(role: &DelegatedRole) -> Self {
        Self {
            name: role.name.clone(),
            keyids: role.keyids.clone(),
            threshold: role.threshold,
            terminating: role.terminating,
        }
    }
}

/// All roles delegated to, whatever the target; of bins those among `names`, for there may be
/// 2³² of them.
pub fn roles_named<'a>(
    delegations: &Delegations,
    names: impl Iterator<Item = &'a str>,
) -> Vec<Delegated> {
    match &delegations.succinct_roles {
        None => delegations
            .roles
            .iter()
            .flatten()
            .map(Delegated::of)
            .collect(),
        Some(bins) => names
            .filter(|name| is_bin(bins, name))
            .map(|name| bin(bins, name.to_owned()))
            .collect(),
    }
}

/// The roles trusted for `target`, in their order; none after a terminating one.
pub fn roles_for(delegations: &Delegations, target: &str) -> Vec<Delegated> {
    if let Some(bins) = &delegations.succinct_roles {
        return vec![bin_for(bins, target)];
    }
    let mut found = Vec::new();
    for role in delegations.roles.iter().flatten() {
        if !matches(role, target) {
            continue;
        }
        found.push(Delegated::of(role));
        // TUF 5.6.7.2.1: whoever terminates has the last word.
        if role.terminating {
            break;
        }
    }
    found
}

/// What makes delegations no delegations.
pub fn validate(delegations: &Delegations) -> Result<(), String> {
    match (&delegations.roles, &delegations.succinct_roles) {
        (Some(_), Some(_)) => return Err("both roles and succinct_roles delegate".to_owned()),
        (None, None) => return Err("neither roles nor succinct_roles delegate".to_owned()),
        (None, Some(bins)) if !(1..=32).contains(&bins.bit_length) => {
            return Err(format!("bit_length is {}, not 1 to 32", bins.bit_length));
        }
        _ => {}
    }
    let mut names = HashSet::new();
    for role in delegations.roles.iter().flatten() {
        let name = &role.name;
        if name.is_empty() || Role::ALL.iter().any(|top| top.name() == name) {
            return Err(format!("a delegated role has the name {name:?}"));
        }
        if !names.insert(name) {
            return Err(format!("two delegated roles have the name {name:?}"));
        }
        let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|l| !l.is_empty());
        if given(&role.paths) && given(&role.path_hash_prefixes) {
            return Err(format!(
                "the role {name:?} has both paths and path_hash_prefixes"
            ));
        }
        if role.paths.is_none() && role.path_hash_prefixes.is_none() {
            return Err(format!(
                "the role {name:?} has neither paths nor path_hash_prefixes"
            ));
        }
    }
    Ok(())
}

fn matches(role: &DelegatedRole, target: &str) -> bool {
    let paths = role.paths.iter().flatten();
    let mut prefixes = role.path_hash_prefixes.iter().flatten().peekable();
    let hash = prefixes.peek().map(|_| name_hash(target));
    let hash = hash.map(hex::encode).unwrap_or_default();
    prefixes.any(|prefix| hash.starts_with(prefix.as_str()))
        || paths
            .into_iter()
            .any(|pattern| path_matches(pattern, target))
}

fn name_hash(target: &str) -> Vec<u8> {
    let digest = digest::digest(&digest::SHA256, target.as_bytes());
    digest.as_ref().to_vec()
}

// TAP 15: the leftmost bits of the hash count the bins; names have as many hex digits as the
// last bin needs.
fn bin_for(bins: &SuccinctRoles, target: &str) -> Delegated {
    let hash = name_hash(target);
    let head = hash
        .iter()
        .take(4)
        .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let bits = bins.bit_length.clamp(1, 32);
    let width = bits.div_ceil(4) as usize;
    let name = format!("{}-{:0width$x}", bins.name_prefix, head >> (32 - bits));
    bin(bins, name)
}

fn bin(bins: &SuccinctRoles, name: String) -> Delegated {
    Delegated {
        name,
        keyids: bins.keyids.clone(),
        threshold: bins.threshold,
        terminating: false,
    }
}

fn is_bin(bins: &SuccinctRoles, name: &str) -> bool {
    let bits = bins.bit_length.clamp(1, 32);
    let number = name.strip_prefix(&bins.name_prefix);
    let number = number.and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| {
        number.len() == bits.div_ceil(4) as usize
            && !number.contains(|c: char| c.is_ascii_uppercase() || c == '+')
            && u64::from_str_radix(number, 16).is_ok_and(|n| n >> bits == 0)
    })
}

fn path_matches(pattern: &str, target: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), target.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(name)) => {
                let (pattern, name): (Vec<char>, Vec<char>) =
                    (pattern.chars().collect(), name.chars().collect());
                if !glob(&pattern, &name) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

// Remembers the last `*` alone, so the time is at most the product of both lengths.
fn glob(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p == pattern.len() && n == name.len() {
            return true;
        }
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if n < name.len()
            && let Some(next) = one(&pattern[p..], name[n])
        {
            p += next;
            n += 1;
            continue;
        }
        match star {
            Some((at, taken)) if taken < name.len() => {
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
            _ => return false,
        }
    }
}

// Length of the pattern's first element, if it takes this character.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match set(pattern, letter) {
            Some((length, true)) => Some(length),
            Some((_, false)) => None,
            // No closing bracket: the bracket is itself.
            None => (letter == '[').then_some(1),
        },
        literal => (*literal == letter).then_some(1),
    }
}

// `[…]`: its length and whether the character is in it.
fn set(pattern: &[char], letter: char) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some('!'));
    let begin = if negated { 2 } else { 1 };
    // A bracket that comes first is a member.
    let end = (begin + 1..pattern.len()).find(|i| pattern[*i] == ']')?;
    let members = &pattern[begin..end];
    let mut found = false;
    let mut i = 0;
    while i < members.len() {
        match members[i..] {
            [low, '-', high, ..] => {
                found |= (low..=high).contains(&letter);
                i += 3;
            }
            [member, ..] => {
                found |= member == letter;
                i += 1;
            }
            [] => break,
        }
    }
    Some((end + 1, found != negated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns() {
        let cases = [
            ("*", "a", true),
            ("*", "a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("*/*", "a/b", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("", "", true),
            ("a", "", false),
            ("f[ao]o", "foo", true),
            ("f[a-c]o", "fbo", true),
            ("f[!a-c]o", "fbo", false),
            ("f[]]o", "f]o", true),
            ("f[o", "f[o", true),
            ("*.tgz", "a.tgz", true),
            ("é?", "éü", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(path_matches(pattern, name), expected, "{pattern} {name}");
        }
        let slow = "*a".repeat(200);
        assert!(!path_matches(&slow, &"a".repeat(150)));
    }

    #[test]
    fn bins() {
        let bins = |bit_length| SuccinctRoles {
            keyids: vec![],
            threshold: 1,
            bit_length,
            name_prefix: "bin".into(),
            extra: Default::default(),
        };
        // sha256("orbit") begins with 0x25bba2cb.
        let hash = hex::encode(name_hash("orbit"));
        let first = u32::from_str_radix(&hash[..8], 16).unwrap();
        for bits in [1u32, 3, 4, 5, 8, 13, 32] {
            let width = bits.div_ceil(4) as usize;
            let expected = format!("bin-{:0width$x}", u64::from(first) >> (32 - bits));
            assert_eq!(bin_for(&bins(bits), "orbit").name, expected);
            assert!(is_bin(&bins(bits), &expected), "{expected}");
        }
    }

    #[test]
    fn names_of_bins() {
        let bins: SuccinctRoles = serde_json::from_value(
            json!({"keyids": [], "threshold": 1, "bit_length": 5, "name_prefix": "bin"}),
        )
        .unwrap();
        for (name, is) in [
            ("bin-00", true),
            ("bin-1f", true),
            ("bin-20", false),
            ("bin-1F", false),
            ("bin-0", false),
            ("bin-+1", false),
            ("bin-1g", false),
            ("targets", false),
        ] {
            assert_eq!(is_bin(&bins, name), is, "{name}");
        }
    }

    #[test]
    fn order_and_termination() {
        let role = |name: &str, path: &str, terminating: bool| json!({"name": name, "keyids": [], "threshold": 1, "terminating": terminating, "paths": [path]});
        let delegations: Delegations = serde_json::from_value(json!({"keys": {}, "roles": [
            role("a", "x/*", false), role("b", "y/*", true), role("c", "x/*", true), role("d", "*/*", false)
        ]}))
        .unwrap();
        assert!(validate(&delegations).is_ok());
        let names = |target| -> Vec<String> {
            roles_for(&delegations, target)
                .into_iter()
                .map(|role| role.name)
                .collect()
        };
        assert_eq!(names("x/1"), ["a", "c"]);
        assert_eq!(names("y/1"), ["b"]);
        assert_eq!(names("z/1"), ["d"]);
    }

    #[test]
    fn no_delegations() {
        let role = json!({"name": "a", "keyids": [], "threshold": 1, "terminating": false, "paths": ["*"]});
        let mut both = role.clone();
        both["path_hash_prefixes"] = json!(["00"]);
        let mut neither = role.clone();
        neither.as_object_mut().unwrap().remove("paths");
        let mut reserved = role.clone();
        reserved["name"] = json!("targets");
        let bins =
            |bits| json!({"keyids": [], "threshold": 1, "bit_length": bits, "name_prefix": "b"});
        let cases = [
            ("nothing", json!({"keys": {}})),
            (
                "both kinds",
                json!({"keys": {}, "roles": [], "succinct_roles": bins(3)}),
            ),
            ("no bits", json!({"keys": {}, "succinct_roles": bins(0)})),
            (
                "too many bits",
                json!({"keys": {}, "succinct_roles": bins(33)}),
            ),
            ("twice", json!({"keys": {}, "roles": [role, role]})),
            ("both ways", json!({"keys": {}, "roles": [both]})),
            ("no way", json!({"keys": {}, "roles": [neither]})),
            ("reserved", json!({"keys": {}, "roles": [reserved]})),
        ];
        for (name, value) in cases {
            let delegations: Delegations = serde_json::from_value(value).unwrap();
            assert!(validate(&delegations).is_err(), "{name}");
        }
    }
}
