//! Any text as a key that is named on the command line: a token's (RFC 7512), or a public key
//! in JSON or PEM.

#![no_main]

use fleetpack::tuf::key::Key;
use fleetpack::tuf::token::Uri;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<Uri>() {
        let mut again: Uri = written(&uri).parse().expect("what was read is written");
        again.text.clone_from(&uri.text);
        assert_eq!(again, uri);
    }
    if let Ok(key) = Key::from_text(text) {
        let json = serde_json::to_string(&key).expect("a key is JSON");
        let again = Key::from_text(&json).expect("what was read is written");
        assert_eq!(again, key);
        assert_eq!(again.id(), key.id());
        assert!(key.same_as(&again) && key.usable());
        assert!(!key.verify(b"message", b"no signature"));
    }
});

/// The same name, with every byte quoted.
fn written(uri: &Uri) -> String {
    let quoted =
        |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("%{byte:02x}")).collect() };
    let mut path = Vec::new();
    for (name, value) in [
        ("token", &uri.token),
        ("serial", &uri.serial),
        ("manufacturer", &uri.manufacturer),
        ("model", &uri.model),
        ("object", &uri.object),
    ] {
        path.extend(
            value
                .iter()
                .map(|v| format!("{name}={}", quoted(v.as_bytes()))),
        );
    }
    path.extend(uri.id.iter().map(|id| format!("id={}", quoted(id))));
    let mut query = Vec::new();
    for (name, scheme, value) in [
        ("module-path", "", &uri.module),
        ("pin-source", "file:", &uri.pin_source),
    ] {
        let value = value.as_ref().and_then(|path| path.to_str());
        query.extend(value.map(|v| format!("{name}={scheme}{}", quoted(v.as_bytes()))));
    }
    format!("pkcs11:{}?{}", path.join(";"), query.join("&"))
}
