//! Metadata that is expired, rolled back, too large or not what was signed, met while reading
//! and while signing.

use libtest_mimic::Trial;

use super::ground::{Ground, edit};
use crate::harness::{trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let clock = &["faketime"];
    vec![
        trial_needing("bad_input/expired_on_read", clock, expired_on_read),
        trial_needing("bad_input/expired_on_write", clock, expired_on_write),
        trial("bad_input/rolled_back_on_read", rolled_back_on_read),
        trial("bad_input/rolled_back_on_write", rolled_back_on_write),
        trial("bad_input/too_large_on_read", too_large_on_read),
        trial("bad_input/too_large_on_write", too_large_on_write),
        trial("bad_input/not_what_was_signed", not_what_was_signed),
        trial("bad_input/anchors_of_trust", anchors),
    ]
}

fn expired_on_read() {
    let long = ["timestamp", "--timestamp-expires", "5y"];
    for (role, prepared, later) in [
        ("timestamp", None, "2031-01-16 00:00:00"),
        ("snapshot", Some(long), "2034-01-02 00:00:00"),
        ("root", None, "2041-01-02 00:00:00"),
    ] {
        let ground = Ground::dated();
        if let Some(args) = prepared {
            ground.updates(&args).ok();
        }
        let ground = ground.later(later);
        let mut record = ground.record();
        record.refused(role, &ground.package(&[]));
        record.compare(&format!("expired_on_read_{role}"));
    }
}

fn expired_on_write() {
    let ground = Ground::dated().later("2041-01-02 00:00:00");
    let mut record = ground.record();
    record.refused(
        "timestamp under an expired root",
        &ground.updates(&["timestamp"]),
    );
    record.refused("add under an expired root", &ground.add(&[]));
    record.compare("expired_on_write");
}

fn rolled_back_on_read() {
    let ground = Ground::new();
    ground.copy(&ground.join("updates/repository"), "older");
    ground.package(&[]).ok();
    ground.add(&["-t", "stable"]).ok();
    ground.package(&[]).ok();
    // Newer than what the client has seen: it cannot fall back on its own copies.
    ground.add(&["-t", "edge"]).ok();
    let newer = ground.copy(&ground.join("updates/repository"), "newer");
    std::fs::remove_dir_all(ground.join("updates/repository")).unwrap();
    ground.copy(&ground.join("older"), "updates/repository");
    let mut record = ground.record();
    record.refused("all of it", &ground.package(&[]));
    // The newest timestamp over an older snapshot.
    ground.copy(
        &newer.join("timestamp.json"),
        "updates/repository/timestamp.json",
    );
    record.refused("snapshot alone", &ground.package(&[]));
    ground.copy(
        &newer.join("snapshot.json"),
        "updates/repository/snapshot.json",
    );
    record.refused("targets alone", &ground.package(&[]));
    record.compare("rolled_back_on_read");
}

fn rolled_back_on_write() {
    let ground = Ground::new();
    ground.copy(&ground.join("updates/repository"), "older");
    ground.add(&["-t", "stable"]).ok();
    std::fs::remove_dir_all(ground.join("updates/repository")).unwrap();
    ground.copy(&ground.join("older"), "updates/repository");
    let mut record = ground.record();
    record.refused("timestamp", &ground.updates(&["timestamp"]));
    record.refused("add", &ground.add(&[]));
    record.compare("rolled_back_on_write");
}

/// Pads a document with what JSON ignores.
fn swell(ground: &Ground, name: &str, to: usize) {
    let path = ground.join("updates/repository").join(name);
    edit(&path, |bytes| bytes.resize(to, b' '));
}

fn too_large_on_read() {
    let mut rows = Vec::new();
    for (name, len) in [("timestamp.json", 20_000), ("snapshot.json", 40_000_000)] {
        let ground = Ground::new();
        swell(&ground, name, len);
        rows.push((name, ground));
    }
    let ground = Ground::new();
    ground.write("updates/repository/2.root.json", vec![b' '; 600_000]);
    rows.push(("2.root.json", ground));
    for (name, ground) in rows {
        let mut record = ground.record();
        record.refused(name, &ground.package(&[]));
        record.compare(&format!("too_large_on_read_{name}"));
    }
}

fn too_large_on_write() {
    for (name, len) in [("timestamp.json", 20_000), ("1.root.json", 600_000)] {
        let ground = Ground::new();
        swell(&ground, name, len);
        std::fs::remove_file(ground.join("updates/keys/state.json")).unwrap();
        let mut record = ground.record();
        record.refused(name, &ground.updates(&["timestamp"]));
        record.compare(&format!("too_large_on_write_{name}"));
    }
}

/// One byte of what is signed is another one.
fn not_what_was_signed() {
    for name in ["timestamp.json", "snapshot.json", "targets.json"] {
        let ground = Ground::new();
        let path = ground.join("updates/repository").join(name);
        edit(&path, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let changed = text.replacen("\"expires\":\"20", "\"expires\":\"21", 1);
            assert_ne!(text, changed);
            *bytes = changed.into_bytes();
        });
        let mut record = ground.record();
        record.refused("package", &ground.package(&[]));
        record.refused("timestamp", &ground.updates(&["timestamp"]));
        record.compare(&format!("not_what_was_signed_{name}"));
    }
}

fn anchors() {
    let ground = Ground::new();
    ground.write("list.json", "[{\"keytype\":\"ed25519\"}]");
    ground.write("words.json", "no JSON");
    ground.write("other.json", "{\"signed\":{},\"signatures\":[]}");
    let package = |more: &[&str]| {
        let usual = ["package", "--type", "deb", "--disable-updates"];
        let from = ["--update-url", "updates/repository"];
        ground.fleetpack([&usual[..], &from[..], more].concat())
    };
    let mut record = ground.record();
    record.refused("none", &package(&[]));
    for value in [
        "@nowhere",
        "root.json",
        "@list.json",
        "@words.json",
        "@other.json",
        "{}",
    ] {
        record.refused(value, &package(&["--update-roots", value]));
    }
    record.compare("anchors");
}
