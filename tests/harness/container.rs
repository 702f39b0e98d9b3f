//! Debian with systemd as process 1, for tests that install what fleetpack builds.
//!
//! The root is made once by `debootstrap` and kept beside the other tools
//! ([`tools::folder`]), under a name that changes with its list of packages. A container is
//! an overlay on it: it boots in about two seconds, and what it changes goes away with the
//! test. There is no network in it but loopback. How it is started: `container.sh`.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::scratch::{Ran, Run};
use super::{Scratch, tools};

const SUITE: &str = "bookworm";
const PACKAGES: &str =
    "apt-utils,bash,dash,dbus,dnf,pacman-package-manager,procps,rpm,systemd,systemd-sysv";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness/container.sh");
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running container; it ends with its value.
pub struct Container {
    scratch: Scratch,
    supervisor: Child,
    leader: u32,
}

impl Container {
    /// Boots one and waits until systemd has started everything.
    pub fn boot() -> Self {
        let scratch = Scratch::new();
        let log = std::fs::File::create(scratch.join("boot.log")).unwrap();
        let mut supervisor = Command::new(tools::find("unshare").unwrap())
            .args(["--mount", "--propagation=private", "sh", SCRIPT, "boot"])
            .arg(root())
            .arg(scratch.join("container"))
            .env_clear()
            .env("PATH", tools::PATH)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let leader = loop {
            if let Some(leader) = leader_below(supervisor.id()) {
                break leader;
            }
            let ended = supervisor.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "no container ({ended:?}):\n{}",
                scratch.text("boot.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        let container = Self {
            scratch,
            supervisor,
            leader,
        };
        container.wait_for("systemctl is-system-running | grep -Eq 'running|degraded'");
        container
    }

    /// A command line for the container's shell.
    pub fn shell(&self, command: &str) -> Run {
        let target = self.leader.to_string();
        self.scratch
            .tool("nsenter", ["--all", "--target", &target, "env", "-i"])
            .arg(PATH)
            .arg("HOME=/root")
            .arg("LC_ALL=C.UTF-8")
            .arg("sh")
            .arg("-c")
            .arg(command)
    }

    /// Runs a command line and wants success; answers what it printed, trimmed.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        self.shell(command).ok().text().trim().to_owned()
    }

    /// Runs a command line, whatever comes of it.
    #[track_caller]
    pub fn run(&self, command: &str) -> Ran {
        self.shell(command).run()
    }

    /// Repeats a command line until it succeeds, for up to two minutes.
    #[track_caller]
    pub fn wait_for(&self, command: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let ran = self.run(command);
            if ran.code == Some(0) {
                return;
            }
            assert!(Instant::now() < deadline, "in vain: {ran}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A path of the container, as this machine sees it.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }

    /// Copies a file into the container's `/root`; answers its path there.
    pub fn put(&self, file: &Path) -> String {
        put(&self.path("/root"), file)
    }

    /// Writes a file in the container.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(path), bytes).unwrap();
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Closes its standard input, which ends it.
        let _ = self.supervisor.wait();
    }
}

/// The same root without a running systemd: each command runs alone in it.
pub struct Chroot {
    scratch: Scratch,
}

impl Chroot {
    /// Makes one.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        std::fs::create_dir_all(scratch.join("container/upper/root")).unwrap();
        Self { scratch }
    }

    /// A command line for its shell.
    pub fn shell(&self, command: &str) -> Run {
        let private = ["--mount", "--propagation=private", "--pid", "--fork", "sh"];
        self.scratch
            .tool("unshare", private)
            .arg(SCRIPT)
            .arg("chroot")
            .arg(root())
            .arg(self.scratch.join("container"))
            .arg("env")
            .arg("-i")
            .arg(PATH)
            .arg("HOME=/root")
            .arg("LC_ALL=C.UTF-8")
            .arg("sh")
            .arg("-c")
            .arg(command)
    }

    /// Runs a command line and wants success; answers what it printed, trimmed.
    #[track_caller]
    pub fn ok(&self, command: &str) -> String {
        self.shell(command).ok().text().trim().to_owned()
    }

    /// Copies a file into its `/root`; answers its path there.
    pub fn put(&self, file: &Path) -> String {
        put(&self.scratch.join("container/upper/root"), file)
    }
}

fn put(folder: &Path, file: &Path) -> String {
    let name = file.file_name().and_then(OsStr::to_str).unwrap();
    std::fs::copy(file, folder.join(name)).unwrap();
    format!("/root/{name}")
}

/// The first process of the container that `supervisor` started: it is number 1 in a process
/// namespace of its own.
fn leader_below(supervisor: u32) -> Option<u32> {
    let mut processes = vec![supervisor];
    while let Some(process) = processes.pop() {
        let children = format!("/proc/{process}/task/{process}/children");
        let mut text = String::new();
        let opened = std::fs::File::open(children);
        if opened
            .and_then(|mut f| f.read_to_string(&mut text))
            .is_err()
        {
            continue;
        }
        for child in text.split_whitespace().filter_map(|id| id.parse().ok()) {
            let status = std::fs::read_to_string(format!("/proc/{child}/status"));
            let first = |line: &str| line.starts_with("NSpid:") && line.ends_with("\t1");
            if status.is_ok_and(|status| status.lines().any(first)) {
                return Some(child);
            }
            processes.push(child);
        }
    }
    None
}

/// The root, made on first use; other test processes wait meanwhile.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    static MAKING: Mutex<()> = Mutex::new(());
    if let Some(root) = ROOT.get() {
        return root;
    }
    let _making = MAKING.lock().unwrap_or_else(|e| e.into_inner());
    ROOT.get_or_init(|| {
        let key = hex::encode(&fleetpack::compress::sha256(PACKAGES.as_bytes())[..6]);
        let folder = tools::folder();
        std::fs::create_dir_all(&folder).unwrap();
        let lock = folder.join(format!("{SUITE}.lock"));
        let _lock = fleetpack::fs::Lock::acquire(&lock, || {}).unwrap();
        let root = folder.join(format!("{SUITE}-{key}"));
        if !root.exists() {
            bootstrap(&root);
        }
        root
    })
}

fn bootstrap(root: &Path) {
    let partial = root.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).unwrap();
    }
    Scratch::new()
        .tool("debootstrap", ["--variant=minbase"])
        .arg(format!("--include={PACKAGES}"))
        .arg(SUITE)
        .arg(&partial)
        .ok();
    for downloaded in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        std::fs::remove_dir_all(partial.join(downloaded)).unwrap();
    }
    std::fs::rename(&partial, root).unwrap();
}
