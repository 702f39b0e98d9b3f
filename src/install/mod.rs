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
//!
//! ```
//! use fleetpack::install::{Entry, Os, Tree, TreeError};
//!
//! let program = || Entry::customer("/opt/demo/demo", 0o755, "#!/bin/sh\n");
//! // Parents are added, in an order that every format can take.
//! let entries = Tree::settle(Os::Linux, vec![program()]).unwrap();
//! let paths: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
//! assert_eq!(paths, ["/opt", "/opt/demo", "/opt/demo/demo"]);
//!
//! let twice = Tree::settle(Os::Linux, vec![program(), program()]);
//! assert!(matches!(twice, Err(TreeError::Collision(_))));
//! ```

mod content;
mod tree;
mod windows;

pub use content::{Content, ContentError, Customer, Later, Promise, Shared};
pub use tree::{
    Access, AdminScript, Arch, Entry, Event, Identity, Kind, Lifecycle, Node, Os, Owner, Property,
    Service, Setting, Tree, TreeError,
};
pub use windows::{Moment, Restart, Step, Windows};
