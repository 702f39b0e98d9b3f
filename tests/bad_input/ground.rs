//! What every trial begins with: a repository with a sample agent, the anchor of trust, and
//! a record of refusals that becomes a golden.

use std::path::Path;
use std::sync::OnceLock;

use crate::harness::scratch::{Ran, Run};
use crate::harness::{Scratch, TreeState, golden};

/// The moment at which dated repositories were made.
pub const MADE: &str = "2031-01-01 00:00:00";

/// Passphrases of every repository here; made up.
pub const PASSPHRASES: [(&str, &str); 4] = [
    ("FLEET_ROOT_PASSPHRASE", "made up for root"),
    ("FLEET_TARGETS_PASSPHRASE", "made up for targets"),
    ("FLEET_SNAPSHOT_PASSPHRASE", "made up for snapshot"),
    ("FLEET_TIMESTAMP_PASSPHRASE", "made up for timestamp"),
];

/// Adds `orbit` once more.
pub const ADD: [&str; 9] = [
    "add",
    "--target",
    "orbit",
    "--name",
    "orbit",
    "--platform",
    "linux",
    "--version",
    "1.2.4",
];

/// A scratch folder with `updates` (the repository with its keys), `root.json` (what `updates
/// roots` printed) and the programs `orbit` and `osqueryd`.
pub struct Ground {
    scratch: Scratch,
    time: Option<&'static str>,
}

impl std::ops::Deref for Ground {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl Ground {
    /// A copy of a repository that was made now.
    pub fn new() -> Self {
        static BASE: OnceLock<Scratch> = OnceLock::new();
        Self::copy_of(BASE.get_or_init(|| make(None)), None)
    }

    /// A copy of a repository that was made at [`MADE`]; every command believes in a time of
    /// that year. The test needs `faketime`.
    pub fn dated() -> Self {
        static BASE: OnceLock<Scratch> = OnceLock::new();
        Self::copy_of(BASE.get_or_init(|| make(Some(MADE))), Some(MADE))
    }

    fn copy_of(base: &Scratch, time: Option<&'static str>) -> Self {
        let scratch = Scratch::new();
        for name in ["updates", "root.json", "orbit", "osqueryd"] {
            scratch.copy(&base.join(name), name);
        }
        Self { scratch, time }
    }

    /// The same ground, at another time from now on.
    pub fn later(mut self, time: &'static str) -> Self {
        self.time = Some(time);
        self
    }

    /// `fleetpack updates …` with `--path updates` and the right passphrases.
    pub fn updates(&self, args: &[&str]) -> Run {
        self.updates_in("updates", args)
    }

    /// The same with another folder.
    pub fn updates_in(&self, folder: &str, args: &[&str]) -> Run {
        self.dated_run(updates(&self.scratch, folder, args))
    }

    /// `fleetpack updates add` of `orbit`, with these arguments after the usual ones.
    pub fn add(&self, args: &[&str]) -> Run {
        self.updates(&[&ADD[..], args].concat())
    }

    /// `fleetpack package --type deb` with Fleet's address and a secret, from the repository
    /// on disk.
    pub fn package(&self, args: &[&str]) -> Run {
        let source = ["--update-url", "updates/repository", "--disable-updates"];
        self.package_from(&[&source[..], args].concat())
    }

    /// The same from wherever the arguments say.
    pub fn package_from(&self, args: &[&str]) -> Run {
        let usual = ["package", "--quiet", "--type", "deb"];
        let fleet = ["--fleet-url", "https://fleet.example.org"];
        let secret = ["--enroll-secret", "a-made-up-secret"];
        let roots = ["--update-roots", "@root.json"];
        let all = [&usual[..], &fleet[..], &secret[..], &roots[..], args].concat();
        self.dated_run(self.scratch.fleetpack(all))
    }

    fn dated_run(&self, run: Run) -> Run {
        let run = run.env("SOURCE_DATE_EPOCH", "1700000000");
        match self.time {
            Some(time) => run.at(time),
            None => run,
        }
    }

    /// Everything in the scratch folder but what programs keep in their home.
    pub fn state(&self) -> TreeState {
        self.scratch.state("").without(".home")
    }

    /// Begins a record of refusals.
    pub fn record(&self) -> Record<'_> {
        Record {
            ground: self,
            text: String::new(),
        }
    }
}

fn updates(scratch: &Scratch, folder: &str, args: &[&str]) -> Run {
    let args = [&["updates"], args, &["--path", folder]].concat();
    scratch.fleetpack(args).envs(PASSPHRASES)
}

fn make(time: Option<&str>) -> Scratch {
    let scratch = Scratch::new();
    let run = |args: &[&str]| {
        let run = updates(&scratch, "updates", args);
        match time {
            Some(time) => run.at(time),
            None => run,
        }
        .ok()
    };
    run(&["init"]);
    for (name, version) in [("orbit", "1.2.3"), ("osqueryd", "5.19.0")] {
        scratch.write_program(name, elf(62, name));
        let what = [
            "add",
            "--target",
            name,
            "--name",
            name,
            "--platform",
            "linux",
        ];
        run(&[&what[..], &["--version", version, "-t", "stable"]].concat());
    }
    let roots = run(&["roots"]);
    scratch.write("root.json", &roots.stdout);
    scratch
}

/// Refusals, written down.
pub struct Record<'a> {
    ground: &'a Ground,
    text: String,
}

impl Record<'_> {
    /// Wants a command to be refused with nothing changed, and writes down what it says.
    #[track_caller]
    pub fn refused(&mut self, row: &str, run: &Run) -> Ran {
        let before = self.ground.state();
        let ran = run.run();
        assert!(matches!(ran.code, Some(1 | 2)), "{row}: not refused\n{ran}");
        let errors = ran.stderr.matches("error: ").count();
        assert_eq!(errors, 1, "{row}: one error\n{ran}");
        for secret in PASSPHRASES.iter().map(|(_, value)| *value) {
            ran.never_says(secret);
        }
        ran.never_says("a-made-up-secret");
        before.unchanged(&self.ground.state());
        self.write(row, &ran);
        ran
    }

    /// Wants a command to be carried out with a warning, and writes that down.
    #[track_caller]
    pub fn warned(&mut self, row: &str, run: &Run) {
        let ran = run.ok();
        ran.says("warning: ");
        self.write(row, &ran);
    }

    fn write(&mut self, row: &str, ran: &Ran) {
        let code = ran.code.unwrap_or_default();
        let message = without_digests(&ran.message());
        self.text += &format!("## {row} (exit code {code})\n{message}\n");
    }

    /// Compares what was written down with the golden.
    pub fn compare(self, name: &str) {
        golden(&format!("bad_input/{name}.golden"), &self.text);
    }
}

/// Digests follow from random keys.
fn without_digests(text: &str) -> String {
    let digit = |c: char| c.is_ascii_hexdigit();
    text.split_inclusive(|c| !digit(c))
        .map(|part| match part.trim_end_matches(|c| !digit(c)) {
            digest if digest.len() >= 64 => part.replace(digest, "[DIGEST]"),
            _ => part.to_owned(),
        })
        .collect()
}

/// The head of an ELF file (64 bits, little-endian) for a machine (62 is x86-64, 183 AArch64),
/// with a mark in it.
pub fn elf(machine: u16, mark: &str) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = 2; // e_type: executable
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20] = 1; // e_version
    bytes.extend_from_slice(mark.as_bytes());
    bytes
}

/// Replaces a file's bytes in place.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}
