//! Values that would break out of what they are written into, installed under Wine: the service's
//! registry key and the files are looked at.

use fleetpack::agent::config::{Channels, Config, Secret};
use libtest_mimic::Trial;

use super::sample::Sample;
use super::wine::{NEEDS, Wine, agent, compile};
use crate::harness::trial_needing;
use crate::hostile_values::values;

pub fn trials() -> Vec<Trial> {
    vec![trial_needing("msi_wine_hostile_values", NEEDS, hostile)]
}

/// A field: its variable, what stands in front of a value, and how it is set.
type Field = (&'static str, &'static str, fn(&mut Config, String));

const FIELDS: [Field; 7] = [
    ("ORBIT_FLEET_URL", "https://fleet.example.com/", |c, v| {
        c.enrollment.as_mut().unwrap().url = v;
    }),
    (
        "ORBIT_UPDATE_URL",
        "https://updates.example.com/",
        |c, v| c.update_url = v,
    ),
    ("ORBIT_OSQUERY_DB", r"C:\data\", |c, v| {
        c.osquery_db = Some(v)
    }),
    (
        "ORBIT_FLEET_DESKTOP_ALTERNATIVE_BROWSER_HOST",
        "",
        |c, v| {
            c.desktop_browser_host = Some(v);
        },
    ),
    ("ORBIT_ORBIT_CHANNEL", "", |c, v| c.channels.orbit = v),
    ("ORBIT_OSQUERYD_CHANNEL", "", |c, v| c.channels.osqueryd = v),
    ("ORBIT_DESKTOP_CHANNEL", "", |c, v| c.channels.desktop = v),
];

/// Whether the configuration makes a package.
fn is_taken(sample: &Sample) -> bool {
    let config = &sample.config;
    let checked = config.check().is_ok()
        && config
            .check_lengths(fleetpack::install::Os::Windows)
            .is_ok();
    checked && sample.try_tree().is_ok()
}

/// One package with as many values in each field as fit, one after the other.
fn hostile() {
    let wine = Wine::new();
    let mut sample = agent(&wine.scratch, "1.2.3");
    let mut expected = Vec::new();
    let mut count = 0;
    for (variable, front, set) in FIELDS {
        let mut text = front.to_owned();
        for (_, value) in values() {
            let more = format!("{text}{value}.a");
            let before = sample.config.clone();
            set(&mut sample.config, more.clone());
            match value.len() < 1000 && is_taken(&sample) {
                true => {
                    text = more;
                    count += 1;
                }
                false => sample.config = before,
            }
        }
        expected.push(format!("{variable}={text}"));
    }
    let all: Vec<String> = values().into_iter().map(|(_, text)| text).collect();
    let plain = |text: &&String| !text.contains(char::is_control) && text.len() < 1000;
    let secret: Vec<&str> = all.iter().filter(plain).map(String::as_str).collect();
    count += secret.len() + all.len();
    let secret = secret.join("-");
    sample.config.enrollment.as_mut().unwrap().secret = Secret::new(secret.as_str());
    sample.config.osquery_flagfile = Some(all.concat().into_bytes());
    assert!(is_taken(&sample), "{expected:?}");
    let msi = sample.build(&wine.scratch, "x.msi");
    wine.install(&msi, &[]);
    let environment = wine.environment();
    for variable in &expected {
        assert!(
            environment.contains(variable),
            "{variable}\n{environment:#?}"
        );
    }
    assert_eq!(
        std::fs::read(wine.orbit("secret.txt")).unwrap(),
        secret.as_bytes()
    );
    assert_eq!(
        std::fs::read(wine.orbit("osquery.flags")).unwrap(),
        all.concat().as_bytes()
    );
    let Channels {
        orbit, osqueryd, ..
    } = &sample.config.channels;
    for program in [
        format!("bin/orbit/windows/{orbit}/orbit.exe"),
        format!("bin/osqueryd/windows/{osqueryd}/osqueryd.exe"),
    ] {
        assert!(wine.orbit(&program).is_file(), "no {program}");
    }
    count += at_installation(&wine, &msi, &all);
    assert_eq!(wine.service(), "RUNNING");
    wine.remove(&msi);
    wine.nothing_is_left();
    eprintln!("msi under Wine: {count} values, all intact");
}

/// The secret as a property when installing, handed to PowerShell.
fn at_installation(wine: &Wine, msi: &std::path::Path, all: &[String]) -> usize {
    let plain = |text: &&String| {
        text.bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'"')
            && text.len() < 1000
            // Wine's reader of properties makes one space of several.
            && !text.contains("  ")
    };
    let given: Vec<&str> = all.iter().filter(plain).map(String::as_str).collect();
    let secret = given.join("-");
    wine.remove(msi);
    // As a library's caller gives it: Wine's msiexec takes quotes out of values.
    let program = compile(&wine.scratch, "install.c", &["-lmsi"]);
    let path = format!("Z:{}", msi.display()).replace('/', "\\");
    let properties = format!("FLEET_SECRET=\"{secret}\"");
    let args = [program.to_str().unwrap(), &path, &properties];
    assert_eq!(wine.wine(&args).run().code, Some(0), "{}", wine.log());
    wine.wait();
    let last = wine.text("witness.last");
    assert_eq!(
        last.lines().last(),
        Some(format!("-Secret:{secret}.").as_str())
    );
    given.len()
}
