//! `examples/tuf_client.rs` follows repositories that python-tuf's objects describe: every
//! behaviour that the public suite theupdateframework/tuf-conformance asks for, and more, by
//! the cases of `tests/interop/python/conformance`.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;

use crate::harness::{Scratch, trial_needing};

/// The trials: one for each file of cases, with the number of cases in it.
pub fn trials() -> Vec<Trial> {
    let groups = [
        ("basic", 25),
        ("delegations", 55),
        ("downloads", 23),
        ("expiration", 13),
        ("keys", 41),
        ("rollback", 12),
    ];
    groups
        .into_iter()
        .map(|(group, cases)| {
            let name = format!("conformance/{group}");
            trial_needing(&name, &["python-tuf", "faketime"], move || {
                let scratch = Scratch::new();
                let client = client();
                let args = [client.as_os_str(), group.as_ref()];
                scratch
                    .python("conformance", args)
                    .env("TZ", "UTC")
                    .ok()
                    .prints(&format!("{cases} of {cases} cases held\n"));
            })
        })
        .collect()
}

/// The example, which `cargo test` builds beside the tests; `cargo test --test all` does not,
/// so it is built here when it is not there.
fn client() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let client = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/tuf_client");
    if !client.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "tuf_client"])
            .status();
        assert!(built.unwrap().success(), "cargo build --example tuf_client");
    }
    client
}
