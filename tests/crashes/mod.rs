//! Every command that writes, broken off at every step: killed before it, or told by the
//! system that it cannot be done.
//!
//! The command runs once in this process. Before each step that it does to the file system its
//! folder is taken down: that is what a kill at this point leaves. For each of these an old
//! client and a new one look, and the next command goes on ([`kills`]). Then it runs once more
//! for each step and each error of the system, and the same clients look ([`faults`]). `tests/witness.rs`
//! kills real processes.

mod cases;
mod faults;
mod kills;
pub mod scene;

use std::sync::{Arc, Mutex, PoisonError};

use fleetpack::fs::Step;
use libtest_mimic::Trial;

use crate::harness::{trial, trial_needing};
use crate::secrets;
use cases::Case;
use faults::Errors;
use scene::{Disk, Scene};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("crashes/counted", counted),
        trial("crashes/every_command_that_writes", every_command),
    ];
    for case in cases::all() {
        let (name, stride, needs) = (case.name, case.stride, case.needs);
        let (kills, faults) = (case.clone(), case);
        let name = |kind: &str| format!("crashes/{kind}_{name}");
        trials.push(trial_needing(&name("kill"), needs, move || {
            kills::each(&kills, stride);
        }));
        trials.push(trial_needing(&name("fault"), needs, move || {
            faults::each(&faults, stride, Errors::Each);
        }));
    }
    for case in cases::all().into_iter().filter(|case| case.stride > 1) {
        let name = |kind: &str| format!("long_crashes/{kind}_{}", case.name);
        let (kills, faults) = (case.clone(), case.clone());
        // Of its 3000 points those that its parts do not have: `init`, `add` and `package` fail
        // with each error.
        let errors = match case.name {
            "quickstart" => Errors::InTurn,
            _ => Errors::Each,
        };
        let kill = trial_needing(&name("kill"), case.needs, move || kills::each(&kills, 1));
        let fault = trial_needing(&name("fault"), case.needs, move || {
            faults::each(&faults, 1, errors);
        });
        trials.extend([kill, fault].map(|trial| trial.with_ignored_flag(true)));
    }
    trials
}

/// Commands that only read, and need not be here.
const READING: &[&str] = &[
    "updates verify",
    "updates serve",
    "updates roots",
    "updates keys list",
    "updates pending",
    "updates pending show",
    "inspect",
    "doctor",
    "completions",
];

/// Every other command that clap knows is among the cases.
fn every_command() {
    let cases = cases::all();
    let (mut missing, mut unknown) = (Vec::new(), READING.to_vec());
    secrets::walk(&fleetpack::cli::definitions(), "", &mut |path, command| {
        let alone = !command.has_subcommands() || !command.is_subcommand_required_set();
        if !alone || path.is_empty() {
            return;
        }
        let words = format!("{path} ");
        let below: Vec<_> = command.get_subcommands().map(|c| c.get_name()).collect();
        let there = cases.iter().any(|case| {
            let rest = format!("{} ", case.command);
            let rest = rest.strip_prefix(&words).map(str::to_owned);
            rest.is_some_and(|rest| !below.iter().any(|name| rest.starts_with(name)))
        });
        let reads = READING.contains(&path);
        unknown.retain(|name| *name != path);
        if there == reads {
            missing.push(path.to_owned());
        }
    });
    assert_eq!(missing, [""; 0], "neither broken off nor reading, or both");
    assert_eq!(unknown, [""; 0], "no commands");
}

/// The README's numbers are those of the commands here.
fn counted() {
    let quick = cases::all().into_iter().filter(|case| case.stride == 1);
    let (mut steps, mut states) = (0, 0);
    for case in quick {
        let recorded = record(&case);
        steps += recorded.at.len();
        states += recorded.states(1).count();
    }
    let faults = steps * faults::ERRORS.len();
    let readme = include_str!("../../README.md");
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = |what: &str| -> usize {
        let (front, _) = readme.split_once(what).expect("the README says how many");
        let number = front.trim_end().rsplit(' ').next().unwrap();
        number.parse().unwrap()
    };
    eprintln!(
        "{steps} steps, {states} states, {faults} fault points of the commands that are tried whole"
    );
    for (found, what) in [
        (steps, "steps before which a command is killed"),
        (states, "different states"),
        (faults, "points at which a call fails"),
    ] {
        assert!(found > said(what), "{found} {what}");
    }
}

/// A run of a case's command with a look before every step.
struct Recorded {
    /// The folder that it was in: some files are called after it.
    scene: Scene,
    before: Disk,
    /// What a kill before each step leaves.
    at: Vec<(Step, Disk)>,
    after: Disk,
}

impl Recorded {
    /// What kills before every `stride`-th step leave, with the steps' numbers. Steps that change
    /// no content, such as syncing, leave what the one before left: these are left out.
    fn states(&self, stride: usize) -> impl Iterator<Item = (usize, &Step, &Disk)> {
        let mut last: Option<&Disk> = None;
        let points = self.at.iter().enumerate().step_by(stride);
        points.filter_map(move |(index, (step, disk))| {
            let same = last.replace(disk) == Some(disk);
            (!same).then_some((index, step, disk))
        })
    }
}

fn record(case: &Case) -> Recorded {
    let scene = Scene::new(&Disk::default());
    (case.prepare)(&scene);
    let before = scene.disk(&Disk::default());
    let seen: Arc<Mutex<Vec<(Step, Disk)>>> = Arc::default();
    let (shared, folder, base) = (seen.clone(), scene.path(), before.clone());
    fleetpack::fs::set_hook(Some(Box::new(move |step, _| {
        let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let like = seen.last().map_or(&base, |(_, disk)| disk);
        let disk = Disk::read(&folder, like);
        seen.push((step, disk));
        Ok(())
    })));
    let done = scene.run(case.command);
    fleetpack::fs::set_hook(None);
    match (done, case.code) {
        (Ok(()), 0) => {}
        (Err(failure), code) if failure.code == code => {}
        (done, _) => panic!("{}: {done:?}", case.name),
    }
    let at = std::mem::take(&mut *seen.lock().unwrap());
    assert!(!at.is_empty(), "{}: no step was seen", case.name);
    let after = scene.disk(&before);
    assert!(before != after, "{}: nothing was done", case.name);
    Recorded {
        scene,
        before,
        at,
        after,
    }
}

/// Whether a name is that of a file which is not there for anybody yet: temporary files and
/// what lies in folders of fleetpack's own.
fn is_private(name: &std::path::Path) -> bool {
    name.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part == ".fleetpack" || is_temporary(&part)
    })
}

fn is_temporary(name: &str) -> bool {
    let random = name.rsplit_once(".fleetpack-").map(|(_, random)| random);
    let ours = name.starts_with('.') && random.is_some_and(|random| random.len() == 6);
    ours || name.starts_with(".new-") || name.starts_with(".tmp")
}
