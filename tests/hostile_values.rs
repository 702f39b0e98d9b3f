//! Values that would break out of what they are written into: each is carried intact into a
//! service's environment by a booted systemd, or refused by the flag's name.

use libtest_mimic::Trial;

use crate::harness::container::Container;
use crate::harness::{Scratch, trial_needing};

const NEEDS: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "dpkg-deb",
];

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![trial_needing("hostile_values/linux", NEEDS, linux)]
}

/// Texts, each with what it is.
fn values() -> Vec<(&'static str, String)> {
    let texts = [
        ("double quotes", r#"a"b""c"#),
        ("single quotes", "a'b''c"),
        ("both quotes", r#"'"'"'"#),
        ("a command", "$(touch /root/pwned)"),
        ("backticks", "`touch /root/pwned`"),
        ("a variable", "$HOME${PATH}"),
        ("a line break", "a\nORBIT_PWNED=1"),
        ("a carriage return", "a\rb"),
        ("percent", "%h %% %n %i"),
        ("angle brackets", "<a>&amp;</a>"),
        ("square brackets", "[ORBIT_ENROLL_SECRET][~x]"),
        ("end of CDATA", "]]>"),
        ("NUL", "a\0b"),
        ("emoji", "🚀🦀 Zoë"),
        ("backslashes", r"\\a\n\"),
        ("a comment", "#a ;b"),
        ("spaces around", "  a  "),
        ("a tab", "a\tb"),
        ("semicolons", "a;b&&c|d"),
        ("stars", "*?~!"),
    ];
    let mut values: Vec<_> = texts.map(|(what, text)| (what, text.to_owned())).into();
    values.push(("64 KiB", "0123456789abcdef".repeat(4096)));
    values
}

/// Flags, with what stands around a value so that it is of the flag's kind.
const FLAGS: [(&str, &str, &str); 7] = [
    ("--enroll-secret", "", ""),
    ("--end-user-email", "", "@example.com"),
    ("--osquery-db", "/var/lib/", ""),
    (
        "--fleet-desktop-alternative-browser-host",
        "",
        ".example.com",
    ),
    ("--fleet-url", "https://fleet.example.com/", ""),
    ("--orbit-channel", "", ""),
    ("--identifier", "com.example.", ""),
];

fn linux() {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart", "--dir", "qs"]).ok();
    let container = Container::boot();
    let (mut carried, mut refused) = (Vec::new(), 0);
    for (flag, front, back) in FLAGS {
        for (what, text) in values() {
            let value = format!("{front}{text}{back}");
            match build(&scratch, flag, &value, what) {
                None => refused += 1,
                Some(environment) => {
                    container.write(&format!("/root/env-{}", carried.len()), environment);
                    carried.push((flag, what, value));
                }
            }
        }
    }
    assert!(carried.len() > 20, "only {} are carried", carried.len());
    let all = format!(
        "set -e; i=0; while [ $i -lt {} ]; do systemd-run --quiet --wait --collect \
         -p EnvironmentFile=/root/env-$i -p StandardOutput=file:/root/out-$i /usr/bin/env -0; \
         i=$((i + 1)); done",
        carried.len()
    );
    container.ok(&all);
    for (number, (flag, what, value)) in carried.iter().enumerate() {
        let environment = std::fs::read(container.path(&format!("/root/out-{number}"))).unwrap();
        let mut variables = environment.split(|byte| *byte == 0);
        let intact = variables.any(|variable| {
            let at = variable.iter().position(|byte| *byte == b'=');
            at.is_some_and(|at| &variable[at + 1..] == value.as_bytes())
        });
        assert!(intact, "{flag} with {what} is not what the service got");
        let more = b"ORBIT_PWNED";
        assert!(!environment.split(|b| *b == 0).any(|v| v.starts_with(more)));
    }
    assert!(
        !container.path("/root/pwned").exists(),
        "a value was executed"
    );
    let tried = carried.len() + refused;
    eprintln!(
        "{tried} values tried: {} carried, {refused} refused by name",
        carried.len()
    );
}

/// The environment file of an installer with this value; none when it is refused.
fn build(scratch: &Scratch, flag: &str, value: &str, what: &str) -> Option<Vec<u8>> {
    let words = "package --type deb --disable-updates --fleet-desktop --outfile made.deb \
        --update-url=qs/updates/repository --update-roots=@qs/updates/repository/1.root.json";
    let mut run = scratch.fleetpack(words.split_whitespace());
    if flag != "--fleet-url" {
        run = run.arg("--fleet-url=https://fleet.example.com");
    }
    // No argument holds NUL: a file can.
    let nul = value.contains('\0');
    if flag == "--enroll-secret" {
        scratch.write("value", value);
        run = run.arg("--enroll-secret-file=value");
    } else if nul {
        return None;
    } else {
        run = run
            .arg(format!("{flag}={value}"))
            .env("FLEETPACK_ENROLL_SECRET", "a-made-up-secret-of-24-c");
    }
    let ran = run.run();
    if ran.code != Some(0) {
        // A channel that the repository does not have is found out later.
        let (code, named) = match flag {
            "--orbit-channel" => (
                [1, 2],
                ["channel", "no target"]
                    .iter()
                    .any(|w| ran.stderr.contains(w)),
            ),
            _ => ([2, 2], ran.stderr.contains(flag)),
        };
        assert!(
            named && ran.code.is_some_and(|c| code.contains(&c)),
            "{flag}, {what}: {ran}"
        );
        return None;
    }
    let _ = std::fs::remove_dir_all(scratch.join("unpacked"));
    scratch
        .tool("dpkg-deb", ["-x", "made.deb", "unpacked"])
        .ok();
    // These are not in the environment of the agent.
    let elsewhere = ["--identifier"].contains(&flag);
    (!elsewhere).then(|| scratch.read("unpacked/etc/default/orbit"))
}
