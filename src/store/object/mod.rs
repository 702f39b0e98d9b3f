//! Places that files are published to: buckets (`s3://`, `gs://`, `az://`) and folders.
//!
//! [`Objects`] is what publishing needs of any of them: reading, writing on condition that
//! nobody else wrote in between, copying inside the place, listing, deleting. What goes where
//! and in which order is decided in [`crate::publish`]. `cloud` speaks to object storage and
//! is the only room with an asynchronous runtime, `folder` is a directory, `credentials`
//! and `aws` find what each cloud's own tools would use, `error` says in words what a service answered.

mod aws;
mod cloud;
mod credentials;
mod error;
mod folder;

pub use cloud::Cloud;
pub use credentials::Access;
pub use error::ObjectError;
pub use folder::Folder;

use std::path::Path;
use std::time::SystemTime;

use super::Store;

/// Which writing of an object this is: an ETag, or a service's own number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// RFC 9110 §8.8.3, as the service gave it.
    pub etag: Option<String>,
    /// The generation, where a service counts them (Google Cloud Storage).
    pub generation: Option<String>,
}

/// When a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// When nothing is there.
    Absent,
    /// When what is there is still this one.
    Unchanged(Version),
}

impl Condition {
    /// That nothing happened since this was seen.
    pub fn since(seen: Option<&Version>) -> Self {
        seen.map_or(Self::Absent, |version| Self::Unchanged(version.clone()))
    }
}

/// What readers are told about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Cache-Control`.
    pub cache_control: &'static str,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name below the place.
    pub name: String,
    /// Bytes.
    pub len: u64,
    /// When it was last written, by the place's clock.
    pub modified: SystemTime,
}

/// A place to publish to. All names are relative to it.
pub trait Objects: Store {
    /// A whole object of at most `limit` bytes with its version; `None` when there is none.
    fn get(&self, name: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>, ObjectError>;

    /// Writes an object; a condition that does not hold is [`ObjectError::Lost`].
    fn put(
        &self,
        name: &str,
        bytes: &[u8],
        headers: Headers,
        condition: &Condition,
    ) -> Result<Version, ObjectError>;

    /// Writes an object from a file, in pieces; it appears whole.
    fn upload(&self, name: &str, file: &Path, headers: Headers) -> Result<(), ObjectError>;

    /// Copies an object inside the place, with its headers.
    fn copy(&self, from: &str, to: &str) -> Result<(), ObjectError>;

    /// All objects below a folder (`targets`), or all there are (an empty name).
    fn list(&self, folder: &str) -> Result<Vec<Listed>, ObjectError>;

    /// When an object was last written, by the place's clock; `None` when there is none.
    fn modified(&self, name: &str) -> Result<Option<SystemTime>, ObjectError>;

    /// Deletes an object; one that is not there is no error.
    fn delete(&self, name: &str) -> Result<(), ObjectError>;
}

/// Whether this names object storage rather than a folder or a web server.
pub fn is_cloud(place: &str) -> bool {
    ["s3://", "gs://", "az://"]
        .iter()
        .any(|scheme| place.starts_with(scheme))
}

/// Opens what a person typed: a URL of object storage, or a folder (which is made).
pub fn open(place: &str, access: &Access) -> Result<Box<dyn Objects>, ObjectError> {
    match (is_cloud(place), place.contains("://")) {
        (true, _) => Ok(Box::new(Cloud::new(place, access)?)),
        (false, true) => Err(ObjectError::Place(place.to_owned())),
        (false, false) => Ok(Box::new(Folder::new(Path::new(place))?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (place, sentence) in [
            (
                "https://updates.example.com",
                "nothing can be published to `https://updates.example.com`",
            ),
            ("s3://", "`s3://` names no bucket"),
            ("s3:///prefix", "`s3:///prefix` names no bucket"),
            (
                "s3://bucket/a//b",
                "`s3://bucket/a//b` holds an empty, `.` or `..` part",
            ),
            (
                "s3://bucket/../b",
                "`s3://bucket/../b` holds an empty, `.` or `..` part",
            ),
        ] {
            let error = open(place, &Access::default())
                .err()
                .map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(sentence));
        }
    }
}
