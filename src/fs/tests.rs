//! Ranges are copied in every way; nothing is waited for, nothing is taken for gone.

use super::*;

/// Ways to copy a range.
type Copy = fn(&File, &File, u64, u64) -> io::Result<()>;

#[test]
fn several_threads_copy_out_of_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 251) as u8).collect();
    std::fs::write(folder.path().join("from"), &bytes).unwrap();
    let from = File::open(folder.path().join("from")).unwrap();
    let by_sending: Copy = |to, from, mut at, mut left| {
        let send = |at: &mut u64, step| rustix::fs::sendfile(to, from, Some(at), step);
        by_kernel(&mut at, &mut left, send).map(|done| assert!(done))
    };
    let ways: [(&str, Copy); 3] = [
        ("range", append_range),
        ("sending", by_sending),
        ("reading", by_reading),
    ];
    std::thread::scope(|scope| {
        for number in 0..12_usize {
            let (name, copy) = ways[number % ways.len()];
            let (from, bytes, folder) = (&from, &bytes, folder.path());
            scope.spawn(move || {
                let path = folder.join(format!("{name}{number}"));
                let mut to = File::create_new(&path).unwrap();
                to.write_all(b"before").unwrap();
                let at = number * 1000;
                copy(&to, from, at as u64, 2_000_000).unwrap();
                let copied = std::fs::read(&path).unwrap();
                assert!(copied[6..] == bytes[at..at + 2_000_000], "{name}");
                let beyond = copy(&to, from, 2_999_999, 2).unwrap_err();
                assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof, "{name}");
            });
        }
    });
}

/// What `work` gives, unless it waits for something that does not come.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    let limit = std::time::Duration::from_secs(20);
    receiver.recv_timeout(limit).expect("it waits for ever")
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::from(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn out_of_reach_is_not_gone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    for (name, there) in [
        ("file", Some(true)),
        ("none", Some(false)),
        ("file/below", Some(false)),
        ("dangling", Some(false)),
        ("loop", None),
        ("loop/below", None),
    ] {
        let found = exists(&at(name));
        let named = |e: &io::Error| e.to_string().contains(name);
        assert!(found.as_ref().map_or_else(named, |_| true), "{name}");
        assert_eq!(found.ok(), there, "{name}");
    }
    assert!(remove_tree(&at("loop/below")).is_err());
    remove_tree(&at("file/below")).unwrap();
}

#[test]
fn nobody_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("targets.json");
    fifo(&pipe);
    let path = pipe.clone();
    let error = in_time(move || read_document(&path, 9)).unwrap_err();
    assert!(
        error.to_string().contains("is not a regular file"),
        "{error}"
    );
    assert_eq!(read_document(&folder.path().join("none"), 9).unwrap(), None);
    // What looks like an abandoned file is looked at when the next one is begun.
    fifo(&folder.path().join(".a.fleetpack-abcdef"));
    let other = File::open(folder.path()).unwrap();
    for lock in [
        FlockOperation::Unlock,
        FlockOperation::LockShared,
        FlockOperation::LockExclusive,
    ] {
        flock(&other, lock).unwrap();
        let path = folder.path().join("a");
        in_time(move || write_atomic(&path, b"new", 0o644)).unwrap();
        std::fs::remove_file(folder.path().join("a")).unwrap();
    }
}

#[test]
fn many_begin_files_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = folder.path().join(format!("file{number}"));
            scope.spawn(move || {
                for _ in 0..50 {
                    write_atomic(&path, b"whole", 0o644).unwrap();
                }
            });
        }
    });
}

#[test]
fn new_folders_are_synced_into_their_parents() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().to_owned();
    let seen: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
    let shared = seen.clone();
    set_hook(Some(Box::new(move |step, path| {
        if step == Step::SyncFolder {
            shared.lock().unwrap().push(path.to_owned());
        }
        Ok(())
    })));
    create_folders(&top.join("a/b/c"), 0o755).unwrap();
    create_folders(&top.join("a/b/c"), 0o755).unwrap();
    create_folders(&top.join("a/b/d"), 0o755).unwrap();
    create_folders_unsynced(&top.join("scratch"), 0o755).unwrap();
    set_hook(None);
    let expected = ["", "a", "a/b", "a/b"].map(|name| match name {
        "" => top.clone(),
        name => top.join(name),
    });
    assert_eq!(*seen.lock().unwrap(), expected);
}
