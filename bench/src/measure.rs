//! One run of a program, and the medians of several.
//!
//! Times are the wall clock's, from start to end of the process; memory is the peak resident
//! set that GNU time reports for it and its children. Members of a group run in turns, round
//! after round, so that a slow minute of the machine slows all of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A program with its arguments, as a shell would run it.
pub struct Contender {
    pub name: &'static str,
    pub command: Vec<String>,
    pub env: Vec<(&'static str, String)>,
    pub folder: PathBuf,
    /// The file whose size is reported, or a folder; removed before every run.
    pub output: Option<PathBuf>,
}

/// Medians of one contender.
#[derive(Clone, Copy, Debug)]
pub struct Median {
    pub seconds: f64,
    /// User and system time.
    pub cpu: f64,
    /// MiB.
    pub peak: f64,
    /// Bytes.
    pub size: u64,
}

struct Run {
    seconds: f64,
    cpu: f64,
    peak: f64,
}

impl Contender {
    pub fn new(name: &'static str, folder: &Path, command: &[&str]) -> Self {
        Self {
            name,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            env: Vec::new(),
            folder: folder.to_owned(),
            output: None,
        }
    }

    pub fn output(mut self, path: PathBuf) -> Self {
        self.output = Some(path);
        self
    }

    pub fn env(mut self, variables: &[(&'static str, String)]) -> Self {
        self.env.extend_from_slice(variables);
        self
    }

    fn run(&self) -> Result<Run, String> {
        if let Some(output) = &self.output {
            let _ = std::fs::remove_file(output).or_else(|_| std::fs::remove_dir_all(output));
        }
        let report = self.folder.join(".time");
        let started = Instant::now();
        let done = Command::new("/usr/bin/time")
            .arg("-o")
            .arg(&report)
            .args(["-f", "%U %S %M"])
            .args(&self.command)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .map_err(|e| format!("/usr/bin/time: {e}"))?;
        let seconds = started.elapsed().as_secs_f64();
        if !done.status.success() {
            let words = String::from_utf8_lossy(&done.stderr);
            return Err(format!("{}: {}\n{words}", self.name, done.status));
        }
        let text = std::fs::read_to_string(&report).map_err(|e| e.to_string())?;
        let numbers: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
        match numbers[..] {
            [user, system, peak] => Ok(Run {
                seconds,
                cpu: user + system,
                peak: peak / 1024.0,
            }),
            _ => Err(format!("{}: GNU time says {text:?}", self.name)),
        }
    }
}

/// Runs all contenders in turns and gives their medians, in their order. One round before
/// the first warms the caches and is not counted.
pub fn alternate(contenders: &[Contender], rounds: usize) -> Result<Vec<Median>, String> {
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..=rounds {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            let run = contender.run()?;
            if round > 0 {
                runs.push(run);
            }
        }
    }
    let medians = contenders.iter().zip(runs).map(|(contender, runs)| {
        let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
        let output = contender.output.as_ref();
        Median {
            seconds: of(|run| run.seconds),
            cpu: of(|run| run.cpu),
            peak: of(|run| run.peak),
            size: output
                .and_then(|path| path.metadata().ok())
                .map_or(0, |metadata| metadata.len()),
        }
    });
    Ok(medians.collect())
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => f64::NAN,
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}
