//! Maintainer scripts of the three Linux formats: from a package manager's calls to the
//! tree's events.
//!
//! The bodies of the events are the tree's ([`crate::install::Lifecycle`]); each becomes a
//! shell function named after its event, and a template of the format calls it at the right
//! moment. Everything is POSIX shell, for dash and bash. What is called when, and with which
//! arguments: Debian Policy chapter 6; rpm-scriptlets(7); alpm-install-scriptlet(5).

mod administrator;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{BuildError, Format, distribution};
use crate::install::{Entry, Event, Node, Tree};
use crate::templates;

/// A script's name in its format, and its text.
pub type Script = (&'static str, String);

/// The control members `preinst`, `postinst`, `prerm`, `postrm`.
pub fn deb(tree: &Tree) -> Result<Vec<Script>, BuildError> {
    let events = |event| Scripts::new(tree, Format::Deb, event);
    Ok(vec![
        (
            "preinst",
            events(BEFORE_INSTALL)?.render("linux/deb/preinst")?,
        ),
        (
            "postinst",
            events(AFTER_INSTALL)?.render("linux/deb/postinst")?,
        ),
        ("prerm", events(BEFORE_REMOVE)?.render("linux/deb/prerm")?),
        ("postrm", events(AFTER_REMOVE)?.render("linux/deb/postrm")?),
    ])
}

/// The scriptlets `pre`, `post`, `preun`, `postun`, `posttrans`, for the interpreter `/bin/sh`.
/// `post` sets nothing up, as the old package's scripts would undo it on upgrade: it keeps what
/// they might take away.
pub fn rpm(tree: &Tree) -> Result<Vec<Script>, BuildError> {
    let events = |event| Scripts::new(tree, Format::Rpm, event);
    Ok(vec![
        ("pre", events(BEFORE_INSTALL)?.render("linux/rpm/pre")?),
        ("post", events(&[])?.render("linux/rpm/post")?),
        ("preun", events(BEFORE_REMOVE)?.render("linux/rpm/preun")?),
        ("postun", events(AFTER_REMOVE)?.render("linux/rpm/postun")?),
        (
            "posttrans",
            events(AFTER_INSTALL)?.render("linux/rpm/posttrans")?,
        ),
    ])
}

/// The one member `.INSTALL`, a library of functions for bash.
pub fn arch(tree: &Tree) -> Result<Vec<Script>, BuildError> {
    let scripts = Scripts::new(tree, Format::PkgTarZst, &EVERYTHING)?;
    Ok(vec![(".INSTALL", scripts.render("linux/arch/install")?)])
}

const BEFORE_INSTALL: &[Event] = &[Event::BeforeInstall];
// The body of after_install calls handover, when the agent is the one that installs.
const AFTER_INSTALL: &[Event] = &[Event::Handover, Event::AfterInstall];
const BEFORE_REMOVE: &[Event] = &[Event::BeforeRemove];
const AFTER_REMOVE: &[Event] = &[Event::AfterRemove];
const EVERYTHING: [Event; 5] = [
    Event::BeforeInstall,
    Event::Handover,
    Event::AfterInstall,
    Event::BeforeRemove,
    Event::AfterRemove,
];

/// The shell function that holds an event's body.
fn function(event: Event) -> &'static str {
    match event {
        Event::BeforeInstall => "before_install",
        Event::AfterInstall => "after_install",
        Event::BeforeRemove => "before_remove",
        Event::AfterRemove => "after_remove",
        Event::Handover => "handover",
    }
}

/// What the templates of all scripts are filled with.
#[derive(Serialize)]
struct Scripts<'a> {
    package: &'a str,
    service: Option<&'a str>,
    /// Directories of the system that the tree's files lie in: they may be missing.
    system_directories: Vec<&'a str>,
    /// What an upgrade keeps safe from the old package.
    kept: Vec<Kept<'a>>,
    /// The rendered functions.
    functions: String,
    /// Which events have an administrator's script, `<event>_administrator`.
    administrator: BTreeMap<&'static str, bool>,
}

/// A path of the agent's, and one of the package's in it that is gone when it was removed.
#[derive(Serialize)]
struct Kept<'a> {
    path: &'a str,
    witness: &'a str,
}

#[derive(Serialize)]
struct Functions<'a> {
    package: &'a str,
    administrator: bool,
    functions: Vec<Function>,
}

#[derive(Serialize)]
struct Function {
    name: String,
    body: String,
}

impl<'a> Scripts<'a> {
    fn new(tree: &'a Tree, format: Format, events: &[Event]) -> Result<Self, BuildError> {
        let mut functions = Vec::new();
        let mut administrator: BTreeMap<_, _> =
            EVERYTHING.iter().map(|e| (function(*e), false)).collect();
        for &event in events {
            let name = function(event);
            let body = tree.lifecycle.bodies.get(&event);
            functions.push(Function {
                name: name.to_owned(),
                body: body.cloned().unwrap_or_else(|| "    :".to_owned()),
            });
            if let Some(script) = tree.lifecycle.admin.get(&event) {
                functions.push(Function {
                    name: format!("{name}_administrator"),
                    body: administrator::call(script, format)?,
                });
                administrator.insert(name, true);
            }
        }
        let package = tree.identity.name.as_str();
        let functions = Functions {
            package,
            administrator: administrator.values().any(|there| *there),
            functions,
        };
        Ok(Self {
            package,
            system_directories: system_directories(tree),
            kept: kept(tree),
            service: tree.service.as_ref().map(|service| service.name.as_str()),
            functions: templates::render("linux/functions", &functions)?,
            administrator,
        })
    }

    fn render(&self, template: &str) -> Result<String, BuildError> {
        Ok(templates::render(template, self)?)
    }
}

fn holds(outer: &str, inner: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// The agent's folders, and what the package has outside of them.
fn kept(tree: &Tree) -> Vec<Kept<'_>> {
    let is_file = |entry: &&Entry| !matches!(entry.node, Node::Directory);
    let files = || tree.entries.iter().filter(is_file);
    let folders = tree.leftovers.iter().map(|folder| Kept {
        path: folder,
        witness: files()
            .find(|entry| holds(folder, &entry.path))
            .map_or(folder.as_str(), |entry| &entry.path),
    });
    let outside = |path: &str| {
        let within = |folder: &String| folder == path || holds(folder, path);
        !distribution::is_system_directory(path) && !tree.leftovers.iter().any(within)
    };
    let paths = tree.entries.iter().map(|entry| entry.path.as_str());
    let others = paths.filter(|path| outside(path)).map(|path| Kept {
        path,
        witness: path,
    });
    folders.chain(others).collect()
}

/// Without those that another of them lies in.
fn system_directories(tree: &Tree) -> Vec<&str> {
    let paths = || tree.entries.iter().map(|entry| entry.path.as_str());
    let system = || paths().filter(|path| distribution::is_system_directory(path));
    system()
        .filter(|outer| !system().any(|inner| holds(outer, inner)))
        .collect()
}

#[cfg(test)]
mod tests;
