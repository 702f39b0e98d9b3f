//! Every command that there is, one after the other, in one folder. What fails is looked at as
//! well. A trial sees to it that no command of the command line is missing here.

/// A command line and what comes of it.
#[derive(Clone, Copy)]
pub struct Case {
    /// Words; those in capital letters stand for what [`super::ground`] knows. A line that begins
    /// with `=` is a line for the shell, between commands.
    pub words: &'static str,
    /// Exit code.
    pub code: i32,
    /// Variables besides those that all have.
    pub variables: &'static [(&'static str, &'static str)],
    /// How many other programs it starts.
    pub starts: usize,
    /// It is asked to print the enroll secret.
    pub shows: bool,
}

const fn case(words: &'static str, code: i32) -> Case {
    Case {
        words,
        code,
        variables: &[],
        starts: 0,
        shows: false,
    }
}

const fn with(
    words: &'static str,
    code: i32,
    variables: &'static [(&'static str, &'static str)],
) -> Case {
    Case {
        variables,
        ..case(words, code)
    }
}

/// Signing for macOS is a feature of the build.
const SIGNS_PKG: i32 = if cfg!(feature = "macos-signing") {
    0
} else {
    1
};

pub const CASES: &[Case] = &[
    case("quickstart --dir qs", 0),
    // Programs that are large enough for their segments to be kept in the cache.
    case(
        "= for file in qs/sample/linux/osqueryd qs/sample/windows/osqueryd.exe; do seq 1 60000 >>$file; done",
        0,
    ),
    case("updates init --path repo", 0),
    case("updates add --path repo PROGRAMS", 0),
    case(
        "updates add --path repo --target new --name osqueryd --platform linux --version 2 -t edge --json",
        0,
    ),
    case(
        "updates add --path repo --target nowhere --name orbit --platform linux --version 1",
        1,
    ),
    case("updates timestamp --path repo", 0),
    case("updates timestamp --path repo WRONG", 1),
    case("updates status --path repo", 0),
    case("updates status --path repo --json", 0),
    case("updates verify --path repo", 0),
    case("updates rotate targets --path repo", 0),
    case("updates rotate --compromised timestamp --path repo", 0),
    case(
        "updates promote --path repo --component osqueryd --from edge --to beta",
        0,
    ),
    case("updates remove osqueryd/linux/edge/osqueryd --path repo", 0),
    case("updates consistent-snapshot on --path repo", 0),
    case("updates prune --path repo --grace 0", 0),
    case("updates keys list --path repo", 0),
    case("updates keys list --path repo --json", 0),
    case("updates keys add snapshot --new 1 --path repo", 0),
    case("updates keys threshold snapshot 2 --path repo", 0),
    case("updates keys threshold snapshot 1 --path repo", 0),
    case("updates keys revoke snapshot KEYID --path repo", 0),
    case("updates keys passphrase targets --path repo", 0),
    case("updates pending --path repo", 0),
    case("updates roots --path repo", 0),
    // A root key that is elsewhere.
    case(
        "= cp -r repo divided; mkdir -p vault/keys; mv divided/keys/root.json vault/keys; cp divided/keys/pinned-root.json vault/keys",
        0,
    ),
    case("updates keys add targets --new 1 --path divided --json", 5),
    case("updates pending show --path divided", 0),
    case("updates payload root --path divided --out stick", 0),
    case(
        "updates sign stick --path vault --show --allow-key NEWKEY",
        0,
    ),
    case(
        "updates sign stick --path vault WRONG --allow-key NEWKEY",
        1,
    ),
    case("updates sign stick --path vault --allow-key NEWKEY", 0),
    case("updates attach stick --path divided", 0),
    case("updates keys add targets --new 1 --path divided", 5),
    case("updates pending drop --path divided", 0),
    // Elsewhere.
    case("updates publish dest --path repo", 0),
    case("updates pull dest --path repo", 0),
    with(
        "updates publish s3://bucket/a --endpoint STORAGE --path repo",
        0,
        CLOUD,
    ),
    with(
        "updates pull s3://bucket/a --endpoint STORAGE --path repo",
        0,
        CLOUD,
    ),
    case("= mkdir cloud; cp -r repo/keys cloud", 0),
    with(
        "updates status --path s3://bucket/a --endpoint STORAGE --keys cloud/keys",
        0,
        CLOUD,
    ),
    with(
        "updates timestamp --path s3://bucket/a --endpoint STORAGE --keys cloud/keys",
        0,
        CLOUD,
    ),
    with(
        "updates pull s3://bucket/a --endpoint STORAGE --path repo",
        0,
        CLOUD,
    ),
    with(
        "updates publish s3://bucket/refused --endpoint STORAGE --path repo",
        1,
        CLOUD,
    ),
    Case {
        starts: 5,
        ..with(
            "updates publish s3://bucket/b --endpoint STORAGE --path repo",
            0,
            PROFILE,
        )
    },
    case(
        "updates serve --path repo --listen 127.0.0.1:0 --tls-cert tls.pem --tls-key tls.key",
        0,
    ),
    // Keys in the clear.
    case(
        "updates mirror --path plain --from repo/repository --update-roots @repo/repository/1.root.json --channel stable",
        0,
    ),
    case("updates timestamp --path plain", 0),
    case("updates rotate root --path plain", 0),
    // Installers.
    case("package --type deb ARGS", 0),
    case("package --type rpm ARGS --rpm-signing-key rpm.key", 0),
    with(
        "package --type rpm ARGS --rpm-signing-key rpm.key",
        1,
        &[(
            "FLEET_RPM_SIGNING_PASSPHRASE",
            "correct-horse-9137-battery-wrong",
        )],
    ),
    case("package --type pkg.tar.zst ARGS --compression zstd", 0),
    case("package --type pkg ARGS", 0),
    case(
        "package --type pkg ARGS --macos-devid-pem identity.pem",
        SIGNS_PKG,
    ),
    with(
        "package --type pkg ARGS",
        SIGNS_PKG,
        &[("FLEETCTL_MACOS_DEVID_PEM_CONTENT", "IDENTITY")],
    ),
    with(
        "package --type pkg ARGS --macos-devid-p12 identity.p12",
        SIGNS_PKG,
        &[(
            "FLEETPACK_MACOS_P12_PASSWORD",
            "correct-horse-9137-battery-p12",
        )],
    ),
    with(
        "package --type pkg ARGS --macos-devid-p12 identity.p12",
        1,
        &[(
            "FLEETPACK_MACOS_P12_PASSWORD",
            "correct-horse-9137-battery-wrong",
        )],
    ),
    with(
        "package --type pkg ARGS --notarize",
        2,
        &[
            ("FLEETCTL_APP_STORE_CONNECT_API_KEY_CONTENT", "APIKEY"),
            ("FLEETCTL_APP_STORE_CONNECT_API_KEY_ID", "ABCDE12345"),
            (
                "FLEETCTL_APP_STORE_CONNECT_API_KEY_ISSUER",
                "3f2b1c9e-0d7a-4c55-9b21-6a1f0e8d7c42",
            ),
        ],
    ),
    case(
        "package --type pkg ARGS --use-system-configuration --mobileconfig out/mdm/fleet.mobileconfig",
        0,
    ),
    case(
        "package --type msi ARGS --msi-signing-cert code.pem --msi-signing-key code.key --intunewin",
        0,
    ),
    case(
        "package --type deb,rpm,msi ARGS --checksums --sbom --statement --rpm-signing-key rpm.key",
        0,
    ),
    case("package --type all ARGS --json --debug", 0),
    case(
        "package --type deb ARGS --fleet-tls-client-certificate tls.pem --fleet-tls-client-key tls.key --update-tls-client-certificate tls.pem --update-tls-client-key tls.key",
        0,
    ),
    case("package --type deb ARGS --orbit-channel nowhere", 1),
    case("package --type deb ARGS --fleet-url=nonsense", 2),
    case("package --type deb ARGS --compression nonsense", 2),
    case("package --type deb ARGS --osquery-flagfile nowhere", 2),
    with(
        "package --type deb UPDATES --fleet-url=https://fleet.example.com",
        0,
        &[("FLEETPACK_ENROLL_SECRET", "SECRET")],
    ),
    with(
        "package --type deb UPDATES",
        2,
        &[("FLEETPACK_ENROLL_SECRET", "SECRET")],
    ),
    with(
        "package --type deb --nonsense",
        2,
        &[("FLEETPACK_ENROLL_SECRET", "SECRET")],
    ),
    Case {
        starts: 4,
        ..with(
            "package --manifest teams.toml --outdir out/teams --no-state",
            0,
            &[("TEAM_SECRET", "TEAMSECRET")],
        )
    },
    Case {
        starts: 4,
        ..case(
            "package --manifest teams.toml --outdir out/teams --no-state",
            1,
        )
    },
    case(
        "package --type deb FLEET --update-url=http://updates:URLSECRET@127.0.0.1:1/x --update-roots=@repo/repository/1.root.json --outdir=out --state-dir=state",
        1,
    ),
    case(
        "package --type deb FLEET --update-url=http://updates:URLSECRET@127.0.0.1:1/x?token=URLSECRET --update-roots=@repo/repository/1.root.json --outdir=out --state-dir=state",
        2,
    ),
    case(
        "package --type deb ARGS --agent-update-url=https://updates:URLSECRET@updates.example.com/?token=URLSECRET",
        2,
    ),
    case(
        "updates verify http://updates:URLSECRET@127.0.0.1:1/x --update-roots @repo/repository/1.root.json",
        1,
    ),
    // A server that answers, with a name and a password in its address.
    case(
        "updates verify SERVER/repo/repository?token=URLSECRET --update-roots @repo/repository/1.root.json",
        0,
    ),
    case(
        "updates verify SERVER/repo/repository --update-roots @repo/repository/1.root.json --json",
        0,
    ),
    case(
        "updates verify SERVER/repo/repository --update-roots @repo/repository/1.root.json --channel nowhere",
        2,
    ),
    case("= cp -r repo/repository faulty; rm -r faulty/targets", 0),
    case(
        "updates verify SERVER/faulty --update-roots @repo/repository/1.root.json",
        1,
    ),
    case(
        "updates status SERVER/repo/repository --update-roots @repo/repository/1.root.json",
        0,
    ),
    case(
        "updates status SERVER/repo/repository?token=URLSECRET --update-roots @repo/repository/1.root.json --json",
        0,
    ),
    case(
        "updates mirror --path plain --from SERVER/repo/repository --update-roots @repo/repository/1.root.json --channel stable --json",
        0,
    ),
    case(
        "updates mirror --path plain --from SERVER/repo/repository --update-roots @repo/repository/1.root.json --channel nowhere",
        2,
    ),
    case(
        "updates publish served --path repo --public-url SERVER/served?token=URLSECRET",
        0,
    ),
    case(
        "package --type deb FLEET --update-url=SERVER/repo/repository --update-roots=@repo/repository/1.root.json --outfile=out/served.deb --state-dir=state --statement --sbom --checksums --json",
        0,
    ),
    case(
        "package --type msi FLEET --update-url=SERVER/repo/repository --update-roots=@repo/repository/1.root.json --outfile=out/served.msi --state-dir=state --statement",
        0,
    ),
    case(
        "package --rebuild-check out/served.deb FLEET --update-url=SERVER/repo/repository --update-roots=@repo/repository/1.root.json --state-dir=state",
        0,
    ),
    case("inspect out/served.deb", 0),
    case("inspect out/served.msi --json --scripts", 0),
    case("inspect out/served.deb INSTALLER.deb", 0),
    case("inspect INSTALLER.msi out/served.msi --json", 0),
    case("package --rebuild-check out/served.deb ARGS", 1),
    // The keys lie where this server finds them, and one installer is made for another place.
    case(
        "doctor --update-url SERVER/repo/repository --update-roots @repo/repository/1.root.json out/served.deb out/served.msi INSTALLER.deb",
        1,
    ),
    case(
        "doctor --update-url SERVER/repo/repository?token=URLSECRET INSTALLER.deb --json",
        1,
    ),
    case("doctor --update-url SERVER/faulty out/served.deb", 1),
    case("package --rebuild-check INSTALLER.deb ARGS", 0),
    case("package --rebuild-check INSTALLER.deb ARGS --debug", 1),
    case("inspect INSTALLER.deb", 0),
    case("inspect INSTALLER.rpm --json --scripts", 0),
    case("inspect INSTALLER.pkg", 0),
    case("inspect INSTALLER.pkg.tar.zst --json", 0),
    case("inspect INSTALLER.msi", 0),
    case("inspect INSTALLER.deb INSTALLER.rpm", 0),
    Case {
        shows: true,
        ..case("inspect INSTALLER.deb --show-secret", 0)
    },
    // Their hosts would look for updates on their own disks.
    case("doctor --path repo INSTALLER.deb INSTALLER.msi", 1),
    case("doctor --path repo --json", 0),
    case("completions bash", 0),
    case("man pages", 0),
];

const CLOUD: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AKIAMADEUP"),
    ("AWS_SECRET_ACCESS_KEY", "CLOUDSECRET"),
    ("AWS_SESSION_TOKEN", "CLOUDTOKEN"),
    ("AWS_REGION", "us-east-1"),
];

const PROFILE: &[(&str, &str)] = &[
    ("AWS_PROFILE", "made-up"),
    ("AWS_CONFIG_FILE", "aws-config"),
    ("AWS_REGION", "us-east-1"),
];
