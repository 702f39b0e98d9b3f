//! Points in time as metadata carry them, and how long metadata are valid.
//!
//! `expires` is RFC 3339; the specification wants `Z` and whole seconds, but go-tuf also
//! writes and accepts a UTC offset. The text is kept as it was, for it is signed. Nothing
//! here reads a clock.

use std::fmt;
use std::str::FromStr;

use jiff::{Span, Timestamp, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// When a document expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expires {
    text: String,
    at: Timestamp,
}

impl Expires {
    /// The point in time.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether it is written as TUF 4.2.1 wants it: whole seconds and `Z`.
    pub fn is_plain(&self) -> bool {
        self.text == Self::from(self.at).text
    }

    /// Whether it lies at or before `now`.
    pub fn passed(&self, now: Timestamp) -> bool {
        self.at <= now
    }
}

impl From<Timestamp> for Expires {
    /// In whole seconds and UTC.
    fn from(at: Timestamp) -> Self {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        Self {
            text: at.to_string(),
            at,
        }
    }
}

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Expires {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self {
            at: text.parse()?,
            text: text.to_owned(),
        })
    }
}

impl Serialize for Expires {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Expires {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|e| de::Error::custom(format!("expires is {text:?}: {e}")))
    }
}

/// How long metadata are valid from their signing on: `14d`, `3y`, `336h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Hours of 3600 seconds.
    Hours(u16),
    /// Days of 24 hours.
    Days(u16),
    /// Calendar years.
    Years(u16),
}

/// A text that is no [`Validity`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no time of validity: give a number above 0 with h, d or y, such as 14d")]
pub struct ValidityError(String);

impl Validity {
    /// The end of validity of what is signed `now`.
    pub fn from(self, now: Timestamp) -> Result<Expires, jiff::Error> {
        let span = match self {
            Self::Hours(n) => Span::new().try_hours(i64::from(n))?,
            Self::Days(n) => Span::new().try_days(i64::from(n))?,
            Self::Years(n) => Span::new().try_years(i64::from(n))?,
        };
        let end = now.to_zoned(TimeZone::UTC).checked_add(span)?;
        Ok(Expires::from(end.timestamp()))
    }
}

impl FromStr for Validity {
    type Err = ValidityError;

    fn from_str(text: &str) -> Result<Self, ValidityError> {
        let refused = || ValidityError(text.to_owned());
        let unit = text.chars().last().ok_or_else(refused)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        let number = match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse().map_err(|_| refused())?,
            false => return Err(refused()),
        };
        match (number, unit) {
            (1.., 'h') => Ok(Self::Hours(number)),
            (1.., 'd') => Ok(Self::Days(number)),
            (1..=1000, 'y') => Ok(Self::Years(number)),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours(n) => write!(f, "{n}h"),
            Self::Days(n) => write!(f, "{n}d"),
            Self::Years(n) => write!(f, "{n}y"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_keeps_its_text() {
        for text in [
            "2036-11-19T07:48:00Z",
            "2036-11-19T09:48:00+02:00",
            "2036-11-19T07:48:00.000Z",
        ] {
            let expires: Expires = text.parse().unwrap();
            assert_eq!(expires.to_string(), text);
            assert_eq!(expires.at().as_second(), 2_110_693_680);
            assert_eq!(expires.is_plain(), text == "2036-11-19T07:48:00Z");
        }
        assert!("2036-11-19".parse::<Expires>().is_err());
    }

    #[test]
    fn validity() {
        let now: Timestamp = "2028-02-29T12:00:00.75Z".parse().unwrap();
        let cases = [
            ("14d", "2028-03-14T12:00:00Z"),
            ("336h", "2028-03-14T12:00:00Z"),
            ("3y", "2031-02-28T12:00:00Z"),
            ("10y", "2038-02-28T12:00:00Z"),
        ];
        for (text, expected) in cases {
            let validity: Validity = text.parse().unwrap();
            assert_eq!(validity.to_string(), text);
            assert_eq!(validity.from(now).unwrap().to_string(), expected);
        }
        for text in [
            "", "d", "0d", "-1d", "+1d", "1", "1w", "1.5d", "70000h", "14 d", "1001y",
        ] {
            assert!(text.parse::<Validity>().is_err(), "{text}");
        }
    }
}
