//! Packages installed, replaced and removed under Wine.
//!
//! A prefix is made once and copied for every cell; one Wine runs at a time. The agent is a
//! real service, built by mingw; a witness stands in for PowerShell, which Wine does not have,
//! and writes down what it was called for. Wine's own gaps are listed in [`super::not_shown`].

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleetpack::agent::config::{Enrollment, Secret};
use libtest_mimic::Trial;

use super::sample::Sample;
use super::signing::{Issuer, RSA};
use crate::harness::scratch::{Ran, Run};
use crate::harness::{Scratch, trial_needing};

pub const NEEDS: &[&str] = &["wine", "wineserver", "x86_64-w64-mingw32-gcc", "msiinfo"];
const SERVICE_KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Fleet osquery";
const PRODUCTS: &str = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall";
const VARIABLES: &str = r"HKLM\System\CurrentControlSet\Control\Session Manager\Environment";

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("msi_wine_install_and_remove", NEEDS, install_and_remove),
        trial_needing("msi_wine_install_with_properties", NEEDS, properties),
        trial_needing("msi_wine_up_down_and_sideways", NEEDS, replaced),
        trial_needing(
            "msi_wine_replaces_another_makers_package",
            NEEDS_WIXL,
            older,
        ),
        trial_needing("msi_wine_failed_secret_rolls_back", NEEDS, rolled_back),
        trial_needing("msi_wine_secret_with_a_quote_is_refused", NEEDS, quoted),
        trial_needing("msi_wine_installs_what_was_signed", NEEDS_SIGNING, signed),
        trial_needing("msi_wine_service_may_stay_stopped", NEEDS, stopped),
    ]
}

const NEEDS_WIXL: &[&str] = &[
    "wine",
    "wineserver",
    "x86_64-w64-mingw32-gcc",
    "msiinfo",
    "wixl",
];

const NEEDS_SIGNING: &[&str] = &[
    "wine",
    "wineserver",
    "x86_64-w64-mingw32-gcc",
    "msiinfo",
    "openssl",
];

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A Windows of a test's own.
pub struct Wine {
    pub scratch: Scratch,
    _turn: MutexGuard<'static, ()>,
}

impl Wine {
    pub fn new() -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::new();
        let status = std::process::Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([prepared(&scratch), scratch.join("prefix")])
            .status()
            .unwrap();
        assert!(status.success());
        Self {
            scratch,
            _turn: turn,
        }
    }

    pub fn wine(&self, args: &[&str]) -> Run {
        in_prefix(&self.scratch, &self.scratch.join("prefix"), "wine", args)
    }

    /// Installs or removes; `Ok` is exit code 0. The verbose log is `C:\log`.
    fn msiexec(&self, verb: &str, msi: &Path, properties: &[&str]) -> Ran {
        let msi = format!("Z:{}", msi.display()).replace('/', "\\");
        let mut args = vec!["msiexec", verb, &msi, "/qn", "/l*v", r"C:\log"];
        args.extend(properties);
        let ran = self.wine(&args).run();
        self.wait();
        ran
    }

    pub fn install(&self, msi: &Path, properties: &[&str]) {
        let ran = self.msiexec("/i", msi, properties);
        assert_eq!(ran.code, Some(0), "{}", self.log());
    }

    pub fn remove(&self, msi: &Path) {
        assert_eq!(self.msiexec("/x", msi, &[]).code, Some(0), "{}", self.log());
    }

    pub fn wait(&self) {
        // The service goes on running: only what is written to the registry is waited for.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }

    /// A path on drive C.
    fn path(&self, name: &str) -> PathBuf {
        self.scratch.join("prefix/drive_c").join(name)
    }

    pub fn orbit(&self, name: &str) -> PathBuf {
        self.path("Program Files/Orbit").join(name)
    }

    pub fn text(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        match bytes.starts_with(&[0xff, 0xfe]) {
            true => {
                let units = bytes[2..]
                    .chunks_exact(2)
                    .map(|b| u16::from_le_bytes([b[0], b[1]]));
                String::from_utf16_lossy(&units.collect::<Vec<_>>())
            }
            false => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub fn log(&self) -> String {
        self.text("log")
    }

    /// What PowerShell was asked for since the last call: everything after its switches.
    fn witnessed(&self) -> Vec<String> {
        let text = self.text("witness.log");
        let _ = std::fs::remove_file(self.path("witness.log"));
        let asked = text.lines().map(|line| {
            let (_, asked) = line.split_once("-ExecutionPolicy Bypass ").unwrap();
            asked.trim_end().to_owned()
        });
        asked.collect()
    }

    /// A key's values, or `None` when there is no such key.
    fn registry(&self, key: &str) -> Option<String> {
        let ran = self.wine(&["reg", "query", key]).run();
        (ran.code == Some(0)).then(|| ran.text().replace('\r', ""))
    }

    pub fn environment(&self) -> Vec<String> {
        let values = self.registry(SERVICE_KEY).expect("the service's key");
        let line = values
            .lines()
            .find(|line| line.trim_start().starts_with("Environment"));
        let (_, strings) = line
            .expect("Environment")
            .split_once("REG_MULTI_SZ")
            .unwrap();
        strings.trim().split(r"\0").map(String::from).collect()
    }

    pub fn service(&self) -> String {
        let ran = self.wine(&["sc", "query", "Fleet osquery"]).run();
        let text = ran.text().to_owned();
        let state = text.lines().find(|line| line.contains("STATE"));
        state.map_or_else(String::new, |line| {
            line.split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned()
        })
    }

    /// Versions of the installed products of this name.
    fn products(&self) -> Vec<String> {
        let keys = self.registry(PRODUCTS).unwrap_or_default();
        let mut versions = Vec::new();
        for key in keys.lines().filter(|line| line.contains(r"Uninstall\{")) {
            let values = self.registry(key.trim()).unwrap_or_default();
            let value = |name: &str| {
                let line = values.lines().find(|l| l.trim_start().starts_with(name));
                line.and_then(|l| l.split("REG_SZ").nth(1))
                    .map(|v| v.trim().to_owned())
            };
            if value("DisplayName").as_deref() == Some("Fleet osquery") {
                versions.extend(value("DisplayVersion"));
            }
        }
        versions
    }

    pub fn nothing_is_left(&self) {
        assert!(!self.path("Program Files/Orbit").exists());
        assert_eq!(self.registry(SERVICE_KEY), None);
        assert_eq!(self.products(), Vec::<String>::new());
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let prefix = self.scratch.join("prefix");
        let _ = in_prefix(&self.scratch, &prefix, "wineserver", &["-k"]).run();
        let _ = in_prefix(&self.scratch, &prefix, "wineserver", &["-w"]).run();
    }
}

/// Services go on running and would hold a pipe open: output goes through a file.
fn in_prefix(scratch: &Scratch, prefix: &Path, tool: &str, args: &[&str]) -> Run {
    const QUIETLY: &str =
        "\"$@\" >wine.out 2>/dev/null </dev/null; code=$?; cat wine.out; exit $code";
    let mut words = vec!["-c", QUIETLY, "sh", tool];
    words.extend(args);
    scratch
        .tool("sh", words)
        .env("WINEPREFIX", prefix)
        .env("WINEDEBUG", "-all")
}

/// The prefix that is copied: made once per version of Wine, with the witness in it.
fn prepared(scratch: &Scratch) -> PathBuf {
    let version = scratch.tool("wine", ["--version"]).ok();
    let name = format!(
        "wine-prefix-{}",
        version.text().trim().replace([' ', '/'], "-")
    );
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if prefix.join("ready").exists() {
        return prefix;
    }
    let _ = std::fs::remove_dir_all(&prefix);
    let run = |tool: &str, args: &[&str]| in_prefix(scratch, &prefix, tool, args).ok();
    run("wine", &["wineboot", "-i"]);
    // Without this wait the next start of services fails.
    run("wineserver", &["-w"]);
    let witness = compile(scratch, "witness.c", &[]);
    std::fs::copy(witness, prefix.join("drive_c/witness.exe")).unwrap();
    let key = r"HKLM\SOFTWARE\Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell";
    run(
        "wine",
        &[
            "reg",
            "add",
            key,
            "/v",
            "Path",
            "/d",
            r"C:\witness.exe",
            "/f",
        ],
    );
    run("wineserver", &["-w"]);
    std::fs::write(prefix.join("ready"), "").unwrap();
    prefix
}

pub fn compile(scratch: &Scratch, source: &str, more: &[&str]) -> PathBuf {
    let fixtures = crate::harness::fixtures().join("msi");
    let out = scratch.join(source).with_extension("exe");
    let mut args = vec![
        "-O1".into(),
        "-o".into(),
        out.clone(),
        fixtures.join(source),
    ];
    args.extend(more.iter().map(PathBuf::from));
    args.push("-ladvapi32".into());
    scratch.tool("x86_64-w64-mingw32-gcc", args).ok();
    out
}

/// A sample whose orbit is a real service, of version `number`.
pub fn agent(scratch: &Scratch, version: &'static str) -> Sample {
    let commas = format!("-DFILE_VERSION={},0", version.replace('.', ","));
    let rc = crate::harness::fixtures().join("msi/service.rc");
    let args = [commas.as_str(), rc.to_str().unwrap(), "service.o"];
    scratch.tool("x86_64-w64-mingw32-windres", args).ok();
    let object = scratch.join("service.o");
    let program = compile(scratch, "service.c", &[object.to_str().unwrap()]);
    Sample {
        version,
        orbit: std::fs::read(program).unwrap(),
        ..Sample::new()
    }
}

fn install_and_remove() {
    let wine = Wine::new();
    let sample = agent(&wine.scratch, "1.2.3");
    let msi = sample.build(&wine.scratch, "x.msi");
    // Left behind by older installers.
    wine.wine(&[
        "reg",
        "add",
        VARIABLES,
        "/v",
        "ORBIT_UPDATE_INTERVAL",
        "/d",
        "1h",
        "/f",
    ])
    .ok();
    wine.install(&msi, &[]);
    files_are_there(&wine, &sample);
    service_is_set_up(&wine);
    assert_eq!(wine.products(), ["1.2.3"]);
    assert_eq!(
        wine.witnessed(),
        [
            r#"-Command "Wait-Process -Name orbit -Timeout 30 -ErrorAction SilentlyContinue; Remove-Item -Recurse -Force -ErrorAction SilentlyContinue -LiteralPath 'C:\Program Files\Orbit\bin\orbit','C:\Program Files\Orbit\bin\osqueryd','C:\Program Files\Orbit\bin\desktop'; exit 0""#,
            r#"-File "C:\Program Files\Orbit\installer_utils.ps1" -RemoveStandaloneOsquery"#,
        ]
    );
    assert!(wine.log().contains("Fleet osquery"), "the log is verbose");
    assert!(!wine.log().contains("made-up-secret"));
    wine.remove(&msi);
    assert_eq!(
        wine.witnessed(),
        [r#"-File "C:\Program Files\Orbit\installer_utils.ps1" -RemoveAgent"#]
    );
    wine.nothing_is_left();
}

fn files_are_there(wine: &Wine, sample: &Sample) {
    assert_eq!(
        std::fs::read(wine.orbit("bin/orbit/orbit.exe")).unwrap(),
        sample.orbit
    );
    let target = wine.orbit("bin/orbit/windows/stable/orbit.exe");
    assert_eq!(std::fs::read(target).unwrap(), sample.orbit);
    let osqueryd = wine.orbit("bin/osqueryd/windows/stable/osqueryd.exe");
    assert_eq!(std::fs::read(osqueryd).unwrap(), sample.osqueryd);
    assert_eq!(
        std::fs::read(wine.orbit("secret.txt")).unwrap(),
        b"made-up-secret"
    );
    let planted = wine.registry(VARIABLES).unwrap();
    assert!(!planted.contains("ORBIT_UPDATE_INTERVAL"), "{planted}");
}

fn service_is_set_up(wine: &Wine) {
    let values = wine.registry(SERVICE_KEY).unwrap();
    for line in [
        "DisplayName    REG_SZ    Fleet osquery",
        "Start    REG_DWORD    0x2",
        "ErrorControl    REG_DWORD    0x0",
        "ObjectName    REG_SZ    LocalSystem",
    ] {
        assert!(values.contains(line), "{line}\n{values}");
    }
    assert_eq!(
        wine.environment(),
        [
            r"ORBIT_ROOT_DIR=C:\Program Files\Orbit\.",
            r"ORBIT_LOG_FILE=C:\windows\system32\config\systemprofile\AppData\Local\FleetDM\Orbit\Logs\orbit-osquery.log",
            "ORBIT_FLEET_URL=https://fleet.example.com",
            r"ORBIT_ENROLL_SECRET_PATH=C:\Program Files\Orbit\secret.txt",
            "ORBIT_FLEET_DESKTOP=True",
            "ORBIT_DESKTOP_CHANNEL=stable",
            "ORBIT_ENABLE_SCRIPTS=False",
            "ORBIT_END_USER_EMAIL=dummy",
            "ORBIT_EUA_TOKEN=dummy",
            "ORBIT_BYPASS_END_USER_AUTH=False",
            "ORBIT_UPDATE_URL=https://updates.fleetdm.com",
            "ORBIT_UPDATE_INTERVAL=15m0s",
            "ORBIT_ORBIT_CHANNEL=stable",
            "ORBIT_OSQUERYD_CHANNEL=stable",
        ]
    );
    assert_eq!(wine.service(), "RUNNING");
}

fn properties() {
    let wine = Wine::new();
    let mut sample = agent(&wine.scratch, "1.2.3");
    sample.config.enrollment = None;
    let msi = sample.build(&wine.scratch, "x.msi");
    wine.install(
        &msi,
        &[
            "FLEET_URL=https://[x]{y}.example.com",
            r"FLEET_SECRET=-a [b] {c}\",
            "FLEET_DESKTOP=False",
            "ENABLE_SCRIPTS=True",
            "END_USER_EMAIL=someone@example.com",
            "EUA_TOKEN=token",
            "BYPASS_END_USER_AUTH=True",
        ],
    );
    let environment = wine.environment();
    for variable in [
        "ORBIT_FLEET_URL=https://[x]{y}.example.com",
        "ORBIT_FLEET_DESKTOP=False",
        "ORBIT_ENABLE_SCRIPTS=True",
        "ORBIT_END_USER_EMAIL=someone@example.com",
        "ORBIT_EUA_TOKEN=token",
        "ORBIT_BYPASS_END_USER_AUTH=True",
    ] {
        assert!(
            environment.iter().any(|v| v == variable),
            "{variable}: {environment:?}"
        );
    }
    let witnessed = wine.witnessed();
    assert_eq!(
        witnessed.last().map(String::as_str),
        Some(r#"-File "C:\Program Files\Orbit\installer_utils.ps1" -Secret:"-a [b] {c}\\.""#),
        "{witnessed:?}"
    );
    // Wine's msiexec takes both backslashes for the value's own. PowerShell gets it as one
    // argument, and the script takes the full stop away.
    let last = wine.text("witness.last");
    assert_eq!(last.lines().last(), Some(r"-Secret:-a [b] {c}\\."));
    assert_eq!(witnessed.len(), 3);
    assert_eq!(wine.service(), "RUNNING");
    wine.remove(&msi);
    wine.nothing_is_left();
}

fn replaced() {
    let wine = Wine::new();
    let scratch = &wine.scratch;
    let mut one = agent(scratch, "1.2.3");
    one.config.osquery_flagfile = Some(b"--verbose\n".to_vec());
    let first = one.build(scratch, "one.msi");
    let mut two = agent(scratch, "1.2.4");
    two.config.fleet_certificate = Some(b"certificate\n".to_vec());
    let second = two.build(scratch, "two.msi");
    let mut other = agent(scratch, "1.2.3");
    other.config.enrollment = Some(Enrollment {
        url: "https://fleet.example.com".into(),
        secret: Secret::new("another-secret"),
    });
    let third = other.build(scratch, "three.msi");

    let holds = |sample: &Sample, secret: &str, flags: bool, certificate: bool| {
        assert_eq!(wine.products(), [sample.version]);
        assert_eq!(wine.service(), "RUNNING");
        assert_eq!(
            std::fs::read(wine.orbit("bin/orbit/orbit.exe")).unwrap(),
            sample.orbit
        );
        assert_eq!(
            std::fs::read_to_string(wine.orbit("secret.txt")).unwrap(),
            secret
        );
        assert_eq!(wine.orbit("osquery.flags").exists(), flags);
        assert_eq!(wine.orbit("fleet.pem").exists(), certificate);
        assert_eq!(wine.environment().len(), 14 + usize::from(certificate));
    };
    wine.install(&first, &[]);
    holds(&one, "made-up-secret", true, false);
    wine.witnessed();
    wine.install(&second, &[]);
    holds(&two, "made-up-secret", false, true);
    // The old package's removal and the new one's installation; an osquery that was installed
    // on its own since then is not touched.
    let steps = wine.witnessed();
    assert!(
        !steps
            .iter()
            .any(|step| step.contains("-RemoveStandaloneOsquery")),
        "{steps:?}"
    );
    wine.install(&first, &[]);
    holds(&one, "made-up-secret", true, false);
    wine.install(&third, &[]);
    holds(&other, "another-secret", false, false);
    wine.remove(&third);
    wine.nothing_is_left();
}

/// A package with the same upgrade code and components, with service arguments and a
/// machine-wide variable, as older installers of the agent had.
fn older() {
    let wine = Wine::new();
    let scratch = &wine.scratch;
    let sample = agent(scratch, "1.2.3");
    scratch.write("orbit.exe", &sample.orbit);
    scratch.write("secret.txt", "old-secret");
    let peer = include_str!("../fixtures/msi/peer.wxs")
        .replace("Version=\"1.2.3\"", "Version=\"1.2.2\"")
        .replace(
            "Interactive=\"no\"",
            "Interactive=\"no\" Arguments=\"--old-argument\"",
        );
    assert!(peer.contains("--old-argument"));
    scratch.write("peer.wxs", peer);
    scratch
        .tool("wixl", ["-a", "x64", "-o", "peer.msi", "peer.wxs"])
        .ok();
    wine.wine(&[
        "reg",
        "add",
        VARIABLES,
        "/v",
        "ORBIT_UPDATE_INTERVAL",
        "/d",
        "1h",
        "/f",
    ])
    .ok();
    wine.install(&scratch.join("peer.msi"), &[]);
    let values = wine.registry(SERVICE_KEY).unwrap();
    assert!(values.contains("--old-argument"), "{values}");
    assert_eq!(wine.products(), ["1.2.2"]);

    let msi = sample.build(scratch, "x.msi");
    wine.install(&msi, &[]);
    assert_eq!(wine.products(), ["1.2.3"]);
    let values = wine.registry(SERVICE_KEY).unwrap();
    assert!(!values.contains("--old-argument"), "{values}");
    assert!(
        !wine
            .registry(VARIABLES)
            .unwrap()
            .contains("ORBIT_UPDATE_INTERVAL")
    );
    assert_eq!(
        std::fs::read_to_string(wine.orbit("secret.txt")).unwrap(),
        "made-up-secret"
    );
    assert_eq!(wine.service(), "RUNNING");
    wine.remove(&msi);
    wine.nothing_is_left();
}

/// A secret that could not be stored stops the installation, which leaves nothing behind.
fn rolled_back() {
    let wine = Wine::new();
    let msi = agent(&wine.scratch, "1.2.3").build(&wine.scratch, "x.msi");
    std::fs::create_dir(wine.path("witness.log")).unwrap();
    let ran = wine.msiexec("/i", &msi, &["FLEET_SECRET=s"]);
    assert_ne!(ran.code, Some(0));
    assert!(!wine.orbit("bin/orbit/orbit.exe").exists());
    assert_eq!(wine.service(), "");
    // Without a secret to store, failing steps are passed over.
    wine.install(&msi, &[]);
    assert_eq!(wine.service(), "RUNNING");
}

/// The command line cannot carry it: nothing is begun.
fn quoted() {
    let wine = Wine::new();
    let msi = agent(&wine.scratch, "1.2.3").build(&wine.scratch, "x.msi");
    let program = compile(&wine.scratch, "install.c", &["-lmsi"]);
    let program = program.to_str().unwrap();
    let path = format!("Z:{}", msi.display()).replace('/', "\\");
    // Windows Installer's own way to write a quote: twice.
    let with_quote = |more: &str| {
        let properties = format!("FLEET_SECRET=\"made\"\"up\"{more}");
        let ran = wine.wine(&[program, &path, &properties]).run();
        wine.wait();
        ran.code
    };
    assert_eq!(with_quote(""), Some(1603 & 255), "{}", wine.log());
    // Wine shows the sentence in a window alone; a golden holds it.
    assert!(wine.log().contains("LaunchConditions. Return value 0"));
    assert!(!wine.log().contains("InstallInitialize"));
    assert_eq!(wine.witnessed(), Vec::<String>::new());
    wine.nothing_is_left();
    // Removal asks nothing.
    wine.install(&msi, &[]);
    assert_eq!(with_quote(" REMOVE=ALL"), Some(0));
    wine.nothing_is_left();
}

fn signed() {
    let wine = Wine::new();
    let issuer = Issuer::new();
    issuer.issue("code", RSA, "code");
    let signer = issuer.signer("code", "code").unwrap();
    let sample = agent(&wine.scratch, "1.2.3");
    let msi = issuer.sign_sample(&sample, "x.msi", &signer, None).unwrap();
    wine.install(&msi, &[]);
    files_are_there(&wine, &sample);
    service_is_set_up(&wine);
    wine.remove(&msi);
    wine.nothing_is_left();
}

fn stopped() {
    let wine = Wine::new();
    let mut sample = agent(&wine.scratch, "1.2.3");
    sample.config.service = false;
    let msi = sample.build(&wine.scratch, "x.msi");
    wine.install(&msi, &[]);
    assert_eq!(wine.service(), "STOPPED");
    let values = wine.registry(SERVICE_KEY).unwrap();
    assert!(values.contains("Start    REG_DWORD    0x3"), "{values}");
    wine.remove(&msi);
    wine.nothing_is_left();
}
