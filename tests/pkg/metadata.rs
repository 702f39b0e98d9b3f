//! `Distribution`, `PackageInfo`, the daemon's property list: well-formed for xmllint, the
//! same to Python's plistlib, and saying what is in the package, whatever the values.

use libtest_mimic::Trial;

use fleetpack::agent::config::{Channels, Config};
use fleetpack::install::Tree;

use super::archive::{contents, members};
use super::sample::{build, config, tree, tree_of};
use crate::harness::{Scratch, golden, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("pkg::metadata_golden", goldens),
        trial_needing("pkg::metadata_is_well_formed", &["xmllint"], well_formed),
        trial_needing("pkg::metadata_tells_the_payload", &["xmllint"], sizes),
        trial_needing(
            "pkg::property_list_carries_any_value",
            &["python3", "xmllint"],
            values,
        ),
        trial("pkg::no_service_no_property_list", no_service),
    ]
}

/// Characters that every grammar on the way has a meaning for.
const AWKWARD: &str = "a&b<c>\"d'e]]>f$g`h i";

fn awkward() -> Config {
    Config {
        channels: Channels {
            orbit: AWKWARD.into(),
            osqueryd: "5 & up".into(),
            desktop: "größe".into(),
        },
        ..config()
    }
}

fn file(tree: &Tree, path: &str) -> Vec<u8> {
    match &tree.entry(path).unwrap().node {
        fleetpack::install::Node::File(content) => contents(content),
        node => panic!("{path} is {node:?}"),
    }
}

const PROPERTY_LIST: &str = "/Library/LaunchDaemons/com.fleetdm.orbit.plist";

fn goldens() {
    let scratch = Scratch::new();
    let tree = tree(&config());
    let members = members(&build(&tree, &scratch.join("a.pkg")));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    golden("pkg/Distribution.golden", &text(&members["Distribution"]));
    golden(
        "pkg/PackageInfo.golden",
        &text(&members["base.pkg/PackageInfo"]),
    );
    golden(
        "pkg/launch-daemon.golden",
        &text(&file(&tree, PROPERTY_LIST)),
    );
}

fn well_formed() {
    let scratch = Scratch::new();
    let version = "1.50.0-&<>\"']]>";
    for (config, version) in [(config(), "1.50.0"), (awkward(), version)] {
        let tree = tree_of(version, &config);
        let members = members(&build(&tree, &scratch.join("a.pkg")));
        for name in ["Distribution", "base.pkg/PackageInfo"] {
            let path = scratch.write("x.xml", &members[name]);
            scratch.tool("xmllint", ["--noout"]).arg(&path).ok();
        }
        let distribution = scratch.write("Distribution", &members["Distribution"]);
        let said = scratch
            .tool("xmllint", ["--xpath", "string(//product/@version)"])
            .arg(distribution)
            .ok();
        assert_eq!(said.text().trim_end_matches('\n'), version);
        let info = scratch.write("PackageInfo", &members["base.pkg/PackageInfo"]);
        let said = scratch
            .tool("xmllint", ["--xpath", "string(/pkg-info/@version)"])
            .arg(info)
            .ok();
        assert_eq!(said.text().trim_end_matches('\n'), version);
    }
}

fn sizes() {
    let scratch = Scratch::new();
    let tree = tree(&config());
    let members = members(&build(&tree, &scratch.join("a.pkg")));
    let distribution = scratch.write("Distribution", &members["Distribution"]);
    let info = scratch.write("PackageInfo", &members["base.pkg/PackageInfo"]);
    let ask = |path: &std::path::Path, question: &str| {
        let said = scratch
            .tool("xmllint", ["--xpath", question])
            .arg(path)
            .ok();
        said.text().trim().to_owned()
    };
    let kibibytes = tree.installed_bytes().div_ceil(1024).to_string();
    let files = (tree.entries.len() + 1).to_string();
    assert_eq!(ask(&info, "string(//payload/@installKBytes)"), kibibytes);
    assert_eq!(ask(&info, "string(//payload/@numberOfFiles)"), files);
    assert_eq!(ask(&info, "string(//postinstall/@file)"), "./postinstall");
    assert_eq!(ask(&info, "count(//bundle)"), "0");
    let component = "com.fleetdm.orbit.base.pkg";
    assert_eq!(ask(&info, "string(/pkg-info/@identifier)"), component);
    for (question, answer) in [
        ("string(/installer-gui-script/@minSpecVersion)", "2"),
        ("string(/installer-gui-script/title)", "Fleet osquery"),
        ("string(//product/@id)", "com.fleetdm.orbit"),
        ("string(//options/@hostArchitectures)", "arm64,x86_64"),
        (
            "string(//volume-check/allowed-os-versions/os-version/@min)",
            "11.0",
        ),
        ("string(//domains/@enable_localSystem)", "true"),
        ("string(/installer-gui-script/pkg-ref/@id)", component),
        (
            "string(/installer-gui-script/pkg-ref/@installKBytes)",
            &kibibytes,
        ),
        ("string(/installer-gui-script/pkg-ref)", "#base.pkg"),
        (
            "string(//choice[@id=//choices-outline/line/@choice]/pkg-ref/@id)",
            component,
        ),
    ] {
        assert_eq!(ask(&distribution, question), answer, "{question}");
    }
}

const READ_PROPERTY_LIST: &str = "\
import json, plistlib, sys
print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))
";

fn values() {
    let scratch = Scratch::new();
    let tree = tree(&awkward());
    let path = scratch.write("x.plist", file(&tree, PROPERTY_LIST));
    scratch.tool("xmllint", ["--noout"]).arg(&path).ok();
    let read = scratch
        .tool("python3", ["-c", READ_PROPERTY_LIST])
        .arg(&path)
        .ok();
    let list: serde_json::Value = serde_json::from_slice(&read.stdout).unwrap();
    let environment = &list["EnvironmentVariables"];
    assert_eq!(environment["ORBIT_ORBIT_CHANNEL"], AWKWARD);
    assert_eq!(environment["ORBIT_OSQUERYD_CHANNEL"], "5 & up");
    assert_eq!(environment["ORBIT_DESKTOP_CHANNEL"], "größe");
    assert_eq!(
        environment["ORBIT_ENROLL_SECRET_PATH"],
        "/opt/orbit/secret.txt"
    );
    assert_eq!(list["Label"], "com.fleetdm.orbit");
    assert_eq!(list["ProgramArguments"][0], "/opt/orbit/bin/orbit/orbit");
    assert_eq!(
        (&list["RunAtLoad"], &list["KeepAlive"]),
        (&true.into(), &true.into())
    );
    let secret = String::from_utf8(file(&tree, "/opt/orbit/secret.txt")).unwrap();
    assert_eq!(secret, "made-up secret & <more> \"]]>'");
    let text = String::from_utf8(file(&tree, PROPERTY_LIST)).unwrap();
    assert!(!text.contains("made-up"));
}

fn no_service() {
    let tree = tree(&Config {
        service: false,
        ..config()
    });
    assert!(tree.entry(PROPERTY_LIST).is_none() && tree.service.is_none());
}
