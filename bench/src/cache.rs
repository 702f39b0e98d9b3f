//! A second run that finds compressed programs in the cache, against copying a finished
//! package with `cp`. Both write into memory where there is room: a disk's speed is not theirs.

use std::path::{Path, PathBuf};

use crate::deb::cell;
use crate::measure::{Contender, alternate};
use crate::{Bench, Row, msi, pkg, updates};

/// A format and the repository with its programs.
pub struct Source {
    pub kind: &'static str,
    repository: PathBuf,
}

/// All formats.
pub fn sources(bench: &Bench) -> Result<Vec<Source>, String> {
    let linux = updates::repository_of_payload(bench)?;
    let windows = msi::repository(bench, &bench.fresh("batch-windows")?)?;
    let macos = pkg::repository(bench, &bench.fresh("batch-macos")?)?;
    let source = |kind, repository: &Path| Source {
        kind,
        repository: repository.to_owned(),
    };
    Ok(vec![
        source("deb", &linux),
        source("rpm", &linux),
        source("pkg.tar.zst", &linux),
        source("msi", &windows),
        source("pkg", &macos),
    ])
}

impl Source {
    pub fn url(&self) -> String {
        format!("file://{}", self.repository.join("repository").display())
    }

    pub fn roots(&self) -> String {
        format!(
            "@{}",
            self.repository.join("repository/root.json").display()
        )
    }
}

/// An empty folder in memory, or in the benchmark's own folder where there is none.
pub fn light(bench: &Bench, name: &str) -> Result<PathBuf, String> {
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        return bench.fresh(name);
    }
    let folder = memory.join("fleetpack-bench").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    Ok(folder)
}

pub fn against_copying(bench: &Bench) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for source in sources(bench)? {
        let kind = source.kind;
        let (times, goal) = match kind {
            "deb" | "msi" => (2.0, "2 times and 20 ms at most"),
            "rpm" | "pkg" => (4.0, "4 times and 20 ms at most"),
            _ => (2.0, ""),
        };
        let folder = bench.fresh("cache")?;
        let out = light(bench, "cache")?;
        let cache = folder.join("kept").display().to_string();
        let file = out.join(format!("warm.{kind}"));
        let word = file.display().to_string();
        let (url, roots) = (source.url(), source.roots());
        let program = bench.fleetpack.as_str();
        let mut command = vec![program, "package", "--quiet", "--no-state", "--type", kind];
        command.extend(["--cache", &cache, "--update-url", &url]);
        command.extend(["--update-roots", &roots, "--outfile", &word]);
        command.extend(["--fleet-url", "https://fleet.example.org"]);
        command.extend(["--agent-update-url", "https://updates.example.org"]);
        command.extend(["--enroll-secret", "made-up-for-the-benchmark"]);
        let warm = Contender::new("fleetpack", &folder, &command);
        // The first run fills the cache and makes the package that `cp` copies.
        alternate(std::slice::from_ref(&warm), 0)?;
        let copied = out.join("copied");
        let to = copied.display().to_string();
        let copy = Contender::new("cp", &folder, &["cp", &word, &to]).output(copied);
        let medians = alternate(&[warm, copy], bench.rounds)?;
        let [warm, copy] = medians[..] else {
            return Err("a median is missing".into());
        };
        let allowed = times * copy.seconds + 0.02;
        rows.push(Row {
            what: format!("{kind} with a warm cache against `cp` of a finished one"),
            ours: cell(warm),
            theirs: cell(copy),
            ratio: format!("{:.2} of {allowed:.3} s", warm.seconds / allowed),
            goal,
        });
        let _ = std::fs::remove_dir_all(out);
    }
    Ok(rows)
}
