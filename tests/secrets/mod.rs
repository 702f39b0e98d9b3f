//! Known secrets are looked for wherever they could have got to: output, verbose logs, command
//! lines of children, temporary folders, caches, memory images, and files that others can read.

mod ground;
mod table;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::harness::faults::{Answer, FaultServer};
use crate::harness::scratch::Ran;
use crate::harness::{Scratch, trial, trial_needing, unpacked};
use ground::{Ground, SECRET};
use table::{CASES, Case};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "secrets/nowhere",
            &["strace", "openssl", "gpg", "gpgconf", "grep", "timeout"],
            nowhere,
        ),
        trial("secrets/every_command_is_looked_at", every_command),
        trial("secrets/no_memory_image", no_memory_image),
        trial("secrets/ways_in", ways_in),
        trial("secrets/short_one", short_one),
    ]
}

/// Every command that clap knows is in the table, and every variable whose value it hides.
fn every_command() {
    let mut missing = Vec::new();
    let mut variables = BTreeSet::new();
    walk(&fleetpack::cli::definitions(), "", &mut |path, command| {
        let words = format!("{path} ");
        let there = |case: &Case| format!("{} ", case.words).starts_with(&words);
        let alone = !command.has_subcommands() || !command.is_subcommand_required_set();
        if alone && !path.is_empty() && !CASES.iter().any(there) {
            missing.push(path.to_owned());
        }
        for argument in command.get_arguments() {
            let secret = argument.is_hide_env_values_set();
            let name = argument.get_env().filter(|_| secret);
            variables.extend(name.map(|name| name.to_str().unwrap().to_owned()));
        }
    });
    assert_eq!(missing, [""; 0], "not in the table of commands");
    assert!(variables.len() >= 3, "{variables:?}");
    let given = |name: &str| {
        CASES
            .iter()
            .any(|case| case.variables.iter().any(|v| v.0 == name))
    };
    variables.retain(|name| !given(name));
    assert_eq!(
        variables,
        BTreeSet::new(),
        "given to no command of the table"
    );
}

/// Shows a command and all below it, with the words that lead there.
pub fn walk(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
    visit(path, command);
    for one in command.get_subcommands() {
        walk(one, format!("{path} {}", one.get_name()).trim(), visit);
    }
}

fn nowhere() {
    let ground = Ground::new();
    let scratch = &ground.scratch;
    let mut commands = 0;
    for case in CASES {
        if let Some(line) = case.words.strip_prefix("= ") {
            scratch.tool("sh", ["-e", "-c", line]).ok();
            continue;
        }
        let before = ground.secrets();
        let ran = traced(&ground, case);
        ground.note(&ran);
        let (words, calls) = (case.words, scratch.text("calls"));
        assert_eq!(ran.code, Some(case.code), "{words}: {ran}");
        // Keys that the command made or replaced are secrets, and so are those that it had.
        let mut secrets: BTreeSet<String> = ground.secrets().into_iter().chain(before).collect();
        let shown = case.shows && secrets.remove(SECRET);
        assert!(
            !shown || ran.text().contains(SECRET),
            "{words} shows nothing"
        );
        for secret in &secrets {
            ran.never_says(secret);
            // What was typed is in our own command line.
            let mut others = calls.lines().filter(|line| !line.contains("--verbose"));
            assert!(
                !others.any(|line| line.contains(secret)),
                "{words}: {calls}"
            );
        }
        let own = 1 + usize::from(words.starts_with("updates serve"));
        let programs = calls.lines().filter(|line| started(line)).count();
        assert_eq!(programs, own + case.starts, "{words}: {calls}");
        temporary(scratch, words, &calls);
        let undumpable = calls.contains("PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0");
        assert!(undumpable || case.code == 2, "{words}: {calls}");
        commands += 1;
    }
    let secrets = ground.secrets();
    assert!(
        secrets.len() > 20,
        "only {} secrets are known",
        secrets.len()
    );
    let files = search(scratch, &secrets);
    let (entries, installers) = search_packed(&ground, &secrets);
    eprintln!(
        "{commands} commands, {} secrets, {files} files, unpacked {entries} entries of the cache \
         and {installers} installers",
        secrets.len()
    );
}

/// Looks into what lies compressed: entries of the cache hold no secret, and installers those
/// alone that hosts need. Answers how many there are of each.
fn search_packed(ground: &Ground, secrets: &[String]) -> (usize, usize) {
    let elsewhere = Scratch::new();
    for folder in ["entries", "installers"] {
        std::fs::create_dir(elsewhere.join(folder)).unwrap();
    }
    let (mut entries, mut installers) = (0, 0);
    let mut codecs = BTreeSet::new();
    for path in unpacked::files(ground.scratch.path()) {
        if let Some(entry) = unpacked::entry(&std::fs::read(&path).unwrap()) {
            entries += 1;
            elsewhere.write(&format!("entries/{entries}"), entry.bytes);
            codecs.extend(entry.codec);
        } else if let Some(bytes) = unpacked::installer(&path) {
            installers += 1;
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            elsewhere.write(&format!("installers/{installers}-{name}"), bytes);
        }
    }
    let holders = |folder: &str, words: &[String]| {
        let list = elsewhere.write("words", words.join("\n"));
        let grep = elsewhere.tool("grep", ["-rlaF", "-f"]).arg(list);
        grep.arg(folder).run().text().to_owned()
    };
    assert_eq!(Vec::from_iter(codecs), ["gzip", "mszip", "zstd"]);
    assert_eq!(holders("entries", secrets), "", "a secret is in the cache");
    assert_eq!(holders("installers", &ground.never_packed()), "");
    // What is looked for would be found.
    assert_ne!(holders("entries", &["59999".to_owned()]), "");
    assert_ne!(holders("installers", &[SECRET.to_owned()]), "");
    (entries, installers)
}

/// Whether a call started another program, and not in vain.
fn started(call: &str) -> bool {
    call.contains("execve") && call.trim_end().ends_with("= 0")
}

/// Runs a command, every start of a program and every file that is made written down.
fn traced(ground: &Ground, case: &Case) -> Ran {
    let strace = "-f -qq -o calls -s 4096 -e trace=execve,openat,open,creat,prctl";
    let mut run = ground.scratch.tool("strace", strace.split_whitespace());
    if case.words.starts_with("updates serve") {
        run = run.args("timeout --preserve-status -s TERM 3".split_whitespace());
    }
    run = run.arg(env!("CARGO_BIN_EXE_fleetpack")).arg("--verbose");
    let words = ground.words(case.words);
    run = words.iter().fold(run, |run, word| run.arg(word));
    ground.variables(run, case).run()
}

/// What gets a name in the folder for temporary files is for its owner alone from the beginning.
fn temporary(scratch: &Scratch, words: &str, calls: &str) {
    let folder = format!("\"{}/", scratch.join("tmp").display());
    for line in calls.lines().filter(|line| line.contains(&folder)) {
        let made = line.contains("O_CREAT") && !line.contains(" = -1 ");
        assert!(!made || line.contains(", 0600)"), "{words}: {line}");
    }
    let left = scratch.state("tmp");
    assert_eq!(left.names().count(), 0, "{words} left {left:?}");
}

/// Looks into every file of the scratch folder, where home, caches and `TMPDIR` are too. What the
/// program made is for its owner alone when it holds a secret, packed or not.
fn search(scratch: &Scratch, secrets: &[String]) -> usize {
    let elsewhere = Scratch::new();
    let list = elsewhere.write("secrets", secrets.join("\n"));
    let grep = scratch
        .tool("grep", ["-rlaF", "-f"])
        .arg(list)
        .arg(".")
        .ok();
    let mut found: Vec<PathBuf> = grep.text().lines().map(PathBuf::from).collect();
    assert!(
        found.contains(&PathBuf::from("./secret")),
        "grep finds nothing"
    );
    let given = [
        "secret",
        "tls.key",
        "api.p8",
        "code.key",
        "leaf.key",
        "identity.pem",
        "secret-of-a-file",
        "secret-of-a-command",
        "secret-of-a-profile",
    ];
    found.retain(|path| !given.iter().any(|name| path == &Path::new(".").join(name)));
    for path in found {
        let shown = path.display().to_string();
        let holder = ["./plain/keys/", "./qs/passphrases.env"];
        let holder = holder.iter().any(|name| shown.starts_with(name));
        // What lies beside installers, such as statements, is for everybody.
        let installer = shown.starts_with("./out/") && is_installer(&shown);
        assert!(holder || installer, "{shown} holds a secret");
    }
    modes(scratch.path())
}

/// Whether it is what hosts are given, by the end of its name.
fn is_installer(name: &str) -> bool {
    let mut extensions = [
        ".deb",
        ".rpm",
        ".pkg",
        ".zst",
        ".msi",
        ".intunewin",
        ".mobileconfig",
    ]
    .iter();
    extensions.any(|extension| name.ends_with(extension))
}

/// Modes of what the program made; answers how many files there are.
fn modes(folder: &Path) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files += modes(&path);
            continue;
        }
        files += 1;
        let shown = path.display().to_string();
        let mode = path.symlink_metadata().unwrap().permissions().mode();
        let made = shown.contains("/out/") || shown.contains("/qs/installers/");
        let installer = made && is_installer(&shown);
        let key =
            shown.contains("/keys/") && !shown.contains("/upstreams/") && !shown.contains("/work-");
        let ours =
            key || installer || shown.ends_with("cache.key") || shown.ends_with("passphrases.env");
        assert!(!ours || mode & 0o077 == 0, "{shown} has mode {mode:o}");
    }
    files
}

/// A repository with the programs of a Linux host, for the trials that want nothing else.
fn linux_repository() -> Ground {
    let ground = Ground::plain();
    let add = "updates add --path repo --target new --platform linux --version 1 -t stable --name";
    for words in [
        "updates init --path repo",
        &format!("{add} orbit"),
        &format!("{add} osqueryd"),
    ] {
        let run = ground.scratch.fleetpack(words.split_whitespace());
        ground.variables(run, &CASES[0]).ok();
    }
    ground
}

/// A crash in the middle of it leaves no core file, whatever the limit was.
fn no_memory_image() {
    let ground = linux_repository();
    let scratch = &ground.scratch;
    let server = FaultServer::new(&scratch.join("repo/repository"));
    server.order("/timestamp.json", Answer::Silent);
    let words = "package --type deb --update-roots=@repo/repository/1.root.json --disable-updates \
        --fleet-url=https://fleet.example.com --enroll-secret-file=secret";
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let line = format!(
        "ulimit -c unlimited; exec {program} {words} --update-url={}",
        server.url
    );
    let mut child = scratch
        .program(Path::new("/bin/bash"), ["-c", &line])
        .spawn();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !server
        .requests()
        .iter()
        .any(|r| r.path == "/timestamp.json")
    {
        assert!(Instant::now() < deadline, "it never asked");
        std::thread::sleep(Duration::from_millis(20));
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    // SIGQUIT is ignored by whatever a shell started in the background.
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).unwrap();
    let status = child.wait().unwrap();
    assert!(
        !status.core_dumped() && status.code().is_none(),
        "{status:?}"
    );
    let image = scratch
        .state("")
        .names()
        .any(|name| name.to_string_lossy().starts_with("core"));
    assert!(!image, "a core file was written");
}

/// By argument, file, standard input and variable the same installer comes out.
fn ways_in() {
    let ground = linux_repository();
    let scratch = &ground.scratch;
    let package = |name: &str| {
        let words = "package --type deb --update-url=repo/repository --disable-updates \
            --update-roots=@repo/repository/1.root.json --fleet-url=https://fleet.example.com";
        scratch
            .fleetpack(words.split_whitespace())
            .arg(format!("--outfile={name}.deb"))
            .env("SOURCE_DATE_EPOCH", "1700000000")
    };
    scratch.write("secret-line", format!("{SECRET}\n"));
    package("argument")
        .arg(format!("--enroll-secret={SECRET}"))
        .ok();
    package("file").arg("--enroll-secret-file=secret-line").ok();
    package("input")
        .arg("--enroll-secret-file=-")
        .input(SECRET)
        .ok();
    package("variable")
        .env("FLEETPACK_ENROLL_SECRET", SECRET)
        .ok();
    let first = scratch.read("argument.deb");
    for name in ["file", "input", "variable"] {
        assert!(first == scratch.read(&format!("{name}.deb")), "{name}");
    }
}

/// Others can see a digest of it in some formats.
fn short_one() {
    let ground = linux_repository();
    let scratch = &ground.scratch;
    for (secret, warned) in [("fifteen-letters", true), ("sixteen-letters!", false)] {
        let words = "package --type rpm --update-url=repo/repository --disable-updates --outdir out \
            --update-roots=@repo/repository/1.root.json --fleet-url=https://fleet.example.com";
        let ran = scratch
            .fleetpack(words.split_whitespace())
            .env("FLEETPACK_ENROLL_SECRET", secret)
            .ok();
        assert_eq!(
            ran.stderr
                .contains("warning: the enroll secret has 15 characters"),
            warned,
            "{ran}"
        );
        ran.never_says(secret);
    }
}
