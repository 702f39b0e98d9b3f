//! `--grace`: how long files stay that no metadata name any more.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::CliError;
use crate::agent::duration::GoDuration;
use crate::tuf::time::Validity;

/// A time of validity, a duration as Go writes one, or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    Over,
    Calendar(Validity),
    Exact(GoDuration),
}

impl Grace {
    /// Its length, when it begins now.
    pub fn length(self, now: Timestamp) -> Result<Duration, CliError> {
        match self {
            Self::Over => Ok(Duration::ZERO),
            Self::Exact(duration) => Ok(duration.into()),
            Self::Calendar(validity) => {
                let end = validity.from(now).map_err(std::io::Error::other)?;
                Ok(end.at().duration_since(now).unsigned_abs())
            }
        }
    }

    /// The time that lies as long before now.
    pub fn before(self, now: Timestamp) -> Result<Timestamp, CliError> {
        let limit = now.checked_sub(self.length(now)?);
        Ok(limit.map_err(std::io::Error::other)?)
    }
}

impl FromStr for Grace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::Over);
        }
        let validity = text.parse().map(Self::Calendar);
        let exact = |_| text.parse().map(Self::Exact);
        validity
            .or_else(exact)
            .map_err(|_: String| format!("`{text}` is no time; write it like 7d, 12h, 90s or 0"))
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("0"),
            Self::Calendar(validity) => validity.fmt(f),
            Self::Exact(duration) => duration.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let now: Timestamp = "2028-02-29T12:00:00Z".parse().unwrap();
        let cases = [
            ("0", 0),
            ("90s", 90),
            ("1h30m", 5400),
            ("24h", 86_400),
            ("7d", 7 * 86_400),
            ("1y", 365 * 86_400),
        ];
        for (text, seconds) in cases {
            let grace: Grace = text.parse().unwrap();
            let length = Duration::from_secs(seconds);
            assert_eq!(grace.length(now).unwrap(), length, "{text}");
            assert_eq!(grace.before(now).unwrap() + length, now, "{text}");
        }
        for text in ["", "7", "d", "-1d", "0d", "0s", "1w", "soon"] {
            assert!(text.parse::<Grace>().is_err(), "{text}");
        }
    }
}
