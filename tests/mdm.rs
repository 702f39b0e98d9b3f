//! The recipes of `examples/mdm`: every fleetpack command in them is one, scripts for macOS run
//! with stand-ins of macOS' own programs, the one for Windows is read by PowerShell's grammar.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::scratch::Ran;
use crate::harness::{Scratch, trial, trial_needing};
use crate::msi::powershell::faults_of;

pub fn trials() -> Vec<Trial> {
    let tools = &["bash", "shellcheck"];
    vec![
        trial("mdm/commands_are_commands", commands),
        trial("mdm/files_that_are_named_exist", links),
        trial("mdm/detection_is_powershell", detection),
        trial_needing("mdm/scripts_pass_the_linters", tools, linters),
        trial_needing("mdm/audit_tells_what_is_wrong", &["bash"], audit),
        trial_needing("mdm/attribute_says_what_is_wrong", &["bash"], attribute),
        trial_needing("mdm/removal_leaves_nothing", &["bash"], removal),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/mdm")
}

fn texts(extension: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut texts: Vec<(PathBuf, String)> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    texts.sort();
    assert!(!texts.is_empty(), "{extension}");
    texts
}

/// A flag that there is not ends before the help is shown.
fn commands() {
    let scratch = Scratch::new();
    let mut seen = 0;
    for (path, text) in texts("md") {
        let joined = text.replace("\\\n", " ");
        for line in joined.lines().filter(|l| l.starts_with("fleetpack ")) {
            let words = line.split_whitespace().skip(1).chain(["--help"]);
            let ran = scratch.fleetpack(words).run();
            assert_eq!(ran.code, Some(0), "{}: {line}\n{ran}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen}");
}

fn links() {
    for (path, text) in texts("md") {
        for part in text.split("](").skip(1) {
            let link = part.split([')', '#']).next().unwrap();
            let shown = path.display();
            assert!(folder().join(link).exists(), "{shown}: {link}");
        }
    }
}

fn detection() {
    for (path, text) in texts("ps1") {
        assert!(text.is_ascii());
        assert_eq!(faults_of(&text), Vec::<String>::new(), "{}", path.display());
    }
}

fn linters() {
    let scratch = Scratch::new();
    for (path, _) in texts("sh") {
        scratch.tool("bash", ["-n"]).arg(&path).ok();
        scratch.tool("shellcheck", [&path]).ok();
    }
}

/// A Mac in a folder: paths are moved into it, programs of macOS take notes.
struct Mac {
    scratch: Scratch,
}

impl Mac {
    fn new() -> Self {
        let scratch = Scratch::new();
        let note = "#!/bin/sh\necho \"${0##*/} $*\" >> notes\n";
        for (name, more) in [
            ("pkill", ""),
            ("id", "echo ${FAKE_ID:-0}\n"),
            ("launchctl", "exit ${LOADED:-0}\n"),
            (
                "pkgutil",
                "[ -z \"$RECEIPT\" ] || echo \"version: $RECEIPT\"\n",
            ),
        ] {
            scratch.write_program(&format!("bin/{name}"), format!("{note}{more}"));
        }
        for path in [
            "opt/orbit/osquery.db",
            "Library/LaunchDaemons/com.fleetdm.orbit.plist",
            "Library/LaunchDaemons/another.plist",
            "usr/local/bin/orbit",
            "usr/local/bin/another",
            "private/var/log/orbit/orbit.stdout.log",
        ] {
            scratch.write(path, "");
        }
        scratch.write_program("opt/orbit/bin/orbit/orbit", "");
        Self { scratch }
    }

    fn run(&self, script: &str, change: &dyn Fn(String) -> String, env: &[(&str, &str)]) -> Ran {
        let mut text = std::fs::read_to_string(folder().join(script)).unwrap();
        for path in ["/opt/orbit", "/Library/", "/usr/local/", "/private/"] {
            let moved = self.scratch.join(path.trim_start_matches('/'));
            let slash = if path.ends_with('/') { "/" } else { "" };
            let moved = format!(
                "{}{slash}",
                moved.display().to_string().trim_end_matches('/')
            );
            text = text.replace(path, &moved);
        }
        self.scratch.write("script", change(text));
        let paths = format!("{}:/usr/bin:/bin", self.scratch.join("bin").display());
        let run = self.scratch.tool("bash", ["script"]).env("PATH", paths);
        run.envs(env.iter().copied()).run()
    }
}

/// Name, wanted version, environment, exit code, words.
type AuditCase<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], i32, &'a str);

fn audit() {
    let mac = Mac::new();
    let version = |wanted: &str| {
        let line = format!("\nversion={wanted}\n");
        move |text: String| text.replace("\nversion=\n", &line)
    };
    let cases: &[AuditCase<'_>] = &[
        (
            "fine",
            "",
            &[("RECEIPT", "1.50.0")],
            0,
            "1.50.0 is installed and loaded",
        ),
        ("new enough", "1.9.0", &[("RECEIPT", "1.50.0")], 0, "loaded"),
        (
            "the very version",
            "1.50.0",
            &[("RECEIPT", "1.50.0")],
            0,
            "loaded",
        ),
        (
            "too old",
            "1.51.0",
            &[("RECEIPT", "1.50.0")],
            1,
            "1.51.0 is wanted",
        ),
        ("no receipt", "", &[], 1, "the package is not installed"),
        (
            "not loaded",
            "",
            &[("RECEIPT", "1.50.0"), ("LOADED", "113")],
            1,
            "is not loaded",
        ),
    ];
    for (name, wanted, env, code, words) in cases {
        let ran = mac.run("audit-macos.sh", &version(wanted), env);
        assert_eq!(ran.code, Some(*code), "{name}\n{ran}");
        ran.prints(words);
        // As Munki wants it, turned round.
        let round = |text: String| {
            let body = text.split_once('\n').unwrap().1;
            format!(
                "#!/bin/bash\n! (\n{}\n)\n",
                version(wanted)(body.to_owned())
            )
        };
        let ran = mac.run("audit-macos.sh", &round, env);
        assert_eq!(ran.code, Some(1 - code), "{name}\n{ran}");
    }
    std::fs::remove_file(mac.scratch.join("opt/orbit/bin/orbit/orbit")).unwrap();
    let ran = mac.run("audit-macos.sh", &version(""), &[("RECEIPT", "1.50.0")]);
    ran.prints("the agent's program is gone");
    assert_eq!(ran.code, Some(1));
}

/// The command of Jamf's recipe makes a script that always ends well, and says the audit's words.
fn attribute() {
    let mac = Mac::new();
    let recipe = std::fs::read_to_string(folder().join("jamf.md")).unwrap();
    let command = recipe
        .lines()
        .map(str::trim)
        .find(|line| line.ends_with("> attribute.sh"))
        .unwrap();
    mac.scratch
        .copy(&folder().join("audit-macos.sh"), "audit-macos.sh");
    mac.scratch.tool("bash", ["-c", command]).ok();
    let made = mac.scratch.text("attribute.sh");
    let ran = mac.run("audit-macos.sh", &|_| made.clone(), &[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(
        ran.text(),
        "<result>the package is not installed</result>\n"
    );
}

fn removal() {
    let mac = Mac::new();
    let same = |text: String| text;
    let ran = mac.run("remove-macos.sh", &same, &[("FAKE_ID", "501")]);
    assert_eq!(ran.code, Some(1));
    assert!(mac.scratch.join("opt/orbit").exists());
    let ran = mac.run("remove-macos.sh", &same, &[]);
    assert_eq!(ran.code, Some(0), "{ran}");
    for (path, stays) in [
        ("opt/orbit", false),
        ("Library/LaunchDaemons/com.fleetdm.orbit.plist", false),
        ("Library/LaunchDaemons/another.plist", true),
        ("usr/local/bin/orbit", false),
        ("usr/local/bin/another", true),
        ("private/var/log/orbit", false),
    ] {
        assert_eq!(mac.scratch.join(path).exists(), stays, "{path}");
    }
    let notes = mac.scratch.text("notes");
    for line in [
        "launchctl bootout system/com.fleetdm.orbit",
        "pkill -x fleet-desktop",
        "pkgutil --forget com.fleetdm.orbit.base.pkg",
    ] {
        assert!(notes.lines().any(|note| note == line), "{line}: {notes}");
    }
}
