//! Publishers are killed at any moment, and stopped until their lock has run out, while another
//! host publishes and somebody else's client looks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use super::clients::{Client, Follower, History, Random, number, stable, targets_version};
use super::{publish, release, with};
use crate::harness::objects::Objects;
use crate::harness::{Scratch, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("publish/races/killed", &["versitygw", "curl", "go"], killed),
        trial_needing("publish/races/paused", &["versitygw", "curl", "go"], paused),
        trial_needing(
            "publish/races/at_once",
            &["versitygw", "curl", "python-tuf", "go"],
            at_once,
        ),
    ]
}

// An agent that looks now: what it accepts is right, and at the end it has the last.
fn looks(client: &Client<'_>) -> Option<u64> {
    client.step(None).ok().map(|(_, bytes)| number(&bytes))
}

fn killed() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let (client, mut random) = prepare(&scratch, &service);
    let (mut finished, mut unfinished) = (0, 0);
    let mut whole = Duration::from_millis(300);
    for n in 1..=8 {
        release(
            &scratch,
            "repo",
            "orbit",
            &format!("1.{n}.0"),
            &format!("release {n}"),
        );
        let begun = Instant::now();
        let mut child = publish(&scratch, &service, "repo", ["--lock-time", "1s"]).spawn();
        std::thread::sleep(random.moment(whole));
        unfinished += usize::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        let seen = looks(&client);
        assert!(
            seen.is_none_or(|seen| seen == n || seen == n - 1),
            "{seen:?} at {n}"
        );
        // Every other time it is another host that comes next.
        let next = if n % 2 == 0 { "cron" } else { "repo" };
        if next == "cron" {
            updates(&scratch, ["timestamp", "--path", "cron"]).ok();
        }
        let ran = publish(&scratch, &service, next, ["--lock-time", "1s"]).ok();
        finished += usize::from(
            ran.stderr
                .contains("finishing what another publisher began"),
        );
        assert!(
            looks(&client).is_some(),
            "after {next} at {n}, {:?}",
            begun.elapsed()
        );
        publish(&scratch, &service, "repo", ["--lock-time", "1s"]).ok();
        assert_eq!(looks(&client), Some(n));
        // How long one takes today; the next kill comes somewhere in that time.
        release(&scratch, "repo", "osqueryd", &format!("1.{n}.0"), "x");
        let begun = Instant::now();
        publish(&scratch, &service, "repo", []).ok();
        whole = begun.elapsed();
    }
    eprintln!(
        "8 kills, {unfinished} in the middle, {finished} publications finished by the next publisher"
    );
}

fn prepare<'a>(scratch: &'a Scratch, service: &Objects) -> (Client<'a>, Random) {
    crate::updates::init(scratch);
    release(scratch, "repo", "orbit", "1.0.0", "release 0");
    publish(scratch, service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "cron");
    for role in ["root", "targets", "snapshot"] {
        std::fs::remove_file(scratch.join(format!("cron/keys/{role}.json"))).unwrap();
    }
    let url = format!("{}/r", service.public(scratch));
    let client = Client::new(scratch, Peer::GoTuf, &url, "go");
    let root = scratch.join("repo/repository/1.root.json");
    client.step(Some(&root)).unwrap();
    (client, Random::new())
}

// One host signs the time again and again while another one releases, and clients look.
fn at_once() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let (client, mut random) = prepare(&scratch, &service);
    let root = scratch.join("repo/repository/1.root.json");
    let url = format!("{}/r", service.public(&scratch));
    let python = Client::new(&scratch, Peer::PythonTuf, &url, "python");
    python.step(Some(&root)).unwrap();
    let clients = [client, python];
    let followers = clients
        .each_ref()
        .map(|client| Follower::start(client, random.below(1 << 31)));
    let mut history = History::from([(targets_version(&scratch), stable(&scratch))]);
    let done = AtomicBool::new(false);
    let timestamps = std::thread::scope(|scope| {
        let cron = scope.spawn(|| {
            let mut signed = 0;
            while !done.load(Ordering::Relaxed) {
                updates(&scratch, ["timestamp", "--path", "cron"]).ok();
                publish(&scratch, &service, "cron", []).ok();
                signed += 1;
            }
            signed
        });
        for n in 1..=8 {
            release(
                &scratch,
                "repo",
                "orbit",
                &format!("1.{n}.0"),
                &format!("release {n}"),
            );
            history.insert(targets_version(&scratch), stable(&scratch));
            publish(&scratch, &service, "repo", []).ok();
        }
        done.store(true, Ordering::Relaxed);
        cron.join().unwrap()
    });
    for follower in followers {
        follower.judge(&history);
    }
    eprintln!("8 releases, {timestamps} timestamps at once");
    assert!(timestamps > 0);
    for client in &clients {
        let (version, bytes) = client.step(None).unwrap();
        assert_eq!(
            (version, number(&bytes)),
            (targets_version(&scratch), 8),
            "{}",
            client.name
        );
    }
    // Every release is there for whoever begins anew.
    let place = service.url("r");
    with(&scratch, &service, ["pull", &place, "--path", "cron"]).ok();
    updates(&scratch, ["verify", "--path", "cron"]).ok();
    for n in 0..=8 {
        let name = format!("cron/repository/targets/orbit/linux/1.{n}.0/orbit");
        assert_eq!(number(&scratch.read(&name)), n);
    }
}

// Stopped until its lock has run out and another host has published; then it goes on.
fn paused() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let (client, mut random) = prepare(&scratch, &service);
    let mut raced = 0;
    let begun = Instant::now();
    publish(&scratch, &service, "repo", ["--repair"]).ok();
    let whole = begun.elapsed().max(Duration::from_millis(200));
    for n in 1..=5 {
        release(
            &scratch,
            "repo",
            "orbit",
            &format!("1.{n}.0"),
            &format!("release {n}"),
        );
        let child = publish(&scratch, &service, "repo", ["--lock-time", "1s"]).spawn();
        let pid = Pid::from_child(&child);
        std::thread::sleep(random.moment(whole));
        let _ = kill_process(pid, Signal::STOP);
        updates(&scratch, ["timestamp", "--path", "cron"]).ok();
        publish(&scratch, &service, "cron", ["--lock-time", "1s"]).ok();
        let seen = looks(&client).expect("the other host left it whole");
        assert!(seen == n || seen == n - 1);
        let _ = kill_process(pid, Signal::CONT);
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        raced += usize::from(words.contains("somebody else published in between"));
        assert_eq!(looks(&client), Some(n), "{words}");
        // And nothing is left for the next.
        let pull = [
            "pull",
            &service.url("r"),
            "--path",
            "cron",
            "--metadata-only",
        ];
        with(&scratch, &service, pull).ok();
    }
    eprintln!("5 pauses, {raced} lost races");
}
