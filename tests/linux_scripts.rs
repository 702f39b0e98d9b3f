//! What lands on a Linux host as text: scripts that every shell reads, a unit that systemd
//! takes, an environment file.
//!
//! The scripts are rendered with every body and an administrator's script in each step, then
//! given to `shellcheck`, dash and bash. What they do is told by `linux_cells`.

use std::path::Path;

use fleetpack::agent::linux_lifecycle::{LEFTOVERS, lifecycle};
use fleetpack::install::{AdminScript, Arch, Customer, Entry, Event, Lifecycle, Os, Service, Tree};
use fleetpack::package::scripts::{self, Script};
use libtest_mimic::Trial;

use crate::harness::{Scratch, golden, trial, trial_needing};

/// All trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("linux scripts::shellcheck", &["shellcheck"], shellcheck),
        trial_needing(
            "linux scripts::dash and bash read them",
            &["dash", "bash"],
            shells,
        ),
        trial_needing(
            "linux scripts::systemd-analyze verify",
            &["systemd-analyze"],
            unit,
        ),
        trial("linux scripts::as they are", goldens),
    ]
}

fn tree(lifecycle: Lifecycle, start: bool) -> Tree {
    Tree {
        os: Os::Linux,
        identity: fleetpack::agent::identity("1.2.3", Arch::Amd64, None),
        entries: vec![
            Entry::customer("/etc/default/orbit", 0o600, ""),
            Entry::directory("/opt/orbit"),
            Entry::link("/opt/orbit/bin/orbit/orbit", "orbit"),
        ],
        service: Some(Service {
            name: "orbit.service".to_owned(),
            program: "/opt/orbit/bin/orbit/orbit".to_owned(),
            start,
        }),
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle,
        leftovers: LEFTOVERS.map(String::from).to_vec(),
        windows: None,
    }
}

/// Every script of every format: with and without the service started, with and without an
/// administrator's scripts.
fn all() -> Vec<(String, &'static str, String)> {
    let mut all = Vec::new();
    for (start, administrator) in [(true, false), (false, false), (true, true)] {
        let mut lifecycle = lifecycle(start).unwrap();
        if administrator {
            let events = [
                Event::BeforeInstall,
                Event::AfterInstall,
                Event::BeforeRemove,
                Event::AfterRemove,
            ];
            lifecycle.admin = events.map(|event| (event, script(event))).into();
        }
        let tree = tree(lifecycle, start);
        let kind = format!("start={start} administrator={administrator}");
        let formats = [
            ("deb", scripts::deb(&tree)),
            ("rpm", scripts::rpm(&tree)),
            ("arch", scripts::arch(&tree)),
        ];
        for (format, rendered) in formats {
            let rendered: Vec<Script> = rendered.unwrap();
            for (name, text) in rendered {
                let shell = if format == "arch" { "bash" } else { "sh" };
                all.push((format!("{format} {name} {kind}"), shell, text));
            }
        }
    }
    all
}

fn script(event: Event) -> AdminScript {
    AdminScript {
        name: format!("it's {event:?}.sh"),
        body: Customer::new(
            "#!/bin/sh -e\necho \"$0\" 'END_OF_ADMINISTRATORS_SCRIPT'\nEND_OF_ADMINISTRATORS_SCRIPT\n",
        ),
    }
}

fn shellcheck() {
    let scratch = Scratch::new();
    for (name, shell, text) in all() {
        let file = scratch.write("script", text);
        let ran = scratch
            .tool(
                "shellcheck",
                ["--norc", "--severity=style", "--shell", shell],
            )
            .arg(file)
            .run();
        assert_eq!(ran.code, Some(0), "{name}\n{ran}");
    }
}

fn shells() {
    let scratch = Scratch::new();
    let reads = |shell: &[&str], file: &Path, name: &str| {
        let ran = scratch
            .tool(shell[0], &shell[1..])
            .arg("-n")
            .arg(file)
            .run();
        assert_eq!(
            (ran.code, ran.stderr.as_str()),
            (Some(0), ""),
            "{name}\n{ran}"
        );
    };
    for (name, shell, text) in all() {
        let file = scratch.write("script", &text);
        reads(&["bash"], &file, &name);
        if shell == "sh" {
            reads(&["dash"], &file, &name);
            reads(&["bash", "--posix"], &file, &name);
        }
    }
}

fn unit() {
    let scratch = Scratch::new();
    let data = serde_json::json!({ "cpu_quota": 20 });
    let text = fleetpack::templates::render("linux/orbit.service", &data).unwrap();
    // The program is not on this machine; systemd wants to see it.
    let program = scratch.write_program("orbit", "#!/bin/sh\n");
    let text = text.replace("/opt/orbit/bin/orbit/orbit", program.to_str().unwrap());
    let file = scratch.write("orbit.service", text);
    let ran = scratch
        .tool("systemd-analyze", ["verify", "--man=no"])
        .arg(file)
        .ok();
    assert_eq!((ran.text(), ran.stderr.as_str()), ("", ""), "{ran}");
}

/// The scripts as a person looked at them.
fn goldens() {
    let tree = tree(lifecycle(true).unwrap(), true);
    for (format, rendered) in [
        ("deb", scripts::deb(&tree).unwrap()),
        ("rpm", scripts::rpm(&tree).unwrap()),
        ("arch", scripts::arch(&tree).unwrap()),
    ] {
        for (name, text) in rendered {
            let name = name.trim_start_matches('.').to_lowercase();
            golden(&format!("linux/{format}.{name}.golden"), &text);
        }
    }
    let unit = fleetpack::templates::render(
        "linux/orbit.service",
        &serde_json::json!({ "cpu_quota": 20 }),
    );
    golden("linux/orbit.service.golden", &unit.unwrap());
}
