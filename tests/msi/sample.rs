//! An agent for Windows to package: small programs, every kind of file.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fleetpack::agent::component::{Component, Platform, Target};
use fleetpack::agent::config::{ClientFiles, Config, Enrollment, Secret};
use fleetpack::agent::fetched::{Documents, Fetched, Program};
use fleetpack::agent::{AgentError, identity, windows};
use fleetpack::compress::Compressor;
use fleetpack::install::{Arch, Os, Shared, Tree};
use fleetpack::package::msi::Msi;
use fleetpack::package::msi::pe::{Machine, sample};
use fleetpack::package::{BuildContext, BuildError, Builder, Compression, Output};

use crate::harness::Scratch;

/// 2024-02-29 12:34:56 UTC.
pub const EPOCH: u64 = 1_709_210_096;

/// What a test may change of the sample.
pub struct Sample {
    pub config: Config,
    pub arch: Arch,
    pub version: &'static str,
    pub orbit: Vec<u8>,
    pub osqueryd: Vec<u8>,
    pub desktop: Vec<u8>,
    pub epoch: u64,
    pub threads: usize,
    pub compression: Option<Compression>,
}

impl Sample {
    /// An agent with an address and a secret.
    pub fn new() -> Self {
        let program = |number| sample::program(Machine::Amd64, Some(number));
        Self {
            config: Config {
                enrollment: Some(Enrollment {
                    url: "https://fleet.example.com".into(),
                    secret: Secret::new("made-up-secret"),
                }),
                desktop: true,
                ..Config::default()
            },
            arch: Arch::Amd64,
            version: "1.2.3",
            orbit: program([1, 2, 3, 0]),
            osqueryd: program([5, 6, 7, 8]),
            desktop: program([1, 2, 3, 0]),
            epoch: EPOCH,
            threads: 2,
            compression: None,
        }
    }

    /// The same for another processor.
    pub fn arm64() -> Self {
        let program = |number| sample::program(Machine::Arm64, Some(number));
        Self {
            arch: Arch::Arm64,
            orbit: program([1, 2, 3, 0]),
            osqueryd: program([5, 6, 7, 8]),
            desktop: program([1, 2, 3, 0]),
            ..Self::new()
        }
    }

    /// With every file that an agent can have.
    pub fn full() -> Self {
        let client = |word: &str| {
            Some(ClientFiles {
                certificate: format!("{word} certificate\n").into(),
                key: format!("{word} key\n").into_bytes().into(),
            })
        };
        let mut sample = Self::new();
        sample.config = Config {
            fleet_certificate: Some(b"fleet\n".to_vec()),
            fleet_client: client("fleet"),
            update_certificate: Some(b"update\n".to_vec()),
            update_client: client("update"),
            desktop_browser_host: Some("browse.example.com".into()),
            disable_updates: true,
            debug: true,
            enable_scripts: true,
            end_user_email: Some("someone@example.com".into()),
            osquery_db: Some(r"C:\data\[osquery] {x}.db".into()),
            disable_keystore: true,
            disable_setup_experience: true,
            bypass_end_user_auth: true,
            osquery_flagfile: Some(b"--verbose\n".to_vec()),
            ..sample.config
        };
        sample
    }

    pub fn tree(&self) -> Tree {
        self.try_tree().unwrap()
    }

    pub fn try_tree(&self) -> Result<Tree, AgentError> {
        let programs = [
            (Component::Orbit, &self.orbit),
            (Component::Osqueryd, &self.osqueryd),
            (Component::Desktop, &self.desktop),
        ];
        let fetched = Fetched {
            documents: Documents {
                root: b"{\"signed\":1}".to_vec(),
                timestamp: b"{\"signed\":2}".to_vec(),
                snapshot: b"{\"signed\":3}".to_vec(),
                targets: b"{\"signed\":4}".to_vec(),
            },
            programs: programs
                .into_iter()
                .map(|(component, bytes)| self.program(component, bytes))
                .collect(),
        };
        let identity = identity(self.version, self.arch, None);
        windows::tree(&self.config, &fetched, identity)
    }

    fn program(&self, component: Component, bytes: &[u8]) -> Program {
        let target = Target::of(component, Platform::of(Os::Windows, self.arch));
        let file = Shared::verified_bytes(bytes.to_vec(), Path::new(target.file));
        Program {
            target,
            channel: match component {
                Component::Orbit => &self.config.channels.orbit,
                Component::Osqueryd => &self.config.channels.osqueryd,
                Component::Desktop => &self.config.channels.desktop,
            }
            .clone(),
            version: Some(self.version.into()),
            file,
            sha512: String::new(),
            unpacked: Vec::new(),
        }
    }

    /// Builds it as `name` in the scratch folder.
    pub fn build(&self, scratch: &Scratch, name: &str) -> PathBuf {
        self.build_tree(&self.tree(), scratch, name).unwrap()
    }

    pub fn build_tree(
        &self,
        tree: &Tree,
        scratch: &Scratch,
        name: &str,
    ) -> Result<PathBuf, BuildError> {
        let compressor = Compressor::new(NonZeroUsize::new(self.threads).unwrap()).unwrap();
        let context = BuildContext {
            compressor: &compressor,
            compression: self.compression,
            epoch: self.epoch,
            cancelled: &|| false,
        };
        let path = scratch.join(name);
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let mut out = Output::new(file, &path);
        Msi.build(tree, &context, &mut out)?;
        out.finish()?;
        Ok(path)
    }
}
