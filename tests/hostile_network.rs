//! An update server that wants to harm: the right error, in bounded time and memory, and
//! nothing packaged. `bad_input/server_*` has the servers that merely fail.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::harness::faults::{Answer, FaultServer};
use crate::harness::scratch::{Run, high_water};
use crate::harness::{Scratch, trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("hostile_network/bodies", bodies),
        trial("hostile_network/old_and_mixed", old_and_mixed),
        trial("hostile_network/one_lying_target", one_lying_target),
        trial_needing("hostile_network/frozen", &["faketime"], frozen),
        trial_needing("hostile_network/wrong_name", &["openssl"], wrong_name),
        trial("long_hostile_network/drip", drip).with_ignored_flag(true),
        trial("long_hostile_network/drip_at_doctor", drip_at_doctor).with_ignored_flag(true),
        trial("long_hostile_network/drip_at_publish", drip_at_publish).with_ignored_flag(true),
    ]
}

/// Largest memory of a run that is misled, bytes: a development build of the program.
const MEMORY: u64 = 160 << 20;
const ORBIT: &str = "/targets/orbit/linux/stable/orbit";

fn base() -> Scratch {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart", "--dir", "qs"]).ok();
    std::fs::remove_dir_all(scratch.join("qs/installers")).unwrap();
    std::fs::create_dir(scratch.join("out")).unwrap();
    scratch
}

fn package(scratch: &Scratch, url: &str) -> Run {
    let words = "package --type deb --disable-updates --outdir out --no-state";
    scratch
        .fleetpack(words.split(' '))
        .arg("--update-roots=@qs/updates/repository/1.root.json")
        .arg(format!("--update-url={url}"))
        .env("FLEETPACK_CACHE", "none")
}

/// Wants an error that says `words`, within `seconds`, with nothing made and little memory.
fn refused(scratch: &Scratch, row: &str, run: &Run, words: &str, seconds: u64) {
    let begin = Instant::now();
    let mut child = run.spawn();
    drop(child.stdin.take());
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        peak = peak.max(high_water(child.id()).unwrap_or(0));
        assert!(
            begin.elapsed() < Duration::from_secs(seconds),
            "{row}: no end after {seconds} s"
        );
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = reader.join().unwrap();
    assert_eq!(status.code(), Some(1), "{row}: {text}");
    assert!(text.contains(words), "{row}: no {words:?} in:\n{text}");
    assert!(peak < MEMORY, "{row}: {peak} bytes of memory");
    let made = std::fs::read_dir(scratch.join("out")).unwrap().count();
    assert_eq!(made, 0, "{row}: something was made");
    eprintln!("{row}: {:?}, {} MiB", begin.elapsed(), peak >> 20);
}

fn bodies() {
    let scratch = base();
    let server = FaultServer::new(&scratch.join("qs/updates/repository"));
    let run = package(&scratch, &server.url);
    for (row, path, answer, words) in lengths().into_iter().chain(contents()) {
        server.order(path, answer);
        refused(&scratch, row, &run, words, 180);
        server.behave();
    }
    run.ok();
}

/// Row, path, answer, what the error names.
type Case = (&'static str, &'static str, Answer, &'static str);

fn lengths() -> Vec<Case> {
    vec![
        (
            "endless timestamp",
            "/timestamp.json",
            Answer::Endless,
            "timestamp.json",
        ),
        (
            "endless root",
            "/2.root.json",
            Answer::Endless,
            "2.root.json",
        ),
        (
            "endless snapshot",
            "/snapshot.json",
            Answer::Endless,
            "snapshot.json",
        ),
        (
            "endless targets",
            "/targets.json",
            Answer::Endless,
            "targets.json",
        ),
        (
            "endless program",
            ORBIT,
            Answer::Endless,
            "orbit/linux/stable/orbit",
        ),
        (
            "length too large",
            "/targets.json",
            Answer::Length(1 << 40),
            "targets.json",
        ),
        (
            "length too small",
            "/targets.json",
            Answer::Length(10),
            "targets.json",
        ),
        (
            "program's length too large",
            ORBIT,
            Answer::Length(1 << 40),
            "orbit",
        ),
        (
            "program's length too small",
            ORBIT,
            Answer::Length(10),
            "orbit",
        ),
    ]
}

fn contents() -> Vec<Case> {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..512 {
        bomb.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    vec![
        (
            "gzip bomb for targets",
            "/targets.json",
            Answer::Gzip(bomb.clone()),
            "targets.json",
        ),
        (
            "gzip bomb for timestamp",
            "/timestamp.json",
            Answer::Gzip(bomb.clone()),
            "timestamp.json",
        ),
        (
            "gzip bomb for a program",
            ORBIT,
            Answer::Gzip(bomb),
            "orbit",
        ),
        (
            "nested arrays",
            "/timestamp.json",
            Answer::Body(vec![b'['; 16 << 10]),
            "timestamp.json",
        ),
    ]
}

fn publish_again(scratch: &Scratch) {
    let run = scratch.fleetpack([
        "updates",
        "add",
        "--path",
        "qs/updates",
        "--name",
        "orbit",
        "--platform",
        "linux",
        "--version",
        "2.0",
        "-t",
        "stable",
        "--target",
        "qs/sample/linux/osqueryd",
    ]);
    unlocked(scratch, run).ok();
}

/// With the passphrases of the keys.
fn unlocked(scratch: &Scratch, run: Run) -> Run {
    let passphrases = scratch.text("qs/passphrases.env");
    passphrases.lines().fold(run, |run, line| {
        let line = line.strip_prefix("export ").unwrap_or(line);
        match line.split_once('=') {
            Some((name, value)) => run.env(name, value.trim_matches(['\'', '"'])),
            None => run,
        }
    })
}

/// What was served before, whole and document by document, to who saw the newer.
fn old_and_mixed() {
    let scratch = base();
    let repository = scratch.join("qs/updates/repository");
    let old = scratch.copy(&repository, "old");
    publish_again(&scratch);
    let new = scratch.copy(&repository, "new");
    let served = scratch.copy(&new, "served");
    let server = FaultServer::new(&served);
    let remembering = |run: Run| run.arg("--state-dir=state");
    let words = "package --type deb --disable-updates --outdir seen";
    std::fs::create_dir(scratch.join("seen")).unwrap();
    let plain = |words: &str| {
        let run = scratch
            .fleetpack(words.split(' '))
            .arg("--update-roots=@qs/updates/repository/1.root.json")
            .arg(format!("--update-url={}", server.url));
        remembering(run.env("FLEETPACK_CACHE", "none"))
    };
    plain(words).ok();
    let run = plain("package --type deb --disable-updates --outdir out");
    let forgetful = package(&scratch, &server.url);
    let put = |names: &[&str], from: &Path| {
        for name in names {
            std::fs::copy(from.join(name), served.join(name)).unwrap();
        }
    };
    let all = ["timestamp.json", "snapshot.json", "targets.json"];
    let cases: [(&str, &[&str], &str); 5] = [
        ("all of it as before", &all, "timestamp.json"),
        ("an old timestamp", &all[..1], "timestamp.json"),
        ("an old snapshot", &all[1..2], "snapshot.json"),
        ("old targets", &all[2..], "targets.json"),
        ("old snapshot and targets", &all[1..], "snapshot.json"),
    ];
    for (row, names, words) in cases {
        put(names, &old);
        // Who remembers the newest asks for nothing but the timestamp.
        let run = match names[0] == "timestamp.json" {
            true => &run,
            false => &forgetful,
        };
        refused(&scratch, row, run, words, 120);
        put(&all, &new);
    }
    run.ok();
}

fn one_lying_target() {
    let scratch = base();
    let server = FaultServer::new(&scratch.join("qs/updates/repository"));
    let run = package(&scratch, &server.url);
    let path = &ORBIT[1..];
    let mut bytes = scratch.read(&format!("qs/updates/repository/{path}"));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    server.order(ORBIT, Answer::Body(bytes));
    refused(
        &scratch,
        "one bit of one target",
        &run,
        "orbit/linux/stable/orbit",
        120,
    );
    server.behave();
    run.ok();
}

/// The same documents for ever: they expire.
fn frozen() {
    let scratch = base();
    let server = FaultServer::new(&scratch.join("qs/updates/repository"));
    let run = package(&scratch, &server.url);
    refused(
        &scratch,
        "frozen for 20 days",
        &run.clone().at("+20d"),
        "timestamp.json",
        120,
    );
    run.ok();
}

fn wrong_name() {
    let scratch = base();
    let root = scratch.join("qs/updates/repository");
    let (server, certificate) = FaultServer::tls_for(&root, &scratch, "127.0.0.2");
    let run = package(&scratch, &server.url)
        .arg("--update-tls-certificate")
        .arg(certificate);
    refused(
        &scratch,
        "certificate for another address",
        &run,
        "not valid for name",
        120,
    );
    assert_eq!(server.requests(), [], "it was asked");
}

/// A byte a second is refused after a minute, whatever the document.
fn drip() {
    let scratch = base();
    let server = FaultServer::new(&scratch.join("qs/updates/repository"));
    let run = package(&scratch, &server.url);
    for (row, path) in [("slow document", "/targets.json"), ("slow program", ORBIT)] {
        server.order(path, Answer::Drip(Duration::from_millis(500)));
        refused(&scratch, row, &run, "too slow", 150);
        server.behave();
    }
}

/// What looks like a private key and has no end is looked at for a minute, and no second one.
fn drip_at_doctor() {
    let scratch = base();
    let served = scratch.copy(&scratch.join("qs/updates/repository"), "served");
    let server = FaultServer::new(&served);
    scratch.write("served/keys/root.json", [b' '; 1000]);
    server.order("/keys/root.json", Answer::Drip(Duration::from_millis(500)));
    let run = scratch
        .fleetpack([
            "doctor",
            "--update-roots=@qs/updates/repository/1.root.json",
        ])
        .arg(format!("--update-url={}", server.url))
        .limit(Duration::from_secs(150));
    run.ok().prints("nothing found");
    let asked = server.requests();
    let asked = |path: &str| asked.iter().any(|request| request.path == path);
    assert!(asked("/keys/root.json"));
    assert!(!asked("/keys/targets.json"));
}

/// A public address that drips holds a publication up for a minute, and is told.
fn drip_at_publish() {
    let scratch = base();
    let publish = || {
        let run = scratch.fleetpack(["updates", "publish", "served", "--path", "qs/updates"]);
        unlocked(&scratch, run).limit(Duration::from_secs(200))
    };
    publish().ok();
    let server = FaultServer::new(&scratch.join("served"));
    publish_again(&scratch);
    server.order("/snapshot.json", Answer::Drip(Duration::from_millis(500)));
    publish()
        .arg(format!("--public-url={}", server.url))
        .fails(1)
        .says("warning: snapshot.json: ")
        .says("too slow");
    let published = scratch.read("served/timestamp.json");
    assert!(published == scratch.read("qs/updates/repository/timestamp.json"));
}
