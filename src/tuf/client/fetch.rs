//! Reads documents: limited in size, tried again when a connection breaks or a server
//! stumbles.

use std::io::{self, Read};
use std::time::Duration;

use super::{Client, ClientError};
use crate::store::StoreError;
use crate::store::http::TooSlow;
use crate::tuf::metadata::MetaFile;

impl Client {
    /// Reads what other metadata describe, and no byte more than they say.
    pub(super) fn fetch_wanted(
        &self,
        file: &str,
        wanted: &MetaFile,
        limit: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let said = wanted.length.filter(|length| *length < limit);
        self.fetch(file, said.unwrap_or(limit))
            .map_err(|error| match (error, said) {
                (
                    ClientError::TooLarge {
                        place, document, ..
                    },
                    Some(expected),
                ) => ClientError::TooLong {
                    place,
                    document,
                    expected,
                },
                (error, _) => error,
            })
    }

    pub(super) fn fetch(&self, file: &str, limit: u64) -> Result<Vec<u8>, ClientError> {
        self.retrying(file, |received| {
            let blob = self.store.open_quoted(file)?;
            let too_large = || {
                Attempt::Fatal(ClientError::TooLarge {
                    place: self.store.describe(),
                    document: file.to_owned(),
                    limit,
                })
            };
            if blob.len.is_some_and(|len| len > limit) {
                return Err(too_large());
            }
            let mut bytes = Vec::new();
            let read = blob.body.take(limit + 1).read_to_end(&mut bytes);
            *received = bytes.len() as u64;
            read.map_err(|e| Attempt::Broken(Some(e)))?;
            match (bytes.len() as u64, blob.len) {
                (n, _) if n > limit => Err(too_large()),
                (n, Some(len)) if n < len => Err(Attempt::Broken(None)),
                _ => Ok(bytes),
            }
        })
    }

    pub(super) fn retrying<T>(
        &self,
        document: &str,
        mut attempt: impl FnMut(&mut u64) -> Result<T, Attempt>,
    ) -> Result<T, ClientError> {
        let mut wait = Duration::from_millis(500);
        let mut tries = 1;
        loop {
            let mut received = 0;
            let error = match attempt(&mut received) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if tries >= self.options.attempts || !error.worth_another_try() {
                return Err(error.named(document, received));
            }
            (self.options.sleep)(wait);
            wait *= 2;
            tries += 1;
        }
    }
}

// Why one try failed.
pub(super) enum Attempt {
    Store(StoreError),
    Broken(Option<io::Error>),
    Fatal(ClientError),
}

impl From<StoreError> for Attempt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Attempt {
    fn worth_another_try(&self) -> bool {
        match self {
            Self::Broken(Some(error)) => !TooSlow::is(error),
            Self::Store(StoreError::Transport { .. }) | Self::Broken(None) => true,
            Self::Store(StoreError::Status { status, .. }) => {
                matches!(status, 408 | 429 | 500..=599)
            }
            Self::Store(_) | Self::Fatal(_) => false,
        }
    }

    fn named(self, document: &str, received: u64) -> ClientError {
        let document = document.to_owned();
        match self {
            Self::Store(source) => ClientError::Fetch { document, source },
            Self::Broken(source) => ClientError::CutOff {
                document,
                received,
                source,
            },
            Self::Fatal(error) => error,
        }
    }
}
