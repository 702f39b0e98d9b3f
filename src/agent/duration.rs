//! Durations in Go's notation, which the agent parses: `15m0s`, `1h30m0s`, `1.5s`.
//!
//! The grammar is that of Go's `time.ParseDuration`, without a sign; the text written is
//! that of `Duration.String`.

use std::fmt;
use std::str::FromStr;

/// A positive duration, in whole nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(u64);

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

impl GoDuration {
    /// A whole number of minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self(minutes * MINUTE)
    }
}

impl From<GoDuration> for std::time::Duration {
    fn from(duration: GoDuration) -> Self {
        Self::from_nanos(duration.0)
    }
}

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no duration; write it like 15m, 1h or 90s");
        let mut rest = text;
        let mut nanos: u64 = 0;
        while !rest.is_empty() {
            let number = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(wrong)?;
            let (digits, after) = rest.split_at(number);
            let unit = after
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(unit);
            let part = scale(digits, unit_of(unit).ok_or_else(wrong)?).ok_or_else(wrong)?;
            nanos = nanos.checked_add(part).ok_or_else(wrong)?;
            rest = after;
        }
        // Go holds a duration in a signed 64-bit number.
        match nanos {
            1..=0x7fff_ffff_ffff_ffff => Ok(Self(nanos)),
            _ => Err(wrong()),
        }
    }
}

fn unit_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

fn scale(digits: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut nanos = match whole {
        "" => 0,
        whole => whole.parse::<u64>().ok()?.checked_mul(unit)?,
    };
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        nanos = nanos.checked_add(u64::from(digit.to_digit(10)?) * place)?;
    }
    Some(nanos)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        let (unit, word) = match nanos {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            1_000_000..SECOND => (1_000_000, "ms"),
            _ => {
                let (hours, minutes) = (nanos / HOUR, nanos % HOUR / MINUTE);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if nanos >= MINUTE {
                    write!(f, "{minutes}m")?;
                }
                return write!(f, "{}s", decimal(nanos % MINUTE, SECOND));
            }
        };
        write!(f, "{}{word}", decimal(nanos, unit))
    }
}

fn decimal(nanos: u64, unit: u64) -> String {
    let places = unit.ilog10() as usize;
    let text = format!("{}.{:0places$}", nanos / unit, nanos % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_go_writes() {
        for (text, go) in [
            ("15m", "15m0s"),
            ("1h", "1h0m0s"),
            ("10s", "10s"),
            ("90s", "1m30s"),
            ("1h30m", "1h30m0s"),
            ("1.5h", "1h30m0s"),
            ("100ms", "100ms"),
            ("1.5s", "1.5s"),
            ("24h", "24h0m0s"),
            ("2us", "2µs"),
            ("20s", "20s"),
            ("7ns", "7ns"),
        ] {
            assert_eq!(
                text.parse::<GoDuration>().map(|d| d.to_string()),
                Ok(go.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "15",
            "m",
            "-5m",
            "0s",
            "5x",
            "1h 30m",
            "1..5s",
            ".s",
            "9999999999h",
        ] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }
}
