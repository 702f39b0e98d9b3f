//! A tree like the agent's on Linux, made without a repository, for the builders' tests.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fleetpack::compress::Compressor;
use fleetpack::install::{
    AdminScript, Arch, Content, Customer, Entry, Event, Identity, Lifecycle, Node, Os, Service,
    Shared, Tree,
};
use fleetpack::package::{BuildContext, BuildError, Builder, Compression, Output};

use super::Scratch;

/// 2024-05-01 12:00:00 UTC.
pub const EPOCH: u64 = 1_714_564_800;

/// The agent's identity.
pub fn identity() -> Identity {
    Identity {
        name: "fleet-osquery".into(),
        display_name: "Fleet osquery".into(),
        identifier: "com.fleetdm.orbit".into(),
        version: "1.50.2".into(),
        arch: Arch::Amd64,
        vendor: "Fleet Device Management".into(),
        maintainer: "Fleet Device Management <hello@fleetdm.com>".into(),
        homepage: "https://fleetdm.com".into(),
        summary: "Fleet osquery -- runtime and autoupdater".into(),
        description: "Fleet osquery -- runtime and autoupdater".into(),
        license: "MIT AND (Apache-2.0 OR GPL-2.0-only)".into(),
    }
}

/// Bytes that compress to about half, the same every time: the longer one takes two segments.
pub fn program(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes().map(|b| b & 0x0f));
    }
    bytes.truncate(len);
    bytes
}

fn shared(bytes: Vec<u8>, name: &str) -> Content {
    Content::Shared(Shared::verified_bytes(bytes, Path::new(name)))
}

/// What the agent's installer puts on a host.
pub fn entries() -> Vec<Entry> {
    let orbit = "/opt/orbit/bin/orbit/linux/stable/orbit";
    vec![
        Entry::file(orbit, 0o755, shared(program(1_200_000), "orbit")),
        Entry::file(
            "/opt/orbit/bin/osqueryd/linux/stable/osqueryd",
            0o755,
            shared(program(100_001), "osqueryd"),
        ),
        Entry::file("/opt/orbit/bin/empty", 0o644, shared(vec![], "empty")),
        Entry::link("/opt/orbit/bin/orbit/orbit", orbit),
        Entry::link("/usr/local/bin/orbit", "/opt/orbit/bin/orbit/orbit"),
        Entry::customer("/opt/orbit/certs.pem", 0o644, "a bundle\n"),
        Entry::customer("/opt/orbit/updates-metadata.json", 0o600, "{}"),
        Entry::customer(
            "/usr/lib/systemd/system/orbit.service",
            0o644,
            "[Service]\nExecStart=/opt/orbit/bin/orbit/orbit\n",
        ),
        Entry::customer(
            "/etc/default/orbit",
            0o600,
            "ORBIT_ENROLL_SECRET=made-up-secret\n",
        )
        .secret(),
        Entry::directory("/var/log/orbit"),
        Entry::directory("/var/log/osquery"),
    ]
}

/// A whole tree, with scripts.
pub fn tree() -> Tree {
    let mut lifecycle = Lifecycle::default();
    for event in [
        Event::BeforeInstall,
        Event::AfterInstall,
        Event::BeforeRemove,
        Event::AfterRemove,
    ] {
        let body = Customer::new(format!("#!/bin/sh\necho {event:?}\n"));
        let name = format!("{event:?}.sh");
        lifecycle.admin.insert(event, AdminScript { name, body });
    }
    Tree {
        os: Os::Linux,
        identity: identity(),
        entries: Tree::settle(Os::Linux, entries()).unwrap(),
        service: Some(Service {
            name: "orbit.service".into(),
            program: "/opt/orbit/bin/orbit/orbit".into(),
            start: true,
        }),
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle,
        leftovers: vec!["/opt/orbit".into(), "/var/log/orbit".into()],
        windows: None,
    }
}

/// How a package is built.
pub struct Build {
    /// Of what.
    pub tree: Tree,
    /// `--compression`.
    pub compression: Option<Compression>,
    /// Cores.
    pub threads: usize,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: u64,
}

impl Build {
    /// The sample tree, by the format's default, on two cores.
    pub fn sample() -> Self {
        Self {
            tree: tree(),
            compression: None,
            threads: 2,
            epoch: EPOCH,
        }
    }

    /// Builds in a scratch folder; gives the file's path.
    pub fn file(&self, scratch: &Scratch, builder: &dyn Builder) -> Result<PathBuf, BuildError> {
        let path = scratch.join(builder.file_name(&self.tree.identity).replace('/', "_"));
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        let compressor = Compressor::new(NonZeroUsize::new(self.threads).unwrap()).unwrap();
        let context = BuildContext {
            compressor: &compressor,
            compression: self.compression,
            epoch: self.epoch,
            cancelled: &|| false,
        };
        let mut out = Output::new(file, &path);
        builder.build(&self.tree, &context, &mut out)?;
        out.finish()?;
        Ok(path)
    }
}

/// Wants below `root` what `entries` say: kind, mode, contents, link text.
#[track_caller]
pub fn assert_laid_down(root: &Path, entries: &[Entry]) {
    use std::os::unix::fs::PermissionsExt;
    for entry in entries {
        let path = root.join(entry.path.trim_start_matches('/'));
        let found = path
            .symlink_metadata()
            .unwrap_or_else(|e| panic!("{}: {e}", entry.path));
        match &entry.node {
            Node::Directory => assert!(found.is_dir(), "{}", entry.path),
            Node::Link(target) => {
                assert_eq!(
                    path.read_link().unwrap(),
                    Path::new(target),
                    "{}",
                    entry.path
                );
                continue;
            }
            Node::File(content) => {
                let bytes = std::fs::read(&path).unwrap();
                assert_eq!(bytes.len() as u64, content.len(), "{}", entry.path);
                let sha256 = match content {
                    Content::Shared(shared) => *shared.sha256(),
                    Content::Customer(customer) => fleetpack::compress::sha256(customer.bytes()),
                };
                let same = fleetpack::compress::sha256(&bytes) == sha256;
                assert!(same, "{} has other contents", entry.path);
            }
        }
        let mode = found.permissions().mode() & 0o7777;
        assert_eq!(mode, entry.mode, "{}: {mode:o}", entry.path);
    }
}
