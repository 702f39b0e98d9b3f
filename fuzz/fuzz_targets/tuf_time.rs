//! Any text, read as `expires` and as a time of validity.

#![no_main]

use fleetpack::tuf::time::{Expires, Validity};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(expires) = text.parse::<Expires>() {
        assert_eq!(expires.to_string(), text);
        let plain = Expires::from(expires.at());
        assert_eq!(plain.at().as_second(), expires.at().as_second());
        assert!(plain.is_plain());
        assert!(expires.passed(expires.at()));
    }
    if let Ok(validity) = text.parse::<Validity>() {
        let again = validity.to_string().parse::<Validity>();
        assert_eq!(again.ok(), Some(validity));
    }
});
