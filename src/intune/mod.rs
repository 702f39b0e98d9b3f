//! Microsoft Intune's side of a Windows package, after it was built: `.intunewin`.
//!
//! ```text
//! zip  IntuneWinPackage/Contents/IntunePackage.intunewin   sealed: a zip with the package
//!      IntuneWinPackage/Metadata/Detection.xml             keys, sizes, the package's codes
//! ```
//!
//! Nothing is compressed: the package is already. How contents are sealed is told in [`seal`];
//! the app that they become in Intune in [`app`]. Microsoft never documented the format: names,
//! order and words are those that its own tool writes.

mod app;
mod seal;

pub use app::app;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::fs::{self, Step};
use crate::package::msi::Product;
use crate::templates::{self, TemplateError};
use seal::{HEAD, Keys};

/// The sealed file.
const SEALED: &str = "IntunePackage.intunewin";
const CONTENTS: &str = "IntuneWinPackage/Contents/IntunePackage.intunewin";
const METADATA: &str = "IntuneWinPackage/Metadata/Detection.xml";
/// A zip member of this size or more needs 64-bit lengths.
const LARGE: u64 = u32::MAX as u64 - 4096;

/// A package could not be wrapped.
#[derive(Debug, thiserror::Error)]
pub enum IntuneError {
    /// A file could not be read or written, or the package has no product.
    #[error("cannot wrap {name} for Intune")]
    Io {
        /// The package.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A zip could not be written.
    #[error("cannot wrap {name} for Intune")]
    Zip {
        /// The package.
        name: String,
        /// What the library said.
        source: ZipError,
    },
    /// A value cannot be written.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// What a step of the wrapping ends with; the name is added once, above.
enum Fault {
    Io(io::Error),
    Zip(ZipError),
    Template(TemplateError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ZipError> for Fault {
    fn from(error: ZipError) -> Self {
        Self::Zip(error)
    }
}

impl From<TemplateError> for Fault {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}

/// Writes the wrapping of the finished package `msi`, which hosts will see as `name`, to the
/// file `out`, which will be called as it says. `epoch` is the time of the files in it, in
/// seconds since 1970.
pub fn wrap(
    msi: &File,
    name: &str,
    epoch: u64,
    (out, path): (File, &Path),
) -> Result<Product, IntuneError> {
    let out = Written::new(out, path);
    let named = |fault| match fault {
        Fault::Io(source) => IntuneError::Io {
            name: name.to_owned(),
            source,
        },
        Fault::Zip(source) => IntuneError::Zip {
            name: name.to_owned(),
            source,
        },
        Fault::Template(error) => IntuneError::Template(error),
    };
    wrapped(msi, name, time(epoch), out).map_err(named)
}

fn wrapped(msi: &File, name: &str, time: DateTime, out: Written) -> Result<Product, Fault> {
    let product = Product::read(msi)?;
    let mut plain = inner(msi, name, time)?;
    let keys = Keys::random()?;
    let (size, digest) = measured(&mut plain)?;
    plain.rewind()?;
    let code = keys.authenticate(&mut plain)?;
    let detection = templates::render(
        "windows/Detection.xml",
        &json!({
            "name": name,
            "size": size,
            "sealed": SEALED,
            "key": STANDARD.encode(*keys.encryption),
            "mac_key": STANDARD.encode(*keys.mac),
            "vector": STANDARD.encode(keys.vector),
            "mac": STANDARD.encode(code),
            "digest": STANDARD.encode(digest),
            "product": {
                "code": product.code,
                "version": product.version,
                "package_code": product.package_code,
                "upgrade_code": product.upgrade_code,
                "publisher": product.publisher,
            },
        }),
    )?;

    zipped(out, |zip| {
        zip.start_file(CONTENTS, stored(time, size + HEAD as u64))?;
        zip.write_all(&code)?;
        zip.write_all(&keys.vector)?;
        plain.rewind()?;
        keys.encrypt(&mut plain, &mut |bytes| zip.write_all(bytes))?;
        zip.start_file(METADATA, stored(time, 0))?;
        Ok(zip.write_all(detection.as_bytes())?)
    })?;
    Ok(product)
}

fn zipped(
    out: Written,
    fill: impl FnOnce(&mut ZipWriter<Written>) -> Result<(), Fault>,
) -> Result<Written, Fault> {
    let mut zip = ZipWriter::new(out);
    fill(&mut zip)?;
    let mut written = zip.finish()?;
    match written.failed.take() {
        Some(error) => Err(error.into()),
        None => Ok(written),
    }
}

/// The zip that hosts unpack, in a file without a name.
fn inner(msi: &File, name: &str, time: DateTime) -> Result<File, Fault> {
    let mut msi = msi.try_clone()?;
    let len = msi.seek(SeekFrom::End(0))?;
    msi.rewind()?;
    let written = zipped(Written::temporary()?, |zip| {
        zip.start_file(name, stored(time, len))?;
        io::copy(&mut msi, zip)?;
        Ok(())
    })?;
    let mut file = written.file;
    file.rewind()?;
    Ok(file)
}

/// A file that the zip library writes: each write is a step, and its error names the path.
///
/// The library goes on after a write that failed, also while its writer is dropped, and panics over
/// positions that it does not expect. So it hears of no failure: the first one is kept for
/// [`zipped`], nothing is written after it, and positions are as if it were.
struct Written {
    file: File,
    verb: &'static str,
    path: PathBuf,
    at: u64,
    len: u64,
    failed: Option<io::Error>,
}

impl Written {
    fn new(file: File, path: &Path) -> Self {
        Self::named(file, "write", path.to_owned())
    }

    /// One without a name, for what is not finished.
    fn temporary() -> io::Result<Self> {
        let (verb, path) = ("write a file in", std::env::temp_dir());
        let file = fs::step(Step::Create, verb, &path, || tempfile::tempfile_in(&path))?;
        Ok(Self::named(file, verb, path))
    }

    fn named(file: File, verb: &'static str, path: PathBuf) -> Self {
        Self {
            file,
            verb,
            path,
            at: 0,
            len: 0,
            failed: None,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Ok(bytes.len());
        }
        fs::step(Step::Write, self.verb, &self.path, || {
            self.file.write(bytes)
        })
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match self.put(bytes) {
            Ok(count) => count,
            // Whoever writes tries again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failed = Some(error);
                bytes.len()
            }
        };
        self.at += count as u64;
        self.len = self.len.max(self.at);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Written {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        let to = to.ok_or(io::ErrorKind::InvalidInput)?;
        if self.failed.is_none()
            && let Err(error) = self.file.seek(SeekFrom::Start(to))
        {
            self.failed = Some(error);
        }
        self.at = to;
        Ok(to)
    }
}

/// Size and sha256.
fn measured(file: &mut File) -> io::Result<(u64, [u8; 32])> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut bytes = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let count = file.read(&mut bytes)?;
        if count == 0 {
            break;
        }
        size += count as u64;
        context.update(&bytes[..count]);
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    Ok((size, sha256))
}

fn stored(time: DateTime, len: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(time)
        .large_file(len >= LARGE)
}

/// DOS' time, which begins in 1980; the package itself refuses what is before.
fn time(epoch: u64) -> DateTime {
    let seconds = i64::try_from(epoch).unwrap_or(i64::MAX);
    let civil = Timestamp::from_second(seconds).map(|t| t.to_zoned(TimeZone::UTC).datetime());
    civil
        .ok()
        .and_then(|time| {
            let part = |number: i8| u8::try_from(number).unwrap_or_default();
            let year = u16::try_from(time.year()).ok()?;
            let (month, day) = (part(time.month()), part(time.day()));
            let (hour, minute, second) =
                (part(time.hour()), part(time.minute()), part(time.second()));
            DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let written = |epoch| time(epoch).to_string();
        assert_eq!(written(1_709_210_096), "2024-02-29 12:34:56");
        assert_eq!(written(0), "1980-01-01 00:00:00");
        assert_eq!(written(u64::MAX), "1980-01-01 00:00:00");
    }

    #[test]
    fn a_disk_that_is_full_is_told_with_its_file() {
        fs::set_hook(Some(Box::new(|step, _| match step {
            Step::Write => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        })));
        let file = || tempfile::tempfile().unwrap();
        let named = Written::new(file(), Path::new("out/fleet.intunewin"));
        let named = zipped(named, |zip| {
            zip.start_file(METADATA, stored(DateTime::default(), 0))?;
            Ok(zip.write_all(b"bytes")?)
        });
        let unnamed = inner(&file(), "fleet.msi", DateTime::default());
        fs::set_hook(None);

        let text = |fault| match fault {
            Fault::Io(error) => error.to_string(),
            Fault::Zip(error) => panic!("the library heard of it: {error}"),
            Fault::Template(error) => panic!("{error}"),
        };
        let expected = "cannot write out/fleet.intunewin: no storage space";
        assert_eq!(named.map_err(text).err().as_deref(), Some(expected));
        let folder = std::env::temp_dir();
        let expected = format!(
            "cannot write a file in {}: no storage space",
            folder.display()
        );
        assert_eq!(unnamed.map_err(text).err(), Some(expected));
    }
}
