//! Every command that writes, broken off at every step: killed before it, or told by the
//! system that it cannot be done.
//!
//! The command runs once in this process. Before each step that it does to the file system its
//! folder is taken down: that is what a kill at this point leaves. For each of these an old
//! client and a new one look, and the next command goes on ([`kills`]). Then it runs once more
//! for each step and each error of the system ([`faults`]). `tests/strace` kills real processes.

mod cases;
mod faults;
mod kills;
mod scene;

use std::sync::{Arc, Mutex, PoisonError};

use fleetpack::fs::Step;
use libtest_mimic::Trial;

use crate::harness::trial;
use cases::Case;
use scene::{Disk, Scene};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("crashes/counted", counted)];
    for case in cases::all() {
        let (name, stride) = (case.name, case.stride);
        let (kills, faults) = (case.clone(), case);
        trials.push(trial(&format!("crashes/kill_{name}"), move || {
            kills::each(&kills, stride);
        }));
        trials.push(trial(&format!("crashes/fault_{name}"), move || {
            faults::each(&faults, stride);
        }));
    }
    for case in cases::all().into_iter().filter(|case| case.stride > 1) {
        let name = format!("long_crashes/{}", case.name);
        let all = trial(&name, move || {
            kills::each(&case, 1);
            faults::each(&case, 1);
        });
        trials.push(all.with_ignored_flag(true));
    }
    trials
}

/// The README's numbers are those of the commands here.
fn counted() {
    let quick = cases::all().into_iter().filter(|case| case.stride == 1);
    let kills: usize = quick.map(|case| record(&case).at.len()).sum();
    let faults = kills * faults::ERRORS.len();
    let readme = include_str!("../../README.md");
    let said = |what: &str| -> usize {
        let (front, _) = readme.split_once(what).expect("the README says how many");
        let number = front.trim_end().rsplit(' ').next().unwrap();
        number.replace('\u{a0}', "").parse().unwrap()
    };
    eprintln!("{kills} kill points, {faults} fault points without init, package and quickstart");
    assert!(
        kills > said("points at which a command is killed"),
        "{kills}"
    );
    assert!(faults > said("at which a call fails"), "{faults}");
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
