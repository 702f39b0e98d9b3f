//! One publisher: what is written, in which order, and what it is told to readers.

use libtest_mimic::Trial;

use super::{begin, publish, release, with, written};
use crate::harness::objects::Objects;
use crate::harness::server::Server;
use crate::harness::{Scratch, trial, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::{init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("publish/s3", &["versitygw", "curl", "python-tuf", "go"], s3),
        trial_needing(
            "publish/azure",
            &["azurite", "node", "python-tuf", "curl"],
            azure,
        ),
        trial_needing(
            "publish/google",
            &["fake-gcs-server", "openssl", "python-tuf", "go"],
            google,
        ),
        trial_needing("publish/folder", &["nginx", "python-tuf"], folder),
        trial_needing("publish/rotation", &["versitygw", "curl", "go"], rotation),
        trial_needing("publish/delete", &["versitygw"], delete),
        trial_needing("publish/refused", &["versitygw", "curl"], refused),
        trial_needing("publish/public_url", &["nginx"], public_url),
        trial_needing(
            "publish/disobedient_cache",
            &["nginx", "curl"],
            disobedient_cache,
        ),
        trial("publish/nothing_there", nothing_there),
        trial_needing("publish/no_authorities", &["versitygw"], no_authorities),
    ]
}

/// A system without certificate authorities: Mozilla's are in the program.
fn no_authorities() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    std::fs::create_dir(scratch.join("none")).unwrap();
    let run = publish(&scratch, &service, "repo", []);
    run.env("SSL_CERT_DIR", scratch.join("none"))
        .env("SSL_CERT_FILE", scratch.join("none/bundle.pem"))
        .ok();
}

fn s3() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    let url = format!("{}/r", service.public(&scratch));
    let dry = publish(&scratch, &service, "repo", ["--dry-run"]).ok();
    dry.prints("would write targets/orbit/linux/stable/orbit")
        .prints("would write timestamp.json");
    let ran = publish(&scratch, &service, "repo", []).ok();
    let names = written(&ran);
    let last = names.len() - 1;
    assert_eq!(names[last], "timestamp.json", "{names:?}");
    assert!(
        names[..2].iter().all(|name| name.starts_with("targets/")),
        "{names:?}"
    );
    // One content under two names goes over the network once.
    ran.says("67 bytes sent");
    // python-tuf and go-tuf, then nothing to do, then what changed alone.
    let root = scratch.join("repo/repository/1.root.json");
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        assert_eq!(
            peer.follow(&scratch, &url, Some(&root), true),
            super::program("one")
        );
    }
    assert_eq!(
        written(&publish(&scratch, &service, "repo", []).ok()),
        Vec::<String>::new()
    );
    changes(&scratch, &service, &url);
}

// Only what changed is written, and read by clients that were there before.
fn changes(scratch: &Scratch, service: &Objects, url: &str) {
    updates(scratch, ["timestamp", "--path", "repo"]).ok();
    let ran = publish(scratch, service, "repo", []).ok();
    assert_eq!(written(&ran), ["timestamp.json"]);
    release(scratch, "repo", "orbit", "1.1.0", "two!");
    let ran = publish(scratch, service, "repo", ["--status-page"]).ok();
    assert_eq!(
        written(&ran),
        [
            "targets/orbit/linux/1.1.0/orbit",
            "targets/orbit/linux/stable/orbit",
            "targets.json",
            "snapshot.json",
            "timestamp.json",
            "status.html"
        ]
    );
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        assert_eq!(
            peer.follow(scratch, url, None, true),
            super::program("two!")
        );
    }
    told(scratch, url);
    // Nothing of the publication's own stays.
    let left = with(
        scratch,
        service,
        [
            "publish",
            &service.url("r"),
            "--path",
            "repo",
            "--delete",
            "--grace",
            "0",
        ],
    );
    assert!(!left.ok().text().contains(".fleetpack"));
}

// What readers are told.
fn told(scratch: &Scratch, url: &str) {
    for (name, cache, kind) in [
        ("timestamp.json", "no-store", "application/json"),
        ("snapshot.json", "no-cache", "application/json"),
        ("1.root.json", "no-cache", "application/json"),
        (
            "targets/orbit/linux/stable/orbit",
            "no-cache",
            "application/octet-stream",
        ),
        (
            "targets/orbit/linux/1.1.0/orbit",
            "no-cache",
            "application/octet-stream",
        ),
        ("status.html", "no-cache", "text/html; charset=utf-8"),
    ] {
        let ran = scratch
            .tool("curl", ["-fsSI", &format!("{url}/{name}")])
            .ok();
        let text = ran.text().to_lowercase();
        assert!(
            text.contains(&format!("cache-control: {cache}\r\n")),
            "{name}: {text}"
        );
        assert!(
            text.contains(&format!("content-type: {kind}\r\n")),
            "{name}: {text}"
        );
        assert!(!text.contains("content-encoding"), "{name}: {text}");
    }
}

fn azure() {
    let scratch = Scratch::new();
    let service = Objects::azure(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    publish(&scratch, &service, "repo", []).ok();
    let url = format!("{}/bucket/r", service.endpoint());
    let root = scratch.join("repo/repository/1.root.json");
    let got = Peer::PythonTuf.follow(&scratch, &url, Some(&root), true);
    assert_eq!(got, super::program("two!"));
}

fn google() {
    let scratch = Scratch::new();
    let service = Objects::google(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "second");
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    publish(&scratch, &service, "repo", []).ok();
    let url = format!("{}/bucket/r", service.endpoint());
    let root = scratch.join("repo/repository/1.root.json");
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        let got = peer.follow(&scratch, &url, Some(&root), true);
        assert_eq!(got, super::program("two!"));
    }
    // Another host, and one that has no copy; the latter is an instance of that cloud.
    let place = service.url("r");
    with(&scratch, &service, ["pull", &place, "--path", "second"])
        .ok()
        .says("took over targets version 3");
    let metadata = service.endpoint().trim_start_matches("http://");
    let keys = scratch.join("second/keys");
    let path = [
        "timestamp",
        "--path",
        &place,
        "--keys",
        keys.to_str().unwrap(),
    ];
    with(&scratch, &service, path)
        .env("GOOGLE_APPLICATION_CREDENTIALS", "")
        .env("GCE_METADATA_HOST", metadata)
        .ok();
    for peer in [Peer::PythonTuf, Peer::GoTuf] {
        assert_eq!(
            peer.follow(&scratch, &url, None, true),
            super::program("two!")
        );
    }
    let ran = publish(&scratch, &service, "repo", ["--dry-run"]).ok();
    ran.says("the destination is ahead");
}

fn folder() {
    let scratch = Scratch::new();
    begin(&scratch);
    updates(&scratch, ["publish", "served", "--path", "repo"]).ok();
    let server = Server::nginx(&scratch, &scratch.join("served"));
    let root = scratch.join("repo/repository/1.root.json");
    let got = Peer::PythonTuf.follow(&scratch, &server.url, Some(&root), true);
    assert_eq!(got, super::program("one"));
    // A copy of its own, from nothing but the anchor in its memory.
    scratch.copy(&scratch.join("repo"), "second");
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    updates(&scratch, ["publish", "served", "--path", "repo"]).ok();
    updates(&scratch, ["pull", "served", "--path", "second"]).ok();
    updates(&scratch, ["verify", "--path", "second"]).ok();
    assert_eq!(
        scratch.read("second/repository/targets/orbit/linux/stable/orbit"),
        super::program("two!")
    );
}

fn rotation() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    let url = format!("{}/r", service.public(&scratch));
    publish(&scratch, &service, "repo", []).ok();
    let root = scratch.join("repo/repository/1.root.json");
    Peer::GoTuf.follow(&scratch, &url, Some(&root), true);
    // Planned: clients with the old root find what both keys signed.
    updates(&scratch, ["rotate", "timestamp", "--path", "repo"]).ok();
    let names = written(&publish(&scratch, &service, "repo", []).ok());
    assert_eq!(names, ["timestamp.json", "2.root.json", "root.json"]);
    Peer::GoTuf.follow(&scratch, &url, None, true);
    // Compromised: the new root is first, and says so.
    updates(
        &scratch,
        ["rotate", "--path", "repo", "--compromised", "timestamp"],
    )
    .ok();
    let ran = publish(&scratch, &service, "repo", []).ok();
    // What lies there may be the thief's: targets are sent again.
    let names = written(&ran);
    assert_eq!(names[2..], ["3.root.json", "root.json", "timestamp.json"]);
    ran.says("for a moment agents find a new root beside old metadata");
    Peer::GoTuf.follow(&scratch, &url, None, true);
}

fn delete() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    updates(
        &scratch,
        ["remove", "orbit/linux/1.0.0/orbit", "--path", "repo"],
    )
    .ok();
    let ran = publish(&scratch, &service, "repo", ["--delete"]).ok();
    assert!(!ran.text().contains("deleted"), "{ran}");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let grace = ["--delete", "--grace", "1s"];
    let ran = publish(
        &scratch,
        &service,
        "repo",
        grace.into_iter().chain(["--dry-run"]),
    )
    .ok();
    ran.prints("would delete targets/orbit/linux/1.0.0/orbit");
    let ran = publish(&scratch, &service, "repo", grace).ok();
    ran.prints("deleted targets/orbit/linux/1.0.0/orbit");
    assert!(!ran.text().contains("stable"), "{ran}");
}

fn refused() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    publish(&scratch, &service, "repo", []).ok();
    // Another repository.
    updates(&scratch, ["init", "--path", "other"]).ok();
    publish(&scratch, &service, "other", [])
        .fails(1)
        .says("holds another repository: its 1.root.json is not ours");
    // Put back to an older state, whole and in parts.
    let put = |file: &str, bytes: &str| {
        let url = format!("{}/bucket/r/{file}", service.endpoint());
        service.curl(&scratch, "PUT", &url, bytes).ok();
    };
    let documents = ["timestamp.json", "snapshot.json", "targets.json"];
    let old = documents.map(|file| scratch.text(&format!("repo/repository/{file}")));
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    publish(&scratch, &service, "repo", []).ok();
    let new = documents.map(|file| scratch.text(&format!("repo/repository/{file}")));
    for (file, bytes) in documents.iter().zip(&old) {
        put(file, bytes);
    }
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    publish(&scratch, &service, "repo", [])
        .fails(1)
        .says("was rolled back: its timestamp.json has version 2, but version 3 was seen there before")
        .says("hint: fleetpack updates publish");
    publish(&scratch, &service, "repo", ["--repair"]).ok();
    for (file, bytes) in documents.iter().zip(&new) {
        put(file, bytes);
    }
    publish(&scratch, &service, "repo", [])
        .fails(1)
        .says("was rolled back");
    publish(&scratch, &service, "repo", ["--repair"]).ok();
    // Nonsense.
    put("timestamp.json", "{}");
    publish(&scratch, &service, "repo", [])
        .fails(1)
        .says("are not valid");
    publish(&scratch, &service, "repo", ["--repair"]).ok();
    // No bucket.
    let nowhere = ["publish", "s3://nowhere/r", "--path", "repo"];
    with(&scratch, &service, nowhere)
        .fails(1)
        .says("error: s3://nowhere/r has no such bucket\n")
        .says("hint: aws s3 mb s3://");
}

fn public_url() {
    let scratch = Scratch::new();
    begin(&scratch);
    let served = scratch.join("served");
    std::fs::create_dir(&served).unwrap();
    let publish = |url: &str| {
        updates(
            &scratch,
            ["publish", "served", "--path", "repo", "--public-url", url],
        )
    };
    let server = Server::nginx(&scratch, &served);
    publish(&server.url).ok().says(" files compared through ");
    // A server that compresses, and one that answers 403 for what is missing.
    let root = served.display();
    let gzip = format!("location / {{ root {root}; gzip on; gzip_types *; gzip_min_length 1; }}");
    let compressing = Server::nginx_with(&scratch, &gzip);
    publish(&compressing.url).ok();
    let forbidding = format!(
        "location / {{ root {root}; error_page 404 =403 /none; }} location = /none {{ internal; return 403; }}"
    );
    let forbidding = Server::nginx_with(&scratch, &forbidding);
    publish(&forbidding.url)
        .fails(1)
        .says("warning: 2.root.json does not exist and answers 403, not 404: agents stop")
        .says("error: the public address fails 1 of the tests");
    // One that says that it compressed, to whoever asks.
    let claiming = format!("location / {{ root {root}; add_header Content-Encoding gzip; }}");
    let claiming = Server::nginx_with(&scratch, &claiming);
    publish(&claiming.url)
        .fails(1)
        .says("comes with Content-Encoding: gzip");
    // One that cannot say beforehand how much will come.
    let chunked = format!("location / {{ root {root}; ssi on; ssi_types *; }}");
    let chunked = Server::nginx_with(&scratch, &chunked);
    publish(&chunked.url)
        .fails(1)
        .says("comes without Content-Length");
}

// A cache that keeps everything for some seconds, whatever it is told.
fn disobedient_cache() {
    let scratch = Scratch::new();
    begin(&scratch);
    std::fs::create_dir(scratch.join("served")).unwrap();
    let server = Server::nginx(&scratch, &scratch.join("served"));
    let caching = Server::nginx_cache(
        &scratch,
        &server.url,
        "proxy_ignore_headers Cache-Control Expires; proxy_cache_valid 200 5s;",
    );
    let publish = || {
        let args = [
            "publish",
            "served",
            "--path",
            "repo",
            "--public-url",
            &caching.url,
        ];
        updates(&scratch, args)
    };
    publish().ok();
    // No agent can meet the new timestamp beside the old snapshot.
    let before = scratch.read("served/timestamp.json");
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    let snapshot = scratch.read("repo/repository/snapshot.json");
    let publishing = publish().spawn();
    while scratch.read("served/timestamp.json") == before {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let url = format!("{}/snapshot.json", caching.url);
    let got = scratch.tool("curl", ["-fsS", &url]).ok();
    assert!(got.stdout == snapshot, "an old snapshot");
    let output = publishing.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(
        words.contains("timestamp.json waits for its cache"),
        "{words}"
    );
    // The timestamp itself may be kept, and another follows it.
    publish().ok();
    updates(&scratch, ["timestamp", "--path", "repo"]).ok();
    let ran = publish().ok();
    ran.says("still gives an older timestamp.json")
        .says("caches had given old copies: one more timestamp, version 5");
}

fn nothing_there() {
    let scratch = Scratch::new();
    init(&scratch);
    updates(&scratch, ["pull", "empty", "--path", "repo"])
        .fails(1)
        .says("error: there is no repository at empty\n");
    updates(
        &scratch,
        ["publish", "https://updates.example.com", "--path", "repo"],
    )
    .fails(1)
    .says("error: nothing can be published to `https://updates.example.com`\n");
}
