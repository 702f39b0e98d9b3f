//! A cold package against the fastest deflate there is, on one core, over the bytes that it
//! stores, divided by the cores.

use std::path::{Path, PathBuf};

use crate::deb::cell;
use crate::measure::{Contender, alternate};
use crate::{Bench, Row};

/// What is measured: a format and what it is to reach.
pub struct Goals {
    /// The word for `--type`.
    pub format: &'static str,
    /// Time against the limit.
    pub time: &'static str,
    /// Size against libdeflate's.
    pub size: &'static str,
}

/// Measures in `folder`, where a file `stored` has the bytes that the package stores, with the
/// programs of `repository`.
pub fn against(
    bench: &Bench,
    folder: &Path,
    repository: &Path,
    goals: &Goals,
) -> Result<Vec<Row>, String> {
    let format = goals.format;
    let contenders = [
        fleetpack(bench, folder, repository, format),
        deflate(folder),
    ];
    let medians = alternate(&contenders, bench.rounds)?;
    let [ours, limit] = medians[..] else {
        return Err("a median is missing".into());
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let divided = limit.seconds / cores as f64;
    Ok(vec![
        Row {
            what: format!("{format}, cold, against `libdeflate-gzip -6` / {cores} cores"),
            ours: cell(ours),
            theirs: format!("{} / {cores} = {divided:.2} s", cell(limit)),
            ratio: format!("{:.2} of the limit", ours.seconds / divided),
            goal: goals.time,
        },
        Row {
            what: format!("size of the {format} against `libdeflate-gzip -6`"),
            ours: format!("{} B", ours.size),
            theirs: format!("{} B", limit.size),
            ratio: format!("{:.4}", ours.size as f64 / limit.size as f64),
            goal: goals.size,
        },
        Row {
            what: format!("peak memory of a cold {format}"),
            ours: format!("{:.0} MiB", ours.peak),
            theirs: String::new(),
            ratio: String::new(),
            goal: "150 MB at most",
        },
    ])
}

fn fleetpack(bench: &Bench, folder: &Path, repository: &Path, format: &str) -> Contender {
    let roots = format!("@{}", repository.join("repository/root.json").display());
    let url = format!("file://{}", repository.join("repository").display());
    let out = folder.join(format!("fleetpack.{format}"));
    let word = out.display().to_string();
    let program = bench.fleetpack.as_str();
    let mut command = vec![
        program,
        "package",
        "--quiet",
        "--type",
        format,
        "--no-state",
    ];
    command.extend(["--cache", "none", "--update-url", &url]);
    command.extend(["--update-roots", &roots]);
    command.extend(["--fleet-url", "https://fleet.example.org"]);
    command.extend(["--enroll-secret", "made-up-for-the-benchmark"]);
    command.extend(["--outfile", &word]);
    Contender::new("fleetpack", folder, &command).output(out)
}

fn deflate(folder: &Path) -> Contender {
    let command = ["libdeflate-gzip", "-6", "-k", "-f", "stored"];
    let packed = PathBuf::from(format!("{}.gz", folder.join("stored").display()));
    Contender::new("libdeflate-gzip", folder, &command).output(packed)
}
