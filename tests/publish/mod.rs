//! Publishing to object storage and folders, judged by other people's services and clients.

mod attacker;
mod basics;
mod clients;
mod copies;
mod cuts;
mod elsewhere;
mod hundred;
mod page;
mod races;
mod refusals;
mod stores;

use libtest_mimic::Trial;

use crate::harness::Scratch;
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::updates::{PASSPHRASES, elf, init, updates};

/// The trials.
pub fn trials() -> Vec<Trial> {
    [
        stores::trials(),
        attacker::trials(),
        basics::trials(),
        copies::trials(),
        elsewhere::trials(),
        page::trials(),
        races::trials(),
        refusals::trials(),
        hundred::trials(),
        cuts::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `fleetpack updates …` with passphrases and the service's credentials.
pub fn with<'a>(
    scratch: &Scratch,
    service: &Objects,
    args: impl IntoIterator<Item = &'a str>,
) -> Run {
    let args = ["updates"].into_iter().chain(args);
    scratch
        .fleetpack(args)
        .envs(PASSPHRASES)
        .envs(service.variables())
        .env("AWS_ENDPOINT_URL", service.endpoint())
}

/// Publishes the copy in `repo` at prefix `r`.
pub fn publish<'a>(
    scratch: &Scratch,
    service: &Objects,
    repo: &str,
    more: impl IntoIterator<Item = &'a str>,
) -> Run {
    let url = service.url("r");
    let endpoint = service.endpoint();
    let args = ["publish", &url, "--path", repo, "--endpoint", endpoint];
    more.into_iter()
        .fold(with(scratch, service, args), |run, arg| run.arg(arg))
}

/// Adds `bytes` as orbit for Linux to the copy in `repo`.
pub fn release(scratch: &Scratch, repo: &str, name: &str, version: &str, tail: &str) {
    let file = scratch.write(&format!(".files/{version}"), program(tail));
    let args = [
        "add",
        "--path",
        repo,
        "--target",
        file.to_str().unwrap(),
        "--name",
        name,
        "--platform",
        "linux",
        "--version",
        version,
        "-t",
        "stable",
    ];
    updates(scratch, args).ok();
}

/// A program that is told apart by its end.
pub fn program(tail: &str) -> Vec<u8> {
    [elf(62).as_slice(), tail.as_bytes()].concat()
}

/// A repository with one release, in `repo`.
pub fn begin(scratch: &Scratch) {
    init(scratch);
    release(scratch, "repo", "orbit", "1.0.0", "one");
}

/// What `publish` said it wrote.
pub fn written(ran: &crate::harness::scratch::Ran) -> Vec<String> {
    let lines = ran.text().lines();
    lines
        .filter_map(|line| line.strip_prefix("wrote ").map(str::to_owned))
        .collect()
}
