//! Debian packages: a cold one from a repository, every hash verified, against programs that
//! pack a tree that is ready on disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::measure::{Contender, Median, alternate};
use crate::{Bench, Row, quietly, rivals, updates};

pub fn against_others(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("deb")?;
    let ours = fleetpack(bench, &folder, "gzip", &[])?;
    unpack(&ours, &folder)?;
    let contenders = [
        ours,
        dpkg_deb(&folder),
        nfpm(bench, &folder, "deb")?,
        limit(bench, &folder)?,
    ];
    let medians = alternate(&contenders, bench.rounds)?;
    let [ours, dpkg, nfpm, limit] = medians[..] else {
        return Err("a median is missing".into());
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let divided = limit.seconds / cores as f64;
    Ok(vec![
        Row {
            what: "deb, cold, against `dpkg-deb -Zgzip -z6`".into(),
            ours: cell(ours),
            theirs: cell(dpkg),
            ratio: format!("{:.2} times faster", dpkg.seconds / ours.seconds),
            goal: "4 times",
        },
        Row {
            what: "deb, cold, against `nfpm`".into(),
            ours: cell(ours),
            theirs: cell(nfpm),
            ratio: format!("{:.2} times faster", nfpm.seconds / ours.seconds),
            goal: "3 times",
        },
        Row {
            what: format!("deb, cold, against `libdeflate-gzip -6` / {cores} cores"),
            ours: cell(ours),
            theirs: format!("{} / {cores} = {divided:.2} s", cell(limit)),
            ratio: format!("{:.2} of the limit", ours.seconds / divided),
            goal: "1.5 at most",
        },
        Row {
            what: "size of the deb against `dpkg-deb -Zgzip -z6`".into(),
            ours: format!("{} B", ours.size),
            theirs: format!("{} B", dpkg.size),
            ratio: format!("{:.4}", ours.size as f64 / dpkg.size as f64),
            goal: "1 at most",
        },
        Row {
            what: "peak memory of a cold deb".into(),
            ours: format!("{:.0} MiB", ours.peak),
            theirs: String::new(),
            ratio: String::new(),
            goal: "100 MB at most",
        },
    ])
}

pub fn one_and_two_cores(bench: &Bench) -> Result<Vec<Row>, String> {
    if !rivals::has("taskset") {
        return Err("the row `cores` needs taskset (package util-linux)".into());
    }
    let folder = bench.fresh("cores")?;
    let one = fleetpack(bench, &folder, "gzip", &["taskset", "-c", "0"])?;
    let all = fleetpack(bench, &folder, "gzip", &[])?;
    let medians = alternate(&[one, all], bench.rounds)?;
    let [one, all] = medians[..] else {
        return Err("a median is missing".into());
    };
    Ok(vec![Row {
        what: "deb, cold, all cores against one".into(),
        ours: cell(all),
        theirs: cell(one),
        ratio: format!("{:.2} times faster", one.seconds / all.seconds),
        goal: "",
    }])
}

pub fn compressions(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("compressions")?;
    let words = ["gzip", "zstd", "xz", "none"];
    let contenders: Result<Vec<Contender>, String> = words
        .iter()
        .map(|word| fleetpack(bench, &folder, word, &[]))
        .collect();
    let medians = alternate(&contenders?, bench.rounds.min(3))?;
    let rows = words.iter().zip(&medians).map(|(word, median)| Row {
        what: format!("deb, cold, `--compression {word}`"),
        ours: cell(*median),
        theirs: String::new(),
        ratio: String::new(),
        goal: "",
    });
    Ok(rows.collect())
}

/// `1.23 s (2.34 s CPU, 56 MiB, 53425711 B)`
pub fn cell(median: Median) -> String {
    let size = match median.size {
        0 => String::new(),
        size => format!(", {size} B"),
    };
    format!(
        "{:.2} s ({:.2} s CPU, {:.0} MiB{size})",
        median.seconds, median.cpu, median.peak
    )
}

/// A package from the repository of the payload, without any state of an earlier run.
pub fn fleetpack(
    bench: &Bench,
    folder: &Path,
    compression: &str,
    before: &[&str],
) -> Result<Contender, String> {
    let out = folder.join(format!("fleetpack-{compression}-{}.deb", before.len()));
    let out_word = out.display().to_string();
    let words = [
        "--type",
        "deb",
        "--compression",
        compression,
        "--outfile",
        &out_word,
    ];
    let mut contender = package_of(bench, folder, &words)?.output(out);
    contender
        .command
        .splice(0..0, before.iter().map(|word| (*word).to_owned()));
    Ok(contender)
}

/// `fleetpack package` of the payload's repository.
pub fn package_of(bench: &Bench, folder: &Path, words: &[&str]) -> Result<Contender, String> {
    let repository = updates::repository_of_payload(bench)?;
    let roots = format!("@{}", repository.join("repository/root.json").display());
    let url = format!("file://{}", repository.join("repository").display());
    let mut command = vec![bench.fleetpack.as_str(), "package", "--quiet", "--no-state"];
    if !words.contains(&"--cache") {
        command.extend(["--cache", "none"]);
    }
    command.extend(["--update-url", &url, "--update-roots", &roots]);
    command.extend(["--fleet-url", "https://fleet.example.org"]);
    command.extend(["--enroll-secret", "made-up-for-the-benchmark"]);
    command.extend(words);
    Ok(Contender::new("fleetpack", folder, &command))
}

/// The tree of our package on disk, for those who pack it again.
pub fn unpack(ours: &Contender, folder: &Path) -> Result<(), String> {
    let [program, args @ ..] = &ours.command[..] else {
        return Err("no command".into());
    };
    quietly(Command::new(program).args(args).current_dir(folder))?;
    let deb = ours.output.clone().unwrap_or_default();
    quietly(
        Command::new("dpkg-deb")
            .arg("-R")
            .arg(deb)
            .arg(folder.join("tree")),
    )
}

fn dpkg_deb(folder: &Path) -> Contender {
    let out = folder.join("dpkg.deb");
    let word = out.display().to_string();
    let command = [
        "dpkg-deb",
        "--root-owner-group",
        "-Zgzip",
        "-z6",
        "--build",
        "tree",
        &word,
    ];
    Contender::new("dpkg-deb", folder, &command).output(out)
}

/// nfpm with its defaults, over the same tree.
pub fn nfpm(bench: &Bench, folder: &Path, packager: &str) -> Result<Contender, String> {
    let tree = folder.join("tree");
    let mut config = String::from(
        "name: fleet-osquery\narch: amd64\nversion: 1.0.0\nmaintainer: Made Up <a@example.org>\n\
         description: the same tree\ncontents:\n",
    );
    for top in ["opt", "usr", "etc", "var"] {
        let from = tree.join(top);
        if from.is_dir() {
            let from = from.display();
            config.push_str(&format!("- src: {from}/\n  dst: /{top}\n  type: tree\n"));
        }
    }
    std::fs::write(folder.join("nfpm.yaml"), config).map_err(|e| e.to_string())?;
    let out = folder.join(format!("nfpm.{packager}"));
    let word = out.display().to_string();
    let program = bench.rivals.nfpm.display().to_string();
    let command = [
        &program,
        "package",
        "-p",
        packager,
        "-f",
        "nfpm.yaml",
        "-t",
        &word,
    ];
    Ok(Contender::new("nfpm", folder, &command).output(out))
}

/// The fastest deflate there is, on one core, over the same bytes in one file.
fn limit(bench: &Bench, folder: &Path) -> Result<Contender, String> {
    let input = folder.join("payload");
    let mut bytes = Vec::new();
    for name in ["orbit", "osqueryd"] {
        bytes.extend(std::fs::read(bench.payload.join(name)).map_err(|e| e.to_string())?);
    }
    std::fs::write(&input, bytes).map_err(|e| e.to_string())?;
    let command = ["libdeflate-gzip", "-6", "-k", "-f", "payload"];
    Ok(Contender::new("libdeflate-gzip", folder, &command)
        .output(PathBuf::from(format!("{}.gz", input.display()))))
}
