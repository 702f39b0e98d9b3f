//! The macOS package: the archive and everything in it, as other people's programs read it.

mod archive;
mod metadata;
mod sample;
mod scripts;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    [archive::trials(), metadata::trials(), scripts::trials()]
        .into_iter()
        .flatten()
        .collect()
}
