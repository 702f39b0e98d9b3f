//! Object storage, spoken to without waiting threads being anybody else's matter.
//!
//! `object_store` is asynchronous; its runtime is in here, on whichever thread asks. Files
//! are read in ranges of the same ETag and written in parts, so that memory does not grow
//! with them.

use std::future::Future;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::{Stream, StreamExt as _};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use tokio::runtime::Runtime;

use super::credentials::Refusal;
use super::error::{Attempt, ON_CONDITION, ObjectError, translate};
use super::{Access, Condition, Headers, Listed, Objects, Version, credentials};
use crate::steps::{self, Kind};
use crate::store::{Blob, Store, StoreError, is_inside};

/// Bytes of one part of a large object, and of one read. S3 allows 10 000 parts.
pub(super) const PART: usize = 8 << 20;

/// A prefix of a bucket.
pub struct Cloud {
    inner: Arc<Inner>,
}

struct Inner {
    shown: String,
    prefix: Key,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

impl Cloud {
    /// The prefix that `place` names (`s3://BUCKET/PREFIX`); nothing is asked for yet.
    pub fn new(place: &str, access: &Access) -> Result<Self, ObjectError> {
        let (scheme, rest) = place.split_once("://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if bucket.is_empty() {
            return Err(ObjectError::NoBucketName(place.to_owned()));
        }
        if !prefix.is_empty() && !is_inside(prefix) {
            return Err(ObjectError::Prefix(place.to_owned()));
        }
        let settings = |source: Box<dyn std::error::Error + Send + Sync>| ObjectError::Settings {
            place: place.to_owned(),
            source,
        };
        let opened = match scheme {
            "s3" => credentials::s3(bucket, access),
            "gs" => credentials::gs(bucket, access),
            "az" => credentials::az(bucket, access),
            _ => return Err(ObjectError::Place(place.to_owned())),
        };
        let store = opened.map_err(|refusal| match refusal {
            Refusal::Settings(error) => settings(error.into()),
            Refusal::NoCredentials(_) => ObjectError::NoCredentials {
                place: place.to_owned(),
                source: refusal.into(),
            },
            Refusal::Delegated(ref profile) => ObjectError::Delegated {
                place: place.to_owned(),
                profile: profile.clone(),
                source: refusal.into(),
            },
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| settings(error.into()))?;
        let prefix = Key::parse(prefix).map_err(|_| ObjectError::Prefix(place.to_owned()))?;
        let inner = Inner {
            shown: place.trim_end_matches('/').to_owned(),
            prefix,
            store,
            runtime,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    fn key(&self, name: &str) -> Result<Key, ObjectError> {
        let joined = match self.prefix.as_ref() {
            "" => name.to_owned(),
            prefix if name.is_empty() => prefix.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        // Names are metadata's, kept as they are: nothing is quoted a second time.
        Key::parse(&joined).map_err(|source| ObjectError::Service {
            place: self.shown.clone(),
            what: format!("name {name:?}"),
            source: source.into(),
        })
    }

    fn wait<T>(
        &self,
        what: &str,
        name: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, ObjectError> {
        self.runtime.block_on(work).map_err(|error| {
            let what = match name {
                "" => what.to_owned(),
                name => format!("{what} {name}"),
            };
            let attempt = Attempt {
                place: &self.shown,
                what,
                name,
            };
            translate(error, &attempt)
        })
    }
}

fn version(etag: Option<String>, generation: Option<String>) -> Version {
    Version { etag, generation }
}

fn attributes(headers: Headers) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, headers.content_type.into());
    attributes.insert(Attribute::CacheControl, headers.cache_control.into());
    attributes
}

impl Store for Cloud {
    fn describe(&self) -> String {
        self.inner.shown.clone()
    }

    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError> {
        if !is_inside(name) {
            return Err(StoreError::Name(name.to_owned()));
        }
        let inner = &self.inner;
        let url = format!("{}/{name}", inner.shown);
        let failed = |error: ObjectError| match error {
            ObjectError::NotFound { .. } => StoreError::NotFound(url.clone()),
            other => StoreError::Object(Box::new(other)),
        };
        let key = inner.key(name).map_err(failed)?;
        let meta = inner
            .wait("read", name, inner.store.head(&key))
            .map_err(failed)?;
        let offset = offset.min(meta.size);
        Ok(Blob {
            len: Some(meta.size - offset),
            offset,
            body: Box::new(Ranges {
                inner: inner.clone(),
                key,
                name: name.to_owned(),
                etag: meta.e_tag,
                at: offset,
                end: meta.size,
                piece: io::Cursor::default(),
            }),
        })
    }
}

/// An object read range by range, all of one ETag.
struct Ranges {
    inner: Arc<Inner>,
    key: Key,
    name: String,
    etag: Option<String>,
    at: u64,
    end: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Ranges {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.piece.read(buf)?;
        if n > 0 || buf.is_empty() || self.at >= self.end {
            return Ok(n);
        }
        let end = self.end.min(self.at + PART as u64);
        let options = GetOptions {
            if_match: self.etag.clone(),
            range: Some(GetRange::Bounded(self.at..end)),
            ..GetOptions::default()
        };
        let inner = &self.inner;
        let bytes = inner
            .wait("read", &self.name, async {
                let result = inner.store.get_opts(&self.key, options).await?;
                collect(result.into_stream(), end - self.at).await
            })
            .map_err(io::Error::other)?
            .ok_or_else(|| io::Error::other("more bytes came than were asked for"))?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += bytes.len() as u64;
        self.piece = io::Cursor::new(bytes);
        self.piece.read(buf)
    }
}

/// All that comes, or `None` when it is more than `limit` bytes: the length that a service
/// announces is no promise.
async fn collect<B: AsRef<[u8]>>(
    mut body: impl Stream<Item = object_store::Result<B>> + Unpin,
    limit: u64,
) -> object_store::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(piece?.as_ref());
        if bytes.len() as u64 > limit {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

impl Objects for Cloud {
    fn get(&self, name: &str, limit: u64) -> Result<Option<(Vec<u8>, Version)>, ObjectError> {
        let inner = &self.inner;
        let key = inner.key(name)?;
        let got = inner.wait("read", name, async {
            let result = inner.store.get_opts(&key, GetOptions::default()).await?;
            let meta = result.meta.clone();
            if meta.size > limit {
                return Ok(None);
            }
            let bytes = collect(result.into_stream(), limit).await?;
            Ok(bytes.map(|bytes| (bytes, version(meta.e_tag, meta.version))))
        });
        match got {
            Ok(Some(got)) => Ok(Some(got)),
            Ok(None) => Err(ObjectError::TooLarge {
                place: inner.shown.clone(),
                name: name.to_owned(),
                limit,
            }),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(
        &self,
        name: &str,
        bytes: &[u8],
        headers: Headers,
        condition: &Condition,
    ) -> Result<Version, ObjectError> {
        let inner = &self.inner;
        let key = inner.key(name)?;
        let mode = match condition {
            Condition::Always => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Unchanged(version) => PutMode::Update(UpdateVersion {
                e_tag: version.etag.clone(),
                version: version.generation.clone(),
            }),
        };
        let what = match condition {
            Condition::Always => "write".to_owned(),
            _ => format!("write{ON_CONDITION}"),
        };
        let options = PutOptions {
            mode,
            attributes: attributes(headers),
            ..PutOptions::default()
        };
        let payload = PutPayload::from(bytes.to_vec());
        let put = inner.store.put_opts(&key, payload, options);
        match inner.wait(&what, name, put) {
            Ok(done) => Ok(version(done.e_tag, done.version)),
            // A conditional write to what is gone answers 404.
            Err(ObjectError::NotFound { place, name }) if *condition != Condition::Always => {
                Err(ObjectError::Lost { place, name })
            }
            Err(error) => Err(error),
        }
    }

    fn upload(&self, name: &str, file: &Path, headers: Headers) -> Result<(), ObjectError> {
        let failed = |source| ObjectError::Io {
            what: "read",
            path: file.to_owned(),
            source,
        };
        let mut input = std::fs::File::open(file).map_err(failed)?;
        let len = input.metadata().map_err(failed)?.len();
        let step = steps::begin(Kind::Upload, name, Some(len));
        let mut part = next_part(&mut input).map_err(failed)?;
        if part.len() < PART {
            return self
                .put(name, &part, headers, &Condition::Always)
                .map(|_| ());
        }
        let inner = &self.inner;
        let key = inner.key(name)?;
        let options = PutMultipartOptions {
            attributes: attributes(headers),
            ..PutMultipartOptions::default()
        };
        let begin = inner.store.put_multipart_opts(&key, options);
        let mut upload = inner.wait("write", name, begin)?;
        while !part.is_empty() {
            let bytes = part.len() as u64;
            let sent = upload.put_part(PutPayload::from(part));
            let next = inner
                .wait("write", name, sent)
                .inspect(|()| step.advance(bytes))
                .and_then(|()| next_part(&mut input).map_err(failed));
            match next {
                Ok(next) => part = next,
                Err(error) => {
                    // Parts of an upload that nobody completes cost money.
                    let _ = inner.runtime.block_on(upload.abort());
                    return Err(error);
                }
            }
        }
        inner.wait("write", name, upload.complete()).map(|_| ())
    }

    fn copy(&self, from: &str, to: &str) -> Result<(), ObjectError> {
        let inner = &self.inner;
        let (source, target) = (inner.key(from)?, inner.key(to)?);
        inner.wait("copy", from, inner.store.copy(&source, &target))
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, ObjectError> {
        let inner = &self.inner;
        let key = inner.key(folder)?;
        let skip = match inner.prefix.as_ref() {
            "" => 0,
            prefix => prefix.len() + 1,
        };
        inner.wait("list", folder, async {
            let mut found = Vec::new();
            let mut entries = inner.store.list(Some(&key));
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                if let Some(name) = entry.location.as_ref().get(skip..) {
                    found.push(Listed {
                        name: name.to_owned(),
                        len: entry.size,
                        modified: entry.last_modified.into(),
                    });
                }
            }
            Ok(found)
        })
    }

    fn modified(&self, name: &str) -> Result<Option<SystemTime>, ObjectError> {
        let inner = &self.inner;
        let key = inner.key(name)?;
        match inner.wait("read", name, inner.store.head(&key)) {
            Ok(meta) => Ok(Some(meta.last_modified.into())),
            Err(ObjectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let inner = &self.inner;
        let key = inner.key(name)?;
        match inner.wait("delete", name, inner.store.delete(&key)) {
            Err(ObjectError::NotFound { .. }) => Ok(()),
            done => done,
        }
    }
}

fn next_part(input: &mut std::fs::File) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    input.take(PART as u64).read_to_end(&mut part)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn collected(pieces: usize, limit: u64) -> Option<Vec<u8>> {
        let endless = stream::repeat_with(|| Ok([7; 4]));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime
            .block_on(collect(endless.take(pieces), limit))
            .unwrap()
    }

    #[test]
    fn a_body_without_an_end_is_not_read_to_it() {
        assert_eq!(collected(2, 8), Some(vec![7; 8]));
        assert_eq!(collected(3, 8), None);
        assert_eq!(collected(usize::MAX, 1 << 20), None);
    }
}
