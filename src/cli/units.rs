//! Sizes, rates and times as people read them.

use std::time::Duration;

/// Bytes in a unit that leaves at most three digits before the point.
pub fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, word)) => format!("{}.{} {word}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

/// Bytes per second.
pub fn rate(bytes: u64, time: Duration) -> String {
    let nanoseconds = time.as_nanos().max(1);
    let rate = u128::from(bytes) * 1_000_000_000 / nanoseconds;
    format!("{}/s", size(u64::try_from(rate).unwrap_or(u64::MAX)))
}

/// Seconds to the hundredth, from a minute on whole ones with minutes.
pub fn time(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.2} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (53_480_000, "53.4 MB"),
            (2_999_999_999, "2.9 GB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn rates_and_times() {
        assert_eq!(rate(5_000_000, Duration::from_millis(500)), "10.0 MB/s");
        assert_eq!(rate(0, Duration::ZERO), "0 B/s");
        assert_eq!(time(Duration::from_millis(1_234)), "1.23 s");
        assert_eq!(time(Duration::from_secs(61)), "1 min 1 s");
    }
}
