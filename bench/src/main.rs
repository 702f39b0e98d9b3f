//! The benchmark: `cargo run --release -p bench`, with `-- ROUNDS ROW…` for some rows alone
//! (`deb`, `cores`, `compression`, `rpm`, `several`, `msi`, `pkg`,
//! `cache`, `batch`, `scale`, `static`, `add`, `size`).
//!
//! Every row is a ratio of medians between programs that were run in turns on one payload,
//! made by `bench/agent-payload` from the Rust toolchain: 134 MB of real machine code. Rows
//! whose rivals are missing say so. Results of one machine are in `docs/benchmarks.md`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a program for people who measure"
)]

mod batch;
mod cache;
mod deb;
mod limit;
mod linkage;
mod linux;
mod measure;
mod msi;
mod pkg;
mod rivals;
mod updates;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rivals::Rivals;

/// Where everything is, and how often to measure.
pub struct Bench {
    /// The program that is measured.
    fleetpack: String,
    folder: PathBuf,
    payload: PathBuf,
    rounds: usize,
    rivals: Rivals,
}

/// One line of the table.
pub struct Row {
    what: String,
    ours: String,
    theirs: String,
    ratio: String,
    goal: &'static str,
}

/// Words of the command line and the rows that they stand for.
type Rows = fn(&Bench) -> Result<Vec<Row>, String>;
const ROWS: &[(&str, Rows)] = &[
    ("deb", deb::against_others),
    ("cores", deb::one_and_two_cores),
    ("compression", deb::compressions),
    ("rpm", linux::rpm_against_nfpm),
    ("several", linux::several),
    ("msi", msi::against_deflate),
    ("pkg", pkg::against_deflate),
    ("cache", cache::against_copying),
    ("batch", batch::against_copying),
    ("scale", batch::scale),
    ("static", linkage::static_against_glibc),
    ("add", updates::add_against_go_tuf),
    ("size", updates::by_number_of_targets),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.iter().find_map(|word| word.parse().ok());
    let wanted: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| ROWS.iter().any(|(row, _)| row == word))
        .collect();
    let bench = Bench::prepare(rounds.unwrap_or(7))?;
    println!("{} rounds, {}", bench.rounds, machine());
    println!("\n| what | fleetpack | other | ratio | to reach |\n| --- | --- | --- | --- | --- |");
    for (word, rows) in ROWS {
        if wanted.is_empty() || wanted.contains(word) {
            for row in rows(&bench)? {
                let Row {
                    what,
                    ours,
                    theirs,
                    ratio,
                    goal,
                } = row;
                println!("| {what} | {ours} | {theirs} | {ratio} | {goal} |");
            }
        }
    }
    Ok(())
}

impl Bench {
    fn prepare(rounds: usize) -> Result<Self, String> {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let release = own.parent().unwrap_or(Path::new("."));
        let fleetpack = release.join("fleetpack");
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let build = [
            "build",
            "--release",
            "--package",
            "fleetpack",
            "--bin",
            "fleetpack",
        ];
        quietly(Command::new(cargo).args(build).current_dir(&project))?;
        let folder = release.join("../bench");
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let folder = folder.canonicalize().map_err(|e| e.to_string())?;
        let payload = folder.join("payload");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent-payload");
        quietly(Command::new(script).arg(&payload))?;
        let rivals = Rivals::install(&folder.join("rivals"))?;
        Ok(Self {
            fleetpack: fleetpack.display().to_string(),
            folder,
            payload,
            rounds,
            rivals,
        })
    }

    /// An empty folder of this name.
    fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        Ok(folder)
    }
}

/// Runs a program to prepare something.
pub fn quietly(command: &mut Command) -> Result<(), String> {
    let done = command
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{}: {}\n{}",
            command.get_program().display(),
            done.status,
            String::from_utf8_lossy(&done.stderr)
        )),
    }
}

/// Cores and load: a busy machine's numbers are worth less.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores, load {load} at the start")
}
