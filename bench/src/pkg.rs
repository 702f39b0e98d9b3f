//! macOS packages: a cold one from a repository, against deflate alone over the bytes that it
//! stores, on as many cores.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::deb::cell;
use crate::measure::{Contender, alternate};
use crate::{Bench, Row, quietly, updates};

pub fn against_deflate(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("pkg")?;
    let contenders = [fleetpack(bench, &folder)?, limit(bench, &folder)?];
    let medians = alternate(&contenders, bench.rounds)?;
    let [ours, limit] = medians[..] else {
        return Err("a median is missing".into());
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let divided = limit.seconds / cores as f64;
    Ok(vec![
        Row {
            what: format!("pkg, cold, against `libdeflate-gzip -6` / {cores} cores"),
            ours: cell(ours),
            theirs: format!("{} / {cores} = {divided:.2} s", cell(limit)),
            ratio: format!("{:.2} of the limit", ours.seconds / divided),
            goal: "1.5 at most",
        },
        Row {
            what: "size of the pkg against `libdeflate-gzip -6`".into(),
            ours: format!("{} B", ours.size),
            theirs: format!("{} B", limit.size),
            ratio: format!("{:.4}", ours.size as f64 / limit.size as f64),
            goal: "",
        },
        Row {
            what: "peak memory of a cold pkg".into(),
            ours: format!("{:.0} MiB", ours.peak),
            theirs: String::new(),
            ratio: String::new(),
            goal: "150 MB at most",
        },
    ])
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

fn fleetpack(bench: &Bench, folder: &Path) -> Result<Contender, String> {
    let repository = repository(bench, folder)?;
    let roots = format!("@{}", repository.join("repository/root.json").display());
    let url = format!("file://{}", repository.join("repository").display());
    let out = folder.join("fleetpack.pkg");
    let word = out.display().to_string();
    let program = bench.fleetpack.as_str();
    let mut command = vec![program, "package", "--quiet", "--type", "pkg", "--no-state"];
    command.extend(["--cache", "none", "--update-url", &url]);
    command.extend(["--update-roots", &roots]);
    command.extend(["--fleet-url", "https://fleet.example.org"]);
    command.extend(["--enroll-secret", "made-up-for-the-benchmark"]);
    command.extend(["--outfile", &word]);
    Ok(Contender::new("fleetpack", folder, &command).output(out))
}

/// The fastest deflate there is, on one core, over the same bytes in one file.
fn limit(bench: &Bench, folder: &Path) -> Result<Contender, String> {
    let mut bytes = Vec::new();
    for name in ["orbit", "osqueryd"] {
        bytes.extend(std::fs::read(bench.payload.join(name)).map_err(|e| e.to_string())?);
    }
    let input = folder.join("stored");
    std::fs::write(&input, bytes).map_err(|e| e.to_string())?;
    let command = ["libdeflate-gzip", "-6", "-k", "-f", "stored"];
    Ok(Contender::new("libdeflate-gzip", folder, &command)
        .output(PathBuf::from(format!("{}.gz", input.display()))))
}
