//! The macOS package: the archive and everything in it, as other people's programs read it.
//!
//! What only a Mac or Apple's services can show is told in `docs/not-shown.md`.

mod archive;
mod metadata;
mod notary;
mod sample;
mod scripts;
#[cfg(feature = "macos-signing")]
mod signing;
mod whole;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    [
        archive::trials(),
        metadata::trials(),
        scripts::trials(),
        whole::trials(),
        notary::trials(),
        #[cfg(feature = "macos-signing")]
        signing::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
