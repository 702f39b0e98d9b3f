//! `--shard 3/16`: which share of a manifest's installers a run makes.
//!
//! Installers are numbered in the manifest's order; share K of N has every Nth from the Kth
//! on. So shares are alike in size, and nobody has to talk to anybody.

use std::fmt;
use std::str::FromStr;

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// Whether the installer of this index, from 0, is in the share.
    pub fn holds(self, index: usize) -> bool {
        index % self.of == self.number - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |word: &str| word.parse().ok().filter(|number| *number > 0);
        let parts = text.split_once('/');
        let Some((Some(shard), Some(of))) = parts.map(|(k, n)| (number(k), number(n))) else {
            return Err("use K/N, as 3/16 for the third of sixteen".to_owned());
        };
        match shard <= of {
            true => Ok(Self { number: shard, of }),
            false => Err(format!("there is no share {shard} of {of}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_in_one_share() {
        for of in 1..20 {
            let shards: Vec<Shard> = (1..=of)
                .map(|number| format!("{number}/{of}").parse().unwrap())
                .collect();
            for index in 0..50 {
                let holding = shards.iter().filter(|shard| shard.holds(index));
                assert_eq!(holding.count(), 1, "{index} of {of}");
            }
        }
    }

    #[test]
    fn refused() {
        for text in ["", "1", "0/4", "5/4", "1/0", "a/4", "1/4/2", "-1/4"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
    }
}
