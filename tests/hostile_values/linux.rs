//! deb, rpm and pkg.tar.zst: installed in a booted Debian by dpkg, rpm and pacman. The service's
//! process has the variables, files hold what was given, the administrator's script says it, and
//! the package manager finds every path that it believes to have installed.

use libtest_mimic::Trial;

use super::{FIELDS, Field, Ground, Made, Way, field, tell, values};
use crate::harness::linux_cells::{Cell, Manager};
use crate::harness::trial_needing;

const NEEDS: &[&str] = &[
    "root",
    "debootstrap",
    "systemd-nspawn",
    "unshare",
    "nsenter",
    "findmnt",
    "openssl",
];

pub fn trials() -> Vec<Trial> {
    [Manager::Dpkg, Manager::Rpm, Manager::Pacman]
        .map(|manager| {
            let name = format!("hostile_values/{}", manager.word());
            trial_needing(&name, NEEDS, move || installed(manager))
        })
        .into()
}

/// Fields that only Linux has, or that are something else there.
const MORE: [Field; 6] = [
    field("--end-user-email", Way::Argument, ("", "@example.com")),
    field("--osquery-db", Way::Argument, ("/var/lib/", "")),
    field("--cpu-quota", Way::Argument, ("", "")),
    field("--post-install", Way::Script, ("", "")),
    field("--pre-install", Way::Name, ("", ".sh")),
    field("--arch", Way::Argument, ("", "")),
];

fn installed(manager: Manager) {
    let ground = Ground::new();
    let cell = Cell::new(manager);
    let fields: Vec<Field> = FIELDS.into_iter().chain(MORE).collect();
    let (mut carried, mut refused) = (0, 0);
    for (what, text) in values() {
        let made = ground.make(manager.word(), &fields, what, &text);
        let package = ground.scratch.join(format!("installed.{}", manager.word()));
        std::fs::rename(&made.file, &package).unwrap();
        cell.replace(&package);
        arrived(&ground, &cell, &made, what, &text);
        carried += made.carried.len();
        refused += made.refused;
    }
    let host = cell.host();
    assert_eq!(host.ok("find / -xdev -name pwned"), "");
    cell.remove();
    host.ok("! test -e /opt/orbit");
    tell(manager.word(), carried, refused);
}

fn arrived(ground: &Ground, cell: &Cell, made: &Made, what: &str, text: &str) {
    let host = cell.host();
    let process = "/proc/$(systemctl show -P MainPID orbit.service)";
    host.wait_for(&format!("grep -qa ORBIT_UPDATE_URL= {process}/environ"));
    let environment = host.shell(&format!("cat {process}/environ")).ok().stdout;
    let variables: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
    let pwned = variables
        .iter()
        .any(|variable| variable.starts_with(b"ORBIT_PWNED"));
    assert!(!pwned, "{what}: another variable came into being");
    for field in &made.carried {
        let flag = field.flag;
        let intact = match place(flag) {
            Place::Variable(name) => {
                let variable = format!("{name}={}", field.value(text));
                variables.contains(&variable.as_bytes())
            }
            Place::File(path) => {
                let bytes = std::fs::read(host.path(path)).unwrap();
                bytes == ground.contents(field, text).as_bytes()
            }
            Place::Said => {
                let said = std::fs::read(host.path("/root/said")).unwrap();
                said == format!("{}\n", field.value(text)).as_bytes()
            }
            Place::Nowhere => true,
        };
        assert!(intact, "{flag} with {what} is not what the host got");
    }
    let channel = made
        .carried
        .iter()
        .find(|field| field.flag == "--orbit-channel");
    let channel = channel.map_or("stable".to_owned(), |field| field.value(text));
    let program = format!("/opt/orbit/bin/orbit/linux/{channel}/orbit");
    let link = std::fs::read_link(host.path("/opt/orbit/bin/orbit/orbit")).unwrap();
    assert_eq!(link.to_str(), Some(program.as_str()), "{what}");
    assert!(host.path(&program).is_file(), "{what}");
    host.ok(match cell.manager {
        Manager::Dpkg => "test -z \"$(dpkg --verify fleet-osquery)\"",
        Manager::Rpm => "rpm -V --nodeps fleet-osquery",
        Manager::Pacman => "pacman -Qk fleet-osquery",
    });
}

/// Where a field is on a host.
enum Place {
    /// In the service's environment.
    Variable(&'static str),
    /// The whole of a file.
    File(&'static str),
    /// What a script printed.
    Said,
    /// In nothing but names and messages of the package's scripts.
    Nowhere,
}

fn place(flag: &str) -> Place {
    match flag {
        "--fleet-url" => Place::Variable("ORBIT_FLEET_URL"),
        "--enroll-secret" => Place::Variable("ORBIT_ENROLL_SECRET"),
        "--agent-update-url" => Place::Variable("ORBIT_UPDATE_URL"),
        "--orbit-channel" => Place::Variable("ORBIT_ORBIT_CHANNEL"),
        "--osqueryd-channel" => Place::Variable("ORBIT_OSQUERYD_CHANNEL"),
        "--desktop-channel" => Place::Variable("ORBIT_DESKTOP_CHANNEL"),
        "--fleet-desktop-alternative-browser-host" => {
            Place::Variable("ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST")
        }
        "--end-user-email" => Place::Variable("ORBIT_END_USER_EMAIL"),
        "--osquery-db" => Place::Variable("ORBIT_OSQUERY_DB"),
        "--osquery-flagfile" => Place::File("/opt/orbit/osquery.flags"),
        "--fleet-certificate" => Place::File("/opt/orbit/fleet.pem"),
        "--update-tls-certificate" => Place::File("/opt/orbit/update.pem"),
        "--fleet-tls-client-key" => Place::File("/opt/orbit/fleet_client.key"),
        "--update-tls-client-key" => Place::File("/opt/orbit/update_client.key"),
        "--post-install" => Place::Said,
        "--pre-install" => Place::Nowhere,
        other => panic!("{other} was taken, whatever its value"),
    }
}
