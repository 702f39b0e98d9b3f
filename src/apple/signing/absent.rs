//! Without the cargo feature: the same face, and nothing behind it.

use std::convert::Infallible;
use std::fs::File;

use jiff::Timestamp;
use url::Url;

use super::{Credentials, SigningError};

/// A certificate with its key. There is none without the feature.
pub struct Identity(Infallible);

impl Identity {
    /// Always [`SigningError::NotBuilt`].
    pub fn load(_: &Credentials, _: Timestamp) -> Result<Self, SigningError> {
        Err(SigningError::NotBuilt)
    }

    /// Never called.
    pub fn sign_package(&self, _: File, _: &File, _: Option<&Url>) -> Result<(), SigningError> {
        match self.0 {}
    }

    /// Never called.
    pub fn sign_profile(&self, _: &str) -> Result<Vec<u8>, SigningError> {
        match self.0 {}
    }
}
