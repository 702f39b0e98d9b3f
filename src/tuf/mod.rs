//! The Update Framework (TUF 1.0.34): metadata, keys, the client, repository editing.
//!
//! Knows nothing of fleetd. Bytes become [`metadata`] by [`json`]; [`trusted`] is the client
//! workflow without I/O, [`client`] the I/O around it, [`survey`] what no client notices; [`repository`] is the one way to change
//! a repository, with keys from [`keystore`]. What agents in the field need beyond the
//! specification is marked `// go-tuf 0.5.2:`.
//! Specification: <https://theupdateframework.github.io/specification/v1.0.34/>.

pub mod ceremony;
pub mod client;
pub mod delegation;
pub mod hashes;
pub mod json;
pub mod key;
pub mod keystore;
pub mod metadata;
pub mod name;
#[cfg(all(feature = "pkcs11", not(target_feature = "crt-static")))]
mod pkcs11;
mod rejected;
pub mod repository;
pub mod state;
pub mod survey;
pub mod time;
pub mod token;
pub mod trusted;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod simulator;

/// The edition of the specification that is followed.
pub const SPEC_VERSION: &str = "1.0.34";
