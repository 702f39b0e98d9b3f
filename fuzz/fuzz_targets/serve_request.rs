//! Any bytes from the network as a request to `updates serve`.

#![no_main]

use std::io::BufReader;
use std::time::Duration;

use fleetpack::publish::serve::request::{Ranged, Request, lists, range};

const PATIENCE: Duration = Duration::from_secs(60);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let request = Request::read(&mut &*bytes, PATIENCE).ok();
    if bytes.len() < 16 << 10 {
        // However it arrives.
        let mut slow = BufReader::with_capacity(1, bytes);
        assert_eq!(Request::read(&mut slow, PATIENCE).ok(), request);
    }
    let Some(Some(request)) = request else {
        return;
    };
    for len in [0, 1, 1000, u64::MAX] {
        let text = request.range.as_deref().unwrap_or_default();
        if let Ranged::Part(from, to) = range(text, len) {
            assert!(from < to && to <= len);
        }
    }
    let tags = request.if_none_match.as_deref().unwrap_or_default();
    assert!(lists(&format!("{tags}, \"ours\""), "\"ours\""));
    let again = written(&request);
    if again.len() < 16 << 10 {
        let again = Request::read(&mut again.as_bytes(), PATIENCE);
        assert_eq!(again.ok(), Some(Some(request)));
    }
});

/// The same request, with every byte of its path quoted.
fn written(request: &Request) -> String {
    let quoted = |path: &String| {
        let quoted = path.bytes().map(|byte| format!("%{byte:02X}"));
        format!("/{}", quoted.collect::<String>())
    };
    let path = request.path.as_ref().map_or("none".to_owned(), quoted);
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    for (name, value) in [
        ("Range", &request.range),
        ("If-Match", &request.if_match),
        ("If-None-Match", &request.if_none_match),
        ("If-Range", &request.if_range),
    ] {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if request.close {
        head.push_str("Connection: close\r\n");
    }
    head + "\r\n"
}
