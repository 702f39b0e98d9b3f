//! Windows packages: a cold one from a repository, against deflate alone over the bytes that
//! it stores (orbit's program is installed twice and stored once).

use std::path::{Path, PathBuf};

use fleetpack::package::msi::pe::{Machine, sample};

use crate::deb::cell;
use crate::measure::{Contender, alternate};
use crate::{Bench, Row, updates};

pub fn against_deflate(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("msi")?;
    programs(bench, &folder)?;
    let contenders = [fleetpack(bench, &folder)?, limit(&folder)];
    let medians = alternate(&contenders, bench.rounds)?;
    let [ours, limit] = medians[..] else {
        return Err("a median is missing".into());
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let divided = limit.seconds / cores as f64;
    Ok(vec![
        Row {
            what: format!("msi, cold, against `libdeflate-gzip -6` / {cores} cores"),
            ours: cell(ours),
            theirs: format!("{} / {cores} = {divided:.2} s", cell(limit)),
            ratio: format!("{:.2} of the limit", ours.seconds / divided),
            goal: "2 at most",
        },
        Row {
            what: "size of the msi against `libdeflate-gzip -6`".into(),
            ours: format!("{} B", ours.size),
            theirs: format!("{} B", limit.size),
            ratio: format!("{:.4}", ours.size as f64 / limit.size as f64),
            goal: "1.05 at most",
        },
        Row {
            what: "peak memory of a cold msi".into(),
            ours: format!("{:.0} MiB", ours.peak),
            theirs: String::new(),
            ratio: String::new(),
            goal: "150 MB at most",
        },
    ])
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

fn fleetpack(bench: &Bench, folder: &Path) -> Result<Contender, String> {
    let repository = updates::repository_of(bench, folder, "windows", "exe")?;
    let roots = format!("@{}", repository.join("repository/root.json").display());
    let url = format!("file://{}", repository.join("repository").display());
    let out = folder.join("fleetpack.msi");
    let out_word = out.display().to_string();
    let command = [
        bench.fleetpack.as_str(),
        "package",
        "--quiet",
        "--type",
        "msi",
        "--no-state",
        "--cache",
        "none",
        "--update-url",
        &url,
        "--update-roots",
        &roots,
        "--fleet-url",
        "https://fleet.example.org",
        "--enroll-secret",
        "made-up-for-the-benchmark",
        "--outfile",
        &out_word,
    ];
    Ok(Contender::new("fleetpack", folder, &command).output(out))
}

/// The fastest deflate there is, on one core, over the same bytes in one file.
fn limit(folder: &Path) -> Contender {
    let command = ["libdeflate-gzip", "-6", "-k", "-f", "stored"];
    Contender::new("libdeflate-gzip", folder, &command).output(PathBuf::from(format!(
        "{}.gz",
        folder.join("stored").display()
    )))
}
