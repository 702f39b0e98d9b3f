//! Flags that exclude each other, settings that would stop an agent, values that a file's
//! grammar cannot carry, and certificates that are none.

use libtest_mimic::Trial;

use super::ground::Ground;
use crate::harness::faults::certificate;
use crate::harness::{trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("bad_input/settings", settings),
        trial("bad_input/values_that_no_grammar_carries", values),
        trial("bad_input/enrollment_is_both_or_neither", enrollment),
        trial("bad_input/source_date_epoch", epoch),
        trial_needing("bad_input/certificates", &["openssl"], certificates),
    ]
}

fn settings() {
    let ground = Ground::new();
    ground.write("certificate.pem", ISSUER);
    let certificate = ["--fleet-certificate", "certificate.pem"];
    let update = ["--update-tls-certificate", "certificate.pem"];
    let mut record = ground.record();
    for args in [
        &["--insecure", certificate[0], certificate[1]][..],
        &["--insecure", update[0], update[1]],
        &["--end-user-email", "nobody"],
        &["--osquery-db", "relative/osquery.db"],
        &["--host-identifier", "hostname"],
        &["--debug=perhaps"],
        &["--cpu-quota", "0"],
        &["--cpu-quota", "-1"],
        &["--update-interval", "soon"],
        &["--update-interval", "0s"],
        &["--orbit-channel", "../edge"],
        &["--orbit-channel", "nowhere"],
        &["--fleet-desktop-alternative-browser-host", "x.example.org"],
        &["--fleet-tls-client-key", "certificate.pem"],
        &["--fleet-tls-client-certificate", "certificate.pem"],
        &["--update-tls-client-key", "certificate.pem"],
        &["--osquery-flagfile", "nowhere"],
        &["--compression", "brotli"],
        &["--outfile", "agent.rpm"],
        &["--arch", "mips"],
        &["--arch", "arm64"],
        &["--sign-identity", "Developer ID"],
        &["--fleet-desktop"],
    ] {
        record.refused(&args.join(" "), &ground.package(args));
    }
    record.compare("settings");
}

fn values() {
    let ground = Ground::new();
    let mut record = ground.record();
    for args in [
        ["--fleet-desktop-alternative-browser-host", "a\nb"],
        ["--osquery-db", "/var/a\nORBIT_INSECURE=true"],
        ["--orbit-channel", "stable\n"],
        ["--end-user-email", "a@b.org\nX"],
    ] {
        let row = format!("{} {:?}", args[0], args[1]);
        record.refused(&row, &ground.package(&args));
    }
    for secret in ["two\nlines", "", "bell\u{7}"] {
        let run = ground.fleetpack(anchored(&[
            "--fleet-url",
            "https://fleet.example.org",
            "--enroll-secret",
            secret,
        ]));
        record.refused(&format!("--enroll-secret {secret:?}"), &run);
    }
    record.compare("values");
}

fn anchored<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let usual = ["package", "--quiet", "--type", "deb", "--disable-updates"];
    let from = ["--update-url", "updates/repository"];
    let roots = ["--update-roots", "@root.json"];
    [&usual[..], &from[..], &roots[..], more].concat()
}

fn enrollment() {
    let ground = Ground::new();
    let mut record = ground.record();
    for args in [
        &["--fleet-url", "https://fleet.example.org"][..],
        &["--enroll-secret", "a-made-up-secret"],
        &[
            "--fleet-url",
            "fleet",
            "--enroll-secret",
            "a-made-up-secret",
        ],
        &["--fleet-url", "", "--enroll-secret", "a-made-up-secret"],
    ] {
        let row = args.join(" ").replace("a-made-up-secret", "…");
        record.refused(&row, &ground.fleetpack(anchored(args)));
    }
    record.compare("enrollment");
    ground.fleetpack(anchored(&[])).ok();
}

fn epoch() {
    let ground = Ground::new();
    let mut record = ground.record();
    for value in ["yesterday", "-1", "1.5", "99999999999999999999"] {
        let run = ground.package(&[]).env("SOURCE_DATE_EPOCH", value);
        record.refused(value, &run);
    }
    record.compare("source_date_epoch");
}

fn certificates() {
    let ground = Ground::new();
    let (one, _) = certificate(&ground, "one", "127.0.0.1");
    certificate(&ground, "two", "127.0.0.1");
    std::fs::copy(one, ground.join("copy.crt")).unwrap();
    ground.write("words", "no PEM at all\n");
    let broken = ground.text("one.crt").replacen("MII", "MIX", 1);
    ground.write("broken.crt", broken);
    let mut record = ground.record();
    for file in ["words", "one.key", "broken.crt", "nowhere"] {
        for flag in ["--fleet-certificate", "--update-tls-certificate"] {
            let row = format!("{flag} {file}");
            record.refused(&row, &ground.package(&[flag, file]));
        }
    }
    for kind in ["fleet", "update"] {
        let flags = [
            format!("--{kind}-tls-client-certificate"),
            format!("--{kind}-tls-client-key"),
        ];
        for (certificate, key) in [
            ("one.crt", "two.key"),
            ("one.crt", "words"),
            ("words", "one.key"),
            ("one.crt", "one.crt"),
        ] {
            let args = [&flags[0], certificate, &flags[1], key];
            record.refused(
                &format!("{kind}: {certificate} {key}"),
                &ground.package(&args),
            );
        }
        let args = [&flags[0], "one.crt", &flags[1], "one.key"];
        ground.package(&args).ok();
        std::fs::remove_file(ground.join("fleet-osquery_1.2.3_amd64.deb")).unwrap();
    }
    record.compare("certificates");
}

/// A certificate of nobody's, to have one.
const ISSUER: &str = include_str!("../fixtures/bad_input/certificate.pem");
