//! What an installer is, in no format's terms and without a word about Fleet.
//!
//! A [`Tree`] is plain data: what lies where on a host, who may read it, which service runs,
//! and what happens around installation and removal. It is settled once, here, for every
//! format: a builder in [`crate::package`] decides nothing that two formats share.
//!
//! Contents carry their class in their type. [`Shared`] contents were verified as targets of
//! an update repository, or unpacked from such an archive; they are the same in every
//! customer's installer and may be kept compressed. [`Customer`] contents (configuration,
//! units, scripts, metadata documents, secrets) never reach a cache.

mod content;
mod tree;
mod windows;

pub use content::{Content, ContentError, Customer, Later, Promise, Shared};
pub use tree::{
    Access, AdminScript, Arch, Entry, Event, Identity, Kind, Lifecycle, Node, Os, Owner, Property,
    Service, Setting, Tree, TreeError,
};
pub use windows::{Moment, Restart, Step, Windows};
