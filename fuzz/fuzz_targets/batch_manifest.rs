//! Any text as the manifest of `package --manifest`: teams, or an error in a line that is there.

#![no_main]

use std::collections::BTreeSet;

use fleetpack::cli::package::batch::manifest::{SECRETS, Value, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let last = 1 + text.matches('\n').count();
    let lines = 1..=last;
    let known = |key: &str| match key {
        "unknown" => Err("it is unknown".to_owned()),
        _ => Ok(()),
    };
    let tables = match parse(text, &known) {
        Ok(tables) => tables,
        Err(error) => {
            assert!(lines.contains(&error.line), "{error}");
            return;
        }
    };
    let teams: BTreeSet<_> = tables.iter().map(|table| &table.team).collect();
    assert_eq!(teams.len(), tables.len());
    for table in &tables {
        // A team's name becomes a folder's.
        assert!(!table.team.starts_with('.') && !table.team.contains('/'));
        assert!(lines.contains(&table.line));
        assert!(!table.settings.contains_key("unknown"));
        let secrets = SECRETS
            .iter()
            .filter(|key| table.settings.contains_key(**key));
        assert!(secrets.count() <= 1);
        for setting in table.settings.values() {
            assert!(lines.contains(&setting.line));
            if let Value::One(value) = &setting.value {
                assert!(!value.contains("{team}"), "{value}");
            }
        }
    }
});
