//! Repositories: adding a program, signing a time stamp, a client's refresh.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use fleetpack::store::{self, HttpOptions};
use fleetpack::tuf::client::{Client, Options};

use crate::deb::cell;
use crate::measure::{Contender, alternate, median};
use crate::{Bench, Row, quietly};

/// Passphrases of keys that live as long as the benchmark.
fn passphrases() -> Vec<(&'static str, String)> {
    [
        "FLEET_ROOT_PASSPHRASE",
        "FLEET_TARGETS_PASSPHRASE",
        "FLEET_SNAPSHOT_PASSPHRASE",
        "FLEET_TIMESTAMP_PASSPHRASE",
        "TUF_ROOT_PASSPHRASE",
        "TUF_TARGETS_PASSPHRASE",
        "TUF_SNAPSHOT_PASSPHRASE",
        "TUF_TIMESTAMP_PASSPHRASE",
    ]
    .map(|name| (name, "made up".to_owned()))
    .to_vec()
}

fn updates(bench: &Bench, folder: &Path, words: &[&str]) -> Result<(), String> {
    let path = folder.display().to_string();
    quietly(
        Command::new(&bench.fleetpack)
            .args(["updates"])
            .args(words)
            .args(["--path", &path])
            .envs(passphrases()),
    )
}

/// The payload as a repository, made once.
pub fn repository_of_payload(bench: &Bench) -> Result<PathBuf, String> {
    let folder = bench.folder.join("repository");
    if folder.join("repository/timestamp.json").exists() {
        return Ok(folder);
    }
    let folder = bench.fresh("repository")?;
    add_programs(bench, &folder, &bench.payload, "linux", "")?;
    Ok(folder)
}

/// The programs `orbit.EXTENSION` and `osqueryd.EXTENSION` in `folder` as a repository there.
pub fn repository_of(
    bench: &Bench,
    folder: &Path,
    platform: &str,
    extension: &str,
) -> Result<PathBuf, String> {
    let repository = folder.join("repository");
    std::fs::create_dir_all(&repository).map_err(|e| e.to_string())?;
    add_programs(
        bench,
        &repository,
        folder,
        platform,
        &format!(".{extension}"),
    )?;
    Ok(repository)
}

/// A repository in `folder` with these files: path, name and platform.
pub fn repository_with(
    bench: &Bench,
    folder: &Path,
    targets: &[(&str, &str, &str)],
) -> Result<PathBuf, String> {
    let repository = folder.join("repository");
    std::fs::create_dir_all(&repository).map_err(|e| e.to_string())?;
    add_targets(bench, &repository, targets)?;
    Ok(repository)
}

fn add_programs(
    bench: &Bench,
    repository: &Path,
    from: &Path,
    platform: &str,
    suffix: &str,
) -> Result<(), String> {
    let files = ["orbit", "osqueryd"].map(|name| {
        let file = from.join(format!("{name}{suffix}"));
        (file.display().to_string(), name)
    });
    let targets = files
        .each_ref()
        .map(|(file, name)| (file.as_str(), *name, platform));
    add_targets(bench, repository, &targets)
}

fn add_targets(
    bench: &Bench,
    repository: &Path,
    targets: &[(&str, &str, &str)],
) -> Result<(), String> {
    updates(bench, repository, &["init"])?;
    for (file, name, platform) in targets {
        let mut words = vec!["add", "--target", file, "--name", name];
        words.extend([
            "--platform",
            platform,
            "--version",
            "1.50.0",
            "-t",
            "stable",
        ]);
        updates(bench, repository, &words)?;
    }
    Ok(())
}

/// `updates add` of the larger program under four channels, against staging, adding,
/// snapshot, timestamp and commit by go-tuf's own command. Both unlock encrypted keys.
pub fn add_against_go_tuf(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("add")?;
    let file = bench.payload.join("osqueryd").display().to_string();
    let ours = folder.join("fleetpack");
    std::fs::create_dir_all(&ours).map_err(|e| e.to_string())?;
    updates(bench, &ours, &["init"])?;
    let path = ours.display().to_string();
    let command = [
        bench.fleetpack.as_str(),
        "updates",
        "add",
        "--path",
        &path,
        "--target",
        &file,
        "--name",
        "osqueryd",
        "--platform",
        "linux",
        "--version",
        "5.10.2",
        "-t",
        "5.10",
        "-t",
        "5",
        "-t",
        "stable",
    ];
    let ours = Contender::new("fleetpack", &folder, &command).env(&passphrases());
    let theirs = go_tuf(bench, &folder, &file)?;
    let medians = alternate(&[ours, theirs], bench.rounds)?;
    let [ours, theirs] = medians[..] else {
        return Err("a median is missing".into());
    };
    Ok(vec![Row {
        what: "`updates add` of 92 MB, four channels, against go-tuf".into(),
        ours: cell(ours),
        theirs: cell(theirs),
        ratio: format!("{:.2} times faster", theirs.seconds / ours.seconds),
        goal: "3 times",
    }])
}

fn go_tuf(bench: &Bench, folder: &Path, file: &str) -> Result<Contender, String> {
    let tuf = bench.rivals.tuf.display().to_string();
    let repository = folder.join("go-tuf");
    std::fs::create_dir_all(&repository).map_err(|e| e.to_string())?;
    let run = |words: &[&str]| {
        quietly(
            Command::new(&tuf)
                .args(words)
                .envs(passphrases())
                .current_dir(&repository),
        )
    };
    run(&["init", "--consistent-snapshot=false"])?;
    for role in ["root", "targets", "snapshot", "timestamp"] {
        run(&["gen-key", role])?;
    }
    let names = ["5.10.2", "5.10", "5", "stable"].map(|c| format!("osqueryd/linux/{c}/osqueryd"));
    let mut script = String::from("set -e\n");
    for name in &names {
        script.push_str(&format!(
            "mkdir -p staged/targets/{name}\nrmdir staged/targets/{name}\ncp '{file}' staged/targets/{name}\n"
        ));
    }
    let names = names.join(" ");
    script.push_str(&format!(
        "{tuf} add {names}\n{tuf} snapshot\n{tuf} timestamp\n{tuf} commit\n"
    ));
    let command = ["sh", "-c", &script];
    Ok(Contender::new("go-tuf", &repository, &command).env(&passphrases()))
}

/// One more target, a time stamp and a client's refresh in repositories of growing size.
pub fn by_number_of_targets(bench: &Bench) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for count in [10, 1_000, 10_000] {
        rows.extend(one_size(bench, count)?);
    }
    Ok(rows)
}

fn one_size(bench: &Bench, count: usize) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("size")?;
    let repository = folder.join("repository");
    std::fs::create_dir_all(&repository).map_err(|e| e.to_string())?;
    updates(bench, &repository, &["init"])?;
    let small = folder.join("small");
    std::fs::write(&small, "#!/bin/sh\n").map_err(|e| e.to_string())?;
    let small = small.display().to_string();
    let program = [
        "add",
        "--target",
        &small,
        "--name",
        "orbit",
        "--platform",
        "linux",
    ];
    let tags: Vec<String> = (1..count).map(|n| format!("channel-{n}")).collect();
    let mut fill = program.to_vec();
    fill.extend(["--version", "1.0.0"]);
    fill.extend(tags.iter().flat_map(|tag| ["-t", tag]));
    updates(bench, &repository, &fill)?;
    let path = repository.display().to_string();
    let command = |words: &[&str]| {
        let mut command = vec![bench.fleetpack.as_str(), "updates"];
        command.extend_from_slice(words);
        command.extend(["--path", &path]);
        Contender::new("fleetpack", &folder, &command).env(&passphrases())
    };
    let mut one_more = program.to_vec();
    one_more.extend(["--version", "1.0.1"]);
    let contenders = [
        command(&one_more),
        command(&["timestamp"]),
        command(&["roots"]),
    ];
    let medians = alternate(&contenders, bench.rounds)?;
    let names = [
        "`updates add` of one more",
        "`updates timestamp`",
        "`updates roots`",
    ];
    let rows = names.iter().zip(&medians).map(|(name, median)| Row {
        what: format!("{name}, {count} targets"),
        ours: cell(*median),
        theirs: String::new(),
        ratio: String::new(),
        goal: "",
    });
    let mut rows: Vec<Row> = rows.collect();
    rows.push(refresh(&repository, count, bench.rounds)?);
    Ok(rows)
}

/// A client's first refresh from the folder, in this process: reading, verifying, and the
/// whole of targets.json.
fn refresh(repository: &Path, count: usize, rounds: usize) -> Result<Row, String> {
    let anchor = std::fs::read(repository.join("repository/root.json"));
    let anchor = anchor.map_err(|e| e.to_string())?;
    let place = repository.join("repository").display().to_string();
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        let store = store::open(&place, HttpOptions::default()).map_err(|e| e.to_string())?;
        let mut client = Client::new(store, anchor.clone(), None, Options::default());
        let now = jiff::Timestamp::now();
        client.refresh(now).map_err(|e| e.to_string())?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(Row {
        what: format!("a client's refresh, {count} targets"),
        ours: format!("{:.4} s", median(seconds)),
        theirs: String::new(),
        ratio: String::new(),
        goal: "",
    })
}
