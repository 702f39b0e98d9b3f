//! What differs between two installers.
//!
//! Every fact of a report has a section and a name; two reports differ where a name's value
//! does. Files are compared by path, so that packages of two formats for one system can be
//! compared as well. A format's own fields are left out when the formats differ.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Agent, Document, Installed, Report};
use crate::hint::bare_within;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `package`, `agent`, `variable`, `component`, `script`, `field`, `file`.
    pub section: &'static str,
    /// What differs.
    pub name: String,
    /// Its value in the first; `None` when it is not there.
    pub before: Option<String>,
    /// Its value in the second.
    pub after: Option<String>,
}

type Facts = BTreeMap<(usize, String), String>;

/// Sections in the order in which they are shown.
const SECTIONS: [&str; 7] = [
    "package",
    "agent",
    "variable",
    "component",
    "script",
    "field",
    "file",
];
const PACKAGE: usize = 0;
const AGENT: usize = 1;
const VARIABLE: usize = 2;
const COMPONENT: usize = 3;
const SCRIPT: usize = 4;
const FIELD: usize = 5;
const FILE: usize = 6;

/// Everything that differs, section by section, by name.
pub fn difference(before: &Report, after: &Report) -> Vec<Change> {
    let same_format = before.format == after.format;
    let (mut old, mut new) = (facts(before, same_format), facts(after, same_format));
    secrets(before, after, &mut old, &mut new);
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let changes = names.into_iter().filter_map(|key| {
        let (before, after) = (old.get(key), new.get(key));
        (before != after).then(|| {
            let (before, after) = shown(before, after);
            Change {
                section: SECTIONS[key.0],
                name: key.1.clone(),
                before,
                after,
            }
        })
    });
    changes.collect()
}

/// Two values that differ, without the passwords of addresses: where these are all that
/// differs, that is said.
fn shown(before: Option<&String>, after: Option<&String>) -> (Option<String>, Option<String>) {
    let [before, mut after] = [before, after].map(|value| value.map(|text| bare_within(text)));
    if let (Some(before), Some(after)) = (&before, &mut after)
        && before == after
    {
        after.push_str(" (another user name, password or query)");
    }
    (before, after)
}

fn facts(report: &Report, fields: bool) -> Facts {
    let mut facts = Facts::new();
    let mut add = |section, name: &str, value: String| {
        // A field that comes several times is told by its number.
        let mut key = (section, name.to_owned());
        let mut count = 1;
        while facts.contains_key(&key) {
            count += 1;
            key.1 = format!("{name} ({count})");
        }
        facts.insert(key, value);
    };
    add(PACKAGE, "format", report.format.to_owned());
    add(PACKAGE, "name", report.name.clone());
    add(PACKAGE, "version", report.version.clone());
    add(PACKAGE, "architecture", report.arch.clone());
    if let Some(signature) = &report.signature {
        add(PACKAGE, "signature", signature.clone());
    }
    if let Some(agent) = &report.agent {
        agent_facts(agent, &mut add);
    }
    for script in &report.scripts {
        let digest = hex::encode(crate::compress::sha256(script.text.as_bytes()));
        let lines = script.text.lines().count();
        let text = format!("{lines} lines, sha256 {}", &digest[..16]);
        add(SCRIPT, &script.name, text);
    }
    for field in report.metadata.iter().filter(|_| fields) {
        add(FIELD, &field.name, field.value.clone());
    }
    for file in &report.files {
        add(FILE, &file.path, describe(file));
    }
    facts
}

fn agent_facts(agent: &Agent, add: &mut dyn FnMut(usize, &str, String)) {
    let documents = agent.trust.as_ref().map(|trust| {
        [
            ("root.json", Some(&trust.root)),
            ("timestamp.json", trust.timestamp.as_ref()),
            ("snapshot.json", trust.snapshot.as_ref()),
            ("targets.json", trust.targets.as_ref()),
        ]
    });
    for (name, document) in documents.into_iter().flatten() {
        if let Some(Document {
            version, expires, ..
        }) = document
        {
            add(AGENT, name, format!("version {version}, expires {expires}"));
        }
    }
    for (name, value) in &agent.variables {
        add(VARIABLE, name, value.clone());
    }
    for component in &agent.components {
        let version = component.version.as_deref().unwrap_or("of unknown version");
        let name = format!("{} for {}", component.name, component.platform);
        add(
            COMPONENT,
            &name,
            format!("{version}, channel {}", component.channel),
        );
    }
}

/// Secrets are compared and not shown.
fn secrets(before: &Report, after: &Report, old: &mut Facts, new: &mut Facts) {
    let key = || (AGENT, "enroll secret".to_owned());
    let secret = |report: &Report| report.agent.as_ref().map(|agent| agent.secret.clone());
    let (first, second) = (secret(before), secret(after));
    let word = |inside: bool| if inside { "inside" } else { "none" };
    match (&first, &second) {
        (Some(a), Some(b)) if a.inside && b.inside && !a.same(b) => {
            old.insert(key(), "inside".to_owned());
            new.insert(key(), "inside, another one".to_owned());
        }
        _ => {
            old.extend(first.map(|secret| (key(), word(secret.inside).to_owned())));
            new.extend(second.map(|secret| (key(), word(secret.inside).to_owned())));
        }
    }
}

fn describe(file: &Installed) -> String {
    let mut words = vec![file.kind.to_owned()];
    words.extend(file.mode.clone());
    words.extend(file.owner.clone());
    if let Some(sha256) = &file.sha256 {
        words.push(format!("{} bytes, sha256 {}", file.bytes, &sha256[..16]));
    }
    words.extend(file.link.as_ref().map(|link| format!("→ {link}")));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_compared_and_not_shown() {
        let other = "https://a.example (another user name, password or query)";
        for (before, after, expected) in [
            (
                "https://me:one@a.example",
                "https://me:two@a.example",
                ["https://a.example", other],
            ),
            (
                "https://me:one@a.example",
                "https://b.example",
                ["https://a.example", "https://b.example"],
            ),
            ("1", "2", ["1", "2"]),
        ] {
            let (before, after) = (before.to_owned(), after.to_owned());
            let expected = expected.map(|text| Some(text.to_owned()));
            assert_eq!(shown(Some(&before), Some(&after)), expected.into());
        }
        assert_eq!(
            shown(None, Some(&"2".to_owned())),
            (None, Some("2".to_owned()))
        );
    }
}
