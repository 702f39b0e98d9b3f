//! The README, followed word by word: every command in it is run here, or by whom else it is
//! run is said here.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;

use crate::harness::server::{Server, free_port};
use crate::harness::{Scratch, trial, trial_needing};

const README: &str = include_str!("../README.md");

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("readme/every_block_is_known", every_block_is_known),
        trial_needing(
            "readme/self_hosting",
            &["bash", "curl", "python3", "nginx", "dpkg-deb"],
            self_hosting,
        ),
    ]
}

/// What is done with a block of the README.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// Part of the walk, run in one shell from top to bottom.
    Walk,
    /// A web server in the walk: runs until the walk ends.
    Serve,
    /// nginx' settings.
    Nginx,
    /// The file with the passphrase, for cron.
    Passphrase,
    /// A line for cron.
    Cron,
    /// Who does it is said in [`ELSEWHERE`].
    Elsewhere,
    /// An explanation.
    Picture,
}

/// A command that the walk does not run, and where it is run, or what it comes down to (`dpkg` for
/// `apt`, `rpm` for `dnf`): the file and words in it.
const ELSEWHERE: [(&str, &str, &str); 9] = [
    (
        "cargo run --release -- quickstart",
        ".ci/run",
        "cargo run --release --manifest-path \"$root/Cargo.toml\" -- quickstart",
    ),
    (
        "cargo test",
        ".ci/run",
        "run test cargo test --all-features",
    ),
    (
        "sudo tar -xzf fleetpack-x86_64-unknown-linux-musl.tar.gz -C /usr/local/bin fleetpack",
        "tests/static_programs.rs",
        "\"-xzf\"",
    ),
    (
        "sudo apt install ./fleetpack_0.1.0_amd64.deb",
        "tests/static_programs.rs",
        "long_static/own_packages",
    ),
    (
        "sudo dnf install ./fleetpack-0.1.0.x86_64.rpm",
        "tests/static_programs.rs",
        "long_static/own_packages",
    ),
    (
        "cargo install --path .",
        "ci/fresh",
        "\"cargo install --path .; cd; fleetpack --version\"",
    ),
    (
        "sudo apt install ./fleet-osquery_1.2.3_amd64.deb",
        "tests/harness/linux_cells.rs",
        "dpkg",
    ),
    (
        "cargo run --release -p bench",
        "docs/benchmarks.md",
        "cargo run --release -p bench",
    ),
    (
        "cargo install --path . --features pkcs11,macos-signing",
        ".ci/run",
        "--all-features",
    ),
];

fn blocks() -> Vec<(Use, &'static str)> {
    let mut parts = README.split("```");
    let mut found = Vec::new();
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap();
        let used = match (language, text.split_whitespace().next()) {
            ("text", _) => Use::Picture,
            ("nginx", _) => Use::Nginx,
            ("ini", _) => Use::Passphrase,
            ("cron", _) => Use::Cron,
            ("sh", Some("cargo" | "sudo")) => Use::Elsewhere,
            ("sh", Some("python3")) => Use::Serve,
            ("sh", Some("export" | "mkdir" | "fleetpack")) => Use::Walk,
            unknown => panic!("nobody runs this block: {unknown:?}\n{text}"),
        };
        found.push((used, text));
    }
    found
}

fn every_block_is_known() {
    let blocks = blocks();
    for (used, least) in [
        (Use::Walk, 5),
        (Use::Serve, 1),
        (Use::Nginx, 1),
        (Use::Passphrase, 1),
        (Use::Cron, 1),
    ] {
        let count = blocks.iter().filter(|(u, _)| *u == used).count();
        assert!(count >= least, "{count} blocks of {used:?}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (line, file, words) in ELSEWHERE {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(README.contains(line), "the README does not say: {line}");
        assert!(text.contains(words), "{file} does not: {words}");
    }
    for (_, text) in blocks.iter().filter(|(used, _)| *used == Use::Elsewhere) {
        for line in text.lines() {
            let known = ELSEWHERE.iter().any(|(known, ..)| *known == line);
            assert!(known, "nobody runs: {line}");
        }
    }
}

/// One shell follows the walk; the port is a free one, and the programs are stand-ins.
fn self_hosting() {
    let scratch = Scratch::new();
    for name in ["orbit", "osqueryd"] {
        scratch.write_program(name, "#!/bin/sh\nexit 0\n");
    }
    let fleetpack = scratch.join("bin");
    std::fs::create_dir(&fleetpack).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_fleetpack"));
    std::os::unix::fs::symlink(program, fleetpack.join("fleetpack")).unwrap();
    let path = format!("{}:{}", fleetpack.display(), crate::harness::tools::PATH);

    let script = walk(free_port());
    scratch
        .tool("bash", ["-euxc", &script])
        .env("PATH", &path)
        .ok();
    let installer = installer_of(&script);
    let shown = scratch.tool("dpkg-deb", ["--info", &installer]).ok();
    shown.prints("fleet-osquery");

    let served = scratch.join("updates/repository");
    for (_, text) in blocks().iter().filter(|(used, _)| *used == Use::Nginx) {
        let root = PathBuf::from("/srv/fleet/updates/repository");
        assert!(text.contains(root.to_str().unwrap()));
        let text = text.replace(root.to_str().unwrap(), served.to_str().unwrap());
        let server = Server::nginx_with(&scratch, &text);
        let package = package_command().replace("http://127.0.0.1:8085", &server.url);
        scratch
            .tool("bash", ["-euxc", &package])
            .env("FLEETPACK_ENROLL_SECRET", "made-up")
            .env("PATH", &path)
            .ok();
    }
    for (_, text) in blocks().iter().filter(|(used, _)| *used == Use::Passphrase) {
        scratch.write("timestamp.env", text);
    }
    for (_, text) in blocks().iter().filter(|(used, _)| *used == Use::Cron) {
        by_cron(&scratch, text);
    }
    other_types(&scratch, &path);
}

/// The walk as one script. The server is ended by its process id.
fn walk(port: u16) -> String {
    let mut script = String::new();
    for (used, text) in blocks() {
        match used {
            Use::Walk => script += text,
            Use::Serve => {
                script += &format!(
                    "{} & server=$!\ntrap 'kill $server' EXIT\n\
                     until curl -s http://127.0.0.1:8085/ >/dev/null; do sleep 0.1; done\n",
                    text.trim_end()
                );
            }
            _ => {}
        }
    }
    script.replace("8085", &port.to_string())
}

fn package_command() -> &'static str {
    let (_, text) = blocks()
        .into_iter()
        .rfind(|(used, text)| *used == Use::Walk && text.contains("fleetpack package"))
        .unwrap();
    &text[text.find("fleetpack package").unwrap()..]
}

/// The file that the README installs next is the one that was made.
fn installer_of(script: &str) -> String {
    assert!(script.contains("fleetpack package --type deb"));
    let (_, rest) = README.rsplit_once("apt install ./").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The other types that the README names: those it makes of the same programs, and those that it
/// says need others.
fn other_types(scratch: &Scratch, path: &str) {
    let others = "rpm,pkg.tar.zst";
    assert!(README.contains(&format!(
        "`--type {others}` makes those of the same programs"
    )));
    assert!(README.contains("`pkg` and `msi` need programs for macOS and\nWindows"));
    let package = |kinds: &str| {
        let command = package_command()
            .replace("--type deb", &format!("--type {kinds}"))
            .replace(
                "--update-url http://127.0.0.1:8085",
                "--update-url updates/repository --agent-update-url https://updates.example.org",
            );
        scratch
            .tool("bash", ["-euxc", &command])
            .env("FLEETPACK_ENROLL_SECRET", "made-up")
            .env("PATH", path)
    };
    package(others).ok();
    for (kind, missing) in [("pkg", "macos"), ("msi", "windows")] {
        package(kind).fails(1).says(missing);
    }
}

/// The command of a crontab line, by cron's shell and with what cron gives a command: a short search
/// path and no passphrase. The program lies where the README installs it.
fn by_cron(scratch: &Scratch, line: &str) {
    let mut rest = line.trim();
    for _ in 0..6 {
        rest = rest.split_once(char::is_whitespace).unwrap().1.trim_start();
    }
    let mut command = rest.to_owned();
    let folder = scratch.join("updates");
    let settings = scratch.join("timestamp.env");
    let installed = "/usr/local/bin/fleetpack";
    let (place, name) = installed.rsplit_once('/').unwrap();
    assert!(README.contains(&format!(" -C {place} {name}\n")));
    for (written, here) in [
        (installed, Path::new(env!("CARGO_BIN_EXE_fleetpack"))),
        ("/etc/fleetpack/timestamp.env", &settings),
        ("/srv/fleet/updates", &folder),
    ] {
        assert_eq!(command.matches(written).count(), 1, "{line}");
        command = command.replace(written, here.to_str().unwrap());
    }
    let before = scratch.read("updates/repository/timestamp.json");
    scratch
        .tool("/bin/sh", ["-c", &command])
        .env("PATH", "/usr/bin:/bin")
        .ok();
    assert_ne!(before, scratch.read("updates/repository/timestamp.json"));
}
