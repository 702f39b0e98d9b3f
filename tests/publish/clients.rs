//! Somebody else's clients with a state of their own, what they accept, and chance.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::program;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, tools};
use crate::tuf_peers::Peer;

/// What they download.
pub const TARGET: &str = "orbit/linux/stable/orbit";

/// Numbers that nobody chose; the seed is printed.
pub struct Random(u64);

impl Random {
    /// Takes the time for a seed.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = now.as_nanos() as u64 | 1;
        eprintln!("seed {seed}");
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    /// A moment of something that takes this long.
    pub fn moment(&mut self, whole: Duration) -> Duration {
        Duration::from_millis(self.below(whole.as_millis() as u64 + 50))
    }
}

/// A client with a state of its own.
pub struct Client<'a> {
    scratch: &'a Scratch,
    peer: Peer,
    url: String,
    /// What it is called; its state is named after it.
    pub name: String,
}

impl<'a> Client<'a> {
    /// One that has not looked yet.
    pub fn new(scratch: &'a Scratch, peer: Peer, url: &str, name: &str) -> Self {
        Self {
            scratch,
            peer,
            url: url.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Looks again and again until its standard input ends, and prints what it accepted.
    pub fn follow(&self, seed: u64) -> Run {
        let state = format!("state-{}", self.name);
        let seed = seed.to_string();
        let args = [self.url.as_str(), &state, TARGET, &seed];
        match self.peer {
            Peer::PythonTuf => self.scratch.python("follow.py", args),
            Peer::GoTuf => {
                let args = ["follow"].into_iter().chain(args);
                self.scratch.program(&tools::go_program("go-tuf"), args)
            }
        }
    }

    fn command(&self, root: Option<&PathBuf>) -> Run {
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
    pub fn step(&self, root: Option<&PathBuf>) -> Result<(u64, Vec<u8>), String> {
        let file = format!("got-{}", self.name);
        let _ = std::fs::remove_file(self.scratch.join(&file));
        let ran = self.command(root).run();
        match ran.code {
            Some(0) => Ok((ran.text().trim().parse().unwrap(), self.scratch.read(&file))),
            _ => Err(ran.stderr),
        }
    }
}

/// The number at the end of a program that `program` made.
pub fn number(bytes: &[u8]) -> u64 {
    let tail = bytes.get(64..).unwrap_or_default();
    let text = std::str::from_utf8(tail).expect("bytes that nobody published");
    let number: u64 = text.strip_prefix("release ").unwrap().parse().unwrap();
    assert_eq!(bytes, program(&format!("release {number}")), "wrong bytes");
    number
}

/// Which bytes belong to which version of `targets.json`.
pub type History = BTreeMap<u64, String>;

/// Version of `targets.json` in the copy `repo`.
pub fn targets_version(scratch: &Scratch) -> u64 {
    let text = scratch.text("repo/repository/targets.json");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["signed"]["version"].as_u64().unwrap()
}

/// The SHA-256 of what is stable in it.
pub fn stable(scratch: &Scratch) -> String {
    sha256(&scratch.read(&format!("repo/repository/targets/{TARGET}")))
}

/// A SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(fleetpack::compress::sha256(bytes))
}

/// A client that looks until its standard input ends.
pub struct Follower {
    name: String,
    stdin: ChildStdin,
    output: std::thread::JoinHandle<std::process::Output>,
}

impl Follower {
    /// Starts it.
    pub fn start(client: &Client<'_>, seed: u64) -> Self {
        let mut child = client.follow(seed).spawn();
        let stdin = child.stdin.take().unwrap();
        Self {
            name: client.name.clone(),
            stdin,
            output: std::thread::spawn(move || child.wait_with_output().unwrap()),
        }
    }

    /// How often it looked, and in vain; it accepted nothing that is not in `history`.
    pub fn judge(self, history: &History) -> (usize, usize) {
        drop(self.stdin);
        let output = self.output.join().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {words}", self.name);
        let text = String::from_utf8(output.stdout).unwrap();
        let (mut last, mut failed, mut seen) = (0, 0, 0);
        for line in text.lines() {
            let Some((version, hash)) = line.split_once(' ') else {
                failed += 1;
                continue;
            };
            let version = version.parse().unwrap();
            assert!(
                version >= last,
                "{} went back from {last} to {version}",
                self.name
            );
            assert_eq!(
                history.get(&version).map(String::as_str),
                Some(hash),
                "{}",
                self.name
            );
            seen += usize::from(version > last);
            last = version;
        }
        let all = text.lines().count();
        eprintln!(
            "{}: {all} looks, {failed} in vain, {seen} versions seen",
            self.name
        );
        assert!(seen > 2, "{} has followed nothing:\n{words}", self.name);
        (all, failed)
    }
}
