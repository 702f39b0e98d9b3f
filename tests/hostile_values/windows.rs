//! msi: tables read by msiinfo, files taken out by msiextract. What Wine makes of the same values
//! is shown by `msi_wine_hostile_values`.

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::Trial;

use super::{FIELDS, Field, Ground, Made, Way, field, tell, values};
use crate::harness::trial_needing;

pub fn trials() -> Vec<Trial> {
    let needs = &["msiinfo", "msiextract", "openssl"];
    vec![trial_needing("hostile_values/msi", needs, read_back)]
}

/// Fields that only Windows has, or that are something else there.
const MORE: [Field; 2] = [
    field("--osquery-db", Way::Argument, (r"C:\data\", "")),
    field("--end-user-email", Way::Argument, ("", "@example.com")),
];

fn read_back() {
    let ground = Ground::new();
    let fields: Vec<Field> = FIELDS.into_iter().chain(MORE).collect();
    let (mut carried, mut refused) = (0, 0);
    for (what, text) in values() {
        let made = ground.make("msi", &fields, what, &text);
        arrived(&ground, &made, what, &text);
        carried += made.carried.len();
        refused += made.refused;
    }
    tell("msi", carried, refused);
}

fn arrived(ground: &Ground, made: &Made, what: &str, text: &str) {
    let _ = std::fs::remove_dir_all(ground.scratch.join("Orbit"));
    let extract = ["-C".as_ref(), ground.scratch.path(), made.file.as_path()];
    ground.scratch.tool("msiextract", extract).ok();
    let properties: BTreeMap<String, String> = rows(ground, &made.file, "Property")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let environment = environment(ground, &made.file, &properties);
    let known = |name: &String| name.starts_with("ORBIT_") && name != "ORBIT_PWNED";
    assert!(environment.keys().all(known), "{what}: {environment:?}");
    for field in &made.carried {
        let (flag, value) = (field.flag, field.value(text));
        let intact = match place(flag) {
            Place::Variable(name) => environment.get(name) == Some(&value),
            Place::File(name) => {
                let bytes = std::fs::read(ground.scratch.join("Orbit").join(name)).unwrap();
                bytes == ground.contents(field, text).as_bytes()
            }
        };
        assert!(intact, "{flag} with {what} is not what Windows gets");
    }
    let channel = |flag| {
        let field = made.carried.iter().find(|field| field.flag == flag);
        field.map_or("stable".to_owned(), |field| field.value(text))
    };
    for (component, flag, file) in [
        ("orbit", "--orbit-channel", "orbit.exe"),
        ("osqueryd", "--osqueryd-channel", "osqueryd.exe"),
    ] {
        let name = format!("Orbit/bin/{component}/windows/{}/{file}", channel(flag));
        assert!(ground.scratch.join(&name).is_file(), "{what}: no {name}");
    }
}

/// A table's rows, as msiinfo prints them.
fn rows(ground: &Ground, msi: &Path, table: &str) -> Vec<Vec<String>> {
    let args = ["export".as_ref(), msi, table.as_ref()];
    let exported = ground.scratch.tool("msiinfo", args).ok();
    let text = exported.text().replace("\r\n", "\n");
    let lines = text.lines().skip(3);
    lines
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// The service's variables, by Microsoft's rules for Formatted texts ("Formatted", "Registry
/// Table").
fn environment(
    ground: &Ground,
    msi: &Path,
    properties: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let registry = rows(ground, msi, "Registry");
    let row = registry.iter().find(|row| row[0] == "R_environment");
    let strings = row.unwrap()[4].split("[~]");
    let mut variables = BTreeMap::new();
    for string in strings {
        let (name, value) = string.split_once('=').unwrap();
        let there = variables.insert(name.to_owned(), resolved(value, properties));
        assert!(there.is_none(), "{name} twice");
    }
    variables
}

fn resolved(formatted: &str, properties: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut rest = formatted;
    while let Some((before, after)) = rest.split_once('[') {
        assert!(!before.contains(['{', '}']), "a brace is left: {formatted}");
        text.push_str(before);
        rest = match after.strip_prefix('\\') {
            Some(literal) => {
                let mut characters = literal.chars();
                text.extend(characters.next());
                characters.as_str().strip_prefix(']').unwrap()
            }
            None => {
                let (name, rest) = after.split_once(']').unwrap();
                text.push_str(properties.get(name).map_or("", String::as_str));
                rest
            }
        };
    }
    assert!(!rest.contains(['{', '}']), "a brace is left: {formatted}");
    text + rest
}

/// Where a field is on a host.
enum Place {
    /// In the service's environment.
    Variable(&'static str),
    /// The whole of a file.
    File(&'static str),
}

fn place(flag: &str) -> Place {
    match flag {
        "--fleet-url" => Place::Variable("ORBIT_FLEET_URL"),
        "--enroll-secret" => Place::File("secret.txt"),
        "--agent-update-url" => Place::Variable("ORBIT_UPDATE_URL"),
        "--orbit-channel" => Place::Variable("ORBIT_ORBIT_CHANNEL"),
        "--osqueryd-channel" => Place::Variable("ORBIT_OSQUERYD_CHANNEL"),
        "--desktop-channel" => Place::Variable("ORBIT_DESKTOP_CHANNEL"),
        "--fleet-desktop-alternative-browser-host" => {
            Place::Variable("ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST")
        }
        "--end-user-email" => Place::Variable("ORBIT_END_USER_EMAIL"),
        "--osquery-db" => Place::Variable("ORBIT_OSQUERY_DB"),
        "--osquery-flagfile" => Place::File("osquery.flags"),
        "--fleet-certificate" => Place::File("fleet.pem"),
        "--update-tls-certificate" => Place::File("update.pem"),
        "--fleet-tls-client-key" => Place::File("fleet_client.key"),
        "--update-tls-client-key" => Place::File("update_client.key"),
        other => panic!("{other} was taken, whatever its value"),
    }
}
