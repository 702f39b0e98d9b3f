//! pkg: taken apart by bsdtar, property lists read by Python's plistlib, and the postinstall run
//! by bash under a `launchctl` that only takes notes. Fields that go into the files for MDM are
//! read back from there.

use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use serde_json::Value;

use super::{FIELDS, Field, Ground, Made, Way, field, tell, values};
use crate::harness::{tools, trial_needing};

pub fn trials() -> Vec<Trial> {
    let needs = &["bsdtar", "python3", "bash", "openssl"];
    vec![trial_needing("hostile_values/pkg", needs, read_back)]
}

/// Fields that only macOS has, or that are something else there.
const MORE: [Field; 5] = [
    field("--osquery-db", Way::Argument, ("/var/lib/", "")),
    field("--identifier", Way::Argument, ("com.example.", "")),
    field(
        "--mdm-manifest",
        Way::Argument,
        ("https://www.example.com/", ""),
    ),
    field("--post-install", Way::Script, ("", "")),
    field("--pre-install", Way::Name, ("", ".sh")),
];

fn read_back() {
    let mut ground = Ground::new();
    let fields: Vec<Field> = FIELDS.into_iter().chain(MORE).collect();
    let (mut carried, mut refused) = (0, 0);
    for (what, text) in values() {
        ground.more.clear();
        let made = ground.make("pkg", &fields, what, &text);
        let mac = Mac::new(&ground, &made);
        mac.arrived(&ground, &made, what, &text);
        mac.postinstall(what, &made, &text);
        ground.more = [
            "--use-system-configuration",
            "--mobileconfig=out/a.mobileconfig",
        ]
        .map(str::to_owned)
        .to_vec();
        let profile = ground.make("pkg", &fields[..2], what, &text);
        in_the_profile(&ground, &profile, what, &text);
        carried += made.carried.len() + profile.carried.len();
        refused += made.refused + profile.refused;
    }
    let pwned = ground.scratch.tool("find", [".", "-name", "pwned"]).ok();
    assert_eq!(pwned.text(), "");
    tell("pkg", carried, refused);
}

/// A package that was taken apart.
struct Mac<'a> {
    ground: &'a Ground,
    folder: PathBuf,
}

impl<'a> Mac<'a> {
    fn new(ground: &'a Ground, made: &Made) -> Self {
        let folder = ground.scratch.join("mac");
        let _ = std::fs::remove_dir_all(&folder);
        for part in ["package", "root", "scripts"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let unpack = |archive: &Path, part: &str| {
            let run = ground.scratch.tool("bsdtar", ["--no-same-owner", "-xf"]);
            run.arg(archive).arg("-C").arg(folder.join(part)).ok();
        };
        unpack(&made.file, "package");
        unpack(&folder.join("package/base.pkg/Payload"), "root");
        unpack(&folder.join("package/base.pkg/Scripts"), "scripts");
        Self { ground, folder }
    }

    fn arrived(&self, ground: &Ground, made: &Made, what: &str, text: &str) {
        let daemon = "root/Library/LaunchDaemons/com.fleetdm.orbit.plist";
        let daemon = plist(ground, &self.folder.join(daemon));
        let variables = daemon["EnvironmentVariables"].as_object().unwrap();
        assert!(!variables.contains_key("ORBIT_PWNED"), "{what}");
        for field in &made.carried {
            let (flag, value) = (field.flag, field.value(text));
            let intact = match place(flag) {
                Place::Variable(name) => variables[name] == value,
                Place::File(path) => {
                    let bytes = std::fs::read(self.folder.join("root").join(path)).unwrap();
                    bytes == ground.contents(field, text).as_bytes()
                }
                Place::Identifier => {
                    const READ: &str = "import sys, xml.etree.ElementTree as e; \
                        sys.stdout.write(e.parse(sys.argv[1]).getroot().get('identifier'))";
                    let path = self.folder.join("package/base.pkg/PackageInfo");
                    let run = ground.scratch.tool("python3", ["-c", READ]).arg(path);
                    run.ok().text().starts_with(&value)
                }
                Place::Manifest => {
                    let path = made.file.with_extension("manifest.plist");
                    plist(ground, &path)["items"][0]["assets"][0]["url"] == value
                }
                // See `postinstall`.
                Place::Said | Place::Nowhere => true,
            };
            assert!(intact, "{flag} with {what} is not what the Mac gets");
        }
    }

    /// What was installed stays, and what a former version left goes.
    fn postinstall(&self, what: &str, made: &Made, text: &str) {
        let scratch = &self.ground.scratch;
        let root = self.folder.join("root").display().to_string();
        for (name, body) in [
            ("launchctl", "#!/bin/sh\necho \"$@\" >> \"$NOTES\"\n"),
            ("pkill", "#!/bin/sh\nexit 1\n"),
        ] {
            scratch.write_program(&format!("mac/stubs/{name}"), body);
        }
        let path = self.folder.join("scripts/postinstall");
        let script = std::fs::read_to_string(&path).unwrap();
        let moved = ["/opt/orbit", "/Library/LaunchDaemons", "/private/var"];
        let script = moved.iter().fold(script, |script, folder| {
            script.replace(folder, &format!("{root}{folder}"))
        });
        std::fs::write(&path, script).unwrap();
        let stale = scratch.write("mac/root/opt/orbit/bin/orbit/macos/older/orbit", "left");
        let before = paths(&self.folder.join("root"));
        let stubs = self.folder.join("stubs");
        let run = scratch.program(&path, ["/tmp/a.pkg", "/", "/"]);
        run.env("PATH", format!("{}:{}", stubs.display(), tools::PATH))
            .env("NOTES", scratch.join("mac/notes"))
            .ok();
        assert!(
            scratch.text("mac/notes").contains("bootstrap system"),
            "{what}"
        );
        assert!(!stale.exists(), "{what}: what is stale stays");
        let left = [stale.as_path(), stale.parent().unwrap()];
        let mut expected = before;
        expected.retain(|path| !left.contains(&path.as_path()));
        assert_eq!(paths(&self.folder.join("root")), expected, "{what}");
        if let Some(field) = made.carried.iter().find(|field| field.way == Way::Script) {
            let said = scratch.text(".home/said");
            assert_eq!(said, format!("{}\n", field.value(text)), "{what}");
        }
    }
}

fn in_the_profile(ground: &Ground, made: &Made, what: &str, text: &str) {
    let profile = plist(ground, &ground.scratch.join("out/a.mobileconfig"));
    let payload = &profile["PayloadContent"][0];
    for field in &made.carried {
        let key = match field.flag {
            "--fleet-url" => "FleetURL",
            _ => "EnrollSecret",
        };
        assert_eq!(payload[key], field.value(text), "{what}");
    }
}

fn plist(ground: &Ground, path: &Path) -> Value {
    const READ: &str = "import json, plistlib, sys; \
        json.dump(plistlib.load(open(sys.argv[1], 'rb')), sys.stdout)";
    let run = ground.scratch.tool("python3", ["-c", READ]).arg(path);
    serde_json::from_slice(&run.ok().stdout).unwrap()
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(paths(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

/// Where a field is in a package.
enum Place {
    /// In the daemon's environment.
    Variable(&'static str),
    /// The whole of a file.
    File(&'static str),
    /// The product's identifier begins with it.
    Identifier,
    /// In the manifest for MDM.
    Manifest,
    /// What a script printed.
    Said,
    /// Nowhere: scripts have names of our own.
    Nowhere,
}

fn place(flag: &str) -> Place {
    match flag {
        "--fleet-url" => Place::Variable("ORBIT_FLEET_URL"),
        "--enroll-secret" => Place::File("opt/orbit/secret.txt"),
        "--agent-update-url" => Place::Variable("ORBIT_UPDATE_URL"),
        "--orbit-channel" => Place::Variable("ORBIT_ORBIT_CHANNEL"),
        "--osqueryd-channel" => Place::Variable("ORBIT_OSQUERYD_CHANNEL"),
        "--desktop-channel" => Place::Variable("ORBIT_DESKTOP_CHANNEL"),
        "--fleet-desktop-alternative-browser-host" => {
            Place::Variable("ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST")
        }
        "--osquery-db" => Place::Variable("ORBIT_OSQUERY_DB"),
        "--osquery-flagfile" => Place::File("opt/orbit/osquery.flags"),
        "--fleet-certificate" => Place::File("opt/orbit/fleet.pem"),
        "--update-tls-certificate" => Place::File("opt/orbit/update.pem"),
        "--fleet-tls-client-key" => Place::File("opt/orbit/fleet_client.key"),
        "--update-tls-client-key" => Place::File("opt/orbit/update_client.key"),
        "--identifier" => Place::Identifier,
        "--mdm-manifest" => Place::Manifest,
        "--post-install" => Place::Said,
        "--pre-install" => Place::Nowhere,
        other => panic!("{other} was taken, whatever its value"),
    }
}
