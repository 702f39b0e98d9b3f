//! Completions and manual pages, as shells and `man` take them.

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("completions::bash", &["bash"], bash),
        trial("completions::every_shell", every_shell),
        trial("completions::refused", refused),
        trial("man::pages", pages),
        trial("man::sections", sections),
        trial_needing("man::as_man_shows_them", &["man"], shown),
        trial("man::refused", no_folder),
    ]
}

/// bash itself is asked what it would offer.
fn bash() {
    let scratch = Scratch::new();
    let script = scratch.fleetpack(["completions", "bash"]).ok();
    scratch.write("fleetpack.bash", script.text());
    for (words, wanted) in [
        ("fleetpack ins", "inspect"),
        ("fleetpack inspect --sho", "--show-secret"),
        ("fleetpack completions zs", "zsh"),
        ("fleetpack updates ti", "timestamp"),
    ] {
        let ask = format!(
            "source ./fleetpack.bash; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _fleetpack fleetpack \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let offered = scratch.tool("bash", ["--norc", "-c", &ask]).ok();
        let offered: Vec<_> = offered.text().lines().collect();
        assert_eq!(offered, [wanted], "after {words:?}");
    }
}

fn every_shell() {
    let scratch = Scratch::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = scratch.fleetpack(["completions", shell]).ok();
        script.prints("inspect").prints("show-secret");
        let again = scratch.fleetpack(["completions", shell]).ok();
        assert_eq!(script.text(), again.text());
    }
}

fn refused() {
    let scratch = Scratch::new();
    let unknown = scratch.fleetpack(["completions", "cmd"]).fails(2);
    unknown
        .says("invalid value 'cmd'")
        .says("bash, elvish, fish, powershell, zsh");
    let misspelt = scratch.fleetpack(["completions", "bsh"]).fails(2);
    misspelt.says("a similar value exists: 'bash'");
    let command = scratch.fleetpack(["inspct"]).fails(2);
    command.says("a similar subcommand exists: 'inspect'");
}

fn pages() {
    let scratch = Scratch::new();
    scratch.fleetpack(["man", "share/man1"]).ok();
    for (page, words) in [
        ("fleetpack.1", "fleetpack\\-inspect(1)"),
        ("fleetpack-inspect.1", "\\-\\-show\\-secret"),
        ("fleetpack-package.1", "\\-\\-fleet\\-url"),
        ("fleetpack-updates.1", "fleetpack\\-updates\\-timestamp(1)"),
        ("fleetpack-updates-timestamp.1", "SYNOPSIS"),
    ] {
        let text = scratch.text(&format!("share/man1/{page}"));
        assert!(text.contains(words), "{page} has no {words}:\n{text}");
        assert!(text.contains(".TH "), "{page}");
    }
    let before = scratch.state("share");
    scratch.fleetpack(["man", "share/man1"]).ok();
    before.unchanged(&scratch.state("share"));
}

/// What a page says beside its flags, and that no page is there of `help`.
fn sections() {
    let scratch = Scratch::new();
    scratch.fleetpack(["man", "man1"]).ok();
    let version = env!("CARGO_PKG_VERSION");
    let mut count = 0;
    for entry in std::fs::read_dir(scratch.join("man1")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.contains("help"), "{name}");
        let text = scratch.text(&format!("man1/{name}"));
        assert!(
            text.contains(&format!(" \"\" \"fleetpack {version}\" ")),
            "{name}"
        );
        for section in ["NAME", "SYNOPSIS", "ENVIRONMENT", "\"EXIT STATUS\""] {
            let times = text.matches(&format!(".SH {section}\n")).count();
            assert_eq!(times, 1, "{name} {section}:\n{text}");
        }
        assert!(!text.contains(".SH EXTRA"), "{name}");
        let copied = text.contains(".SH EXAMPLES\n.nf\n") || name == "fleetpack-updates.1";
        assert!(copied, "{name}:\n{text}");
        count += 1;
    }
    assert!(count > 30, "{count} pages");
    let add = scratch.text("man1/fleetpack-updates-add.1");
    for words in ["FLEET_TARGETS_PASSPHRASE", "\\fB5\\fR\n"] {
        assert!(add.contains(words), "{words}:\n{add}");
    }
    let inspect = scratch.text("man1/fleetpack-inspect.1");
    for words in ["FLEET_TARGETS_PASSPHRASE", "\\fB5\\fR\n", "AWS_"] {
        assert!(!inspect.contains(words), "{words}:\n{inspect}");
    }
}

/// An example is shown as it was written, and can be copied.
fn shown() {
    let scratch = Scratch::new();
    scratch.fleetpack(["man", "man1"]).ok();
    let page = scratch
        .tool(
            "man",
            ["--warnings", "--local-file", "man1/fleetpack-updates-add.1"],
        )
        .env("MANWIDTH", "80")
        .ok();
    assert_eq!(page.stderr, "");
    page.prints("EXIT STATUS")
        .prints("--target ./orbit --name orbit \\\n")
        .prints("\n         --platform linux --version 1.50.0 -t 1.50,1,stable\n");
    let last = page.text().trim_end().lines().last().unwrap().to_owned();
    let version = env!("CARGO_PKG_VERSION");
    assert!(last.starts_with(&format!("fleetpack {version} ")), "{last}");
}

fn no_folder() {
    let scratch = Scratch::new();
    scratch.write("file", "");
    let ran = scratch.fleetpack(["man", "file"]).fails(1);
    ran.says("file");
}
