//! Publishing to object storage and folders, judged by other people's services and clients.

mod stores;

use libtest_mimic::Trial;

/// The trials.
pub fn trials() -> Vec<Trial> {
    [stores::trials()].into_iter().flatten().collect()
}
