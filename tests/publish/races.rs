//! Publishers are killed at any moment, and stopped until their lock has run out, while another
//! host publishes and somebody else's client looks.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use super::{program, publish, release, with};
use crate::harness::objects::Objects;
use crate::harness::{Scratch, tools, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

const TARGET: &str = "orbit/linux/stable/orbit";

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("publish/races/killed", &["versitygw", "curl", "go"], killed),
        trial_needing("publish/races/paused", &["versitygw", "curl", "go"], paused),
    ]
}

// Numbers that nobody chose; the seed is printed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = now.as_nanos() as u64 | 1;
        eprintln!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// A client with a state of its own.
struct Client<'a> {
    scratch: &'a Scratch,
    peer: Peer,
    url: String,
    name: String,
}

impl Client<'_> {
    fn command(&self, root: Option<&PathBuf>) -> crate::harness::scratch::Run {
        let state = format!("state-{}", self.name);
        let got = format!("got-{}", self.name);
        let mut args = vec![self.url.clone(), state];
        if let Some(root) = root {
            let flag = match self.peer {
                Peer::PythonTuf => "--root",
                Peer::GoTuf => "-root",
            };
            args.extend([flag.to_owned(), root.display().to_string()]);
        }
        args.extend([TARGET.to_owned(), got]);
        match self.peer {
            Peer::PythonTuf => self.scratch.python("ngclient.py", args),
            Peer::GoTuf => self.scratch.program(&tools::go_program("go-tuf"), args),
        }
    }

    /// Refreshes and downloads; the version of targets.json and the bytes, or what went wrong.
    fn step(&self, root: Option<&PathBuf>) -> Result<(u64, Vec<u8>), String> {
        let file = format!("got-{}", self.name);
        let _ = std::fs::remove_file(self.scratch.join(&file));
        let ran = self.command(root).run();
        match ran.code {
            Some(0) => Ok((ran.text().trim().parse().unwrap(), self.scratch.read(&file))),
            _ => Err(ran.stderr),
        }
    }
}

// The number at the end of a program that `program` made.
fn number(bytes: &[u8]) -> u64 {
    let tail = bytes.get(64..).unwrap_or_default();
    let text = std::str::from_utf8(tail).expect("bytes that nobody published");
    let number: u64 = text.strip_prefix("release ").unwrap().parse().unwrap();
    assert_eq!(bytes, program(&format!("release {number}")), "wrong bytes");
    number
}

// An agent that looks now: what it accepts is right, and at the end it has the last.
fn looks(client: &Client<'_>) -> Option<u64> {
    client.step(None).ok().map(|(_, bytes)| number(&bytes))
}

fn killed() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let (client, mut random) = prepare(&scratch, &service);
    let mut finished = 0;
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
        std::thread::sleep(Duration::from_millis(random.below(500)));
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
    }
    eprintln!("8 kills, {finished} publications finished by the next publisher");
}

fn prepare<'a>(scratch: &'a Scratch, service: &Objects) -> (Client<'a>, Random) {
    crate::updates::init(scratch);
    release(scratch, "repo", "orbit", "1.0.0", "release 0");
    publish(scratch, service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "cron");
    for role in ["root", "targets", "snapshot"] {
        std::fs::remove_file(scratch.join(format!("cron/keys/{role}.json"))).unwrap();
    }
    let client = Client {
        scratch,
        peer: Peer::GoTuf,
        url: format!("{}/r", service.public(scratch)),
        name: "go".to_owned(),
    };
    let root = scratch.join("repo/repository/1.root.json");
    client.step(Some(&root)).unwrap();
    (client, Random::new())
}

// Stopped until its lock has run out and another host has published; then it goes on.
fn paused() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let (client, mut random) = prepare(&scratch, &service);
    let mut raced = 0;
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
        std::thread::sleep(Duration::from_millis(20 + random.below(250)));
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
