//! Apple's side of a macOS package, after it was built: signature, notarisation, MDM.
//!
//! - [`signing`]: a Developer ID Installer certificate's signature over a package.
//! - [`notary`]: Apple's notary service, and the ticket that is stapled to a package.
//! - [`manifest`]: what an MDM server tells a Mac that is to install a package.
//!
//! None of it knows Fleet, or what is in the package.

pub mod manifest;
pub mod notary;
pub mod signing;
