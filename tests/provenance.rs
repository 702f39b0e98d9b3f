//! What says where installers come from, judged by the programs that read such files.

use libtest_mimic::Trial;

use crate::harness::agent::{orbit, osqueryd, publish};
use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "provenance: checksums, bill of materials, statement",
            &["python-tuf", "sha256sum"],
            files_beside,
        ),
        trial_needing(
            "provenance: what else makes a package another one",
            &["openssl"],
            circumstances,
        ),
        trial("rebuild: every type, byte for byte", rebuilt),
        trial(
            "rebuild: other flags, other programs, other files",
            not_the_same,
        ),
        trial_needing(
            "rebuild: a signature is left out",
            &["gpg", "openssl"],
            signed,
        ),
    ]
}

const FLAGS: &str = "package --update-url q/updates/repository --no-state \
    --agent-update-url https://updates.example.com --update-roots @q/updates/repository/root.json \
    --fleet-url https://fleet.example.com --enroll-secret made-up-for-this-test --fleet-desktop";

fn words(scratch: &Scratch, text: &str) -> Run {
    scratch.fleetpack(text.split_whitespace())
}

fn quickstart() -> Scratch {
    let scratch = Scratch::new();
    words(&scratch, "quickstart --dir q --quiet").ok();
    std::fs::create_dir(scratch.join("out")).unwrap();
    scratch
}

fn make(scratch: &Scratch, more: &str) -> Vec<String> {
    let run = words(scratch, &format!("{FLAGS} --outdir out {more} --quiet"));
    let made = run.env("SOURCE_DATE_EPOCH", "1714564800").ok();
    made.text().lines().map(str::to_owned).collect()
}

/// What the same flags, without the time and at another time, make of `file`.
fn check(scratch: &Scratch, file: &str, more: &str, code: i32) -> serde_json::Value {
    let text = format!("{FLAGS} {more} --rebuild-check {file} --json");
    let ran = words(scratch, &text).fails(code);
    ran.never_says("made-up-for-this-test");
    conforms("package-rebuild-check.json", ran.text())
}

/// Also after the repository has gone on: what counts is what it was.
fn rebuilt() {
    let scratch = quickstart();
    let mut files = make(&scratch, "--type all");
    files.extend(make(&scratch, "--type deb,msi --arch arm64"));
    assert_eq!(files.len(), 7);
    let change = "set -a; . q/passphrases.env; \"$0\" updates timestamp --path q/updates && \
        \"$0\" updates promote --path q/updates --component orbit --from stable --to edge";
    scratch
        .tool("sh", ["-c", change, env!("CARGO_BIN_EXE_fleetpack")])
        .ok();
    for file in files {
        let verdict = check(&scratch, &file, "--type all", 0);
        assert_eq!(verdict["same_bytes"], true, "{file}: {verdict:#}");
        assert_eq!(verdict["source_date_epoch"], 1_714_564_800, "{file}");
        let plain = words(&scratch, &format!("{FLAGS} --rebuild-check {file}")).ok();
        plain.prints("the same, byte for byte");
    }
}

fn not_the_same() {
    let scratch = quickstart();
    let files = make(&scratch, "--type all");
    for file in &files {
        let verdict = check(&scratch, file, "--debug", 1);
        assert_eq!(verdict["same_body"], false, "{file}");
        let differences = verdict["differences"].to_string();
        assert!(differences.contains("DEBUG"), "{file}: {differences}");
    }
    let deb = &files[0];
    let other = words(
        &scratch,
        &format!("{FLAGS} --type rpm --rebuild-check {deb}"),
    )
    .fails(2);
    other.says("--type names others").says("hint: --type deb");
    // Another program in the place of the one that the installer's metadata list.
    let program = "q/updates/repository/targets/orbit/linux/stable/orbit";
    scratch.write(program, "#!/bin/sh\nexit 1\n");
    let gone = words(&scratch, &format!("{FLAGS} --rebuild-check {deb}")).fails(1);
    gone.says("orbit/linux/stable/orbit");
    scratch.write("no.deb", "text");
    let none = words(&scratch, &format!("{FLAGS} --rebuild-check no.deb")).fails(1);
    none.says("no.deb is no deb, rpm, pkg.tar.zst, pkg or msi");
}

fn signed() {
    let scratch = quickstart();
    let prepare = "mkdir -m 700 gnupg; export GNUPGHOME=$PWD/gnupg
        gpg --batch --passphrase '' --quick-gen-key maker@example.com rsa2048 sign never
        gpg --batch --export-secret-keys --armor > key.asc
        openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=Maker \
            -days 3650 -addext extendedKeyUsage=codeSigning -addext keyUsage=digitalSignature";
    scratch.tool("sh", ["-ec", prepare]).ok();
    let files = make(
        &scratch,
        "--type rpm,msi --rpm-signing-key key.asc --msi-signing-cert cert.pem --msi-signing-key key.pem",
    );
    for (file, part) in files.iter().zip(["signature header", "DigitalSignature"]) {
        let verdict = check(&scratch, file, "", 0);
        assert_eq!(verdict["same_bytes"], false, "{file}");
        assert_eq!(verdict["same_body"], true, "{file}: {verdict:#}");
        let left_out = verdict["not_compared"].to_string();
        assert!(left_out.contains(part), "{file}: {left_out}");
    }
}

/// Flags, time and files that the targets do not tell of.
fn circumstances() {
    let scratch = quickstart();
    let certificate = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem \
        -subj /CN=Fleet -days 3650";
    scratch.tool("sh", ["-ec", certificate]).ok();
    scratch.write("before.sh", "#!/bin/sh\nexit 0\n");
    scratch.write("flags", "--verbose\n");
    let sha256 = |name: &str| hex::encode(fleetpack::compress::sha256(&scratch.read(name)));
    for kind in ["deb", "pkg", "msi"] {
        let script = match kind {
            "msi" => "",
            _ => "--pre-install before.sh",
        };
        let more = format!(
            "--type {kind} --statement --enable-scripts --debug --osquery-flagfile flags \
             --fleet-certificate cert.pem --fleet-tls-client-certificate cert.pem \
             --fleet-tls-client-key key.pem {script}"
        );
        let file = make(&scratch, &more).remove(0);
        let text = scratch.text(&format!("{file}.intoto.json"));
        assert!(!text.contains("made-up-for-this-test"), "{kind}: {text}");
        assert!(!text.contains(&sha256("key.pem")), "{kind}: {text}");
        assert!(!text.contains(&sha256("flags")), "{kind}: {text}");
        let statement: serde_json::Value = serde_json::from_str(&text).unwrap();
        let definition = &statement["predicate"]["buildDefinition"];
        let parameters = &definition["externalParameters"];
        assert_eq!(parameters["sourceDateEpoch"], 1_714_564_800, "{kind}");
        for name in ["ORBIT_ENABLE_SCRIPTS", "ORBIT_DEBUG"] {
            // Windows Installer's properties say it in another case.
            let value = parameters["variables"][name].as_str().unwrap_or_default();
            let on = value.eq_ignore_ascii_case("true");
            assert!(on, "{kind}: {name} in {parameters:#}");
        }
        assert!(parameters["variables"].get("ORBIT_ENROLL_SECRET").is_none());
        let undisclosed = serde_json::json!(["fleet_client.key", "osquery.flags"]);
        assert_eq!(parameters["undisclosedFiles"], undisclosed, "{kind}");
        let inputs = definition["resolvedDependencies"].as_array().unwrap();
        let input = |name: &str| {
            let found = inputs.iter().find(|input| input["name"] == name);
            found.map(|input| input["digest"]["sha256"].as_str().unwrap().to_owned())
        };
        let certificate = Some(sha256("cert.pem"));
        assert!(input("certs.pem").is_some(), "{kind}: {inputs:#?}");
        assert_eq!(input("fleet.pem"), certificate, "{kind}");
        assert_eq!(input("fleet_client.crt"), certificate, "{kind}");
        assert_eq!(input("update.pem"), None, "{kind}");
        let script = (!script.is_empty()).then(|| sha256("before.sh"));
        assert_eq!(input("scripts/pre-install"), script, "{kind}");
    }
}

fn files_beside() {
    let scratch = Scratch::new();
    let orbit = scratch.write_program("programs/orbit", orbit("1.2.3"));
    let osqueryd = scratch.write_program("programs/osqueryd", osqueryd("1.2.3"));
    let programs = [("orbit", &*orbit), ("osqueryd", &*osqueryd)];
    publish(&scratch, "1.2.3", &programs);
    std::fs::create_dir(scratch.join("out")).unwrap();
    let words = "package --type deb,rpm --update-roots @root.json --update-url tuf/repository \
        --agent-update-url https://updates.example.com --fleet-url https://fleet.example.com \
        --enroll-secret made-up-for-this-test --outdir out --checksums --sbom --statement";
    let make = || {
        let run = scratch.fleetpack(words.split_whitespace());
        run.env("SOURCE_DATE_EPOCH", "1714564800").ok();
        scratch.state("out")
    };
    make().unchanged(&make());

    let deb = "fleet-osquery_1.2.3_amd64.deb";
    let sums = scratch.tool("sha256sum", ["--check", "--strict", "SHA256SUMS"]);
    sums.within("out").ok().prints(&format!("{deb}: OK"));
    for installer in [deb, "fleet-osquery-1.2.3.x86_64.rpm"] {
        let (bill, statement) = (
            format!("out/{installer}.cdx.json"),
            format!("out/{installer}.intoto.json"),
        );
        let read = scratch.python("provenance.py", [&bill, &statement]).ok();
        for line in [
            "component orbit 1.2.3",
            "component osqueryd 1.2.3",
            &format!("subject {installer}"),
            "input root.json",
            "input timestamp.json",
            "input snapshot.json",
            "input targets.json",
            "input targets/orbit/linux/stable/orbit",
            "input targets/osqueryd/linux/stable/osqueryd",
        ] {
            read.prints(line);
        }
        for text in [scratch.text(&bill), scratch.text(&statement)] {
            assert!(
                !text.contains("made-up-for-this-test"),
                "the secret is in {text}"
            );
        }
        // The digest of the trust anchor in the statement is that of the published document.
        let root = scratch.tool("sha256sum", ["tuf/repository/root.json"]).ok();
        let digest = root.text().split(' ').next().unwrap().to_owned();
        assert!(scratch.text(&statement).contains(&digest), "{digest}");
    }
}
