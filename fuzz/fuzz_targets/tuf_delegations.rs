//! A target's name on the first line and delegations after it: who is trusted for the name.

#![no_main]

use fleetpack::tuf::delegation::{roles_for, validate};
use fleetpack::tuf::metadata::Delegations;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some((name, json)) = text.split_once('\n') else {
        return;
    };
    let Ok(delegations) = serde_json::from_str::<Delegations>(json) else {
        return;
    };
    if validate(&delegations).is_err() {
        return;
    }
    let roles = roles_for(&delegations, name);
    // Nobody is asked after one who terminates, and nobody twice.
    let before = roles.len().saturating_sub(1);
    assert!(roles.iter().take(before).all(|role| !role.terminating));
    let mut names: Vec<_> = roles.iter().map(|role| &role.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), roles.len());
});
