//! `updates serve`: judged by curl, python-tuf and go-tuf.

use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::broken_repositories::whose_snapshot_names;
use crate::harness::server::free_port;
use crate::harness::{Scratch, trial_needing};
use crate::publish::{begin, program, release};
use crate::tuf_peers::Peer;
use crate::updates::updates;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("serve/clients", &["python-tuf", "go"], clients),
        trial_needing("serve/requests", &["curl"], requests),
        trial_needing("serve/names", &["curl"], names),
        trial_needing("serve/tls", &["curl", "openssl"], tls),
        trial_needing("serve/stops", &["curl"], stops),
    ]
}

/// A server of the repository in `repo`.
pub struct Serving {
    child: Child,
    /// Its address.
    pub url: String,
}

impl Serving {
    /// Starts it with more arguments.
    pub fn start(scratch: &Scratch, scheme: &str, more: &[&str]) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let args = ["serve", "--path", "repo", "--listen", &listen];
        let child = updates(scratch, args.into_iter().chain(more.iter().copied())).spawn();
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&listen).is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            child,
            url: format!("{scheme}://localhost:{port}"),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn clients() {
    let scratch = Scratch::new();
    begin(&scratch);
    let server = Serving::start(&scratch, "http", &[]);
    let root = scratch.join("repo/repository/1.root.json");
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        let got = peer.follow(&scratch, &server.url, Some(&root), true);
        assert_eq!(got, program("one"));
    }
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    updates(&scratch, ["rotate", "timestamp", "--path", "repo"]).ok();
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        let got = peer.follow(&scratch, &server.url, None, true);
        assert_eq!(got, program("two!"));
    }
}

// Metadata that are signed, or that somebody put there, name files outside the folder; and a
// link leads out of it.
fn names() {
    let elsewhere = Scratch::new();
    let secret = elsewhere.write("private.json", "made-up");
    let secret = secret.to_str().unwrap();
    let scratch = whose_snapshot_names(&["../keys/targets.json".to_owned(), secret.to_owned()]);
    let server = Serving::start(&scratch, "http", &[]);
    let status = |path: &str| {
        let url = format!("{}/{path}", server.url);
        let args = [
            "-sS",
            "--path-as-is",
            "-o",
            "body",
            "-w",
            "%{http_code}",
            &url,
        ];
        scratch.tool("curl", args).ok().text().to_owned()
    };
    for path in [
        "../keys/targets.json",
        secret,
        "3.root.json",
        "0.root.json",
        "01.root.json",
    ] {
        assert_eq!(status(path), "404", "{path}");
    }
    for path in [
        "2.root.json",
        "root.json",
        "snapshot.json",
        "timestamp.json",
    ] {
        assert_eq!(status(path), "200", "{path}");
    }
    let published = scratch.join("repo/repository");
    for (file, path) in [
        ("snapshot.json", "snapshot.json"),
        (
            "targets/orbit/linux/stable/orbit",
            "targets/orbit/linux/stable/orbit",
        ),
    ] {
        let on_disk = published.join(file);
        let other = scratch.join("other");
        std::fs::copy(&on_disk, &other).unwrap();
        std::fs::remove_file(&on_disk).unwrap();
        std::os::unix::fs::symlink(&other, &on_disk).unwrap();
        assert_eq!(status(path), "404", "{path}");
    }
    // What cannot be verified changes no name.
    scratch.write("repo/repository/timestamp.json", "{}");
    assert_eq!(status("timestamp.json"), "200");
    assert_eq!(status("targets/orbit/linux/2.0/orbit"), "200");
}

#[expect(
    clippy::too_many_lines,
    reason = "a table of requests and their answers"
)]
fn requests() {
    let scratch = Scratch::new();
    begin(&scratch);
    scratch.write("repo/repository/targets/unnamed", "x");
    scratch.write("repo/repository/.hidden", "x");
    let server = Serving::start(&scratch, "http", &[]);
    let curl = |args: &[&str], path: &str| {
        let url = format!("{}/{path}", server.url);
        let head = ["-sS", "--path-as-is", "-i"];
        let args = head.iter().chain(args).copied().chain([url.as_str()]);
        let ran = scratch.tool("curl", args).ok();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let status = |text: &str| text.split(' ').nth(1).unwrap().to_owned();
    for path in [
        "2.root.json",
        "targets/unnamed",
        ".hidden",
        "../keys/root.json",
        "%2e%2e/keys/root.json",
        "targets/",
        "targets/orbit/linux/stable/orbit/",
        "keys/root.json",
    ] {
        assert_eq!(status(&curl(&[], path)), "404", "{path}");
    }
    let orbit = "targets/orbit/linux/stable/orbit";
    let whole = curl(&[], orbit);
    assert_eq!(status(&whole), "200");
    assert!(whole.contains("Content-Length: 67\r\n") && whole.contains("Accept-Ranges: bytes"));
    assert!(!whole.contains("Content-Encoding"));
    let tag = whole
        .split("ETag: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    let header = |name: &str, value: &str| format!("{name}: {value}");
    for (name, value, answer) in [
        ("If-None-Match", tag, "304"),
        ("If-None-Match", "\"other\"", "200"),
        ("If-Match", tag, "206"),
        ("If-Match", "\"other\"", "412"),
        ("If-Range", tag, "206"),
        ("If-Range", "\"other\"", "200"),
    ] {
        let mut args = vec!["-H".to_owned(), header(name, value)];
        if answer == "206" || name == "If-Range" {
            args.extend(["-r".to_owned(), "64-".to_owned()]);
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let text = curl(&args, orbit);
        assert_eq!(status(&text), answer, "{name}: {value}");
        if answer == "206" {
            assert!(text.contains("Content-Range: bytes 64-66/67\r\n"), "{text}");
            assert!(text.ends_with("\r\n\r\none"), "{text}");
        }
    }
    assert_eq!(status(&curl(&["-r", "67-"], orbit)), "416");
    assert_eq!(status(&curl(&["-I"], orbit)), "200");
    assert_eq!(
        status(&curl(&["-X", "PUT", "-d", "x"], "timestamp.json")),
        "405"
    );
    assert!(curl(&[], "timestamp.json").contains("Cache-Control: no-store\r\n"));
    assert!(curl(&[], "snapshot.json").contains("Cache-Control: no-cache\r\n"));
    let page = curl(&[], "");
    assert!(
        page.contains("text/html") && page.contains("Update repository") && page.contains("1.0.0")
    );
}

fn tls() {
    let scratch = Scratch::new();
    begin(&scratch);
    let subject = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ];
    let files = [
        "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-nodes",
    ];
    let kind = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    scratch
        .tool("openssl", kind.iter().chain(&files).chain(&subject))
        .ok();
    let server = Serving::start(
        &scratch,
        "https",
        &["--tls-cert", "cert.pem", "--tls-key", "key.pem"],
    );
    let url = format!("{}/timestamp.json", server.url);
    let ran = scratch
        .tool("curl", ["-fsS", "--cacert", "cert.pem", &url])
        .ok();
    assert_eq!(ran.stdout, scratch.read("repo/repository/timestamp.json"));
    updates(
        &scratch,
        [
            "serve",
            "--path",
            "repo",
            "--tls-cert",
            "cert.pem",
            "--tls-key",
            "cert.pem",
        ],
    )
    .fails(1)
    .says("error: cert.pem holds no PEM private key\n");
}

// What is under way when it is told to stop still arrives whole.
fn stops() {
    let scratch = Scratch::new();
    begin(&scratch);
    let large = [program("large").as_slice(), &vec![7; 30_000_000]].concat();
    scratch.write("large", &large);
    let args = [
        "add",
        "--path",
        "repo",
        "--target",
        "large",
        "--name",
        "orbit",
        "--platform",
        "linux",
        "--version",
        "2",
    ];
    updates(&scratch, args).ok();
    let mut server = Serving::start(&scratch, "http", &[]);
    let url = format!("{}/targets/orbit/linux/2/orbit", server.url);
    let slow = ["-fsS", "--limit-rate", "20M", "-o", "got", &url];
    let mut client = scratch.tool("curl", slow).spawn();
    std::thread::sleep(Duration::from_millis(400));
    assert!(client.try_wait().unwrap().is_none());
    server.signal(Signal::TERM);
    assert!(client.wait().unwrap().success());
    assert!(scratch.read("got") == large);
    assert!(server.child.wait().unwrap().success());
}
