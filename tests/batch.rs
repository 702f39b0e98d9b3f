//! Many teams' installers in one run: the same bytes as one by one, each with its own secret,
//! in shares, and what goes wrong with some of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use fleetpack::package::Format;
use fleetpack::package::read::{self, Found};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::mount::Mount;
use crate::harness::scratch::{Ran, Run};
use crate::harness::{Scratch, schema, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "batch: fifty teams, five types, the same bytes",
            fifty_teams,
        ),
        trial("batch: shares together are the whole", shares),
        trial("batch: secrets from files, variables, commands", secrets),
        trial("batch: names of its own", names),
        trial_needing(
            "batch: where installers come from",
            &["sha256sum"],
            provenance,
        ),
        trial("batch: a manifest that cannot be followed", manifests),
        trial("batch: flags that are for a manifest", flags),
        trial("batch: some fail, the rest is made", some_fail),
        trial_needing("batch: one repository has expired", &["faketime"], expired),
        trial_needing(
            "batch: a disk that is full in the middle",
            &["root", "mount", "umount"],
            full_disk,
        ),
        trial_needing("batch: a bar on a terminal", &["script"], terminal),
    ]
}

const EPOCH: &str = "1714564800";
const SECRET: &str = "made-up-secret-of-team-";

const DEFAULTS: &str = "[defaults]
type = 'all'
update-url = 'q/updates/repository'
update-roots = '@q/updates/repository/root.json'
agent-update-url = 'https://updates.example.com'
fleet-url = 'https://{team}.example.com'
enroll-secret-file = 'secrets/{team}'
fleet-desktop = true
";

/// A repository with the sample agent, and a manifest: the defaults and `tables`.
fn ground(tables: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart", "--dir", "q"]).ok();
    scratch.write("teams.toml", format!("{DEFAULTS}{tables}"));
    std::fs::create_dir(scratch.join("out")).unwrap();
    scratch
}

/// Tables of teams `t0`, `t1` and so on, and files with their secrets.
fn teams(count: usize) -> Scratch {
    let mut tables = String::new();
    for number in 0..count {
        write!(tables, "[[installer]]\nteam = 't{number}'\n").unwrap();
    }
    let scratch = ground(&tables);
    for number in 0..count {
        let secret = format!("{SECRET}t{number}.\n");
        scratch.write(&format!("secrets/t{number}"), secret);
    }
    scratch
}

fn batch(scratch: &Scratch, more: &[&str]) -> Run {
    let words = ["package", "--manifest", "teams.toml"];
    let run = scratch.fleetpack(words.iter().chain(more));
    let run = if more.contains(&"--outdir") {
        run
    } else {
        run.arg("--outdir=out")
    };
    run.env("SOURCE_DATE_EPOCH", EPOCH)
}

/// One of these teams' installers, without a manifest.
fn alone(scratch: &Scratch, team: &str, types: &str) -> Run {
    let words = format!(
        "package --quiet --type {types} --update-url q/updates/repository \
         --update-roots @q/updates/repository/root.json --fleet-desktop \
         --agent-update-url https://updates.example.com --fleet-url https://{team}.example.com \
         --enroll-secret-file secrets/{team} --outdir alone"
    );
    let run = scratch.fleetpack(words.split_whitespace());
    run.env("SOURCE_DATE_EPOCH", EPOCH)
}

fn index(scratch: &Scratch, name: &str) -> Value {
    schema::conforms("packages.json", &scratch.text(name))
}

fn format_of(name: &str) -> Format {
    let suits = |format: &Format| name.ends_with(&format!(".{format}"));
    Format::ALL.into_iter().find(suits).unwrap()
}

fn fifty_teams() {
    let scratch = teams(50);
    batch(&scratch, &["--jobs", "3"]).ok();
    let index = index(&scratch, "out/packages.json");
    let packages = index["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 250);
    assert_eq!(index["failures"].as_array().unwrap().len(), 0);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let bytes = scratch.read(&format!("out/{name}"));
        assert_eq!(package["size"], bytes.len());
        let sha256 = hex::encode(fleetpack::compress::sha256(&bytes));
        assert_eq!(package["sha256"], sha256, "{name}");
        own_secret_alone(
            &scratch.join("out").join(name),
            package["team"].as_str().unwrap(),
        );
    }
    std::fs::create_dir(scratch.join("alone")).unwrap();
    for number in 0..50 {
        let team = format!("t{number}");
        match number {
            0 => TYPES
                .iter()
                .for_each(|types| drop(alone(&scratch, &team, types).ok())),
            _ => drop(alone(&scratch, &team, "all").ok()),
        }
        let made = scratch.state("alone");
        assert_eq!(made.names().count(), 5);
        made.unchanged(&scratch.state(&format!("out/{team}")));
    }
}

const TYPES: [&str; 5] = ["deb", "rpm", "pkg.tar.zst", "pkg", "msi"];

/// Every file in an installer, its scripts and fields, and its bytes as they are: the team's
/// secret is in it, and no other's.
fn own_secret_alone(path: &Path, team: &str) {
    let mut seen = BTreeSet::new();
    let mut search = |bytes: &[u8]| {
        let mut rest = bytes;
        while let Some(at) = find(rest, SECRET.as_bytes()) {
            rest = &rest[at + SECRET.len()..];
            let end = rest.iter().position(|b| *b == b'.').unwrap();
            seen.insert(String::from_utf8_lossy(&rest[..end]).into_owned());
        }
    };
    let file = std::fs::File::open(path).unwrap();
    let mut visit = |_: &Found, contents: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        contents.read_to_end(&mut bytes)?;
        search(&bytes);
        Ok(())
    };
    let format = format_of(path.to_str().unwrap());
    let package = read::read_with(format, &file, &mut visit).unwrap();
    for (_, text) in package.scripts.iter().chain(&package.metadata) {
        search(text.as_bytes());
    }
    search(&std::fs::read(path).unwrap());
    assert_eq!(
        seen,
        BTreeSet::from([team.to_owned()]),
        "{}",
        path.display()
    );
}

/// Where `words` begin; the first byte is looked for first, which is quick.
fn find(bytes: &[u8], words: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|byte| *byte == words[0]) {
        at += step;
        if bytes[at..].starts_with(words) {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn shares() {
    let scratch = teams(5);
    batch(&scratch, &[]).ok();
    let whole = index(&scratch, "out/packages.json");
    std::fs::create_dir(scratch.join("shared")).unwrap();
    let mut all = Vec::new();
    for number in 1..=16 {
        let share = format!("{number}/16");
        batch(
            &scratch,
            &["--shard", &share, "--outdir", "shared", "--quiet"],
        )
        .ok();
        let name = format!("shared/packages-{number}-of-16.json");
        let own = index(&scratch, &name);
        let own = own["packages"].as_array().unwrap();
        assert!(own.len() <= 2, "25 by 16");
        all.extend(own.iter().cloned());
        std::fs::remove_file(scratch.join(name)).unwrap();
    }
    let whole = whole["packages"].as_array().unwrap();
    assert_eq!(all.len(), whole.len());
    assert!(whole.iter().all(|package| all.contains(package)));
    let made = scratch.state("out").without("packages.json");
    made.unchanged(&scratch.state("shared"));
    // More shares than installers: some are empty.
    batch(&scratch, &["--shard", "30/30", "--outdir", "shared"]).ok();
    let last = index(&scratch, "shared/packages-30-of-30.json");
    assert_eq!(last["packages"].as_array().unwrap().len(), 0);
}

fn secrets() {
    let scratch = ground(
        "[[installer]]\nteam = 'file'\n\
         [[installer]]\nteam = 'variable'\nenroll-secret-variable = 'OF_ONE_TEAM'\n\
         [[installer]]\nteam = 'command'\n\
         enroll-secret-command = ['sh', '-c', 'cat \"secrets/other$OF_ONE_TEAM\"']\n",
    );
    scratch.write("secrets/file", format!("{SECRET}file.\n"));
    scratch.write("secrets/other", format!("{SECRET}command.\r\n"));
    // The command, which would print another file, does not get it.
    let run = batch(&scratch, &["--quiet"]).env("OF_ONE_TEAM", format!("{SECRET}variable."));
    // That of a single installer is nobody's.
    let ran = run
        .env("FLEETPACK_ENROLL_SECRET", format!("{SECRET}nobody."))
        .ok();
    assert_eq!(ran.stderr, "");
    ran.never_says(SECRET);
    for team in ["file", "variable", "command"] {
        for name in scratch.state(&format!("out/{team}")).names() {
            own_secret_alone(&scratch.join("out").join(team).join(name), team);
        }
    }
    assert!(!scratch.text("out/packages.json").contains(SECRET));
}

fn provenance() {
    let scratch = teams(2);
    let words = ["--checksums", "--sbom", "--statement"];
    batch(&scratch, &words).ok().never_says(SECRET);
    let mut sums = String::new();
    for share in ["1/2", "2/2"] {
        let words = [&words[..], &["--outdir", "shares", "--shard", share]].concat();
        std::fs::create_dir_all(scratch.join("shares")).unwrap();
        batch(&scratch, &words).ok();
        let share = share.replace('/', "-of-");
        sums.push_str(&scratch.text(&format!("shares/SHA256SUMS-{share}")));
    }
    for team in ["t0", "t1"] {
        let made = scratch.state(&format!("out/{team}"));
        assert_eq!(made.names().count(), 15);
        made.unchanged(&scratch.state(&format!("shares/{team}")));
        let alone = alone(&scratch, team, "all");
        std::fs::create_dir_all(scratch.join("alone")).unwrap();
        let alone = words.iter().fold(alone, |run, word| run.arg(word));
        alone.ok();
        scratch
            .state("alone")
            .without("SHA256SUMS")
            .unchanged(&made);
        for name in made.names() {
            let text = scratch.read(&format!("out/{team}/{}", name.display()));
            let is_document = name.extension().is_some_and(|end| end == "json");
            assert!(
                !is_document || find(&text, SECRET.as_bytes()).is_none(),
                "{name:?}"
            );
        }
        std::fs::remove_dir_all(scratch.join("alone")).unwrap();
    }
    let ran = scratch.tool("sha256sum", ["--check", "--strict", "SHA256SUMS"]);
    let ran = ran.within("out").ok();
    assert_eq!(ran.text().matches(": OK").count(), 10);
    let mut sums: Vec<&str> = sums.lines().collect();
    sums.sort_by_key(|line| line.split_once("  ").map(|(_, name)| name));
    assert_eq!(
        sums,
        scratch.text("out/SHA256SUMS").lines().collect::<Vec<_>>()
    );
}

fn names() {
    let scratch = ground(
        "[[installer]]\nteam = 'a'\ntype = ['deb', 'rpm']\narch = ['amd64', 'arm64']\n\
         outname = '{team}-{arch}.{type}'\n[[installer]]\nteam = 'b'\ntype = 'deb'\n",
    );
    scratch.write("secrets/a", "made-up-secret-of-a");
    scratch.write("secrets/b", "short");
    let ran = batch(&scratch, &[]).ok();
    ran.says("warning: the enroll secret has 5 characters")
        .says("(b)");
    ran.says("[5/5] ").says("5 installers, ");
    assert_eq!(
        ran.text(),
        "out/a-amd64.deb\nout/a-arm64.deb\nout/a-amd64.rpm\nout/a-arm64.rpm\n\
         out/b/fleet-osquery_1.0.0_amd64.deb\n"
    );
    let index = index(&scratch, "out/packages.json");
    assert_eq!(index["packages"][1]["name"], "a-arm64.deb");
    assert_eq!(
        index["packages"][4]["name"],
        "b/fleet-osquery_1.0.0_amd64.deb"
    );
}

/// Nothing but the sentence, with the line, and nothing made.
#[track_caller]
fn refused(scratch: &Scratch, more: &[&str], words: &str) -> Ran {
    let ran = batch(scratch, more).fails(2);
    ran.says(words);
    assert_eq!(scratch.state("out").names().count(), 0);
    ran
}

fn manifests() {
    let scratch = ground("");
    let cases = [
        ("", "line 1: there is no [[installer]]"),
        (
            "[[installer]]\nteam = 'a'\n[[installer]]\nteam = 'a'\n",
            "line 12: the team `a` is there already, in line 10",
        ),
        (
            "[[installer]]\nteam = 'a'\ncolour = 'red'\n",
            "line 11: `colour` is no setting",
        ),
        (
            "[[installer]]\nteam = 'a'\nenroll-secret = 'x'\n",
            "line 11: a manifest holds no secrets",
        ),
        (
            "[[installer]]\nteam = 'a'\ntype = 'exe'\n",
            "line 11: for the team `a`, invalid value 'exe'",
        ),
        (
            "[[installer]]\nteam = 'a'\ntype = 'pkg'\narch = 'arm64'\n",
            "line 10: `a`: --arch does not go with pkg",
        ),
        ("[[installer]]\nteam = 'a\n", "line 10: "),
    ];
    for (tables, words) in cases {
        let text = match tables {
            "" => String::new(),
            tables => format!("{DEFAULTS}{tables}"),
        };
        scratch.write("teams.toml", text);
        refused(&scratch, &[], words).says("cannot follow the manifest teams.toml");
    }
    let both = "[[installer]]\nteam = 'a'\n[[installer]]\nteam = 'b'\n";
    let text = format!("{DEFAULTS}outname = 'x-{{type}}.{{type}}'\n{both}");
    scratch.write("teams.toml", text);
    scratch.write("secrets/a", "made-up-secret-of-a");
    scratch.write("secrets/b", "made-up-secret-of-b");
    let words = "two installers (a deb amd64 and b deb amd64) would be called x-deb.deb";
    refused(&scratch, &[], words);
    // Also where another share would make the other one.
    for shard in ["1/10", "6/10", "10/10"] {
        refused(&scratch, &["--shard", shard], words);
    }
    for shard in ["0/4", "5/4", "4", "a/b"] {
        refused(&scratch, &["--shard", shard], "for '--shard <K/N>'");
    }
    refused(&scratch, &["--jobs", "0"], "for '--jobs <N>'");
    std::fs::remove_file(scratch.join("teams.toml")).unwrap();
    refused(&scratch, &[], "teams.toml does not exist");
}

fn flags() {
    let scratch = teams(1);
    let ran = refused(
        &scratch,
        &["--fleet-url", "https://x.example.com"],
        "--fleet-url does not go with --manifest",
    );
    ran.says("hint: write it into the manifest, below [defaults]: fleet-url = …");
    refused(
        &scratch,
        &["--debug"],
        "--debug does not go with --manifest",
    );
    refused(
        &scratch,
        &["--type", "deb"],
        "--type does not go with --manifest",
    );
    let ran = refused(
        &scratch,
        &["--native-tooling"],
        "--native-tooling does not go with --manifest",
    );
    ran.never_says("hint");
    let ran = scratch
        .fleetpack(["package", "--type=deb", "--shard=1/2"])
        .fails(2);
    ran.says("--manifest <FILE>");
}

fn some_fail() {
    let scratch = ground(
        "[[installer]]\nteam = 'well'\n\
         [[installer]]\nteam = 'no-file'\n\
         [[installer]]\nteam = 'empty'\n\
         [[installer]]\nteam = 'no-variable'\nenroll-secret-variable = 'NOT_SET'\n\
         [[installer]]\nteam = 'command'\nenroll-secret-command = ['false', 'made-up']\n\
         [[installer]]\nteam = 'flag'\ntype = ['deb', 'rpm']\ndisable-keystore = true\n\
         [[installer]]\nteam = 'address'\nfleet-url = 'nowhere'\n\
         [[installer]]\nteam = 'channel'\norbit-channel = 'edge'\ntype = 'deb'\n\
         [[installer]]\nteam = 'elsewhere'\nupdate-url = 'missing'\ntype = 'deb'\n",
    );
    for team in ["well", "flag", "address", "channel", "elsewhere"] {
        scratch.write(&format!("secrets/{team}"), format!("{SECRET}{team}."));
    }
    scratch.write("secrets/empty", "\n");
    let ran = batch(&scratch, &[]).fails(1);
    for words in [
        "failed: no-file (deb amd64, rpm amd64, pkg, msi amd64, pkg.tar.zst amd64): secrets/no-file does not exist",
        "the enroll secret in secrets/empty is empty",
        "the variable NOT_SET with the enroll secret is not set",
        "`false` gave no enroll secret: exit status: 1",
        "failed: flag (deb amd64, rpm amd64): --disable-keystore does not go with --type deb,rpm",
        "--fleet-url: `nowhere`",
        "failed: channel (deb amd64): the repository at q/updates/repository has no target orbit/linux/edge/orbit",
        "failed: elsewhere (deb amd64): ",
        "error: 29 of 34 installers could not be made",
    ] {
        ran.says(words);
    }
    ran.never_says(SECRET);
    let index = index(&scratch, "out/packages.json");
    assert_eq!(index["packages"].as_array().unwrap().len(), 5);
    assert_eq!(index["failures"].as_array().unwrap().len(), 8);
    let made: Vec<_> = scratch.state("out").names().map(Path::to_owned).collect();
    assert_eq!(made.len(), 1 + 1 + 5, "{made:?}");
}

fn expired() {
    let scratch = ground(
        "[[installer]]\nteam = 'fresh'\n[[installer]]\nteam = 'stale'\n\
         update-url = 'old/updates/repository'\n\
         update-roots = '@old/updates/repository/root.json'\n",
    );
    let old = scratch.fleetpack(["quickstart", "--dir", "old"]);
    old.at("2024-01-01 00:00:00").ok();
    for team in ["fresh", "stale"] {
        scratch.write(&format!("secrets/{team}"), format!("{SECRET}{team}."));
    }
    let ran = batch(&scratch, &[]).fails(1);
    ran.says("failed: stale (")
        .says("timestamp.json")
        .says("expired");
    ran.says("error: 5 of 10 installers could not be made");
    assert_eq!(scratch.state("out/fresh").names().count(), 5);
    assert_eq!(scratch.state("out/stale").names().count(), 0);
}

fn full_disk() {
    let scratch = teams(4);
    let mount = Mount::tmpfs(scratch.join("out"), "1300k");
    let ran = batch(&scratch, &[]).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says("No space left on device");
    // Whatever has a name is whole.
    let mut whole = 0;
    for team in ["t0", "t1", "t2", "t3"] {
        for name in scratch.state(&format!("out/{team}")).names() {
            own_secret_alone(&scratch.join("out").join(team).join(name), team);
            whole += 1;
        }
    }
    assert!((1..20).contains(&whole), "{whole}");
    drop(mount);
}

fn terminal() {
    let scratch = teams(2);
    let command = format!(
        "{} package --manifest teams.toml --outdir out",
        env!("CARGO_BIN_EXE_fleetpack")
    );
    let ran = scratch
        .tool(
            "script",
            ["--quiet", "--return", "--command", &command, "/dev/null"],
        )
        .env("TERM", "xterm")
        .ok();
    ran.prints("10/10").prints("10 installers, ");
    assert!(!ran.text().contains("[10/10]"), "{ran}");
}
