//! What object storage refuses, in words: one error that names the thing, a way out, and
//! nothing left behind.
//!
//! Accounts, clocks and regions that a service would refuse are not at hand on loopback, so a
//! stand-in answers with the status and code that the service's documentation gives.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use libtest_mimic::Trial;

use super::{begin, publish, release, with};
use crate::harness::mount::Mount;
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::harness::standin::{Request, StandIn};
use crate::harness::{Scratch, trial, trial_needing};
use crate::updates::{PASSPHRASES, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("publish/refusals/answers", answers),
        trial("publish/refusals/midway", midway),
        trial("publish/refusals/halfway", halfway),
        trial("publish/refusals/resumed", resumed),
        trial("publish/refusals/source_gone", source_gone),
        trial("publish/refusals/stale_copy", stale_copy),
        trial("publish/refusals/reading", reading),
        trial("publish/refusals/no_credentials", no_credentials),
        trial_needing("publish/refusals/profiles", &["versitygw"], profiles),
        trial_needing(
            "publish/refusals/read_only_folder",
            &["root", "mount", "umount"],
            read_only_folder,
        ),
    ]
}

fn to(scratch: &Scratch, service: &StandIn, args: &[&str]) -> Run {
    let args = ["updates"].into_iter().chain(args.iter().copied());
    scratch
        .fleetpack(args)
        .args(["--endpoint", &service.url])
        .envs(PASSPHRASES)
        .envs(service.variables())
}

type Answers = fn(&Request) -> Option<(u16, &'static str)>;

/// A service's answers, and what is said of them.
struct Case {
    name: &'static str,
    honours: bool,
    answers: Answers,
    error: &'static str,
    hint: &'static str,
}

const CASES: [Case; 10] = [
    Case {
        name: "no bucket",
        honours: true,
        answers: |_| Some((404, "NoSuchBucket")),
        error: "s3://bucket/r has no such bucket\n  caused by: NoSuchBucket",
        hint: "aws s3 mb s3://",
    },
    Case {
        name: "no right to list",
        honours: true,
        answers: |request| {
            let lists = request.method == "GET" && request.key.is_empty();
            lists.then_some((403, "AccessDenied"))
        },
        error: "s3://bucket/r does not allow to list targets\n",
        hint: "s3:ListBucket (storage.objects.list",
    },
    Case {
        name: "no right to list, so that what is missing is forbidden",
        honours: true,
        answers: |request| (request.method == "GET").then_some((403, "AccessDenied")),
        error: "s3://bucket/r does not allow to read .fleetpack/lock.json\n",
        hint: "s3:GetObject and s3:ListBucket under the prefix",
    },
    Case {
        name: "no right to write",
        honours: true,
        answers: |request| (request.method == "PUT").then_some((403, "AccessDenied")),
        error: "s3://bucket/r does not allow to write .fleetpack/lock.json\n",
        hint: "s3:GetObject, PutObject, DeleteObject and ListBucket under the prefix",
    },
    Case {
        name: "conditions are refused",
        honours: true,
        answers: |request| request.is_conditional().then_some((501, "NotImplemented")),
        error: "s3://bucket/r cannot write on condition",
        hint: "--endpoint URL of a service that honours If-Match",
    },
    Case {
        name: "conditions are ignored",
        honours: false,
        answers: |_| None,
        error: "s3://bucket/r cannot write on condition, so that two publishers could mix their files\n",
        hint: "--endpoint URL of a service that honours If-Match",
    },
    Case {
        name: "another region",
        honours: true,
        answers: |_| Some((301, "PermanentRedirect")),
        error: "the bucket of s3://bucket/r lies in another region\n",
        hint: "AWS_REGION=",
    },
    Case {
        name: "another region, by its signature",
        honours: true,
        answers: |_| Some((400, "AuthorizationHeaderMalformed")),
        error: "the bucket of s3://bucket/r lies in another region\n",
        hint: "AWS_REGION=",
    },
    Case {
        name: "expired credentials",
        honours: true,
        answers: |_| Some((400, "ExpiredToken")),
        error: "the credentials for s3://bucket/r have expired\n",
        hint: "aws sts get-caller-identity",
    },
    Case {
        name: "a clock that is wrong",
        honours: true,
        answers: |_| Some((403, "RequestTimeTooSkewed")),
        error: "the clock here and the clock of s3://bucket/r differ by too much\n",
        hint: "timedatectl set-ntp true",
    },
];

fn answers() {
    let scratch = Scratch::new();
    begin(&scratch);
    let before = scratch.state("repo/repository");
    for case in &CASES {
        let service = StandIn::new(case.honours, case.answers);
        let place = ["s3://bucket/r", "--path", "repo"];
        let ran = to(
            &scratch,
            &service,
            &["publish", place[0], place[1], place[2]],
        )
        .run();
        assert_eq!(ran.code, Some(1), "{}: {ran}", case.name);
        let error = format!("error: {}", case.error);
        assert!(ran.stderr.starts_with(&error), "{}: {ran}", case.name);
        let hint = format!("\n  hint: {}", case.hint);
        assert!(ran.stderr.contains(&hint), "{}: {ran}", case.name);
        assert_eq!(service.keys(), Vec::<String>::new(), "{}", case.name);
        before.unchanged(&scratch.state("repo/repository"));
    }
}

// Credentials that expire between targets and metadata: agents see nothing of it, and the next
// publication goes on.
fn midway() {
    let scratch = Scratch::new();
    begin(&scratch);
    let expired = Arc::new(AtomicBool::new(false));
    let service = breaking_at("/snapshot.json", &expired);
    let publish = || {
        to(
            &scratch,
            &service,
            &["publish", "s3://bucket/r", "--path", "repo"],
        )
    };
    publish().ok();
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    expired.store(true, Ordering::SeqCst);
    publish()
        .fails(1)
        .says("error: the credentials for s3://bucket/r have expired\n");
    expired.store(false, Ordering::SeqCst);
    publish()
        .ok()
        .says("finishing what another publisher began");
    let left = service.keys();
    assert!(
        !left.iter().any(|key| key.contains(".fleetpack/")),
        "{left:?}"
    );
}

// A service that refuses to write names that end so, as long as `broken` says.
fn breaking_at(end: &'static str, broken: &Arc<AtomicBool>) -> StandIn {
    let broken = broken.clone();
    StandIn::new(true, move |request| {
        let asked = request.method == "PUT" && request.key.ends_with(end);
        (asked && broken.load(Ordering::SeqCst)).then_some((400, "ExpiredToken"))
    })
}

// A release that was broken off among its metadata does not stop the host that signs the time,
// though that one has never seen what the release began from.
fn halfway() {
    let scratch = Scratch::new();
    begin(&scratch);
    let broken = Arc::new(AtomicBool::new(false));
    let service = breaking_at("/snapshot.json", &broken);
    let publish = || {
        to(
            &scratch,
            &service,
            &["publish", "s3://bucket/r", "--path", "repo"],
        )
    };
    publish().ok();
    scratch.copy(&scratch.join("repo/keys"), "keys");
    std::fs::remove_file(scratch.join("keys/state.json")).unwrap();
    let timestamp = ["timestamp", "--path", "s3://bucket/r", "--keys", "keys"];
    let timestamp = || to(&scratch, &service, &timestamp);
    timestamp().arg("--trust-current").ok();
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    publish().ok();
    release(&scratch, "repo", "orbit", "1.2.0", "three");
    broken.store(true, Ordering::SeqCst);
    publish().fails(1);
    broken.store(false, Ordering::SeqCst);
    timestamp()
        .ok()
        .says("finishing what another publisher began");
    let stable = service.object("r/targets/orbit/linux/stable/orbit");
    assert_eq!(stable, Some(super::program("three")));
    let args = ["verify", "--path", "s3://bucket/r", "--keys", "keys"];
    to(&scratch, &service, &args).ok();
}

// What was sent is not sent again.
fn resumed() {
    let scratch = Scratch::new();
    begin(&scratch);
    release(&scratch, "repo", "osqueryd", "5.9.1", "osquery");
    let broken = Arc::new(AtomicBool::new(true));
    let now = broken.clone();
    let sent = AtomicBool::new(false);
    let service = StandIn::new(true, move |request| {
        let puts = |end: &str| request.method == "PUT" && request.key.ends_with(end);
        if puts("/orbit") {
            sent.store(true, Ordering::SeqCst);
        }
        if !puts("/osqueryd") || !now.load(Ordering::SeqCst) {
            return None;
        }
        // The other one is on its way in a thread of its own.
        while !sent.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Some((400, "ExpiredToken"))
    });
    let publish = || {
        to(
            &scratch,
            &service,
            &["publish", "s3://bucket/r", "--path", "repo"],
        )
    };
    publish().fails(1);
    let sent = service.keys();
    assert!(sent.iter().any(|key| key.ends_with("/orbit")), "{sent:?}");
    broken.store(false, Ordering::SeqCst);
    let bytes = super::program("osquery").len();
    publish().ok().says(&format!(" files, {bytes} bytes sent"));
}

// A publication that was broken off, and whose contents somebody took away, is no dead end.
fn source_gone() {
    let scratch = Scratch::new();
    begin(&scratch);
    let broken = Arc::new(AtomicBool::new(false));
    let service = breaking_at("/targets.json", &broken);
    let publish = || {
        to(
            &scratch,
            &service,
            &["publish", "s3://bucket/r", "--path", "repo"],
        )
    };
    publish().ok();
    release(&scratch, "repo", "orbit", "1.1.0", "two!");
    broken.store(true, Ordering::SeqCst);
    publish().fails(1);
    let kept = service.keys();
    assert!(
        kept.iter().any(|key| key.ends_with("commit.json")),
        "{kept:?}"
    );
    service.forget("/1.1.0/");
    service.forget(".fleetpack/blobs/");
    broken.store(false, Ordering::SeqCst);
    publish().ok();
    let stable = service.object("r/targets/orbit/linux/stable/orbit");
    assert_eq!(stable, Some(super::program("two!")));
}

// A publisher that was stopped in the middle of a copy, until its lock ran out and another one
// had published other bytes under the same name, puts these back: even where it then has to ask
// a person.
fn stale_copy() {
    let scratch = Scratch::new();
    begin(&scratch);
    let (armed, url) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::new()));
    let (here, there, now) = (scratch.clone(), url.clone(), armed.clone());
    let service = StandIn::new(true, move |request| {
        let copies = request.header("x-amz-copy-source").is_some();
        let stable = request.key == "r/targets/orbit/linux/stable/orbit";
        if copies && stable && now.swap(false, Ordering::SeqCst) {
            let endpoint: &String = there.get().unwrap();
            let args = ["updates", "publish", "s3://bucket/r", "--path", "second"];
            here.fleetpack(args)
                .args(["--endpoint", endpoint, "--prefer", "local"])
                .envs(PASSPHRASES)
                .envs([("AWS_ACCESS_KEY_ID", "b"), ("AWS_SECRET_ACCESS_KEY", "b")])
                .ok()
                .says("finishing what another publisher began");
        }
        None
    });
    url.set(service.url.clone()).unwrap();
    let publish = || {
        let args = [
            "publish",
            "s3://bucket/r",
            "--path",
            "repo",
            "--lock-time",
            "1s",
        ];
        to(&scratch, &service, &args)
    };
    publish().ok();
    scratch.copy(&scratch.join("repo"), "second");
    release(&scratch, "repo", "orbit", "1.1.0", "here!");
    release(&scratch, "second", "orbit", "1.2.0", "there");
    armed.store(true, Ordering::SeqCst);
    let ran = publish().fails(1);
    ran.says("somebody else published in between")
        .says("put back targets/orbit/linux/stable/orbit, which was written over in a race")
        .says("both changed orbit/linux/stable/orbit");
    let stable = || service.object("r/targets/orbit/linux/stable/orbit");
    assert_eq!(stable(), Some(super::program("there")));
    publish().args(["--prefer", "remote"]).ok();
    assert_eq!(stable(), Some(super::program("there")));
    let other = service.object("r/targets/orbit/linux/1.1.0/orbit");
    assert_eq!(other, Some(super::program("here!")));
}

// Reading needs no right to write.
fn reading() {
    let scratch = Scratch::new();
    begin(&scratch);
    let read_only = Arc::new(AtomicBool::new(false));
    let now = read_only.clone();
    let service = StandIn::new(true, move |request| {
        let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
        (now.load(Ordering::SeqCst) && writes).then_some((403, "AccessDenied"))
    });
    let place = ["s3://bucket/r", "--path", "repo"];
    let publish = ["publish", place[0], place[1], place[2]];
    to(&scratch, &service, &publish).ok();
    read_only.store(true, Ordering::SeqCst);
    let elsewhere = ["--path", "s3://bucket/r", "--keys", "repo/keys"];
    for command in [&["status"][..], &["verify"], &["roots"], &["keys", "list"]] {
        let args: Vec<_> = command.iter().copied().chain(elsewhere).collect();
        to(&scratch, &service, &args).ok();
    }
    to(&scratch, &service, &["pull", place[0], place[1], place[2]]).ok();
    let dry: Vec<_> = publish.into_iter().chain(["--dry-run"]).collect();
    to(&scratch, &service, &dry).ok();
    // A change is made in the copy beside the keys; the next one brings it there.
    let args: Vec<_> = ["timestamp"].into_iter().chain(elsewhere).collect();
    to(&scratch, &service, &args)
        .fails(1)
        .says("error: s3://bucket/r does not allow to write .fleetpack/lock.json\n");
    read_only.store(false, Ordering::SeqCst);
    to(&scratch, &service, &args).ok().says("published 1 files");
}

// Nobody's address is asked where there can be no answer.
fn no_credentials() {
    let scratch = Scratch::new();
    begin(&scratch);
    let command = |place: &'static str| {
        updates(&scratch, ["publish", place, "--path", "repo"])
            .env("AWS_EC2_METADATA_DISABLED", "true")
    };
    let s3 = command("s3://bucket/r");
    s3.fails(1)
        .says("error: there are no credentials for s3://bucket/r\n  caused by: looked for AWS_ACCESS_KEY_ID, the profile default in ~/.aws/credentials and ~/.aws/config, ")
        .says("hint: aws sts get-caller-identity");
    s3.env("AWS_PROFILE", "nobody")
        .fails(1)
        .says("caused by: there is no profile nobody in ~/.aws/credentials or ~/.aws/config\n");
    scratch.write(
        ".home/.aws/config",
        "[profile sso]\nsso_session = company\n",
    );
    command("s3://bucket/r")
        .env("AWS_PROFILE", "sso")
        .fails(1)
        .says("error: there are no keys for s3://bucket/r in the profile itself\n")
        .says("hint: eval \"$(aws configure export-credentials --profile sso --format env)\"");
    // The `az` program is not here.
    command("az://container/r")
        .env("AZURE_STORAGE_ACCOUNT", "nobody")
        .fails(1)
        .says("error: az://container/r does not accept these credentials\n")
        .says("hint: az login");
}

// What is in the AWS tools' files is enough.
fn profiles() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    begin(&scratch);
    let value = |name: &str| {
        let found = service.variables().find(|(variable, _)| *variable == name);
        found.unwrap().1.to_owned()
    };
    let (id, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    scratch.write(
        ".home/.aws/config",
        format!(
            "[default]\nregion = us-east-1\nendpoint_url = {}\n[profile program]\nendpoint_url = {}\nregion = us-east-1\ncredential_process = cat {}\n",
            service.endpoint(),
            service.endpoint(),
            scratch.join("printed").display()
        ),
    );
    scratch.write(
        ".home/.aws/credentials",
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"),
    );
    scratch.write(
        "printed",
        format!("{{\"Version\": 1, \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"{secret}\"}}"),
    );
    let url = service.url("r");
    let command = updates(&scratch, ["publish", &url, "--path", "repo"])
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command.ok();
    command
        .env("AWS_PROFILE", "program")
        .ok()
        .says(" 0 bytes sent");
    // Variables count more than files.
    let wrong = with(&scratch, &service, ["publish", &url, "--path", "repo"]);
    wrong
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .fails(1)
        .says("does not accept these credentials")
        .never_says(&secret);
    publish(&scratch, &service, "repo", []).ok();
}

/// A folder that takes no writes: named before anything is signed, and followed up afterwards.
fn read_only_folder() {
    let scratch = Scratch::new();
    begin(&scratch);
    let place = scratch.join("published");
    let place = place.to_str().unwrap();
    let publish = updates(&scratch, ["publish", place, "--path", "repo"]);
    publish.ok();
    let published = scratch.state("published");
    release(&scratch, "repo", "orbit", "1.1.0", "two");
    let own = scratch.state("repo/repository");
    let mount = Mount::read_only(scratch.join("published"));
    publish
        .fails(1)
        .says("published")
        .says("Read-only file system");
    drop(mount);
    assert_eq!(scratch.state("published"), published);
    assert_eq!(scratch.state("repo/repository"), own);
    publish.ok();
    assert_ne!(scratch.state("published"), published);
}
