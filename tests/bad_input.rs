//! Wrong input: one clear message that names the thing and the way out, and nothing changed.
//!
//! Each trial runs the program on a copy of a small repository, one row per way to be wrong.
//! The messages are kept under `tests/fixtures/bad_input`; that nothing changed is seen by
//! comparing every name, mode and content in the scratch folder before and after.

mod archives;
mod disk;
mod ground;
mod metadata;
mod packages;
mod server;
mod settings;
mod updates;

use libtest_mimic::Trial;

/// The trials.
pub fn trials() -> Vec<Trial> {
    [
        // A silent server takes its time: the others go on beside it.
        server::trials(),
        updates::trials(),
        archives::trials(),
        metadata::trials(),
        packages::trials(),
        settings::trials(),
        disk::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
