//! A folder of a test's own, and programs that run in it.
//!
//! Programs see nothing of the tester's environment: the search path is fixed, home and the
//! XDG folders lie in the scratch folder, standard input is empty, the language is `C.UTF-8`.
//! A program that does not end within ten minutes is ended.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::tools;

/// The folder; it goes away with the last value that is about it.
#[derive(Clone)]
pub struct Scratch {
    folder: Arc<tempfile::TempDir>,
}

impl Scratch {
    /// An empty folder below the build's own temporary folder.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("scratch-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .unwrap();
        std::fs::create_dir(folder.path().join(".home")).unwrap();
        Self {
            folder: Arc::new(folder),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, with the folders that it needs.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a file that can be executed.
    pub fn write_program(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(name, bytes);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Reads a text file.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Copies a folder with everything in it.
    pub fn copy(&self, from: &Path, to: &str) -> PathBuf {
        let to = self.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        let status = Command::new("cp")
            .arg("-rT")
            .args([from, &to])
            .status()
            .unwrap();
        assert!(
            status.success(),
            "cp -rT {} {}",
            from.display(),
            to.display()
        );
        to
    }

    /// fleetpack itself.
    pub fn fleetpack<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        self.program(Path::new(env!("CARGO_BIN_EXE_fleetpack")), args)
    }

    /// A tool that [`tools::find`] knows.
    pub fn tool<A: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = A>) -> Run {
        let path = tools::find(name).unwrap_or_else(|| panic!("{name} is not installed"));
        self.program(&path, args)
    }

    /// A program of `tests/interop/python`, with the packages that `ci/versions` pins. The
    /// test needs `python-tuf`.
    pub fn python<A: AsRef<OsStr>>(&self, script: &str, args: impl IntoIterator<Item = A>) -> Run {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python");
        let mut run = self.program(&tools::python(), [folder.join(script)]);
        run.arguments
            .extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        run.env("PYTHONDONTWRITEBYTECODE", "1")
    }

    /// Any program.
    pub fn program<A: AsRef<OsStr>>(&self, path: &Path, args: impl IntoIterator<Item = A>) -> Run {
        let home = self.join(".home");
        let mut environment = BTreeMap::from([
            ("PATH".into(), tools::PATH.into()),
            ("LC_ALL".into(), "C.UTF-8".into()),
            ("HOME".into(), home.clone().into()),
            ("TMPDIR".into(), self.path().into()),
        ]);
        for (name, folder) in [
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
        ] {
            environment.insert(name.into(), home.join(folder).into());
        }
        Run {
            program: path.to_owned(),
            arguments: args.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            folder: self.path().to_owned(),
            scratch: self.clone(),
            environment,
            input: Vec::new(),
            limit: Duration::from_secs(600),
        }
    }

    /// Every name below a path of the scratch folder with kind, mode and contents.
    pub fn state(&self, name: &str) -> TreeState {
        TreeState::of(&self.join(name))
    }
}

/// A program about to run.
#[derive(Clone)]
pub struct Run {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
    scratch: Scratch,
    environment: BTreeMap<OsString, OsString>,
    input: Vec<u8>,
    limit: Duration,
}

impl Run {
    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        arguments
            .into_iter()
            .fold(self, |run, argument| run.arg(argument))
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Sets variables.
    pub fn envs<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        variables
            .into_iter()
            .fold(self, |run, (name, value)| run.env(name, value))
    }

    /// Begins in another folder of the scratch folder.
    pub fn within(mut self, folder: &str) -> Self {
        self.folder = self.scratch.join(folder);
        self
    }

    /// Gives it something to read on standard input.
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.input = bytes.as_ref().to_owned();
        self
    }

    /// Ends it after this time instead of ten minutes.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Lets it believe in another time, which goes on from there: `2031-05-01 12:00:00` (UTC)
    /// or `+20d`. The test needs `faketime`.
    pub fn at(mut self, time: &str) -> Self {
        let specification = match time.starts_with(['+', '-']) {
            true => time.to_owned(),
            false => format!("@{time}"),
        };
        let program = std::mem::replace(&mut self.program, tools::find("faketime").unwrap());
        let arguments: [OsString; 3] = ["-f".into(), specification.into(), program.into()];
        self.arguments.splice(0..0, arguments);
        self.env("TZ", "UTC")
    }

    /// Starts it; it is the caller's to wait for.
    pub fn spawn(&self) -> Child {
        Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{self}: {e}"))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self) -> Ran {
        self.watched(|_| ())
    }

    /// Runs it to its end; answers its peak resident set too, in bytes.
    #[track_caller]
    pub fn measured(&self) -> (Ran, u64) {
        let mut peak = 0;
        let ran = self.watched(|process| peak = peak.max(high_water(process).unwrap_or(0)));
        (ran, peak)
    }

    fn watched(&self, mut look: impl FnMut(u32)) -> Ran {
        let mut child = self.spawn();
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input.clone();
        // A program that does not read all of its input ends with a broken pipe here.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = reader(child.stdout.take().unwrap());
        let stderr = reader(child.stderr.take().unwrap());
        let deadline = Instant::now() + self.limit;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    panic!("{self}: no end after {:?}", self.limit);
                }
                None => {
                    look(child.id());
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        };
        Ran {
            command: self.to_string(),
            code: status.code(),
            stdout: stdout.join().unwrap(),
            stderr: String::from_utf8_lossy(&stderr.join().unwrap()).into_owned(),
            scratch: self.scratch.clone(),
        }
    }

    /// Runs it and wants success.
    #[track_caller]
    pub fn ok(&self) -> Ran {
        self.fails(0)
    }

    /// Runs it and wants this exit code.
    #[track_caller]
    pub fn fails(&self, code: i32) -> Ran {
        let ran = self.run();
        assert_eq!(ran.code, Some(code), "exit code\n{ran}");
        ran
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments
            .iter()
            .try_for_each(|a| write!(f, " {}", a.to_string_lossy()))
    }
}

/// The peak resident set of a process that this one started, bytes, or of one that it started
/// where that is more: `VmHWM` of proc(5). None before its program is loaded: until then the
/// memory is this process's own, which it shares (vfork(2)).
pub fn high_water(process: u32) -> Option<u64> {
    let program = std::fs::read_link(format!("/proc/{process}/exe")).ok()?;
    if program == std::fs::read_link("/proc/self/exe").unwrap() {
        return None;
    }
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let theirs = children
        .split_whitespace()
        .filter_map(|child| high_water(child.parse().unwrap()));
    theirs.chain([kib << 10]).max()
}

fn reader(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A program that has run.
pub struct Ran {
    command: String,
    scratch: Scratch,
    /// Exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote on standard output.
    pub stdout: Vec<u8>,
    /// What it wrote on standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|_| panic!("no UTF-8\n{self}"))
    }

    /// Wants words in standard output.
    #[track_caller]
    pub fn prints(&self, words: &str) -> &Self {
        assert!(
            self.text().contains(words),
            "no {words:?} on stdout\n{self}"
        );
        self
    }

    /// Wants words in standard error.
    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        assert!(
            self.stderr.contains(words),
            "no {words:?} on stderr\n{self}"
        );
        self
    }

    /// Wants words nowhere in what it wrote.
    #[track_caller]
    pub fn never_says(&self, words: &str) -> &Self {
        let output = String::from_utf8_lossy(&self.stdout);
        assert!(
            !self.stderr.contains(words) && !output.contains(words),
            "{words:?} was written\n{self}"
        );
        self
    }

    /// Standard error with what differs from run to run taken out: the scratch folder is
    /// `[DIR]`, loopback ports are `[PORT]`.
    pub fn message(&self) -> String {
        let folder = self.scratch.path().to_string_lossy();
        let text = self.stderr.replace(&*folder, "[DIR]");
        let mut parts = text.split("127.0.0.1:");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            out += &format!("127.0.0.1:[PORT]{rest}");
        }
        out
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = String::from_utf8_lossy(&self.stdout);
        let head: String = output.chars().take(4000).collect();
        writeln!(f, "$ {}\nexit code {:?}", self.command, self.code)?;
        write!(f, "--- stdout\n{head}\n--- stderr\n{}", self.stderr)
    }
}

/// What lies in a folder, to tell whether a command changed anything. Times are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeState(BTreeMap<PathBuf, String>);

impl TreeState {
    /// Looks at everything below `folder`; nothing there is a state too.
    pub fn of(folder: &Path) -> Self {
        let mut entries = BTreeMap::new();
        collect(folder, folder, &mut entries);
        Self(entries)
    }

    /// The same without a name and what lies below it.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|path, _| !path.starts_with(name));
        self
    }

    /// Names below the folder, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Wants the same as before.
    #[track_caller]
    pub fn unchanged(&self, now: &Self) {
        let differing: Vec<_> = self
            .0
            .keys()
            .chain(now.0.keys())
            .filter(|name| self.0.get(*name) != now.0.get(*name))
            .collect();
        assert!(differing.is_empty(), "changed on disk: {differing:?}");
    }
}

fn collect(root: &Path, folder: &Path, entries: &mut BTreeMap<PathBuf, String>) {
    let Ok(names) = std::fs::read_dir(folder) else {
        return;
    };
    for name in names {
        let path = name.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let kind = metadata.file_type();
        let contents = match () {
            () if kind.is_dir() => "folder".to_owned(),
            () if kind.is_symlink() => format!("→ {}", path.read_link().unwrap().display()),
            () if kind.is_file() => {
                hex::encode(fleetpack::compress::sha256(&std::fs::read(&path).unwrap()))
            }
            () => "special".to_owned(),
        };
        let relative = path.strip_prefix(root).unwrap().to_owned();
        entries.insert(relative, format!("{:o} {contents}", metadata.mode()));
        if kind.is_dir() {
            collect(root, &path, entries);
        }
    }
}
