//! `fleetpack package --type msi`, from a repository to a signed package.

use std::path::Path;

use fleetpack::package::msi::pe::{Machine, sample};
use libtest_mimic::Trial;

use super::readers::verify;
use super::signing::{Issuer, RSA};
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial_needing};

pub fn trials() -> Vec<Trial> {
    let tools = &["openssl", "osslsigncode", "python3", "msiinfo"];
    vec![trial_needing(
        "msi_from_repository_to_signature",
        tools,
        whole,
    )]
}

const ROLES: [&str; 4] = ["ROOT", "TARGETS", "SNAPSHOT", "TIMESTAMP"];

pub fn fleetpack(scratch: &Scratch, words: &str) -> Run {
    let mut run = scratch.fleetpack(words.split_whitespace());
    for role in ROLES {
        run = run.env(&format!("FLEET_{role}_PASSPHRASE"), "made-up");
    }
    run.env("SOURCE_DATE_EPOCH", "1709210096")
}

pub fn repository(scratch: &Scratch) {
    fleetpack(scratch, "updates init --path repo").ok();
    for (platform, machine) in [
        ("windows", Machine::Amd64),
        ("windows-arm64", Machine::Arm64),
    ] {
        for name in ["orbit", "osqueryd", "desktop"] {
            let program = sample::program(machine, Some([1, 2, 3, 0]));
            scratch.write("program.exe", program);
            let words = format!(
                "updates add --path repo --target program.exe --platform {platform} --name {name} \
                 --version 1.2.3 -t stable"
            );
            fleetpack(scratch, &words).ok();
        }
    }
}

fn whole() {
    let issuer = Issuer::new();
    issuer.issue("code", RSA, "code");
    issuer.issue("other", RSA, "code");
    let scratch = &issuer.scratch;
    repository(scratch);
    let package = "package --type msi --arch amd64 --arch arm64 --no-state --fleet-desktop \
                   --update-url repo/repository --update-roots @repo/repository/root.json \
                   --agent-update-url https://updates.example.com \
                   --fleet-url https://fleet.example.com --enroll-secret made-up-secret";
    let signed = format!("{package} --msi-signing-cert code.pem --msi-signing-key code.key");
    fleetpack(scratch, &signed).ok();
    for (name, template) in [
        ("fleet-osquery.msi", "x64;1033"),
        ("fleet-osquery-arm64.msi", "Arm64;1033"),
    ] {
        let msi = scratch.join(name);
        verify(scratch, &msi);
        scratch
            .tool("msiinfo", ["suminfo", name])
            .ok()
            .prints(template);
        let report = issuer.verified(&msi);
        assert!(report.contains("Signature verification: ok"), "{report}");
        std::fs::remove_file(msi).unwrap();
    }
    // What cannot be signed leaves nothing behind.
    let cases = [
        (
            format!("{package} --msi-signing-cert code.pem --msi-signing-key other.key"),
            1,
            "the key in other.key does not belong to the certificate in code.pem",
        ),
        (
            format!("{package} --msi-signing-cert code.pem"),
            2,
            "--msi-signing-cert needs --msi-signing-key",
        ),
        (
            format!("{signed} --msi-timestamp-url http://127.0.0.1:9/"),
            1,
            "no time stamp from http://127.0.0.1:9/",
        ),
    ];
    for (words, code, sentence) in cases {
        fleetpack(scratch, &words).fails(code).says(sentence);
        assert!(
            !Path::new(&scratch.join("fleet-osquery.msi")).exists(),
            "{words}"
        );
    }
}
