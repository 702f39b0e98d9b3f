//! What all commands have in common: `--json`, `--quiet`, `--verbose`, colours, progress, and
//! good manners towards pipes and terminals of any size.

use std::path::Path;

use clap::Command;
use libtest_mimic::Trial;

use crate::harness::schema::conforms;
use crate::harness::scratch::Ran;
use crate::harness::{Scratch, trial, trial_needing};
use crate::updates::updates;

/// All trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("json/every_command", every_command),
        trial("json/every_schema_is_held_against_something", every_schema),
        trial("json/package", package),
        trial("json/publish_and_pull", publish_and_pull),
        trial("json/small_ones", small_ones),
        trial("json/keys_and_signatures", keys_and_signatures),
        trial("help/every_command_has_examples", examples),
        trial("help/examples_fit_and_can_be_copied", examples_fit),
        trial("help/is_a_command_too", help_command),
        trial("help/exit_codes_are_at_the_end", exit_codes),
        trial("help/flags_stand_under_headings", headings),
        trial_needing("json/serve", &["sh"], serve),
        trial("verbose/phases_and_steps", verbose),
        trial_needing("verbose/updates", &["bash"], verbose_updates),
        trial("quiet/results_alone", quiet),
        trial_needing("colours/on_a_terminal_alone", &["script"], colours),
        trial_needing("progress/bars_on_a_terminal", &["script"], bars),
        trial_needing("pipes/closed_early", &["bash"], closed_early),
        trial_needing("terminal/twenty_columns", &["script"], narrow),
        trial("misspelt/commands_flags_values", misspelt),
    ]
}

/// Commands whose schema has not their own name.
const SCHEMAS: &[(&str, &str)] = &[
    ("updates init", "updates-change"),
    ("updates rotate", "updates-change"),
    ("updates keys add", "updates-change"),
    ("updates keys revoke", "updates-change"),
    ("updates keys threshold", "updates-change"),
    ("updates keys passphrase", "updates-passphrase"),
    ("updates keys list", "updates-keys"),
    ("updates pending show", "updates-pending"),
    ("updates pending drop", "updates-pending"),
    ("updates consistent-snapshot", "updates-consistent-snapshot"),
];

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    let below: Vec<_> = command.get_subcommands().collect();
    if below.is_empty() {
        found.push((path.trim().to_owned(), command.clone()));
    }
    for one in below {
        leaves(one, &format!("{path} {}", one.get_name()), found);
    }
}

/// The words of each example of a command, up to what the shell does with its output.
fn example_lines(help: &str) -> Vec<Vec<String>> {
    let joined = help.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| line.contains("fleetpack "));
    let words = lines.map(|line| {
        let words = line.split_whitespace();
        let own = words.take_while(|word| !["|", ">", "&&"].contains(word));
        own.map(|word| word.trim_matches(['"', '\'']).to_owned())
            .collect()
    });
    words.collect()
}

fn examples() {
    let definitions = fleetpack::cli::definitions();
    let mut found = Vec::new();
    leaves(&definitions, "", &mut found);
    for path in ["", "updates keys", "updates pending"] {
        let mut words = path.split_whitespace();
        let command = words.try_fold(&definitions, |one, word| one.find_subcommand(word));
        found.push((path.to_owned(), command.unwrap().clone()));
    }
    for (path, command) in found {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        assert!(help.starts_with("Examples:\n"), "`{path}`: {help:?}");
        let lines = example_lines(&help);
        assert!(!lines.is_empty(), "`{path}`: {help}");
        for words in lines {
            let line = words.join(" ");
            assert!(line.starts_with(&format!("fleetpack {path}")), "{line}");
            let parsed = definitions.clone().try_get_matches_from(words);
            // Help that was asked for is no mistake.
            if let Some(error) = parsed.err().filter(clap::Error::use_stderr) {
                panic!("{line}\n{error}");
            }
        }
    }
    let updates = definitions.find_subcommand("updates").unwrap();
    let groups = updates.get_after_help().unwrap().to_string();
    let named = groups.split([' ', ',', '\n']).collect::<Vec<_>>();
    for command in updates.get_subcommands() {
        let name = command.get_name();
        assert!(named.contains(&name), "{name} is in no group");
    }
}

/// No line of what `--help` prints of its own is wider than a terminal, for a shell would take
/// what stands on the next line for another command.
fn examples_fit() {
    let scratch = Scratch::new();
    for path in commands() {
        let help = run(&scratch, &format!("{path} --help"));
        let Some((_, examples)) = help.text().split_once("Examples:\n") else {
            assert_eq!(path, "updates");
            continue;
        };
        let mut goes_on = false;
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            assert!(line.chars().count() <= 78, "`{path}`: {line}");
            let begins = line.starts_with("  fleetpack ");
            assert!(begins != goes_on, "`{path}`: {line}");
            // A bracket would be a pattern, and a semicolon an end, to a shell.
            let open = line
                .split('\'')
                .step_by(2)
                .any(|part| part.contains(['[', ';', '*', '?']));
            assert!(!open, "`{path}`: {line}");
            goes_on = line.ends_with(" \\");
        }
        assert!(!goes_on, "`{path}`: {}", help.text());
    }
}

/// As with `fleetctl`: `help COMMAND` is `COMMAND --help`, at every level.
fn help_command() {
    let scratch = Scratch::new();
    for (words, same) in [
        ("help", "--help"),
        ("help package", "package --help"),
        ("help updates keys add", "updates keys add --help"),
        ("updates help", "updates --help"),
        ("updates help add", "updates add --help"),
        ("updates keys help add", "updates keys add --help"),
        ("updates pending help drop", "updates pending drop --help"),
    ] {
        let helped = run(&scratch, words);
        assert_eq!(helped.text(), run(&scratch, same).text(), "{words}");
    }
    let misspelt = scratch.fleetpack(["help", "pakage"]).fails(2);
    misspelt.says("unrecognized subcommand 'pakage'");
}

fn exit_codes() {
    let scratch = Scratch::new();
    let help = run(&scratch, "--help");
    let (_, codes) = help.text().split_once("\nExit codes:\n").unwrap();
    let lines: Vec<_> = codes.lines().collect();
    assert_eq!(lines.len(), fleetpack::cli::manual::EXIT_CODES.len());
    for ((code, meaning), line) in fleetpack::cli::manual::EXIT_CODES.iter().zip(lines) {
        assert_eq!(line, format!("  {code}  {meaning}"));
    }
}

fn headings() {
    let scratch = Scratch::new();
    let add = run(&scratch, "updates add --help");
    let mut at = 0;
    for words in [
        "\nPlace:\n",
        "--path <",
        "--endpoint <",
        "\nSigning:\n",
        "--key <",
        "\nValidity:\n",
        "--targets-expires <",
        "\nOutput:\n",
        "--json",
        "\nGeneral:\n",
        "-q, --quiet",
        "--verbose",
        "\nExamples:\n",
    ] {
        let found = add.text()[at..].find(words);
        at += found.unwrap_or_else(|| panic!("no {words:?} after byte {at} of {}", add.text()));
    }
}

fn every_command() {
    let mut found = Vec::new();
    leaves(&fleetpack::cli::definitions(), "", &mut found);
    assert!(found.len() > 20, "{} commands", found.len());
    for (path, command) in found {
        let json = command
            .get_arguments()
            .any(|arg| arg.get_long() == Some("json"));
        assert!(json, "`{path}` has no --json");
        let other = SCHEMAS.iter().find(|(name, _)| *name == path);
        let schema = match other {
            Some((_, schema)) => (*schema).to_owned(),
            None => path.replace(' ', "-"),
        };
        let file = folder("docs/schema").join(format!("{schema}.json"));
        assert!(file.is_file(), "`{path}`: no {}", file.display());
    }
}

/// Each schema's name stands in a test, and each is JSON.
fn every_schema() {
    let mut tests = String::new();
    read_all(&folder("tests"), &mut tests);
    for entry in std::fs::read_dir(folder("docs/schema")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(schema["title"].is_string(), "{name} has no title");
        assert!(
            tests.contains(&format!("\"{name}\"")),
            "no test reads {name}"
        );
    }
}

fn read_all(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// A quickstart in `q`, and a folder for installers.
fn ground() -> Scratch {
    let scratch = Scratch::new();
    scratch
        .fleetpack(["quickstart", "--dir", "q", "--quiet"])
        .ok();
    std::fs::create_dir(scratch.join("out")).unwrap();
    scratch
}

const PACKAGE: &str = "package --update-url q/updates/repository \
    --agent-update-url https://updates.example.com --update-roots @q/updates/repository/root.json \
    --fleet-url https://fleet.example.com --enroll-secret made-up-for-this-test --outdir out";

fn run(scratch: &Scratch, words: &str) -> Ran {
    scratch.fleetpack(words.split_whitespace()).ok()
}

fn package() {
    let scratch = Scratch::new();
    let ran = run(&scratch, "quickstart --dir q --json");
    let made = conforms("quickstart.json", ran.text());
    assert_eq!(made["packages"].as_array().unwrap().len(), 9);
    std::fs::create_dir(scratch.join("out")).unwrap();
    let words = format!(
        "{PACKAGE} --type deb,msi --compression zstd --intunewin --checksums --sbom --json"
    );
    let ran = run(&scratch, &words);
    let made = conforms("package.json", ran.text());
    let (deb, msi) = (&made["packages"][0], &made["packages"][1]);
    for one in [deb, msi] {
        let path = one["path"].as_str().unwrap();
        let bytes = scratch.read(path);
        assert_eq!(one["size"], bytes.len());
        let sha256 = hex::encode(fleetpack::compress::sha256(&bytes));
        assert_eq!(one["sha256"], sha256);
    }
    assert_eq!(deb["components"][0]["name"], "orbit");
    assert_eq!(deb["components"][0]["version"], "1.0.0");
    assert_eq!(msi["left_out"][0], "--compression");
    assert_eq!(msi["files"].as_array().unwrap().len(), 2);
    for file in made["files"]
        .as_array()
        .unwrap()
        .iter()
        .chain(msi["files"].as_array().unwrap())
    {
        assert!(scratch.join(file.as_str().unwrap()).is_file(), "{file}");
    }
    conforms(
        "intune.json",
        &scratch.text("out/fleet-osquery.intune.json"),
    );
    assert!(!ran.text().contains("made-up-for-this-test"));

    scratch.write("secret.txt", "made-up-for-this-test");
    scratch.write("teams.toml", MANIFEST);
    let ran = run(
        &scratch,
        "package --manifest teams.toml --outdir out --json",
    );
    let made = conforms("packages.json", ran.text());
    assert_eq!(made["packages"].as_array().unwrap().len(), 1);
}

const MANIFEST: &str = r#"
[defaults]
type = ["deb"]
update-url = "q/updates/repository"
agent-update-url = "https://updates.example.com"
update-roots = "@q/updates/repository/root.json"
fleet-url = "https://fleet.example.com"

[[installer]]
team = "sales"
enroll-secret-file = "secret.txt"
"#;

fn publish_and_pull() {
    let scratch = ground();
    let publish = "updates publish --path q/updates --json published";
    let ran = run(&scratch, publish);
    let sent = conforms("updates-publish.json", ran.text());
    assert!(sent["bytes"].as_u64().unwrap() > 0);
    let written = sent["written"].as_array().unwrap();
    assert_eq!(written.last().unwrap(), "timestamp.json");
    let ran = run(&scratch, publish);
    assert_eq!(conforms("updates-publish.json", ran.text())["bytes"], 0);
    let ran = run(&scratch, "updates pull --path q/updates --json published");
    let pulled = conforms("updates-pull.json", ran.text());
    assert_eq!(pulled["taken_over"], false);
}

fn small_ones() {
    let scratch = ground();
    let ran = run(&scratch, "updates roots --path q/updates --json");
    let roots = conforms("updates-roots.json", ran.text());
    let plain = run(&scratch, "updates roots --path q/updates");
    assert_eq!(roots["root"], plain.text().trim_end());
    let ran = run(&scratch, "completions bash --json");
    let script = conforms("completions.json", ran.text());
    let plain = run(&scratch, "completions bash");
    assert_eq!(script["script"], plain.text().trim_end());
    let ran = run(&scratch, "man pages --json");
    let pages = conforms("man.json", ran.text());
    for page in pages["pages"].as_array().unwrap() {
        assert!(scratch.join(page.as_str().unwrap()).is_file(), "{page}");
    }
}

fn keys_and_signatures() {
    let scratch = Scratch::new();
    let run = |words: &str| updates(&scratch, words.split_whitespace());
    let change = |words: &str, code: i32| {
        let ran = run(&format!("{words} --path repo --json")).fails(code);
        conforms("updates-change.json", ran.text())
    };
    let made = change("init", 0);
    assert_eq!(made["generated"].as_array().unwrap().len(), 4);
    let added = change("keys add timestamp --new 1", 0);
    let id = added["generated"][0]["id"].as_str().unwrap();
    change("keys threshold timestamp 2", 0);
    assert_eq!(change("keys threshold timestamp 1", 0)["published"], true);
    let revoked = change(&format!("keys revoke timestamp {id}"), 0);
    assert_eq!(revoked["revoked"][0]["id"], id);
    // Without the root key changes wait; it signs from where it went.
    std::fs::create_dir_all(scratch.join("vault/keys")).unwrap();
    let root = scratch.join("vault/keys/root.json");
    std::fs::rename(scratch.join("repo/keys/root.json"), root).unwrap();
    let pinned = "repo/keys/pinned-root.json";
    let copy = scratch.join("vault/keys/pinned-root.json");
    std::fs::copy(scratch.join(pinned), copy).unwrap();
    let held = change("rotate timestamp", 5);
    assert_eq!(held["published"], false);
    let id = held["generated"][0]["id"].as_str().unwrap();
    run("payload root --path repo --out stick").ok();
    let signed = run(&format!("sign stick --path vault --json --allow-key {id}")).ok();
    let signed = conforms("updates-sign.json", signed.text());
    assert_eq!(signed["signed_by"].as_array().unwrap().len(), 1);
    let dropped = run("pending drop --path repo --json").ok();
    conforms("updates-pending.json", dropped.text());
    let shown = run("pending show --path repo --json").ok();
    let shown = conforms("updates-pending.json", shown.text());
    assert!(shown["what"].is_null(), "{shown}");
}

fn serve() {
    let scratch = ground();
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let script = format!(
        "{program} updates serve --path q/updates --listen 127.0.0.1:0 --json >said & pid=$!
         while ! grep -q '^}}' said; do sleep 0.05; done
         kill $pid; wait $pid"
    );
    scratch.tool("sh", ["-c", &script]).ok();
    let said = conforms("updates-serve.json", &scratch.text("said"));
    assert!(
        said["url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1:")
    );
}

fn verbose() {
    let scratch = ground();
    let ran = run(
        &scratch,
        &format!("{PACKAGE} --type deb --verbose --cache none"),
    );
    for words in [
        "verifying: ",
        "fetching: ",
        "building: ",
        "read out/fleet-osquery_1.0.0_amd64.deb: ",
        "compressed ",
        "took ",
        "sha256 ",
        "inside orbit 1.0.0 (stable), osqueryd 1.0.0 (stable)",
        "for https://fleet.example.com, updates from https://updates.example.com",
    ] {
        ran.says(words);
    }
    ran.never_says("made-up-for-this-test");
    assert_eq!(ran.stderr.matches("took ").count(), 1, "{}", ran.stderr);
    let plain = run(&scratch, &format!("{PACKAGE} --type deb --verbose=false"));
    plain.says("took ").never_says("verifying: ");
    let both = scratch
        .fleetpack(["quickstart", "--quiet", "--verbose"])
        .fails(2);
    both.says("cannot be used with");
}

/// Where the time of commands of a repository goes, each phase once in the line at the end.
fn verbose_updates() {
    let scratch = ground();
    let commands: [(&str, &[&str]); 6] = [
        (
            "timestamp",
            &["verifying", "unlocking", "signing", "writing"],
        ),
        (
            "promote --component orbit --from stable --to edge",
            &["verifying", "unlocking", "signing", "writing"],
        ),
        (
            "rotate timestamp",
            &["verifying", "unlocking", "signing", "writing"],
        ),
        ("status", &["verifying", "looking through files"]),
        ("prune --grace 0", &["verifying", "searching", "deleting"]),
        ("keys list", &["verifying"]),
    ];
    let script = "set -a; . q/passphrases.env; set +a; exec \"$0\" updates \"$@\"";
    let program = env!("CARGO_BIN_EXE_fleetpack");
    for (words, phases) in commands {
        let ran = scratch.tool("bash", ["-c", script, program]);
        let ran = ran.args(words.split_whitespace());
        let ran = ran.args(["--path", "q/updates", "--verbose"]).ok();
        let last = ran.stderr.trim_end().lines().last().unwrap();
        assert!(last.starts_with("took "), "{words}: {}", ran.stderr);
        for phase in phases {
            ran.says(&format!("{phase}: "));
            let times = last.matches(&format!(" {phase} ")).count();
            assert_eq!(times, 1, "{words} {phase}: {}", ran.stderr);
        }
    }
}

fn quiet() {
    let scratch = ground();
    let words = format!("{PACKAGE} --type deb --quiet");
    let ran = run(&scratch, &words);
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.text(), "out/fleet-osquery_1.0.0_amd64.deb\n");
    for words in [
        "inspect out/fleet-osquery_1.0.0_amd64.deb",
        "updates status --path q/updates",
    ] {
        let ran = run(&scratch, &format!("{words} --quiet"));
        assert_eq!(ran.stderr, "", "{words}");
    }
}

/// Runs words on a terminal of a width; gives back what is seen there.
fn on_terminal(scratch: &Scratch, columns: u16, variables: &str, words: &str) -> String {
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let command = format!("stty cols {columns} rows 24; env {variables} {program} {words}");
    let ran = scratch
        .tool("script", ["-qec", &command, "/dev/null"])
        .env("TERM", "xterm")
        .run();
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn colours() {
    let scratch = Scratch::new();
    let words = "inspect nowhere";
    let seen = on_terminal(&scratch, 80, "A=a", words);
    assert!(
        seen.contains("\x1b[1;31merror:\x1b[0m cannot open nowhere"),
        "{seen:?}"
    );
    for variables in ["NO_COLOR=1", "TERM=dumb"] {
        let seen = on_terminal(&scratch, 80, variables, words);
        assert!(seen.contains("error: cannot open nowhere"), "{seen:?}");
    }
    let ran = scratch
        .fleetpack(["inspect", "nowhere"])
        .env("TERM", "xterm")
        .fails(1);
    ran.says("error: cannot open nowhere").never_says("\x1b");
    let seen = on_terminal(&scratch, 80, "NO_COLOR=1", "inspct");
    assert!(
        !seen.contains("\x1b[3") && !seen.contains("\x1b[1"),
        "{seen:?}"
    );
}

fn bars() {
    let scratch = ground();
    // Large enough, and slow enough to compress, that a bar has time to appear.
    let mut noise = 1u32;
    let bytes: Vec<u8> = (0..48_000_000)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 27) as u8
        })
        .collect();
    let mut program = crate::updates::elf(62);
    program.extend(bytes);
    scratch.write_program("osqueryd", program);
    let add = "set -a; . q/passphrases.env; set +a; exec \"$0\" updates add --path q/updates \
        --target osqueryd --name osqueryd --platform linux --version 9.9.9 -t large";
    let fleetpack = env!("CARGO_BIN_EXE_fleetpack");
    scratch.tool("bash", ["-c", add, fleetpack]).ok();
    let words = format!("{PACKAGE} --type deb --osqueryd-channel large --cache none --no-state");
    for columns in [100, 20] {
        let seen = on_terminal(&scratch, columns, "A=a", &words);
        assert!(seen.contains("compress"), "{columns}: {seen:?}");
        assert!(
            seen.contains('%') || seen.contains("MB/"),
            "{columns}: {seen:?}"
        );
        assert!(seen.contains("sha256"), "{columns}: {seen:?}");
    }
    let silent = on_terminal(&scratch, 100, "A=a", &format!("{words} --quiet"));
    assert_eq!(silent.trim_end(), "out/fleet-osquery_1.0.0_amd64.deb");
    let plain = run(&scratch, &words);
    plain.never_says("\x1b").never_says("\r");
}

/// `| head`: no panic, no message, and the exit code of the command itself.
fn closed_early() {
    let scratch = ground();
    let program = env!("CARGO_BIN_EXE_fleetpack");
    let deb = "q/installers/fleet-osquery_1.0.0_amd64.deb";
    let help = commands().into_iter().map(|path| format!("{path} --help"));
    let much = [
        format!("inspect {deb}"),
        format!("inspect --json {deb}"),
        format!("inspect {deb} q/installers/fleet-osquery.msi"),
        format!("doctor --json --path q/updates {deb}"),
        format!("{PACKAGE} --type deb,rpm --json"),
        "completions bash".to_owned(),
        "completions zsh --json".to_owned(),
        "man pages".to_owned(),
        "updates status --path q/updates".to_owned(),
        "updates status --path q/updates --format prometheus".to_owned(),
        "updates verify --path q/updates --json".to_owned(),
        "updates keys list --path q/updates".to_owned(),
        "updates roots --path q/updates".to_owned(),
        "updates publish --path q/updates published".to_owned(),
        "quickstart --dir again".to_owned(),
    ];
    for words in much.into_iter().chain(help) {
        // `true` reads nothing: the pipe is closed before or while there is output.
        let script = format!("{program} {words} 2>err | true; echo ${{PIPESTATUS[0]}}");
        let ran = scratch.tool("bash", ["-c", &script]).ok();
        assert_eq!(ran.text().trim(), "0", "{words}");
        let said = scratch.text("err");
        assert!(
            !said.contains("panicked") && !said.contains("error"),
            "{words}: {said}"
        );
    }
    // A disk that is full is no reader that has gone.
    let full = format!("{program} inspect {deb} >/dev/full 2>err; echo $?");
    let ran = scratch.tool("bash", ["-c", &full]).ok();
    assert_eq!(ran.text().trim(), "1");
    assert_eq!(
        scratch.text("err"),
        "error: cannot write to standard output\n  caused by: No space left on device (os error 28)\n"
    );
    let script =
        format!("{program} inspect {deb} >&- 2>&-; {program} inspect nowhere 2>&-; echo $?");
    let ran = scratch.tool("bash", ["-c", &script]).ok();
    assert_eq!(ran.text().trim(), "1");
}

/// Every command that does something, and the words above them.
fn commands() -> Vec<String> {
    let definitions = fleetpack::cli::definitions();
    let mut found = Vec::new();
    leaves(&definitions, "", &mut found);
    let leaves = found.into_iter().map(|(path, _)| path);
    let above = ["", "updates", "updates keys", "updates pending"].map(str::to_owned);
    above.into_iter().chain(leaves).collect()
}

fn narrow() {
    let scratch = ground();
    let help = commands().into_iter().map(|path| format!("{path} --help"));
    let looks = [
        "inspect q/installers/fleet-osquery.msi",
        "updates status --path q/updates",
        "updates verify --path q/updates",
        "doctor --path q/updates q/installers/fleet-osquery_1.0.0_amd64.deb",
        "quickstart --dir again",
    ];
    for words in looks.map(str::to_owned).into_iter().chain(help) {
        let words = words.as_str();
        let seen = on_terminal(&scratch, 20, "A=a", words);
        assert!(!seen.contains("panicked"), "{words}: {seen}");
        assert!(seen.len() > 40, "{words}: {seen}");
    }
    let seen = on_terminal(&scratch, 20, "A=a", "inspect --help");
    assert!(seen.contains("--show-secret"), "{seen}");
}

fn misspelt() {
    let scratch = Scratch::new();
    for (words, said) in [
        ("pakage", "a similar subcommand exists: 'package'"),
        (
            "updates timestmp",
            "a similar subcommand exists: 'timestamp'",
        ),
        ("updates keys lst", "a similar subcommand exists: 'list'"),
        ("package --tpe deb", "a similar argument exists: '--type'"),
        (
            "package --type deb --enrol-secret x",
            "a similar argument exists: '--enroll-secret'",
        ),
        ("inspect --jsn x", "a similar argument exists: '--json'"),
        ("doctor --pth x", "a similar argument exists: '--path'"),
        ("completions fsh", "a similar value exists: 'fish'"),
        (
            "completions tcsh",
            "[possible values: bash, elvish, fish, powershell, zsh]",
        ),
        (
            "package --type debb",
            "invalid value 'debb' for '--type <TYPE>'",
        ),
    ] {
        let ran = scratch.fleetpack(words.split_whitespace()).fails(2);
        ran.says(said);
        assert_eq!(ran.text(), "", "{words}");
    }
}
