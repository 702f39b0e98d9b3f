//! `Scripts`: what Installer runs before and after it lays files down.
//!
//! Installer calls `preinstall` and `postinstall` with the package, the target folder and the
//! target volume. Each is the body of its event in bash (3.2 on macOS), followed by an
//! administrator's own script, which stays a file of its own and keeps its `#!` line. macOS
//! packages are never removed by Installer: events of removal have no place here.

use serde::Serialize;

use super::listing::{Listing, unfit};
use crate::compress::{Digests, Wanted};
use crate::install::{Content, Customer, Entry, Event, Lifecycle, Node};
use crate::package::BuildError;
use crate::templates;

/// The files of `Scripts`.
pub struct Scripts {
    files: Vec<Entry>,
}

#[derive(Serialize)]
struct Glue<'a> {
    body: &'a str,
    admin: Option<&'a str>,
}

impl Scripts {
    /// Makes the scripts of a package's life.
    pub fn new(lifecycle: &Lifecycle) -> Result<Self, BuildError> {
        for event in [Event::BeforeRemove, Event::AfterRemove] {
            if let Some(script) = lifecycle.admin.get(&event) {
                let name = &script.name;
                return Err(unfit(format!(
                    "{name}: macOS removes no packages, so no script runs when one is removed"
                )));
            }
        }
        let mut files = Vec::new();
        for (event, name, admin_name) in [
            (Event::BeforeInstall, "preinstall", "preinstall.admin"),
            (Event::AfterInstall, "postinstall", "postinstall.admin"),
        ] {
            let admin = lifecycle.admin.get(&event);
            let body = lifecycle.bodies.get(&event);
            if body.is_none() && admin.is_none() {
                continue;
            }
            let glue = Glue {
                body: body.map_or(":", String::as_str),
                admin: admin.map(|_| admin_name),
            };
            let text = templates::render("macos/pkg/script", &glue)?;
            files.push(executable(name, Customer::new(text)));
            files.extend(admin.map(|admin| executable(admin_name, admin.body.clone())));
        }
        Ok(Self { files })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether there is a script of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.path[1..] == *name)
    }

    /// The scripts as entries below a root of their own.
    pub fn entries(&self) -> &[Entry] {
        &self.files
    }

    /// Their names, modes and sizes.
    pub fn listing(&self, epoch: u64) -> Result<Listing, BuildError> {
        let mut listing = Listing::new(epoch)?;
        for file in &self.files {
            listing.add(file, checksum(&file.node))?;
        }
        Ok(listing)
    }
}

fn executable(name: &str, body: Customer) -> Entry {
    Entry::file(format!("/{name}"), 0o755, Content::Customer(body))
}

/// POSIX `cksum` of what is in memory: a customer's file, a link's text.
pub fn checksum(node: &Node) -> u32 {
    let bytes = match node {
        Node::File(Content::Customer(customer)) => customer.bytes(),
        Node::Link(target) => target.as_bytes(),
        Node::File(Content::Shared(_)) | Node::Directory => return 0,
    };
    Digests::of(bytes, Wanted::CKSUM).cksum.unwrap_or_default()
}
