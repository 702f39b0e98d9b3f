//! The pages of `docs/guides`, followed word by word.
//!
//! Every block marked `sh` of a page runs, from top to bottom, in one shell in a folder of its
//! own, and must succeed; blocks marked otherwise are shown, not run (`packaging/systemd` runs those
//! of publish.md marked `bash`, in a container). A page has one line in
//! [`GUIDES`]: the tools that it needs, and what must lie in the folder before it begins. `~`
//! is that folder, and the folder is where the shell begins. The ports 8087 and 8088 stand for free
//! ones.
//! A page that needs `versitygw` finds an S3 bucket `example-updates`, and the way to it in
//! `~/.aws`, where cloud tools look.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::objects::Objects;
use crate::harness::server::free_port;
use crate::harness::{Scratch, tools, trial, trial_needing};
use crate::updates::elf;

/// A page, and what it takes for granted.
struct Guide {
    /// Its file name without `.md`.
    name: &'static str,
    /// Tools, as [`crate::harness::tools::find`] knows them; `bash` is understood.
    needs: &'static [&'static str],
    /// What the reader has before the first command.
    prepare: fn(&Scratch),
}

/// One line each, in alphabetical order.
const GUIDES: [Guide; 10] = [
    Guide {
        name: "batch",
        needs: &["bash", "jq", "sha256sum"],
        prepare: teams,
    },
    Guide {
        name: "ci",
        needs: &["bash", "sha256sum"],
        prepare: repository,
    },
    Guide {
        name: "hsm",
        needs: &["bash", "pkcs11", "softhsm2-util", "pkcs11-tool"],
        prepare: programs,
    },
    Guide {
        name: "mdm",
        needs: &["bash"],
        prepare: repository,
    },
    Guide {
        name: "migrate-from-fleetctl",
        needs: &["bash"],
        prepare: fleetctls,
    },
    Guide {
        name: "mirror",
        needs: &["bash", "python3", "curl"],
        prepare: programs,
    },
    Guide {
        name: "offline-ceremony",
        needs: &["bash", "python3"],
        prepare: programs,
    },
    Guide {
        name: "publish",
        needs: &["bash", "curl", "nginx", "versitygw"],
        prepare: programs,
    },
    Guide {
        name: "recover-from-compromise",
        needs: &["bash", "python3", "curl"],
        prepare: programs,
    },
    Guide {
        name: "self-host",
        needs: &["bash", "python3", "curl"],
        prepare: programs,
    },
];

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("guides/each_has_its_line", each_has_its_line)];
    for guide in GUIDES {
        let name = format!("guides/{}", guide.name.replace('-', "_"));
        trials.push(trial_needing(&name, guide.needs, move || {
            let scratch = Scratch::new();
            (guide.prepare)(&scratch);
            let storage = guide.needs.contains(&"versitygw");
            let _running = storage.then(|| bucket(&scratch));
            follow(&scratch, guide.name);
        }));
    }
    trials
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides")
}

fn each_has_its_line() {
    let pages = std::fs::read_dir(folder()).unwrap();
    let mut pages: Vec<_> = pages
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    pages.sort();
    let listed: Vec<_> = GUIDES.iter().map(|g| format!("{}.md", g.name)).collect();
    assert_eq!(pages, listed);
}

/// The blocks that are run, with the line in which each begins.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, bool)> = None;
    for (number, line) in text.lines().enumerate() {
        open = match (open, line.strip_prefix("```")) {
            (None, Some(language)) => Some((number + 2, String::new(), language == "sh")),
            (None, None) => None,
            (Some((begin, block, run)), Some(_)) => {
                found.extend(run.then_some((begin, block)));
                None
            }
            (Some((begin, block, run)), None) => Some((begin, block + line + "\n", run)),
        };
    }
    assert!(open.is_none(), "a block has no end");
    found
}

/// Runs a page's blocks in one shell; a failure shows the line of the page.
#[track_caller]
fn follow(scratch: &Scratch, name: &str) {
    let text = std::fs::read_to_string(folder().join(format!("{name}.md"))).unwrap();
    let blocks = blocks(&text);
    assert!(!blocks.is_empty(), "{name}.md has nothing to run");
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for (line, block) in blocks {
        script += &format!(": {name}.md, line {line}\n{block}");
    }
    let script = script
        .replace("8087", &free_port().to_string())
        .replace("8088", &free_port().to_string());
    let bin = scratch.join(".bin");
    std::fs::create_dir_all(&bin).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_fleetpack"));
    std::os::unix::fs::symlink(program, bin.join("fleetpack")).unwrap();
    scratch
        .tool("bash", ["-euxo", "pipefail", "-c", &script])
        .env("PATH", format!("{}:{}", bin.display(), tools::PATH))
        .env("HOME", scratch.path())
        .ok();
}

/// An S3 service with the pages' bucket, open to readers.
fn bucket(scratch: &Scratch) -> Objects {
    let service = Objects::s3_with(scratch, "example-updates");
    service.public(scratch);
    let mut credentials = "[default]\n".to_owned();
    let mut config = format!("[default]\nendpoint_url = {}\n", service.endpoint());
    for (name, value) in service.variables() {
        match name {
            "AWS_REGION" => config += &format!("region = {value}\n"),
            name => credentials += &format!("{} = {value}\n", name.to_lowercase()),
        }
    }
    scratch.write(".aws/config", config);
    scratch.write(".aws/credentials", credentials);
    service
}

/// Stand-ins for the agent's programs: `orbit` and `osqueryd` for Linux.
fn programs(scratch: &Scratch) {
    for name in ["orbit", "osqueryd"] {
        scratch.write_program(name, elf(62));
    }
}

/// The page's own manifest, about a repository on the disk in place of the reader's server, and
/// its secrets: a file, a program, and (in a file that the page does not show) a variable.
fn teams(scratch: &Scratch) {
    scratch.fleetpack(["quickstart", "--dir", "q"]).ok();
    let page = std::fs::read_to_string(folder().join("batch.md")).unwrap();
    let (_, manifest) = page.split_once("```toml\n").unwrap();
    let (manifest, _) = manifest.split_once("```").unwrap();
    let url = "update-url = \"https://updates.example.com\"";
    assert!(manifest.contains(url));
    let local = format!("update-url = \"q/updates/repository\"\nagent-{url}");
    scratch.write("teams.toml", manifest.replace(url, &local));
    scratch.copy(&scratch.join("q/updates/repository/root.json"), "root.json");
    scratch.write("secrets/sales", "made-up-secret\n");
    scratch.write_program(".bin/pass", "#!/bin/sh\necho made-up-secret\n");
}

/// A repository in `updates`, its root, and an enroll secret.
fn repository(scratch: &Scratch) {
    scratch.fleetpack(["quickstart", "--dir", "q"]).ok();
    scratch.copy(&scratch.join("q/updates"), "updates");
    scratch.copy(&scratch.join("updates/repository/root.json"), "root.json");
    scratch.write("secret.txt", "made-up-for-this-test\n");
}

/// What `fleetctl updates` left behind, with the passphrases of its README.
fn fleetctls(scratch: &Scratch) {
    programs(scratch);
    let fixture = crate::harness::fixtures().join("go-tuf/fleetctl-style");
    scratch.copy(&fixture, "updates");
    scratch.copy(&fixture.join("repository/1.root.json"), "roots.json");
    scratch.write(
        "passphrases.env",
        "FLEET_ROOT_PASSPHRASE=root-pass-1\nFLEET_TARGETS_PASSPHRASE=targets-pass-2\n\
         FLEET_SNAPSHOT_PASSPHRASE=snapshot-pass-3\nFLEET_TIMESTAMP_PASSPHRASE=timestamp-pass-4\n",
    );
}
