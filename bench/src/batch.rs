//! Installers of many teams: what each further one costs, against copying a finished one.
//!
//! A batch of one and a batch of [`FURTHER`] more run in turns; the difference is what the
//! further ones cost. They are written into memory where there is room, and once to the disk,
//! where `cp` is followed by `sync`, as a batch syncs what it makes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cache::{Source, light, sources};
use crate::measure::{Contender, Median, alternate};
use crate::{Bench, Row};

const FURTHER: usize = 20;

/// A file that has lain there so long is not read any more.
const DONE: Duration = Duration::from_secs(2);

/// `fleetpack package --manifest` for so many teams, into an empty folder.
fn batch(bench: &Bench, source: &Source, teams: usize, out: &Path) -> Result<Contender, String> {
    let folder = bench.folder.join("batch");
    let mut text = format!(
        "[defaults]\ntype = '{}'\nupdate-url = '{}'\nupdate-roots = '{}'\n\
         agent-update-url = 'https://updates.example.org'\n\
         fleet-url = 'https://{{team}}.example.org'\nenroll-secret-variable = 'MADE_UP'\n",
        source.kind,
        source.url(),
        source.roots()
    );
    for team in 0..teams {
        writeln!(text, "[[installer]]\nteam = 't{team}'").map_err(|e| e.to_string())?;
    }
    let manifest = folder.join(format!("{}-{teams}.toml", source.kind));
    std::fs::write(&manifest, text).map_err(|e| e.to_string())?;
    let script = format!(
        "mkdir {out} && exec {} package --quiet --no-state --cache {} \
         --manifest {} --outdir {out} >{}",
        bench.fleetpack,
        folder.join("kept").display(),
        manifest.display(),
        folder.join("list").display(),
        out = out.display(),
    );
    let contender = Contender::new("fleetpack", &folder, &["sh", "-c", &script]);
    let contender = contender.output(out.to_owned());
    Ok(contender.env(&[("MADE_UP", "made-up-for-the-benchmark".to_owned())]))
}

/// The one installer of a batch of one.
fn finished(out: &Path) -> Result<String, String> {
    let mut files = std::fs::read_dir(out.join("t0")).map_err(|e| e.to_string())?;
    let first = files.next().ok_or("no installer was made")?;
    Ok(first
        .map_err(|e| e.to_string())?
        .path()
        .display()
        .to_string())
}

pub fn against_copying(bench: &Bench) -> Result<Vec<Row>, String> {
    bench.fresh("batch")?;
    let out = light(bench, "batch")?;
    let mut rows = Vec::new();
    let mut peak: f64 = 0.0;
    for source in sources(bench)? {
        let copy = |from: &str, to: &str| Contender::new("cp", &out, &["cp", from, to]);
        let row = against(bench, &source, &out, "", &copy)?;
        peak = peak.max(row.0.peak);
        rows.push(row.1);
        if source.kind == "deb" {
            let disk = bench.fresh("batch-disk")?;
            let synced = |from: &str, to: &str| {
                let script = format!("cp {from} {to} && sync {to}");
                Contender::new("cp and sync", &disk, &["sh", "-c", &script])
            };
            let words = ", on a disk, against `cp` and `sync`";
            rows.push(against(bench, &source, &disk, words, &synced)?.1);
            let _ = std::fs::remove_dir_all(disk);
        }
    }
    rows.push(Row {
        what: format!("peak memory of a warm batch of {}", FURTHER + 1),
        ours: format!("{peak:.0} MiB"),
        theirs: String::new(),
        ratio: String::new(),
        goal: "64 MB at most",
    });
    let _ = std::fs::remove_dir_all(out);
    Ok(rows)
}

fn against(
    bench: &Bench,
    source: &Source,
    folder: &Path,
    words: &str,
    copy: &dyn Fn(&str, &str) -> Contender,
) -> Result<(Median, Row), String> {
    let (one, many) = (folder.join("one"), folder.join("many"));
    let copied = folder.join("copied");
    let first = batch(bench, source, 1, &one)?;
    alternate(std::slice::from_ref(&first), 0)?;
    let copy = copy(&finished(&one)?, &copied.display().to_string()).output(copied);
    let several = batch(bench, source, FURTHER + 1, &many)?;
    let medians = alternate(&[first, several, copy], bench.rounds)?;
    let [first, several, copy] = medians[..] else {
        return Err("a median is missing".into());
    };
    let further = (several.seconds - first.seconds) / FURTHER as f64;
    let cpu = (several.cpu - first.cpu) / FURTHER as f64;
    let allowed = 2.0 * copy.seconds + 0.02;
    let row = Row {
        what: format!("{}: each further installer of a batch{words}", source.kind),
        ours: format!("{further:.3} s ({cpu:.3} s CPU)"),
        theirs: format!("{:.3} s", copy.seconds),
        ratio: format!("{:.2} of {allowed:.3} s", further / allowed),
        goal: "2 times and 20 ms at most",
    };
    Ok((several, row))
}

/// Batches of 1, 10, 100 and 1 000 debs. What is finished is deleted meanwhile: a thousand
/// would be 54 GB.
pub fn scale(bench: &Bench) -> Result<Vec<Row>, String> {
    bench.fresh("batch")?;
    let out = light(bench, "scale")?;
    let all = sources(bench)?;
    let source = all.first().ok_or("no source")?;
    let warm = batch(bench, source, 1, &out)?;
    alternate(std::slice::from_ref(&warm), 0)?;
    let mut rows = Vec::new();
    for teams in [1, 10, 100, 1000] {
        let contender = batch(bench, source, teams, &out)?;
        let (seconds, peak) = timed(&contender, &out)?;
        rows.push(Row {
            what: format!("a warm batch of {teams} debs, one run"),
            ours: format!("{seconds:.2} s, {peak:.0} MiB"),
            theirs: String::new(),
            ratio: format!("{:.3} s each", seconds / teams as f64),
            goal: "",
        });
    }
    let _ = std::fs::remove_dir_all(out);
    Ok(rows)
}

/// Seconds, and MiB at most.
fn timed(contender: &Contender, out: &Path) -> Result<(f64, f64), String> {
    let report = contender.folder.join(".peak");
    let _ = std::fs::remove_dir_all(out);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                clear(out);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let started = Instant::now();
        let done = Command::new("/usr/bin/time")
            .arg("-o")
            .arg(&report)
            .args(["-f", "%M"])
            .args(&contender.command)
            .envs(contender.env.iter().map(|(name, value)| (name, value)))
            .status();
        let seconds = started.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        if !done.map_err(|e| e.to_string())?.success() {
            return Err("the batch failed".into());
        }
        let text = std::fs::read_to_string(&report).map_err(|e| e.to_string())?;
        let peak: f64 = text.trim().parse().map_err(|_| text.clone())?;
        Ok((seconds, peak / 1024.0))
    })
}

fn clear(out: &Path) {
    for team in std::fs::read_dir(out).into_iter().flatten().flatten() {
        let files = std::fs::read_dir(team.path()).into_iter().flatten();
        for file in files.flatten() {
            let age = file.metadata().and_then(|facts| facts.modified());
            let age = age.ok().and_then(|modified| modified.elapsed().ok());
            let hidden = file.file_name().to_string_lossy().starts_with('.');
            if !hidden && age.is_some_and(|age| age > DONE) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}
