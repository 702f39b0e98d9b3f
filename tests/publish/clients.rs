//! Somebody else's clients with a state of their own, and chance.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

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
