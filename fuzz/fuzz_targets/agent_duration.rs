//! Any text as a duration in Go's notation: what was read is written so that it reads the same.

#![no_main]

use fleetpack::agent::duration::GoDuration;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(duration) = text.parse::<GoDuration>() {
        assert_eq!(duration.to_string().parse(), Ok(duration));
    }
});
