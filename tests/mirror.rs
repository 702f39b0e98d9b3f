//! `updates mirror`: another repository's targets under own keys, served on loopback as go-tuf
//! made it, then by a server that rolls back, lies, or stands still.

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::faults::{self, FaultServer};
use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::server::Server;
use crate::harness::{self, Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{elf, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let served = |name: &str, test: fn()| trial_needing(name, &["python3"], test);
    vec![
        served("mirror/channel", channel),
        served("mirror/goes_on", goes_on),
        served("mirror/rolled_back", rolled_back),
        served("mirror/one_lie", one_lie),
        served("mirror/other_root", other_root),
        trial_needing("mirror/expired", &["faketime"], expired),
        trial("mirror/refused", refused),
        trial_needing("mirror/delegated", &["python-tuf"], delegated),
        trial_needing("mirror/own_authority", &["openssl"], own_authority),
        trial_needing("mirror/go_tuf_follows", &["go", "python3"], || {
            follows(Peer::GoTuf);
        }),
        trial_needing(
            "mirror/python_tuf_follows",
            &["python-tuf", "python3"],
            || follows(Peer::PythonTuf),
        ),
    ]
}

/// A new repository, and one of go-tuf's on a web server.
fn scene(fixture: &str) -> (Scratch, Server) {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.copy(&harness::fixtures().join("go-tuf").join(fixture), "there");
    let root = scratch.read("there/repository/1.root.json");
    scratch.write("upstream.json", root);
    let server = Server::python(&scratch.join("there/repository"));
    (scratch, server)
}

fn mirror(scratch: &Scratch, url: &str, words: &str) -> Run {
    let base = "mirror --path repo --update-roots @upstream.json --from";
    let words = base.split(' ').chain([url]).chain(words.split(' '));
    updates(scratch, words)
}

fn report(run: Run) -> Value {
    conforms("updates-mirror.json", run.arg("--json").ok().text())
}

fn listed(scratch: &Scratch, folder: &str) -> Value {
    let text = scratch.text(&format!("{folder}/repository/targets.json"));
    serde_json::from_str::<Value>(&text).unwrap()["signed"]["targets"].take()
}

fn channel() {
    let (scratch, server) = scene("fleetctl-style");
    let run = mirror(
        &scratch,
        &server.url,
        "--channel stable --component orbit --platform linux,macos",
    );
    let done = report(run);
    assert_eq!(done["upstream"]["metadata"]["targets"]["version"], 2);
    let names: Vec<_> = done["mirrored"].as_array().unwrap().iter().collect();
    let names: Vec<_> = names
        .iter()
        .map(|row| row["target"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["orbit/linux/stable/orbit", "orbit/macos/stable/orbit"]
    );
    let (here, there) = (listed(&scratch, "repo"), listed(&scratch, "there"));
    for name in names {
        assert_eq!(
            here[name]["hashes"]["sha512"],
            there[name]["hashes"]["sha512"]
        );
        assert_eq!(here[name]["custom"], there[name]["custom"]);
        assert!(
            here[name]["hashes"]["sha256"].is_string(),
            "both, whatever they list"
        );
        let read = |folder: &str| scratch.read(&format!("{folder}/repository/targets/{name}"));
        assert_eq!(read("repo"), read("there"));
    }
    updates(&scratch, ["verify", "--path", "repo"]).ok();
    assert!(
        !scratch
            .join("repo/.fleetpack/incoming")
            .join("0-orbit")
            .exists()
    );
    // All of a channel, in one change; what is here already is not fetched again.
    let done = report(mirror(&scratch, &server.url, "--channel stable"));
    assert_eq!(done["unchanged"].as_array().unwrap().len(), 2);
    assert_eq!(done["mirrored"].as_array().unwrap().len(), 3);
    assert_eq!(done["metadata"]["targets"]["version"], 3);
    let before = scratch.state("repo/repository");
    let ran = mirror(&scratch, &server.url, "--channel stable").ok();
    ran.says("nothing is new there");
    before.unchanged(&scratch.state("repo/repository"));
}

/// Publishes a new program upstream.
fn news(scratch: &Scratch, bytes: &[u8]) {
    scratch.write("new", bytes);
    let words = "add --path there --target new --name orbit --platform linux --version 9 -t stable";
    updates(scratch, words.split(' ')).ok();
}

fn goes_on() {
    let (scratch, server) = scene("rotated");
    mirror(&scratch, &server.url, "--channel stable,1.2.3").ok();
    news(&scratch, &elf(62));
    let done = report(mirror(&scratch, &server.url, "--channel stable,1.2.3"));
    assert_eq!(done["mirrored"].as_array().unwrap().len(), 1);
    assert_eq!(done["mirrored"][0]["version"], "9");
    let file = scratch.read("repo/repository/targets/orbit/linux/stable/orbit");
    assert_eq!(file, elf(62));
    // What is odd about a program is told of its target, not of a file on the way.
    news(&scratch, b"anything");
    mirror(&scratch, &server.url, "--channel stable,1.2.3")
        .ok()
        .says("warning: orbit/linux/stable/orbit is a file of no known kind")
        .never_says("incoming");
}

/// Runs a mirroring that must fail and publish nothing.
#[track_caller]
fn nothing_added(scratch: &Scratch, url: &str, sentences: &[&str]) {
    let before = scratch.state("repo/repository");
    let ran = mirror(scratch, url, "--channel stable").fails(1);
    for sentence in sentences {
        ran.says(sentence);
    }
    before.unchanged(&scratch.state("repo/repository"));
    // The next command finds all in order, and leaves nothing behind.
    updates(scratch, ["timestamp", "--path", "repo"]).ok();
    assert!(!scratch.join("repo/.fleetpack/incoming").exists());
}

fn rolled_back() {
    let (scratch, server) = scene("fleetctl-style");
    scratch.copy(&scratch.join("there/repository"), "older");
    news(&scratch, &elf(62));
    mirror(&scratch, &server.url, "--channel stable").ok();
    for file in ["timestamp.json", "snapshot.json", "targets.json"] {
        let old = scratch.read(&format!("older/{file}"));
        scratch.write(&format!("there/repository/{file}"), old);
    }
    let rule = "caused by: timestamp.json has version 2, but version 3 was already trusted: it was rolled back\n";
    nothing_added(&scratch, &server.url, &[rule]);
}

fn one_lie() {
    let (scratch, server) = scene("fleetctl-style");
    let lie = "there/repository/targets/osqueryd/windows/stable/osqueryd.exe";
    let mut bytes = scratch.read(lie);
    bytes[0] ^= 1;
    scratch.write(lie, bytes);
    nothing_added(
        &scratch,
        &server.url,
        &[
            "error: the target osqueryd/windows/stable/osqueryd.exe is not the file that was signed\n",
        ],
    );
    let mut bytes = scratch.read(lie);
    bytes.push(0);
    scratch.write(lie, bytes);
    nothing_added(
        &scratch,
        &server.url,
        &["osqueryd.exe is not the 27 bytes long that were signed"],
    );
    std::fs::remove_file(scratch.join(lie)).unwrap();
    nothing_added(
        &scratch,
        &server.url,
        &["error: cannot fetch targets/osqueryd/windows/stable/osqueryd.exe"],
    );
}

fn other_root() {
    let (scratch, server) = scene("fleetctl-style");
    let other = harness::fixtures().join("go-tuf/plaintext-keys/repository/1.root.json");
    std::fs::copy(other, scratch.join("upstream.json")).unwrap();
    nothing_added(
        &scratch,
        &server.url,
        &["timestamp.json carries 0 valid signatures by the timestamp keys of root version 1"],
    );
}

fn expired() {
    let scratch = Scratch::new();
    init(&scratch);
    let init = ["init", "--path", "there", "--timestamp-expires", "1h"];
    updates(&scratch, init).ok();
    news(&scratch, &elf(62));
    updates(
        &scratch,
        ["timestamp", "--path", "there", "--timestamp-expires", "1h"],
    )
    .ok();
    let root = scratch.read("there/repository/root.json");
    scratch.write("upstream.json", root);
    let before = scratch.state("repo/repository");
    // A folder is a place like another.
    let run = mirror(&scratch, "there/repository", "--channel stable");
    run.at("+2h")
        .fails(1)
        .says("caused by: timestamp.json expired at ");
    before.unchanged(&scratch.state("repo/repository"));
    mirror(&scratch, "there/repository", "--channel stable").ok();
}

fn refused() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.copy(&harness::fixtures().join("go-tuf/fleetctl-style"), "there");
    scratch.copy(
        &scratch.join("there/repository/1.root.json"),
        "upstream.json",
    );
    let cases = [
        (
            "mirror --path repo --from there/repository --channel stable",
            "needs --update-roots",
        ),
        (
            "mirror --path repo --from there/repository --update-roots @there/repository/1.root.json --channel nightly",
            "error: there/repository has no target with --channel nightly\n",
        ),
        (
            "mirror --path repo --from there/repository --update-roots @there/repository/1.root.json --channel stable --component orbt",
            "error: there/repository has no target with --component orbt\n",
        ),
        (
            "mirror --path repo --from there/repository --update-roots @there/repository/1.root.json",
            "--channel",
        ),
    ];
    let before = scratch.state("repo/repository");
    for (words, message) in cases {
        updates(&scratch, words.split(' ')).fails(2).says(message);
    }
    before.unchanged(&scratch.state("repo/repository"));
}

/// What upstream's delegated roles are trusted for is taken like the rest, under our targets
/// role; what they are not trusted for is not there.
fn delegated() {
    let scratch = Scratch::new();
    init(&scratch);
    std::fs::create_dir_all(scratch.join("there/repository")).unwrap();
    scratch.write("orbit", elf(62));
    let args = [
        "there/repository",
        "orbit/linux/stable/orbit",
        "orbit",
        "!osqueryd/linux/stable/osqueryd",
        "orbit",
    ];
    scratch.python("delegated.py", args).ok();
    scratch.copy(
        &scratch.join("there/repository/1.root.json"),
        "upstream.json",
    );
    let done = report(mirror(&scratch, "there/repository", "--channel stable"));
    let taken = done["mirrored"].as_array().unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["target"], "orbit/linux/stable/orbit");
    let here = listed(&scratch, "repo");
    assert!(here["orbit/linux/stable/orbit"].is_object());
    mirror(
        &scratch,
        "there/repository",
        "--channel stable --component osqueryd",
    )
    .fails(2)
    .says("error: there/repository has no target with --component osqueryd\n");
    let again = mirror(&scratch, "there/repository", "--channel stable").ok();
    again.says("nothing is new there");
    updates(&scratch, ["verify", "--path", "repo"]).ok();
    // The role's document does not say what was signed.
    let deep = scratch.text("there/repository/deep.json");
    scratch.write("there/repository/deep.json", deep.replace("64", "65"));
    nothing_added_again(&scratch);
}

fn nothing_added_again(scratch: &Scratch) {
    let before = scratch.state("repo/repository");
    std::fs::remove_dir_all(scratch.join("repo/keys/upstreams")).unwrap();
    mirror(scratch, "there/repository", "--channel stable").fails(1);
    before.unchanged(&scratch.state("repo/repository"));
}

/// A server whose certificate its own authority signed, which wants to know who asks.
fn own_authority() {
    let scratch = Scratch::new();
    init(&scratch);
    scratch.copy(&harness::fixtures().join("go-tuf/fleetctl-style"), "there");
    scratch.copy(
        &scratch.join("there/repository/1.root.json"),
        "upstream.json",
    );
    let (certificate, key) = faults::certificate(&scratch, "client", "127.0.0.1");
    let folder = scratch.join("there/repository");
    let (server, authority) = FaultServer::mutual_tls(&folder, &scratch, &certificate);
    let file = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let trust = format!(
        "--channel stable --update-tls-certificate {}",
        file(&authority)
    );
    let shown = format!(
        "{trust} --update-tls-client-certificate {} --update-tls-client-key {}",
        file(&certificate),
        file(&key)
    );
    let before = scratch.state("repo/repository");
    mirror(&scratch, &server.url, "--channel stable")
        .fails(1)
        .says("certificate");
    mirror(&scratch, &server.url, &trust).fails(1);
    mirror(&scratch, &server.url, &trust.replace(".crt", ".key"))
        .fails(1)
        .says("server.key holds no PEM certificate");
    let half = format!("{trust} --update-tls-client-key {}", file(&key));
    mirror(&scratch, &server.url, &half)
        .fails(2)
        .says("--update-tls-client-certificate");
    let other = shown.replace("client.key", "server.key");
    mirror(&scratch, &server.url, &other)
        .fails(1)
        .says("does not belong to the certificate in ");
    before.unchanged(&scratch.state("repo/repository"));
    let done = report(mirror(&scratch, &server.url, &shown));
    assert!(!done["mirrored"].as_array().unwrap().is_empty());
    let words = shown.trim_start_matches("--channel stable ");
    let words = ["verify", &server.url, "--update-roots", "@upstream.json"]
        .into_iter()
        .chain(words.split(' '));
    updates(&scratch, words).ok();
}

fn follows(peer: Peer) {
    let (scratch, upstream) = scene("consistent-snapshot");
    mirror(&scratch, &upstream.url, "--channel stable").ok();
    let root = scratch.join("repo/repository/1.root.json");
    let server = Server::python(&scratch.join("repo/repository"));
    let got = peer.follow(&scratch, &server.url, Some(&root), true);
    assert_eq!(got.len(), 5, "what go-tuf published");
    news(&scratch, &elf(62));
    mirror(&scratch, &upstream.url, "--channel stable").ok();
    assert_eq!(peer.follow(&scratch, &server.url, None, true), elf(62));
}
