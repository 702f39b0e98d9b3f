//! Windows packages: a cold one from a repository, against deflate alone over the bytes that
//! it stores (orbit's program is installed twice and stored once).

use std::path::{Path, PathBuf};

use fleetpack::package::msi::pe::{Machine, sample};

use crate::limit::{self, Goals};
use crate::{Bench, Row, updates};

pub fn against_deflate(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("msi")?;
    let repository = repository(bench, &folder)?;
    let goals = Goals {
        format: "msi",
        time: "2 at most",
        size: "1.05 at most",
    };
    limit::against(bench, &folder, &repository, &goals)
}

/// The payload as programs of Windows: a small one, with the payload's bytes behind it.
fn programs(bench: &Bench, folder: &Path) -> Result<(), String> {
    let mut all = Vec::new();
    for name in ["orbit", "osqueryd"] {
        let mut bytes = sample::program(Machine::Amd64, Some([1, 50, 0, 0]));
        bytes.extend(std::fs::read(bench.payload.join(name)).map_err(|e| e.to_string())?);
        let path = folder.join(format!("{name}.exe"));
        std::fs::write(path, &bytes).map_err(|e| e.to_string())?;
        all.extend(bytes);
    }
    std::fs::write(folder.join("stored"), all).map_err(|e| e.to_string())
}

/// A repository in `folder` with the payload as programs of Windows.
pub fn repository(bench: &Bench, folder: &Path) -> Result<PathBuf, String> {
    programs(bench, folder)?;
    updates::repository_of(bench, folder, "windows", "exe")
}
