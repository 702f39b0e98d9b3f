//! Any text, as the name of a target or a role: what is asked for stays in its folder, under
//! a hash prefix too.

#![no_main]

use fleetpack::tuf::client::target_paths;
use fleetpack::tuf::metadata::TargetFile;
use fleetpack::tuf::name::check_path;
use fleetpack::tuf::state::quoted;

libfuzzer_sys::fuzz_target!(|name: &str| {
    let role = quoted(name);
    assert!(
        role.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b))
    );
    let bytes = percent_decoded(&role);
    assert_eq!(bytes, name.as_bytes());
    let target: TargetFile = serde_json::from_value(serde_json::json!({
        "length": 1,
        "hashes": {"sha256": "00".repeat(32), "sha512": "11".repeat(64), "other": "../22"},
    }))
    .expect("a target");
    assert_eq!(target_paths(name, &target, false), [name]);
    let paths = target_paths(name, &target, true);
    assert_eq!(paths.len(), 2);
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    for path in paths {
        let (into, prefixed) = path.rsplit_once('/').unwrap_or(("", &path));
        assert_eq!(into, folder);
        let (hash, rest) = prefixed.split_once('.').expect("a prefix");
        assert!(hash == "00".repeat(32) || hash == "11".repeat(64));
        assert_eq!(rest, file);
        if check_path("name", name).is_ok() {
            assert!(!path.split('/').any(|part| matches!(part, "" | "." | "..")));
        }
    }
});

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [
                    bytes.next().expect("a digit"),
                    bytes.next().expect("a digit"),
                ];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hex")
            }
            byte => byte,
        });
    }
    out
}
