//! One document of a repository: read, written anew, read again.

use fleetpack::tuf::json;
use fleetpack::tuf::metadata::{Metadata, MetadataError, Signed};

/// What is read is what was said: the form to sign is stable, and a document made of what was
/// understood is understood the same.
pub fn read<T: Metadata + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(document) = Signed::<T>::parse(bytes) else {
        return;
    };
    assert_eq!(document.bytes(), bytes);
    let value = json::parse(bytes).expect("it was read before");
    let canonical = json::canonical(&value["signed"]).expect("it had a form before");
    assert_eq!(document.canonical(), canonical);
    let signatures = document.signatures().to_vec();
    let again = Signed::<T>::create::<MetadataError>(&document.signed, |_| Ok(signatures));
    let again = again.expect("what was read can be written");
    assert_eq!(again.signed, document.signed);
    assert_eq!(again.version(), document.version());
}
