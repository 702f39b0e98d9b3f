//! What scripts written for `fleetctl` lean on: empty variables and values, flags that are given
//! twice, and variables that stay set while a flag says something else.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial};
use crate::updates::{elf, init, updates};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("drop_in/empty_variables", empty_variables),
        trial("drop_in/empty_values", empty_values),
        trial("drop_in/the_last_one_counts", last_one),
        trial("drop_in/typed_before_variables", typed),
        trial("drop_in/channels_with_commas", channels),
    ]
}

fn ground() -> Scratch {
    let scratch = Scratch::new();
    scratch
        .fleetpack(["quickstart", "--dir", "q", "--quiet"])
        .ok();
    scratch.write("secret.txt", "made-up-for-this-test");
    scratch
}

const PACKAGE: &str = "package --type deb --no-state --update-url q/updates/repository \
    --agent-update-url https://updates.example.com --update-roots @q/updates/repository/root.json \
    --outfile made.deb";

/// A word `''` is an empty one.
fn package(scratch: &Scratch, more: &str) -> Run {
    let words = PACKAGE.split_whitespace().chain(more.split_whitespace());
    scratch.fleetpack(words.map(|word| word.trim_matches('\'')))
}

const FLEET: &str = "--fleet-url https://fleet.example.com --enroll-secret-file secret.txt";

/// What the package tells the agent.
fn agent(scratch: &Scratch) -> Value {
    let ran = scratch.fleetpack(["inspect", "--json", "--show-secret", "made.deb"]);
    conforms("inspect.json", ran.ok().text())["agent"].clone()
}

fn empty_variables() {
    let scratch = ground();
    let run = crate::reference::VARIABLES
        .iter()
        .chain(&["FLEETPACK_ENROLL_SECRET", "FLEETPACK_CACHE"])
        .fold(package(&scratch, FLEET), |run, name| run.env(name, ""));
    run.ok().never_says("--native-tooling");
    let agent = agent(&scratch);
    let variables = agent["variables"].as_object().unwrap();
    for name in ["ORBIT_END_USER_EMAIL", "ORBIT_ENABLE_SCRIPTS"] {
        assert_eq!(variables.get(name), None, "{variables:#?}");
    }
    assert_eq!(agent["secret"]["value"], "made-up-for-this-test");
}

fn empty_values() {
    let scratch = ground();
    let empty = "--fleet-certificate '' --osquery-db= --end-user-email '' --outdir '' \
        --fleet-tls-client-certificate '' --update-tls-certificate=";
    package(&scratch, &format!("{empty} {FLEET}")).ok();
    // A key that is missing is not made up for by leaving the signature out.
    package(&scratch, &format!("--rpm-signing-key= {FLEET}")).fails(2);
}

fn last_one() {
    let scratch = ground();
    let twice = "--debug --debug --service=false --service=true --type rpm --end-user-email \
        a@example.com --end-user-email b@example.com --outfile '' --outdir out";
    std::fs::create_dir(scratch.join("out")).unwrap();
    let words = PACKAGE.replace("--outfile made.deb", "");
    let words = format!("{words} {twice} {FLEET}");
    let words = words.split_whitespace().map(|word| word.trim_matches('\''));
    let ran = scratch.fleetpack(words).ok();
    // Lists add up.
    ran.prints(".deb").prints(".rpm");
    let made = scratch.join("out/fleet-osquery_1.0.0_amd64.deb");
    std::fs::rename(made, scratch.join("made.deb")).unwrap();
    let variables = &agent(&scratch)["variables"];
    assert_eq!(variables["ORBIT_END_USER_EMAIL"], "b@example.com");
    assert_eq!(variables["ORBIT_DEBUG"], "true");
}

fn typed() {
    let scratch = ground();
    let secret = |run: Run| run.env("FLEETPACK_ENROLL_SECRET", "another-made-up-secret");
    secret(package(&scratch, FLEET)).ok();
    assert_eq!(agent(&scratch)["secret"]["value"], "made-up-for-this-test");
    let both = format!("{FLEET} --enroll-secret another-made-up-secret");
    package(&scratch, &both)
        .fails(2)
        .says("--enroll-secret-file cannot be used with --enroll-secret")
        .never_says("another-made-up-secret");
    // Neither --use-system-configuration nor a certificate of the host's own is meant.
    let variables = [
        ("FLEETCTL_USE_SYSTEM_CONFIGURATION", "true"),
        ("FLEETPACK_ENROLL_SECRET", "another-made-up-secret"),
    ];
    package(&scratch, FLEET).envs(variables).ok();
}

fn channels() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.write("orbit", elf(62));
    let words = "add --path repo --target orbit --name orbit --platform linux --version 4.6.1 \
        -t 4.6,4 -t stable";
    updates(&scratch, words.split_whitespace()).ok();
    for channel in ["4.6.1", "4.6", "4", "stable"] {
        let file = format!("repo/repository/targets/orbit/linux/{channel}/orbit");
        assert!(scratch.join(&file).is_file(), "{file}");
    }
}
