//! A publisher is killed before each of its writes, one after the other, by a way to the bucket
//! that counts them; then another host goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use libtest_mimic::Trial;

use super::clients::{Client, number};
use super::elsewhere::{add, elsewhere};
use super::{program, publish, release, with};
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial_needing};
use crate::tuf_peers::Peer;
use crate::updates::updates;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "publish/cut_off_at_every_write",
            &["versitygw", "curl", "go"],
            every_write,
        ),
        trial_needing(
            "publish/elsewhere_cut_off_at_every_write",
            &["versitygw", "curl", "go"],
            every_write_elsewhere,
        ),
    ]
}

/// A way to a service on loopback that ends before write number `cut`, counted from 0: there
/// nothing is passed on and nothing answered.
struct Way {
    url: String,
    reached: Arc<AtomicBool>,
}

impl Way {
    fn to(service: &str, cut: usize) -> Self {
        let service = service.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let reached = Arc::new(AtomicBool::new(false));
        let flag = reached.clone();
        let writes = Arc::new(AtomicUsize::new(0));
        // It ends with the process: nobody connects any more.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (service, flag, writes) = (service.clone(), flag.clone(), writes.clone());
                std::thread::spawn(move || {
                    // Whoever is killed in between is what this is for.
                    let _ = pass(stream, &service, || {
                        let cut_here = writes.fetch_add(1, Ordering::SeqCst) >= cut;
                        flag.fetch_or(cut_here, Ordering::SeqCst);
                        cut_here
                    });
                });
            }
        });
        Self { url, reached }
    }
}

// One request, and its answer until the connection ends.
fn pass(mut from: TcpStream, service: &str, cut: impl Fn() -> bool) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1 << 16];
    let head = loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..n]);
        if let Some(at) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length = text.split("\r\ncontent-length:").nth(1);
    let length = length.map_or(0, |rest| {
        rest.lines()
            .next()
            .unwrap()
            .trim()
            .parse::<usize>()
            .unwrap()
    });
    while request.len() < head + 4 + length {
        let n = from.read(&mut buffer)?;
        request.extend_from_slice(&buffer[..n]);
    }
    let writes = !text.starts_with("get ") && !text.starts_with("head ");
    if writes && cut() {
        // Until the other end is gone.
        let _ = from.read(&mut buffer);
        return Ok(());
    }
    let mut to = TcpStream::connect(service)?;
    to.write_all(&request[..head])?;
    to.write_all(b"\r\nConnection: close")?;
    to.write_all(&request[head..])?;
    std::io::copy(&mut to, &mut from)?;
    Ok(())
}

fn every_write() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    crate::updates::fixture(&scratch, "plaintext-keys");
    release(&scratch, "repo", "orbit", "1.0.0", "release 0");
    publish(&scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo"), "cron");
    for role in ["root", "targets", "snapshot"] {
        std::fs::remove_file(scratch.join(format!("cron/keys/{role}.json"))).unwrap();
    }
    let url = format!("{}/r", service.public(&scratch));
    let client = Client::new(&scratch, Peer::GoTuf, &url, "go");
    let root = scratch.join("repo/repository/1.root.json");
    client.step(Some(&root)).unwrap();
    let seen = |client: &Client<'_>| client.step(None).map(|(_, bytes)| number(&bytes));
    let (mut cut, mut finished) = (0, 0);
    loop {
        let n = cut as u64 + 1;
        release(
            &scratch,
            "repo",
            "orbit",
            &format!("1.{n}.0"),
            &format!("release {n}"),
        );
        let whole = cut_off(&scratch, &service, cut);
        // It may fail, and accepts nothing but what was published.
        if let Ok(seen) = seen(&client) {
            assert!(seen == n || seen == n - 1, "{seen} at {n}");
        }
        // Another host comes next, or the same again.
        let next = if cut % 2 == 0 { "cron" } else { "repo" };
        updates(&scratch, ["timestamp", "--path", next]).ok();
        let ran = publish(&scratch, &service, next, ["--lock-time", "1s"]).ok();
        let finishing = "finishing what another publisher began";
        finished += usize::from(ran.stderr.contains(finishing));
        let now = seen(&client).unwrap_or_else(|e| panic!("cut {cut}, after {next}: {e}"));
        assert!(now == n || now == n - 1, "{now} at {n}, after {next}");
        publish(&scratch, &service, "repo", ["--lock-time", "1s"]).ok();
        assert_eq!(seen(&client), Ok(n), "cut {cut}");
        // A new client, and the other host: nothing is lost, nothing is in the way.
        let place = service.url("r");
        with(&scratch, &service, ["pull", &place, "--path", "cron"]).ok();
        updates(&scratch, ["verify", "--path", "cron"]).ok();
        cut += 1;
        if whole {
            break;
        }
    }
    eprintln!(
        "cut off at {} writes, {finished} times the next one finished",
        cut - 1
    );
    assert!(cut > 8 && finished > 0, "the way was cut nowhere");
}

// Publishes until the cut, and kills; whether there were fewer writes than that.
fn cut_off(scratch: &Scratch, service: &Objects, cut: usize) -> bool {
    let way = Way::to(service.endpoint(), cut);
    let place = service.url("r");
    let args = ["publish", &place, "--path", "repo", "--lock-time", "1s"];
    let run = with(scratch, service, args);
    killed(&run.arg("--endpoint").arg(&way.url), &way)
}

// Runs until the cut, and kills; whether it came to its end before.
fn killed(run: &Run, way: &Way) -> bool {
    let mut child = run.spawn();
    let ended = loop {
        if way.reached.load(Ordering::SeqCst) {
            break None;
        }
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(ended.is_none_or(|status| status.success()), "{words}");
    ended.is_some()
}

/// `--path s3://…`, with nothing here but keys: killed before each of its writes.
fn every_write_elsewhere() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    crate::updates::fixture(&scratch, "plaintext-keys");
    release(&scratch, "repo", "orbit", "1.0.0", "release 0");
    publish(&scratch, &service, "repo", []).ok();
    scratch.copy(&scratch.join("repo/keys"), "keys");
    std::fs::remove_file(scratch.join("keys/state.json")).unwrap();
    let on = |command: &[&str]| elsewhere(&scratch, &service, command);
    on(&["timestamp", "--trust-current"]).ok();
    let url = format!("{}/r", service.public(&scratch));
    let client = Client::new(&scratch, Peer::GoTuf, &url, "go");
    client
        .step(Some(&scratch.join("repo/repository/1.root.json")))
        .unwrap();
    let seen = || client.step(None).map(|(_, bytes)| number(&bytes));
    for name in ["timestamp", "add", "rotate timestamp", "rotate targets"] {
        let (mut cut, mut kept) = (0, 0);
        let releases = name == "add";
        loop {
            let before = seen().unwrap();
            let n = before + u64::from(releases);
            scratch.write("new", program(&format!("release {n}")));
            let version = format!("1.{n}.0");
            let command = match releases {
                true => add("new", &version).to_vec(),
                false => name.split(' ').collect(),
            };
            let way = Way::to(service.endpoint(), cut);
            let whole = killed(&on(&command).arg("--endpoint").arg(&way.url), &way);
            // It may fail, and accepts nothing but what was published.
            if let Ok(seen) = seen() {
                assert!(
                    seen == before || seen == n,
                    "{seen} at {n}, {name}, cut {cut}"
                );
            }
            // As if the time of its lock were over.
            let lock = scratch.join(".s3/root/bucket/r/.fleetpack/lock.json");
            if lock.exists() {
                std::fs::write(lock, r#"{"holder":"who was killed","until":0}"#).unwrap();
            }
            on(&["timestamp"]).ok();
            let now = seen().unwrap_or_else(|e| panic!("{name}, cut {cut}, after timestamp: {e}"));
            assert!(now == before || now == n, "{now} at {n}, {name}, cut {cut}");
            kept += u64::from(releases && now == n);
            on(&command).ok();
            assert_eq!(seen(), Ok(n), "{name}, cut {cut}");
            cut += 1;
            if whole {
                break;
            }
        }
        eprintln!(
            "{name}: cut off at {} writes; {kept} times the release stayed",
            cut - 1
        );
        assert!(cut > 3, "{name}: the way was cut nowhere");
    }
}
