//! The harness itself: a check that cannot fail proves nothing, so each kind of check is
//! seen to fail here.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::faults::{Answer, FaultServer};
use crate::harness::server::Server;
use crate::harness::{self, Scratch, trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("harness/missing_tools_are_never_silent", || {
            harness::checks::missing_tools_are_never_silent();
            assert_eq!(
                harness::tools::missing(&["sh", "no-such-program"]),
                ["no-such-program"]
            );
        }),
        trial("harness/fleetpack_runs", || {
            let version = Scratch::new().fleetpack(["--version"]);
            version.ok();
            assert!(harness::fixtures().join("harness/example.golden").is_file());
        }),
        trial("harness/goldens_differ", harness::checks::goldens_differ),
        trial("harness/environment_is_clean", environment_is_clean),
        trial("harness/wrong_exit_code_fails", wrong_exit_code_fails),
        trial("harness/endless_program_is_ended", endless_program_is_ended),
        trial("harness/change_on_disk_is_seen", change_on_disk_is_seen),
        trial("harness/memory_is_the_programs", memory_is_the_programs),
        trial("harness/fault_server_faults", fault_server_faults),
        trial_needing("harness/fault_server_tls", &["openssl", "curl"], tls),
        trial_needing("harness/nginx_serves", &["nginx"], || {
            let scratch = Scratch::new();
            serves(|root| Server::nginx(&scratch, root));
        }),
        trial_needing("harness/python_serves", &["python3"], || {
            serves(Server::python);
        }),
        trial_needing("harness/faked_clock", &["faketime"], faked_clock),
        trial_needing("harness/go_program_is_built", &["go"], || {
            let scratch = Scratch::new();
            let program = harness::tools::go_program("go-tuf");
            assert_eq!(program, harness::tools::go_program("go-tuf"));
            scratch.program(&program, [""; 0]).fails(1).says("usage:");
        }),
        trial_needing("harness/python_tuf_is_there", &["python-tuf"], || {
            let ran = Scratch::new().python("version.py", ["tuf"]).ok();
            let pins = include_str!("../ci/versions");
            assert!(pins.contains(&format!("PYTHON_TUF={}\n", ran.text().trim())));
        }),
    ]
}

fn environment_is_clean() {
    let scratch = Scratch::new();
    let ran = scratch
        .tool("env", [""; 0])
        .envs([("GREETING", "hello"), ("FAREWELL", "bye")])
        .ok();
    ran.prints("GREETING=hello")
        .prints(&format!("HOME={}", scratch.join(".home").display()))
        .never_says("CARGO_");
    scratch
        .tool("cat", ["-"])
        .input("typed")
        .ok()
        .prints("typed");
    scratch.write("below/file", "");
    scratch
        .tool("ls", [""; 0])
        .within("below")
        .ok()
        .prints("file");
    let here = scratch.path().display().to_string();
    let ran = scratch
        .tool("sh", ["-c", "echo $PWD 127.0.0.1:4711 >&2"])
        .ok();
    ran.says(&here);
    assert_eq!(ran.message(), "[DIR] 127.0.0.1:[PORT]\n");
}

fn wrong_exit_code_fails() {
    let scratch = Scratch::new();
    scratch.tool("sh", ["-c", "exit 3"]).fails(3);
    fails(|| drop(Scratch::new().tool("sh", ["-c", "exit 3"]).ok()));
    fails(|| _ = Scratch::new().tool("true", [""; 0]).ok().prints("words"));
    fails(|| _ = Scratch::new().tool("true", [""; 0]).ok().says("words"));
}

fn endless_program_is_ended() {
    fails(|| {
        let sleeping = Scratch::new().tool("sleep", ["60"]);
        drop(sleeping.limit(Duration::from_millis(50)).run());
    });
}

// Its own and that of what it starts, and not the tester's.
fn memory_is_the_programs() {
    let ours = std::hint::black_box(vec![1_u8; 128 << 20]);
    for line in ["exec sleep 0.5", "sleep 0.5; true"] {
        let (_, peak) = Scratch::new().tool("sh", ["-c", line]).measured();
        assert!(peak > 0 && peak < ours.len() as u64 / 2, "{line}: {peak}");
    }
}

fn change_on_disk_is_seen() {
    let scratch = Scratch::new();
    scratch.write("repository/a", "one");
    let before = scratch.state("repository");
    before.unchanged(&scratch.state("repository"));
    scratch.write_program("repository/a", "one");
    let state = scratch.state("repository");
    fails(move || before.unchanged(&state));
    let copied = scratch.copy(&scratch.join("repository"), "copy");
    assert_eq!(scratch.state("repository"), harness::TreeState::of(&copied));
    assert_eq!(scratch.state("copy").names().count(), 1);
    assert_eq!(scratch.text("copy/a"), "one");
}

fn fault_server_faults() {
    let scratch = Scratch::new();
    scratch.write("file", "0123456789");
    let server = FaultServer::new(scratch.path());
    let fetch = |range: &str| get(&server.url, "/file", range);
    assert!(fetch("").ends_with("Content-Length: 10\r\n\r\n0123456789"));
    assert!(fetch("Range: bytes=8-\r\n").ends_with("\r\n\r\n89"));
    assert!(get(&server.url, "/other", "").contains(" 404 "));
    for (answer, expected) in [
        (Answer::Status(403), "HTTP/1.1 403 "),
        (
            Answer::Redirect("http://x/".to_owned()),
            "Location: http://x/\r\n",
        ),
        (Answer::Body(b"other".to_vec()), "\r\n\r\nother"),
        (Answer::CutAfter(4), "Content-Length: 10\r\n\r\n0123"),
        (Answer::Length(11), "Content-Length: 11\r\n\r\n0123456789"),
        (Answer::NoLength, "Connection: close\r\n\r\n0123456789"),
        (Answer::IgnoreRange, "Content-Length: 10\r\n\r\n0123456789"),
        (Answer::StallAfter(3), "\r\n\r\n012"),
        (Answer::Endless, "\0\0\0"),
        (Answer::Silent, ""),
        (Answer::Close, ""),
    ] {
        server.order_times("/file", answer.clone(), 1);
        let got = fetch("Range: bytes=0-\r\n");
        assert!(got.contains(expected), "{answer:?}: {got:?}");
    }
    assert!(fetch("").contains(" 200 "), "an order ends");
    server.order("/file", Answer::Status(500));
    assert!(fetch("").contains(" 500 "));
    server.behave();
    assert!(fetch("").contains(" 200 "));
    let asked = server.requests();
    assert_eq!(asked[1].range.as_deref(), Some("bytes=8-"));
    assert_eq!(asked[2].path, "/other");
}

fn tls() {
    let scratch = Scratch::new();
    scratch.write("file", "secret words");
    let (server, certificate) = FaultServer::tls(scratch.path(), &scratch);
    let url = format!("{}/file", server.url);
    let curl = scratch.tool("curl", ["--silent", "--show-error", &url]);
    assert_ne!(curl.run().code, Some(0), "an unknown certificate");
    curl.arg("--cacert")
        .arg(certificate)
        .ok()
        .prints("secret words");
}

fn serves(start: impl FnOnce(&std::path::Path) -> Server) {
    let scratch = Scratch::new();
    scratch.write("file", "contents");
    let server = start(scratch.path());
    assert!(get(&server.url, "/file", "").ends_with("contents"));
    assert!(get(&server.url, "/other", "").contains(" 404 "));
    let url = server.url.clone();
    drop(server);
    fails(move || drop(get(&url, "/file", "")));
}

fn faked_clock() {
    let date = Scratch::new().tool("date", ["-u", "+%F %H:%M"]);
    let at = date.clone().at("2031-05-01 12:00:00");
    assert_eq!(at.ok().text(), "2031-05-01 12:00\n");
    assert_ne!(date.ok().text(), date.clone().at("+20d").ok().text());
}

/// Wants a check to fail.
#[track_caller]
fn fails(check: impl FnOnce() + std::panic::UnwindSafe) {
    assert!(std::panic::catch_unwind(check).is_err(), "it passed");
}

/// What a server answers within half a second, up to 64 KiB.
fn get(url: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while answer.len() < 65536 {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
