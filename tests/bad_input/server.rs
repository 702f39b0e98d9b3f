//! Update servers that refuse, vanish, cut off, mislead or alter.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;

use super::ground::{Ground, edit};
use crate::harness::faults::{Answer, FaultServer, certificate};
use crate::harness::server::free_port;
use crate::harness::{trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("bad_input/server_is_silent", silent),
        trial("bad_input/server_answers", answers),
        trial("bad_input/server_is_not_there", not_there),
        trial_needing(
            "bad_input/server_leads_to_http",
            &["openssl"],
            leads_to_http,
        ),
        trial_needing(
            "bad_input/server_leads_to_another",
            &["openssl"],
            leads_to_another,
        ),
        trial_needing("bad_input/server_is_unknown", &["openssl"], unknown_server),
        trial("bad_input/target_with_another_hash", other_hash),
        trial(
            "bad_input/target_changes_while_packed",
            changes_while_packed,
        ),
    ]
}

const ORBIT: &str = "/targets/orbit/linux/stable/orbit";

fn answers() {
    let ground = Ground::new();
    let server = FaultServer::new(&ground.join("updates/repository"));
    let package = ground.package_from(&["--update-url", &server.url, "--no-state"]);
    let mut record = ground.record();
    for (row, path, answer) in [
        ("403", "/timestamp.json", Answer::Status(403)),
        ("404", "/timestamp.json", Answer::Status(404)),
        ("500", "/timestamp.json", Answer::Status(500)),
        ("403 for the next root", "/2.root.json", Answer::Status(403)),
        ("500 for the next root", "/2.root.json", Answer::Status(500)),
        ("403 for a target", ORBIT, Answer::Status(403)),
        ("404 for a target", ORBIT, Answer::Status(404)),
        ("a cut-off document", "/targets.json", Answer::CutAfter(100)),
        ("a cut-off target", ORBIT, Answer::CutAfter(10)),
        ("a target without an end", ORBIT, Answer::Endless),
        (
            "a document without an end",
            "/snapshot.json",
            Answer::Endless,
        ),
        ("no answer", "/timestamp.json", Answer::Close),
        ("words", "/timestamp.json", Answer::Body(b"<html>".to_vec())),
    ] {
        server.order(path, answer);
        record.refused(row, &package);
        server.behave();
    }
    record.compare("server_answers");
    package.ok();
}

fn silent() {
    let ground = Ground::new();
    let server = FaultServer::new(&ground.join("updates/repository"));
    server.order("/timestamp.json", Answer::Silent);
    let package = ground.package_from(&["--update-url", &server.url]);
    let mut record = ground.record();
    record.refused(
        "nothing is answered",
        &package.limit(Duration::from_secs(300)),
    );
    record.compare("server_is_silent");
}

fn not_there() {
    let ground = Ground::new();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let mut record = ground.record();
    record.refused(
        "nobody listens",
        &ground.package_from(&["--update-url", &nobody]),
    );
    let word = ground.package_from(&["--update-url", "ftp://127.0.0.1/"]);
    record.refused("another protocol", &word);
    record.compare("server_is_not_there");
}

fn leads_to_http() {
    let ground = Ground::new();
    let root = ground.join("updates/repository");
    let plain = FaultServer::new(&root);
    let (server, certificate) = FaultServer::tls(&root, &ground);
    let package = ground
        .package_from(&["--update-url", &server.url, "--update-tls-certificate"])
        .arg(certificate);
    let mut record = ground.record();
    for (row, path) in [("document", "/timestamp.json"), ("target", ORBIT)] {
        let there = format!("{}{path}", plain.url);
        server.order(path, Answer::Redirect(there));
        record.refused(row, &package);
        server.behave();
    }
    assert_eq!(plain.requests(), [], "it was followed");
    record.compare("server_leads_to_http");
    package.ok();
}

// A redirect to another host is followed, and the client's certificate stays at home.
fn leads_to_another() {
    let ground = Ground::new();
    let repository = ground.join("updates/repository");
    let (client, key) = certificate(&ground, "client", "127.0.0.1");
    let (server, first) = FaultServer::asking(&repository, &ground, "server", &client);
    let (other, second) = FaultServer::asking(&repository, &ground, "other", &client);
    let both = [first, second]
        .map(|file| std::fs::read(file).unwrap())
        .concat();
    let both = ground.write("both.crt", both);
    let text = |path: &std::path::Path| path.display().to_string();
    let package = ground.package_from(&[
        "--update-url",
        &server.url,
        "--update-tls-certificate",
        &text(&both),
        "--update-tls-client-certificate",
        &text(&client),
        "--update-tls-client-key",
        &text(&key),
        "--no-state",
    ]);
    for path in ["/timestamp.json", ORBIT] {
        server.order(path, Answer::Redirect(format!("{}{path}", other.url)));
    }
    package.ok();
    assert_eq!(other.requests().len(), 2);
    assert!(server.presented().iter().all(|shown| *shown));
    assert!(!other.presented().iter().any(|shown| *shown));
}

fn unknown_server() {
    let ground = Ground::new();
    let (server, _) = FaultServer::tls(&ground.join("updates/repository"), &ground);
    let package = ground.package_from(&["--update-url", &server.url]);
    let mut record = ground.record();
    record.refused("a certificate that nobody vouches for", &package);
    record.compare("server_is_unknown");
    assert_eq!(server.requests(), []);
}

fn other_hash() {
    let ground = Ground::new();
    let path = ground.join("updates/repository").join(&ORBIT[1..]);
    edit(&path, |bytes| bytes[0] ^= 1);
    let mut record = ground.record();
    record.refused("one bit", &ground.package(&[]));
    edit(&path, |bytes| {
        bytes[0] ^= 1;
        bytes.push(b'\n');
    });
    record.refused("one byte more", &ground.package(&[]));
    edit(&path, |bytes| bytes.truncate(3));
    record.refused("shorter", &ground.package(&[]));
    record.compare("target_with_another_hash");
}

/// A target is flipped between two contents all the time, so that it changes between any two
/// looks at it: every run fails and says so, or has packed what was verified.
fn changes_while_packed() {
    let ground = Ground::new();
    let contents = |mark: u8| vec![mark; 8 << 20];
    ground.write("big", contents(b'a'));
    let args = ["add", "--target", "big", "--name", "osqueryd"];
    let more = ["--platform", "linux", "--version", "9", "-t", "stable"];
    ground.updates(&[&args[..], &more[..]].concat()).ok();
    let path = ground.join("updates/repository/targets/osqueryd/linux/stable/osqueryd");
    let before = ground.state().without("updates");
    let ended = AtomicBool::new(false);
    let runs: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::os::unix::fs::FileExt;
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            for round in 0_u64.. {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let mark = if round % 2 == 0 { b'b' } else { b'a' };
                file.write_all_at(&[mark], 7 << 20).unwrap();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        let package = ground.package(&["--outfile", "made.deb"]);
        let runs = (0..10).map(|_| {
            let ran = package.run();
            let made = std::fs::read(ground.join("made.deb")).ok();
            let _ = std::fs::remove_file(ground.join("made.deb"));
            (ran, made)
        });
        let runs = runs.collect();
        ended.store(true, Ordering::SeqCst);
        runs
    });
    for (ran, made) in runs {
        match ran.code {
            Some(0) => assert_eq!(packed(&made.unwrap()), contents(b'a'), "{ran}"),
            Some(1) => assert!(made.is_none() && ran.stderr.contains("osqueryd"), "{ran}"),
            _ => panic!("{ran}"),
        }
    }
    before.unchanged(&ground.state().without("updates"));
}

/// osqueryd as it lies in a Debian package.
fn packed(deb: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut outer = ar::Archive::new(deb);
    while let Some(member) = outer.next_entry() {
        let member = member.unwrap();
        if member.header().identifier() != b"data.tar.gz" {
            continue;
        }
        let mut payload = tar::Archive::new(flate2::read::GzDecoder::new(member));
        for entry in payload.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path().unwrap().ends_with("stable/osqueryd") {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                return bytes;
            }
        }
    }
    panic!("no osqueryd in it");
}
