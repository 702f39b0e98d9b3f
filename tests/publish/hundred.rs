//! A hundred releases, one after the other, while other people's clients look at times that
//! nobody chose: directly, through nginx, through an nginx that caches what it may, and through
//! one that caches what it must not.
//!
//! Whatever a client accepts was published: bytes that belong to the version of `targets.json`
//! that it holds, never an older version than before. At the end all of them hold the last
//! version and download the last bytes. go-tuf 0.5.2 keeps a timestamp before it has the
//! snapshot, and says "no update" when it meets the same one again; a client left behind like
//! that would be found at the end. What fails on the way is counted and printed.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::clients::{Client, Follower, History, Random, sha256, stable, targets_version};
use super::{publish, release};
use crate::harness::objects::Objects;
use crate::harness::server::Server;
use crate::harness::{Scratch, tools, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

const RELEASES: u64 = 100;
// For how long the disobedient cache keeps everything.
const KEPT: Duration = Duration::from_secs(1);

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial_needing(
        "publish/hundred_releases",
        &["versitygw", "curl", "python-tuf", "go", "nginx"],
        hundred_releases,
    )]
}

fn hundred_releases() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    // Its keys are not sealed: unsealing would be most of what a release costs.
    crate::updates::fixture(&scratch, "plaintext-keys");
    release(&scratch, "repo", "orbit", "1.0.0", "release 0");
    publish(&scratch, &service, "repo", []).ok();
    let origin = format!("{}/r", service.public(&scratch));
    let fronts = Fronts::start(&scratch, &origin);
    fronts.obedient_cache_works(&scratch, &service);
    let mut history = History::new();
    history.insert(targets_version(&scratch), stable(&scratch));

    let begun = Instant::now();
    let mut random = Random::new();
    let clients = fronts.clients(&scratch);
    let followers: Vec<_> = clients
        .iter()
        .map(|client| Follower::start(client, random.below(1 << 31)))
        .collect();
    for n in 1..=RELEASES {
        change(&scratch, n);
        history.insert(targets_version(&scratch), stable(&scratch));
        // The address that agents use is looked at now and then, and at the end.
        match n % 25 {
            0 => publish(
                &scratch,
                &service,
                "repo",
                ["--public-url", &fronts.bad.url],
            )
            .ok(),
            _ => publish(&scratch, &service, "repo", []).ok(),
        };
    }
    let took = begun.elapsed();
    let (mut looks, mut errors) = (0, 0);
    for follower in followers {
        let (all, failed) = follower.judge(&history);
        looks += all;
        errors += failed;
    }
    eprintln!("{RELEASES} releases in {took:.0?}: {looks} looks, {errors} transient errors");

    // A cache that keeps the timestamp as well needs its time.
    std::thread::sleep(KEPT + Duration::from_millis(200));
    let (version, last) = history.last_key_value().unwrap();
    for client in &clients {
        let (held, bytes) = client
            .step(None)
            .unwrap_or_else(|e| panic!("{}: {e}", client.name));
        assert_eq!(held, *version, "{} is behind", client.name);
        assert_eq!(sha256(&bytes), *last, "{}", client.name);
    }
}

/// Ways to the bucket.
struct Fronts {
    origin: String,
    plain: Server,
    good: Server,
    bad: Server,
}

impl Fronts {
    fn start(scratch: &Scratch, origin: &str) -> Self {
        let shown = "add_header X-Cache $upstream_cache_status;";
        // What says nothing about itself is kept; what does is kept as it says.
        let good = format!("proxy_cache_valid 200 10m; {shown}");
        let bad = format!(
            "proxy_ignore_headers Cache-Control Expires; proxy_cache_valid 200 {}s;",
            KEPT.as_secs()
        );
        Self {
            origin: origin.to_owned(),
            plain: Server::nginx_with(scratch, &format!("location / {{ proxy_pass {origin}/; }}")),
            good: Server::nginx_cache(scratch, origin, &good),
            bad: Server::nginx_cache(scratch, origin, &bad),
        }
    }

    // It would give old metadata for ten minutes if they did not say otherwise.
    fn obedient_cache_works(&self, scratch: &Scratch, service: &Objects) {
        let put = format!("{}/bucket/r/silent", service.endpoint());
        service.curl(scratch, "PUT", &put, "x").ok();
        for (name, cached) in [("silent", true), ("timestamp.json", false)] {
            let url = format!("{}/{name}", self.good.url);
            let head = || {
                let args = ["-fsS", "-o", "/dev/null", "-D", "-", &url];
                scratch.tool("curl", args).ok().text().to_owned()
            };
            head();
            let again = head();
            assert_eq!(again.contains("X-Cache: HIT"), cached, "{name}: {again}");
        }
    }

    fn clients<'a>(&self, scratch: &'a Scratch) -> Vec<Client<'a>> {
        let root = scratch.join("repo/repository/1.root.json");
        tools::go_program("go-tuf");
        let all = [
            (Peer::PythonTuf, &self.origin, "python, direct"),
            (Peer::GoTuf, &self.origin, "go, direct"),
            (Peer::GoTuf, &self.plain.url, "go, nginx"),
            (Peer::PythonTuf, &self.good.url, "python, cache"),
            (Peer::GoTuf, &self.good.url, "go, cache"),
            (Peer::GoTuf, &self.bad.url, "go, disobedient cache"),
        ];
        let all = all.map(|(peer, url, name)| Client::new(scratch, peer, url, name));
        all.iter().for_each(|client| {
            client.step(Some(&root)).unwrap();
        });
        all.into()
    }
}

// Mostly a new release, now and then an older one again or a timestamp alone.
fn change(scratch: &Scratch, n: u64) {
    match n % 10 {
        3 => {
            updates(scratch, ["timestamp", "--path", "repo"]).ok();
        }
        7 => {
            let before = format!("1.{}.0", n - 2);
            let words = ["promote", "--path", "repo", "--component", "orbit"];
            let to = ["--from", &before, "--to", "stable"];
            updates(scratch, words.into_iter().chain(to)).ok();
        }
        _ => {
            let version = format!("1.{n}.0");
            release(scratch, "repo", "orbit", &version, &format!("release {n}"));
        }
    }
}
