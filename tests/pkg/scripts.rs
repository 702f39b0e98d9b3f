//! The postinstall, run as Installer runs it: by bash, under a `launchctl`, `pkill` and `sleep`
//! that only take notes and fail as they are told. Paths of the host are moved into a scratch
//! folder.

use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use fleetpack::agent::config::{Channels, Config};
use fleetpack::install::{AdminScript, Customer, Event, Node, Tree};

use super::archive::{contents, members};
use super::sample::{build, build_with, config, tree};
use crate::harness::{Scratch, golden, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("pkg::postinstall_golden", goldens),
        trial("pkg::postinstall_is_old_bash", old_bash),
        trial_needing(
            "pkg::postinstall_passes_the_linters",
            &["bash", "shellcheck"],
            linters,
        ),
        trial_needing("pkg::postinstall_starts_the_daemon", &["bash"], starts),
        trial_needing("pkg::postinstall_retries", &["bash"], retries),
        trial_needing("pkg::postinstall_gives_up", &["bash"], gives_up),
        trial_needing("pkg::postinstall_hands_over_in_band", &["bash"], in_band),
        trial_needing("pkg::postinstall_removes_what_is_stale", &["bash"], stale),
        trial_needing("pkg::postinstall_knows_names_by_file", &["bash"], same_file),
        trial_needing(
            "pkg::postinstall_on_another_volume",
            &["bash"],
            other_volume,
        ),
        trial_needing(
            "pkg::postinstall_without_service",
            &["bash"],
            without_service,
        ),
        trial_needing("pkg::admin_scripts_run_after", &["bash"], admin_scripts),
        trial("pkg::admin_scripts_for_removal_are_refused", removal),
    ]
}

fn scripts(scratch: &Scratch, tree: &Tree) -> std::collections::BTreeMap<String, Vec<u8>> {
    let members = members(&build(tree, &scratch.join("a.pkg")));
    let mut plain = flate2::read::GzDecoder::new(&members["base.pkg/Scripts"][..]);
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut plain, &mut bytes).unwrap();
    let mut reader = cpio_archive::reader(std::io::Cursor::new(bytes)).unwrap();
    let mut scripts = std::collections::BTreeMap::new();
    while let Some(member) = reader.read_next().unwrap() {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut text).unwrap();
        if member.name() != "." {
            scripts.insert(member.name().trim_start_matches("./").to_owned(), text);
        }
    }
    scripts
}

fn postinstall(scratch: &Scratch, tree: &Tree) -> String {
    String::from_utf8(scripts(scratch, tree)["postinstall"].clone()).unwrap()
}

/// A Mac in a scratch folder: the installed tree, the script, the stubs and their notes.
struct Mac {
    scratch: Scratch,
}

const LAUNCHCTL: &str = r#"#!/bin/bash
echo "launchctl $*" >>"$NOTES"
if [ "$1" = bootstrap ]; then
    left=$(cat "$FAILURES")
    if [ "$left" -gt 0 ]; then
        echo $((left - 1)) >"$FAILURES"
        echo "Bootstrap failed: 5: Input/output error" >&2
        exit 5
    fi
fi
exit 0
"#;
const PKILL: &str = "#!/bin/bash\necho \"pkill $*\" >>\"$NOTES\"\nexit 1\n";
/// Thirty seconds are over when the test says so.
const SLEEP: &str = r#"#!/bin/bash
echo "sleep $*" >>"$NOTES"
if [ "$1" = 30 ]; then
    until [ -e "$GO" ]; do /bin/sleep 0.02; done
fi
"#;

impl Mac {
    fn new(tree: &Tree, failures: u32) -> Self {
        let scratch = Scratch::new();
        let root = scratch.join("root");
        for entry in &tree.entries {
            let path = format!("root{}", entry.path);
            match &entry.node {
                Node::File(content) => drop(scratch.write(&path, contents(content))),
                Node::Directory => std::fs::create_dir_all(scratch.join(path)).unwrap(),
                Node::Link(target) => {
                    let path = scratch.join(path);
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    let target = format!("{}{target}", root.display());
                    std::os::unix::fs::symlink(target, path).unwrap();
                }
            }
        }
        for (name, text) in [("launchctl", LAUNCHCTL), ("pkill", PKILL), ("sleep", SLEEP)] {
            scratch.write_program(&format!("stubs/{name}"), text);
        }
        scratch.write("failures", failures.to_string());
        scratch.write("notes", "");
        for (name, bytes) in scripts(&scratch, tree) {
            let mut text = String::from_utf8(bytes).unwrap();
            for folder in ["/opt/orbit", "/Library/LaunchDaemons", "/private/var"] {
                text = text.replace(folder, &format!("{}{folder}", root.display()));
            }
            scratch.write_program(&format!("scripts/{name}"), text);
        }
        Self { scratch }
    }

    fn script(&self, volume: &str) -> crate::harness::scratch::Run {
        let scratch = &self.scratch;
        let path = |name: &str| scratch.join(name).display().to_string();
        let search = format!("{}:{}", path("stubs"), crate::harness::tools::PATH);
        scratch
            .program(
                &scratch.join("scripts/postinstall"),
                ["/tmp/a.pkg", "/", volume],
            )
            .env("PATH", search)
            .env("NOTES", path("notes"))
            .env("FAILURES", path("failures"))
            .env("GO", path("go"))
    }

    fn notes(&self) -> Vec<String> {
        let root = self.scratch.join("root").display().to_string();
        let notes = self.scratch.text("notes").replace(&root, "");
        notes.lines().map(str::to_owned).collect()
    }

    fn exists(&self, path: &str) -> bool {
        self.scratch
            .join(format!("root{path}"))
            .symlink_metadata()
            .is_ok()
    }

    fn write(&self, path: &str) {
        self.scratch.write(&format!("root{path}"), "left over");
    }
}

const ONCE: [&str; 5] = [
    "launchctl bootout system/com.fleetdm.orbit",
    "pkill -x fleet-desktop",
    "launchctl enable system/com.fleetdm.orbit",
    "launchctl bootstrap system /Library/LaunchDaemons/com.fleetdm.orbit.plist",
    "launchctl kickstart system/com.fleetdm.orbit",
];

fn goldens() {
    let scratch = Scratch::new();
    golden(
        "pkg/postinstall.golden",
        &postinstall(&scratch, &tree(&config())),
    );
}

// What came after bash 3.2: associative arrays, case changes, mapfile, |&, &>>, ;;&, -v,
// name references, negative indices, %(…)T, @Q.
fn old_bash() {
    let text = postinstall(&Scratch::new(), &tree(&config()));
    assert!(text.starts_with("#!/bin/bash\n"));
    for new in [
        "declare -A",
        "local -A",
        "local -n",
        "declare -n",
        "mapfile",
        "readarray",
        "|&",
        "&>>",
        ";;&",
        ";&",
        "[ -v",
        "[[ -v",
        "[-1]",
        ",,}",
        "^^}",
        ")T",
        "@Q}",
        "coproc",
        "wait -n",
    ] {
        assert!(!text.contains(new), "{new}");
    }
}

fn linters() {
    let scratch = Scratch::new();
    let awkward = Config {
        channels: Channels {
            orbit: "it's $HOME `id`".into(),
            osqueryd: "a b".into(),
            desktop: "\"".into(),
        },
        ..config()
    };
    let idle = Config {
        service: false,
        ..config()
    };
    for config in [config(), awkward, idle] {
        let text = postinstall(&scratch, &tree(&config));
        let path = scratch.write("postinstall", text);
        scratch.tool("bash", ["-n"]).arg(&path).ok();
        scratch.tool("shellcheck", ["-s", "bash"]).arg(&path).ok();
    }
}

fn starts() {
    let mac = Mac::new(&tree(&config()), 0);
    mac.script("/").ok();
    assert_eq!(mac.notes(), ONCE);
}

fn retries() {
    let mac = Mac::new(&tree(&config()), 3);
    mac.script("/").ok();
    let again = ["sleep 2", ONCE[0], ONCE[3]];
    let expected: Vec<&str> = ONCE[..4]
        .iter()
        .chain(again.iter().cycle().take(9))
        .chain(&ONCE[4..])
        .copied()
        .collect();
    assert_eq!(mac.notes(), expected);
}

fn gives_up() {
    let mac = Mac::new(&tree(&config()), 1000);
    let ran = mac.script("/").run();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says("launchd does not take");
    let tries = mac.notes().iter().filter(|note| *note == ONCE[3]).count();
    assert_eq!(tries, 30);
}

fn in_band() {
    let mac = Mac::new(&tree(&config()), 2);
    mac.write("/opt/orbit/.inband_upgrade");
    mac.write("/opt/orbit/bin/orbit/macos/edge/orbit");
    mac.script("/").ok();
    assert!(!mac.exists("/opt/orbit/.inband_upgrade"));
    let deadline = Instant::now() + Duration::from_secs(20);
    let wait_for = |note: &str| {
        while !mac.notes().iter().any(|line| line == note) {
            assert!(Instant::now() < deadline, "{note}: {:?}", mac.notes());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for("sleep 30");
    // The agent that runs Installer still lives, and has its files.
    assert_eq!(mac.notes(), ["sleep 30"]);
    assert!(mac.exists("/opt/orbit/bin/orbit/macos/edge/orbit"));
    mac.scratch.write("go", "");
    wait_for(ONCE[4]);
    assert!(!mac.exists("/opt/orbit/bin/orbit/macos/edge/orbit"));
    assert_eq!(mac.notes()[1..5], ONCE[..4]);
    let log = mac
        .scratch
        .text("root/private/var/log/orbit/postinstall.log");
    assert!(log.contains("Bootstrap failed"), "{log}");
}

fn stale() {
    let config = Config {
        enrollment: None,
        ..config()
    };
    let mac = Mac::new(&tree(&config), 0);
    let before = mac.scratch.state("root");
    let gone = [
        "/opt/orbit/bin/orbit/macos/edge/orbit",
        "/opt/orbit/bin/orbit/macos/stable/orbit.old",
        "/opt/orbit/bin/osqueryd/macos/stable/osqueryd",
        "/opt/orbit/bin/osqueryd/macos-app/stable/osqueryd.app.tar.gz",
        "/opt/orbit/bin/osqueryd/macos-app/5.9/osqueryd.app.tar.gz.sha512",
        "/opt/orbit/bin/osqueryd/macos-app/stable/osquery.app/Contents/with space\nand line",
        "/opt/orbit/bin/osqueryd/macos-app/stable/osquery.app/Contents/_CodeSignature/old",
        "/opt/orbit/bin/desktop/macos/stable/Fleet Desktop.app/Contents/-n",
        "/opt/orbit/secret.txt",
        "/opt/orbit/fleet_client.key",
        "/opt/orbit/update.pem",
    ];
    let kept = [
        "/opt/orbit/osquery.flags",
        "/opt/orbit/identifier",
        "/opt/orbit/secret-orbit-node-key.txt",
        "/opt/orbit/osquery.db/CURRENT",
        "/opt/orbit/bin/nudge/macos/stable/nudge.app.tar.gz",
    ];
    gone.iter().chain(&kept).for_each(|path| mac.write(path));
    mac.script("/").ok();
    for path in gone {
        assert!(!mac.exists(path), "{path} is still there");
    }
    for path in kept {
        assert!(mac.exists(path), "{path} is gone");
    }
    for path in kept.map(|path| Path::new("root").join(&path[1..])) {
        std::fs::remove_file(mac.scratch.join(path)).unwrap();
    }
    for folder in ["osquery.db", "bin/nudge"] {
        let path = mac.scratch.join("root/opt/orbit").join(folder);
        std::fs::remove_dir_all(path).unwrap();
    }
    before.unchanged(&mac.scratch.state("root"));
}

// A disk that ignores case shows an old name for a new file: here, a second name for it.
fn same_file() {
    let mac = Mac::new(&tree(&config()), 0);
    let folder = mac.scratch.join("root/opt/orbit/bin/orbit/macos");
    std::fs::rename(folder.join("stable"), folder.join("Stable")).unwrap();
    std::os::unix::fs::symlink("Stable", folder.join("stable")).unwrap();
    mac.script("/").ok();
    assert!(mac.exists("/opt/orbit/bin/orbit/macos/Stable/orbit"));
}

fn other_volume() {
    let mac = Mac::new(&tree(&config()), 0);
    let volume = mac.scratch.join("volume");
    let root = mac.scratch.join("root").display().to_string();
    // The script's paths are below the volume; the scratch folder is part of them here.
    let stale = format!("volume{root}/opt/orbit/bin/orbit/macos/edge/orbit");
    mac.scratch.write(&stale, "left over");
    mac.write("/opt/orbit/bin/orbit/macos/edge/orbit");
    mac.script(&volume.display().to_string()).ok();
    assert_eq!(mac.notes(), [""; 0]);
    assert!(!mac.scratch.join(stale).exists());
    assert!(mac.exists("/opt/orbit/bin/orbit/macos/edge/orbit"));
}

fn without_service() {
    let idle = Config {
        service: false,
        desktop: false,
        ..config()
    };
    let mac = Mac::new(&tree(&idle), 0);
    mac.write("/opt/orbit/bin/desktop/macos/stable/desktop.app.tar.gz");
    mac.script("/").ok();
    assert_eq!(mac.notes(), [""; 0]);
    assert!(!mac.exists("/opt/orbit/bin/desktop"));
}

fn admin_script(text: &str) -> AdminScript {
    AdminScript {
        name: "mine.sh".into(),
        body: Customer::new(text),
    }
}

fn admin_scripts() {
    let mut tree = tree(&config());
    let mine = "#!/bin/sh\necho \"admin $1 $3\" >>\"$NOTES\"\nexit 7\n";
    let admin = &mut tree.lifecycle.admin;
    admin.insert(Event::AfterInstall, admin_script(mine));
    admin.insert(Event::BeforeInstall, admin_script("#!/bin/sh\nexit 0\n"));
    let mac = Mac::new(&tree, 0);
    mac.script("/").fails(7);
    let notes = mac.notes();
    assert_eq!(notes[..5], ONCE);
    assert_eq!(notes[5], "admin /tmp/a.pkg /");
    let before = mac.scratch.join("scripts/preinstall");
    mac.scratch.program(&before, [""; 0]).ok();
    let info = members(&mac.scratch.join("a.pkg"))["base.pkg/PackageInfo"].clone();
    let info = String::from_utf8(info).unwrap();
    assert!(
        info.contains("<preinstall file=\"./preinstall\"/>"),
        "{info}"
    );
}

fn removal() {
    let mut tree = tree(&config());
    let script = admin_script("#!/bin/sh\n");
    tree.lifecycle.admin.insert(Event::BeforeRemove, script);
    let error = build_with(&tree, &Scratch::new().join("a.pkg"), 1, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "pkg cannot carry mine.sh: macOS removes no packages, so no script runs when one is removed"
    );
}
