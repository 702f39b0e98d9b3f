//! The scriptlets' places in the header; what they say is made by [`crate::package::scripts`].
//!
//! On an upgrade rpm runs the new %pre, the new %post, the old %preun and %postun (both with
//! `$1` = 1), and the new %posttrans at the end of the transaction.

use super::header::Header;
use super::tag;
use crate::install::Tree;
use crate::package::{BuildError, scripts};

/// What runs them.
pub const SHELL: &str = "/bin/sh";

/// A scriptlet's kind: its word, tag, tag of its interpreter, and the flag of a dependency
/// that it needs when it runs (`RPMSENSE_SCRIPT_*`, `RPMSENSE_POSTTRANS`).
struct Kind {
    name: &'static str,
    body: u32,
    program: u32,
    phase: u32,
}

const KINDS: [Kind; 5] = [
    kind("pre", tag::PRE_IN, tag::PRE_IN_PROGRAM, 1 << 9),
    kind("post", tag::POST_IN, tag::POST_IN_PROGRAM, 1 << 10),
    kind("preun", tag::PRE_UN, tag::PRE_UN_PROGRAM, 1 << 11),
    kind("postun", tag::POST_UN, tag::POST_UN_PROGRAM, 1 << 12),
    kind(
        "posttrans",
        tag::POST_TRANS,
        tag::POST_TRANS_PROGRAM,
        1 << 5,
    ),
];

const fn kind(name: &'static str, body: u32, program: u32, phase: u32) -> Kind {
    Kind {
        name,
        body,
        program,
        phase,
    }
}

/// The scriptlets of one package.
pub struct Scriptlets(Vec<(&'static Kind, String)>);

impl Scriptlets {
    /// Renders those of a tree.
    pub fn of(tree: &Tree) -> Result<Self, BuildError> {
        let scripts = scripts::rpm(tree)?;
        let placed = scripts.into_iter().filter_map(|(name, body)| {
            let kind = KINDS.iter().find(|kind| kind.name == name)?;
            Some((kind, body))
        });
        Ok(Self(placed.collect()))
    }

    /// Flags of a dependency that the scriptlets need when they run; `None` without any.
    pub fn phases(&self) -> Option<u32> {
        let flags = self.0.iter().fold(0, |all, (kind, _)| all | kind.phase);
        (flags != 0).then_some(flags)
    }

    /// Puts bodies and interpreters.
    pub fn put(&self, header: &mut Header) {
        for (kind, body) in &self.0 {
            header.text(kind.body, body);
            header.text(kind.program, SHELL);
        }
    }
}
