//! What a call that fails leaves: an error that names the path, and nothing changed; after the
//! point of no return the next command finishes the change.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fleetpack::fs::Step;
use rustix::io::Errno;

use super::cases::{Case, TARGET};
use super::kills::{Allowed, go_on, keys_stay, private_keys, whole_files};
use super::scene::{Disk, Failure, Scene};
use super::{Recorded, is_private, record};

/// What the system says.
pub const ERRORS: [Errno; 4] = [Errno::NOSPC, Errno::IO, Errno::ROFS, Errno::INTR];

/// Which of the errors a step fails with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Errors {
    /// With each of them.
    Each,
    /// With one of them, the next step with the next one.
    InTurn,
}

/// Lets every `stride`-th step fail.
pub fn each(case: &Case, stride: usize, errors: Errors) {
    let recorded = record(case);
    let scene = &recorded.scene;
    let may = Allowed::of(case, &recorded, scene);
    let begin = std::time::Instant::now();
    let (mut points, mut unharmed) = (0, 0);
    // Threads may take another way than in the first run: until no step is left.
    for index in (0..recorded.at.len()).step_by(stride) {
        let one = &ERRORS[index % ERRORS.len()..][..1];
        let these = match errors {
            Errors::Each => &ERRORS[..],
            Errors::InTurn => one,
        };
        for error in these.iter().copied() {
            recorded.before.restore(&scene.path());
            let Some(failed) = fail_at(case, scene, index, error) else {
                continue;
            };
            points += 1;
            let step = failed.step;
            let at = format!("{}, step {index} ({step:?}) fails with {error}", case.name);
            let now = scene.disk(&recorded.before);
            unharmed += usize::from(judge(case, &recorded, &now, &failed, &at));
            may.look(case, scene, &now, &at);
            if points % 7 == 0 {
                go_on(case, &recorded, scene, index, &at);
            }
        }
    }
    eprintln!(
        "{}: {points} fault points, {unharmed} of no matter, {:?}",
        case.name,
        begin.elapsed()
    );
}

/// A step that failed, and what became of the command.
struct Failed {
    step: Step,
    done: Result<(), Failure>,
}

/// Runs the command; `None` when it had fewer steps.
fn fail_at(case: &Case, scene: &Scene, index: usize, error: Errno) -> Option<Failed> {
    let count = AtomicUsize::new(0);
    let failed: Arc<std::sync::Mutex<Option<Step>>> = Arc::default();
    let shared = failed.clone();
    let once = AtomicBool::new(false);
    fleetpack::fs::set_hook(Some(Box::new(move |step, _| {
        let now = count.fetch_add(1, Ordering::SeqCst) == index;
        if now && !once.swap(true, Ordering::SeqCst) {
            *shared.lock().unwrap() = Some(step);
            return Err(io::Error::from_raw_os_error(error.raw_os_error()));
        }
        Ok(())
    })));
    let done = scene.run(case.command);
    fleetpack::fs::set_hook(None);
    let step = failed.lock().unwrap().take()?;
    Some(Failed { step, done })
}

/// Whether the command succeeded nevertheless.
fn judge(case: &Case, recorded: &Recorded, now: &Disk, failed: &Failed, at: &str) -> bool {
    let Failed { step, done } = failed;
    let scene = &recorded.scene;
    let content = |place: &&str| scene.client(place, None, TARGET).is_ok();
    let all_content = || case.published.iter().chain(case.mended).all(content);
    // What is random from run to run is compared with nothing.
    if case.name != "quickstart" {
        whole_files(recorded, &now.only(|name| !is_kept_between_runs(name)), at);
    }
    private_keys(now, at);
    keys_stay(recorded, now, at);
    let (was, is, then) = (
        visible(&recorded.before),
        visible(now),
        visible(&recorded.after),
    );
    match done {
        Err(failure) if failure.code != case.code || case.code == 0 => {
            assert!(names_a_path(scene, failure), "{at}: no path: {failure:?}");
            // The name is there and the system would not sync the folder: whole, and said.
            let named = *step == Step::SyncFolder && same_names(&is, &then);
            let changed = was.differing(&is);
            let unsynced = *step == Step::SyncFolder && changed.len() == 1;
            // All of it is published, and what comes after it failed: remembering it, a second
            // timestamp. Clients are content as it is.
            let published = same_names(&is, &then) && all_content();
            let begun = begun(now) || named || unsynced || published || case.keeps;
            assert!(changed.is_empty() || begun, "{at}: changed: {changed:?}");
            false
        }
        _ => {
            assert!(
                same_names(&is, &then),
                "{at}: done, but: {:?}",
                is.differing(&then)
            );
            assert!(all_content(), "{at}: done, and a client fails");
            true
        }
    }
}

fn same_names(one: &Disk, other: &Disk) -> bool {
    one.0.keys().eq(other.0.keys())
}

/// Whether a change passed the point from which it will happen.
fn begun(disk: &Disk) -> bool {
    let has = |name: &str| disk.0.keys().any(|path| path.ends_with(Path::new(name)));
    let dropped = has("repo/pending") && !has("repo/pending/edit.json");
    has(".fleetpack/commit.json") || has(".fleetpack/new/complete") || dropped
}

/// Whether it says where it failed. Of a batch, the document of its end says so.
fn names_a_path(scene: &Scene, failure: &Failure) -> bool {
    let here = scene.path().display().to_string();
    let told = std::fs::read_to_string(scene.path().join("out/packages.json"));
    // A file without a name lies in the folder for such files, and that is named.
    let unnamed = format!("file in {}", std::env::temp_dir().display());
    let names = |text: &str| text.contains(&here) || text.contains(&unnamed);
    names(&failure.text) || told.is_ok_and(|told| names(&told))
}

/// A home, and a cache: under a random key, it is another one in every run.
fn is_kept_between_runs(name: &Path) -> bool {
    name.starts_with("home") || name.starts_with("cache")
}

/// The files, but for what fleetpack keeps for itself: its work, its memory, its cache.
fn visible(disk: &Disk) -> Disk {
    let mut files = disk.only(|name| {
        let memory = name.ends_with("state.json")
            || name.ends_with("signed.json")
            || name.starts_with("repo/keys/upstreams")
            || name.to_string_lossy().contains("keys/published-")
            || is_kept_between_runs(name);
        !is_private(name) && !memory
    });
    files.0.retain(|_, (_, bytes)| bytes.is_some());
    files
}
