//! Any text as a value for hosts: written by the escape of each grammar, and read back by
//! somebody else, it is the same value.

#![no_main]

use std::collections::BTreeMap;

use fleetpack::inspect::variables::{of_environment_file, of_formatted, of_launch_daemon};
use fleetpack::templates::escape;

fn daemon(text: &str) -> String {
    format!(
        "<plist><dict><key>EnvironmentVariables</key><dict><key>A</key><string>{text}</string>\
         <key>B</key><string>b</string></dict></dict></plist>"
    )
}

libfuzzer_sys::fuzz_target!(|value: &str| {
    let expected: BTreeMap<String, String> = [("A", value), ("B", "b")]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    let none = BTreeMap::new();
    if let Ok(text) = escape::systemd_env(value) {
        assert_eq!(of_environment_file(&format!("A={text}\nB=b\n")), expected);
    }
    // Words of a shell are a part of that grammar, as long as they stay on one line.
    if let Ok(text) = escape::sh_single(value)
        && !value.contains(['\n', '\r'])
    {
        assert_eq!(of_environment_file(&format!("A={text}\nB=b\n")), expected);
    }
    if let Ok(text) = escape::xml_text(value) {
        assert_eq!(of_launch_daemon(&daemon(&text)), expected);
    }
    if let Ok(text) = escape::msi_formatted(value) {
        assert_eq!(of_formatted(&format!("A={text}[~]B=b"), &none), expected);
    }
    if let Ok(text) = escape::systemd_unit(value) {
        assert!(!text.replace("%%", "").contains('%'));
        assert_eq!(text.replace("%%", "%"), value);
    }
    if let Ok(text) = escape::powershell_single(value) {
        let inside = &text[1..text.len() - 1];
        assert_eq!(powershell(inside).as_deref(), Some(value));
    }
    // Files that somebody edited.
    of_environment_file(value);
    of_launch_daemon(value);
    of_launch_daemon(&daemon(value));
    of_formatted(value, &BTreeMap::from([("P", "p")]));
});

/// What stands between single quotes; `None` when one of them ends the string.
fn powershell(inside: &str) -> Option<String> {
    let is_quote = |c| matches!(c, '\'' | '\u{2018}'..='\u{201b}');
    let mut plain = String::new();
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        plain.push(c);
        if is_quote(c) && !rest.next().is_some_and(is_quote) {
            return None;
        }
    }
    Some(plain)
}
