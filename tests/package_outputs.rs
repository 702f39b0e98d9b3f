//! Several installers in one run: names, flags that apply to some, what is refused and when.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::agent::{orbit, osqueryd, publish};
use crate::harness::scratch::{Ran, Run};
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("outputs: three types in one run", three_types),
        trial(
            "outputs: the same bytes alone and in company",
            alone_and_in_company,
        ),
        trial("outputs: names by a template", names),
        trial("outputs: two of one name are refused", collisions),
        trial("outputs: flags apply where they can", flags),
        trial("outputs: a version that one format cannot carry", versions),
        trial("outputs: places that cannot be written to", places),
        trial_needing(
            "outputs: an rpm signing key",
            &["gpg", "faketime"],
            signing_key,
        ),
    ]
}

/// A repository of stand-ins for both processors.
fn repository(version: &str) -> Scratch {
    let scratch = Scratch::new();
    let orbit = scratch.write_program("programs/orbit", orbit(version));
    let osqueryd = scratch.write_program("programs/osqueryd", osqueryd(version));
    publish(
        &scratch,
        version,
        &[("orbit", &orbit), ("osqueryd", &osqueryd)],
    );
    for name in ["orbit", "osqueryd"] {
        let target = format!("programs/{name}");
        let words = [
            "updates",
            "add",
            "--platform",
            "linux-arm64",
            "--tag",
            "stable",
        ];
        let run = scratch.fleetpack(words);
        run.arg("--path")
            .arg(scratch.join("tuf"))
            .arg("--version")
            .arg(version)
            .arg("--name")
            .arg(name)
            .arg("--target")
            .arg(target)
            .envs([
                ("FLEET_TARGETS_PASSPHRASE", "targets"),
                ("FLEET_SNAPSHOT_PASSPHRASE", "snapshot"),
                ("FLEET_TIMESTAMP_PASSPHRASE", "timestamp"),
            ])
            .ok();
    }
    std::fs::create_dir(scratch.join("out")).unwrap();
    scratch
}

fn package(scratch: &Scratch, arguments: &str) -> Run {
    let common = "package --update-roots @root.json --update-url tuf/repository \
        --agent-update-url https://updates.example.com --fleet-url https://fleet.example.com \
        --enroll-secret made-up";
    let words = common
        .split_whitespace()
        .chain(arguments.split_whitespace());
    scratch
        .fleetpack(words)
        .env("SOURCE_DATE_EPOCH", "1714564800")
}

fn made(scratch: &Scratch) -> Vec<String> {
    let state = scratch.state("out");
    state
        .names()
        .map(|name| name.display().to_string())
        .collect()
}

#[track_caller]
fn nothing_made(scratch: &Scratch, ran: &Ran) {
    assert_eq!(made(scratch), Vec::<String>::new(), "{}", ran.stderr);
}

fn three_types() {
    let scratch = repository("1.50.0");
    let ran = package(&scratch, "--type deb,rpm,pkg.tar.zst --outdir out").ok();
    let names = [
        "fleet-osquery-1.50.0-1-x86_64.pkg.tar.zst",
        "fleet-osquery-1.50.0.x86_64.rpm",
        "fleet-osquery_1.50.0_amd64.deb",
    ];
    assert_eq!(made(&scratch), names);
    let mut printed: Vec<&str> = ran.text().lines().collect();
    printed.sort_unstable();
    assert_eq!(printed, names.map(|name| format!("out/{name}")));
    assert_eq!(ran.stderr.matches("Fetching the agent").count(), 1);
    ran.says("3 installers, ");
    for name in names {
        use std::os::unix::fs::PermissionsExt;
        let mode = scratch
            .join("out")
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

fn alone_and_in_company() {
    let scratch = repository("1.50.0");
    package(&scratch, "--type deb,rpm,pkg.tar.zst --outdir out").ok();
    for name in made(&scratch) {
        let format = [".deb", ".rpm", ".pkg.tar.zst"]
            .into_iter()
            .find(|f| name.ends_with(f));
        let format = format.unwrap();
        let arguments = format!("--type {} --outfile alone{format}", &format[1..]);
        package(&scratch, &arguments).ok();
        let alone = scratch.read(&format!("alone{format}"));
        assert!(alone == scratch.read(&format!("out/{name}")), "{name}");
    }
}

fn names() {
    let scratch = repository("1.50.0");
    let arguments = "--type deb,rpm --arch amd64,arm64 --outdir out \
        --outname team-a-{version}-{arch}.{type}";
    package(&scratch, arguments).ok();
    let expected = [
        "team-a-1.50.0-amd64.deb",
        "team-a-1.50.0-amd64.rpm",
        "team-a-1.50.0-arm64.deb",
        "team-a-1.50.0-arm64.rpm",
    ];
    assert_eq!(made(&scratch), expected);
}

fn collisions() {
    let scratch = repository("1.50.0");
    for (arguments, words) in [
        (
            "--type deb --arch amd64,arm64 --outdir out --outname x.{type}",
            "two installers (deb and deb) would be written to out/x.deb",
        ),
        (
            "--type deb,rpm --outfile out/x.deb",
            "--outfile names one file, but 2 are made",
        ),
        (
            "--type deb --outdir out --outname x",
            "does not end in .deb",
        ),
        (
            "--type deb --outdir out --outname {os}.deb",
            "{os} is not among",
        ),
    ] {
        let ran = package(&scratch, arguments).fails(2);
        ran.says(words);
        nothing_made(&scratch, &ran);
    }
}

fn flags() {
    let scratch = repository("1.50.0");
    let ran = package(
        &scratch,
        "--type deb,pkg.tar.zst --compression xz --outdir out",
    )
    .ok();
    ran.says("--compression does not apply to pkg.tar.zst");
    ran.never_says("--compression does not apply to deb");
    assert_eq!(made(&scratch).len(), 2);
    for (arguments, words) in [
        (
            "--type pkg.tar.zst --compression gzip --outfile x.pkg.tar.zst",
            "--compression does not go with --type pkg.tar.zst",
        ),
        (
            "--type deb,rpm --disable-keystore --outdir .",
            "--disable-keystore does not go with --type deb,rpm",
        ),
    ] {
        package(&scratch, arguments).fails(2).says(words);
    }
}

fn versions() {
    let scratch = repository("1.50.0-4");
    let ran = package(&scratch, "--type deb,rpm --outdir out").fails(1);
    ran.says("rpm cannot carry the version \"1.50.0-4\": '-' is not among");
    nothing_made(&scratch, &ran);
    let ran = package(&scratch, "--type pkg.tar.zst --outdir out").fails(1);
    ran.says("pkg.tar.zst cannot carry the version \"1.50.0-4\"");
    package(&scratch, "--type deb --outdir out").ok();
    assert_eq!(made(&scratch), ["fleet-osquery_1.50.0-4_amd64.deb"]);
}

fn places() {
    let scratch = repository("1.50.0");
    let ran = package(&scratch, "--type rpm --outdir missing").fails(2);
    ran.says("the output folder missing does not exist");
    std::fs::create_dir(scratch.join("out/x.rpm")).unwrap();
    let ran = package(&scratch, "--type rpm --outfile out/x.rpm").fails(2);
    ran.says("out/x.rpm is a folder");
    assert_eq!(made(&scratch), ["x.rpm"]);
    // A full disk, without one: files may not grow that far.
    let shell = "ulimit -f 4; trap '' XFSZ; exec \"$@\"";
    let ran = scratch
        .tool("sh", ["-c", shell, "sh", env!("CARGO_BIN_EXE_fleetpack")])
        .arg("package")
        .arg("--type=rpm")
        .arg("--update-roots=@root.json")
        .arg("--update-url=tuf/repository")
        .arg("--agent-update-url=https://updates.example.com")
        .arg("--no-state")
        .arg("--outdir=out")
        .fails(1);
    ran.says("File too large");
    assert_eq!(made(&scratch), ["x.rpm"]);
}

fn gpg(scratch: &Scratch, words: &[&str]) -> Ran {
    use std::os::unix::fs::PermissionsExt;
    let home = scratch.join("gnupg");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let common = ["--batch", "--pinentry-mode", "loopback"];
    let all = common.iter().chain(words);
    scratch.tool("gpg", all).env("GNUPGHOME", home).ok()
}

fn signing_key() {
    let scratch = repository("1.50.0");
    let passphrase = "made up passphrase";
    let common = ["--passphrase", passphrase];
    let make = [
        "--quick-gen-key",
        "packages@example.com",
        "rsa2048",
        "sign",
        "2y",
    ];
    gpg(&scratch, &[&common[..], &make[..]].concat());
    let export = ["--armor", "--export-secret-keys", "packages@example.com"];
    let key = gpg(&scratch, &[&common[..], &export[..]].concat());
    scratch.write("key.asc", key.text());
    let signed = "--type rpm --rpm-signing-key key.asc --outdir out";
    let variable = "FLEET_RPM_SIGNING_PASSPHRASE";
    let ran = package(&scratch, signed).fails(1);
    ran.says("is encrypted and no passphrase is given");
    ran.says("hint: set FLEET_RPM_SIGNING_PASSPHRASE");
    let ran = package(&scratch, signed).env(variable, "another").fails(1);
    ran.says("the passphrase does not open the rpm signing key")
        .never_says("another");
    let ran = package(&scratch, signed)
        .env(variable, passphrase)
        .at("+800d")
        .fails(1);
    ran.says("the rpm signing key").says("expired at");
    let ran = package(
        &scratch,
        "--type deb --rpm-signing-key key.asc --outdir out",
    );
    let ran = ran.env(variable, passphrase).fails(2);
    ran.says("--rpm-signing-key does not go with --type deb");
    scratch.write("public.asc", gpg(&scratch, &["--armor", "--export"]).text());
    let ran = package(
        &scratch,
        "--type rpm --rpm-signing-key public.asc --outdir out",
    )
    .fails(1);
    ran.says("the rpm signing key is no OpenPGP private key");
    nothing_made(&scratch, &ran);
    let ran = package(
        &scratch,
        "--type deb,rpm --rpm-signing-key key.asc --outdir out",
    );
    let ran = ran.env(variable, passphrase).ok();
    ran.says("--rpm-signing-key does not apply to deb")
        .never_says(passphrase);
    let package = ::rpm::Package::open(
        scratch
            .join("out")
            .join(Path::new("fleet-osquery-1.50.0.x86_64.rpm")),
    );
    assert_eq!(package.unwrap().signatures().unwrap().len(), 1);
}
