//! macOS packages: a cold one from a repository, against deflate alone over the bytes that it
//! stores, on as many cores.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::limit::{self, Goals};
use crate::{Bench, Row, quietly, updates};

pub fn against_deflate(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("pkg")?;
    let repository = repository(bench, &folder)?;
    let mut stored = Vec::new();
    for name in ["orbit", "osqueryd"] {
        stored.extend(std::fs::read(bench.payload.join(name)).map_err(|e| e.to_string())?);
    }
    std::fs::write(folder.join("stored"), stored).map_err(|e| e.to_string())?;
    let goals = Goals {
        format: "pkg",
        time: "1.5 at most",
        size: "",
    };
    limit::against(bench, &folder, &repository, &goals)
}

/// The first words of a 64-bit Mach-O program for x86-64: magic and `cputype`, little-endian.
const MACH_O: [u8; 8] = [0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1];

/// A repository in `folder`: orbit with a Mac program's first words before it, osqueryd in an
/// archive as agents for macOS get it.
pub fn repository(bench: &Bench, folder: &Path) -> Result<PathBuf, String> {
    let programs = folder.join("osquery.app/Contents/MacOS");
    std::fs::create_dir_all(&programs).map_err(|e| e.to_string())?;
    let osqueryd = bench.payload.join("osqueryd");
    std::fs::copy(osqueryd, programs.join("osqueryd")).map_err(|e| e.to_string())?;
    let archive = [
        "--format=ustar",
        "-czf",
        "osqueryd.app.tar.gz",
        "osquery.app",
    ];
    quietly(Command::new("tar").args(archive).current_dir(folder))?;
    let orbit = folder.join("orbit");
    let mut program = MACH_O.to_vec();
    program.extend(std::fs::read(bench.payload.join("orbit")).map_err(|e| e.to_string())?);
    std::fs::write(&orbit, program).map_err(|e| e.to_string())?;
    let orbit = orbit.display().to_string();
    let archive = folder.join("osqueryd.app.tar.gz").display().to_string();
    let targets = [
        (orbit.as_str(), "orbit", "macos"),
        (&archive, "osqueryd", "macos-app"),
    ];
    updates::repository_with(bench, folder, &targets)
}
