//! A made-up agent as it would have been fetched, and packages of it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use fleetpack::agent::component::{Component, Platform, Target};
use fleetpack::agent::config::{Config, Enrollment, Secret};
use fleetpack::agent::fetched::{Documents, Fetched, Program, Unpacked};
use fleetpack::compress::Compressor;
use fleetpack::install::{Arch, Shared, Tree};
use fleetpack::package::pkg::Pkg;
use fleetpack::package::{BuildContext, BuildError, Builder, Compression, Output};

/// `SOURCE_DATE_EPOCH` of all samples: 2023-11-14T22:13:20.
pub const EPOCH: u64 = 1_700_000_000;

/// Contents that compress about as well as a program does.
pub fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |at: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if at.is_multiple_of(3) { 0 } else { state as u8 }
    };
    (0..len).map(step).collect()
}

fn shared(name: &str, bytes: Vec<u8>) -> Shared {
    Shared::verified_bytes(bytes, Path::new(name))
}

fn program(component: Component, channel: &str, version: &str, bytes: Vec<u8>) -> Program {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &bytes);
    Program {
        target: Target::of(component, Platform::Macos),
        channel: channel.to_owned(),
        version: Some(version.to_owned()),
        sha512: hex::encode(digest),
        file: shared(component.word(), bytes),
        unpacked: Vec::new(),
    }
}

fn member(path: &str, mode: u32, bytes: Option<Vec<u8>>) -> Unpacked {
    Unpacked {
        path: path.to_owned(),
        mode,
        contents: bytes.map(|bytes| shared(path, bytes)),
    }
}

/// A bundle of an application: folders, a property list, a program, a hidden file.
fn bundle(name: &str, program: &str, seed: u32) -> Vec<Unpacked> {
    let at = |path: &str| format!("{name}/{path}");
    vec![
        member(name, 0o755, None),
        member(&at("Contents"), 0o755, None),
        member(
            &at("Contents/Info.plist"),
            0o644,
            Some(b"<plist/>".to_vec()),
        ),
        member(&at("Contents/MacOS"), 0o755, None),
        member(
            &at(&format!("Contents/MacOS/{program}")),
            0o755,
            Some(noise(seed, 700_000)),
        ),
        member(&at("Contents/Resources"), 0o755, None),
        member(&at("Contents/Resources/.keep"), 0o644, Some(Vec::new())),
    ]
}

/// What was fetched: orbit of this version, osqueryd, Fleet Desktop.
pub fn fetched(orbit_version: &str, config: &Config) -> Fetched {
    let channels = &config.channels;
    let mut osqueryd = program(
        Component::Osqueryd,
        &channels.osqueryd,
        "5.13.1",
        noise(3, 300_000),
    );
    osqueryd.unpacked = bundle("osquery.app", "osqueryd", 4);
    let orbit = program(
        Component::Orbit,
        &channels.orbit,
        orbit_version,
        noise(1, 1_500_000),
    );
    let mut programs = vec![orbit, osqueryd];
    if config.desktop {
        let mut desktop = program(
            Component::Desktop,
            &channels.desktop,
            orbit_version,
            noise(5, 200_000),
        );
        desktop.unpacked = bundle("Fleet Desktop.app", "fleet-desktop", 6);
        programs.push(desktop);
    }
    let document = |name: &str| format!("{{\"signed\":{{\"_type\":\"{name}\"}}}}").into_bytes();
    Fetched {
        documents: Documents {
            root: document("root"),
            timestamp: document("timestamp"),
            snapshot: document("snapshot"),
            targets: document("targets"),
        },
        programs,
    }
}

/// A configuration with a Fleet server, a secret and Fleet Desktop.
pub fn config() -> Config {
    Config {
        enrollment: Some(Enrollment {
            url: "https://fleet.example.com".into(),
            secret: Secret::new("made-up secret & <more> \"]]>'"),
        }),
        desktop: true,
        ..Config::default()
    }
}

/// What an installer puts on a Mac.
pub fn tree(config: &Config) -> Tree {
    tree_of("1.50.0", config)
}

/// The same with another version of orbit.
pub fn tree_of(version: &str, config: &Config) -> Tree {
    let identity =
        fleetpack::agent::identity(version, Arch::Universal, config.identifier.as_deref());
    fleetpack::agent::macos::tree(config, &fetched(version, config), identity).unwrap()
}

/// Builds a package of a tree.
pub fn build_with(
    tree: &Tree,
    path: &Path,
    threads: usize,
    compression: Option<Compression>,
) -> Result<(), BuildError> {
    let compressor = Compressor::new(NonZeroUsize::new(threads).unwrap())?;
    let context = BuildContext {
        compressor: &compressor,
        compression,
        epoch: EPOCH,
        cancelled: &|| false,
    };
    let file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut output = Output::new(file, path);
    Pkg.build(tree, &context, &mut output)?;
    output.finish()?;
    Ok(())
}

/// Builds a package of a tree on two threads.
pub fn build(tree: &Tree, path: &Path) -> PathBuf {
    build_with(tree, path, 2, None).unwrap();
    path.to_owned()
}
