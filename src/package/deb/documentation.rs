//! What Debian Policy asks a package to say about itself: 12.5 (copyright) and 12.7
//! (changelog).
//!
//! A version without a revision is a native one, whose changelog is called `changelog.gz`;
//! with a revision it is `changelog.Debian.gz`. It is compressed as far as gzip goes and
//! carries no time stamp in its header (Policy 12.3 asks for `gzip -9n`).

use serde::Serialize;

use super::{BuildContext, BuildError, unfit};
use crate::compress::Codec;
use crate::install::{Entry, Tree};
use crate::templates;

#[derive(Serialize)]
struct Words<'a> {
    name: &'a str,
    version: &'a str,
    vendor: &'a str,
    maintainer: &'a str,
    homepage: &'a str,
    license: &'a str,
    date: String,
    year: String,
    /// Programs that were taken from an update repository.
    agent: bool,
    /// The package's own terms name the Apache License (Policy 12.5).
    apache: bool,
}

/// The two files in `/usr/share/doc/<name>`.
pub(super) fn entries(tree: &Tree, context: &BuildContext<'_>) -> Result<[Entry; 2], BuildError> {
    let identity = &tree.identity;
    let agent = tree.entry("/opt/orbit").is_some();
    let words = Words {
        name: &identity.name,
        version: &identity.version,
        vendor: &identity.vendor,
        maintainer: &identity.maintainer,
        homepage: &identity.homepage,
        license: &identity.license,
        date: date(context.epoch, "%a, %d %b %Y %H:%M:%S +0000")?,
        year: date(context.epoch, "%Y")?,
        agent,
        apache: !agent && identity.license.contains("Apache-2.0"),
    };
    let folder = format!("/usr/share/doc/{}", identity.name);
    let changelog = match identity.version.contains('-') {
        true => "changelog.Debian.gz",
        false => "changelog.gz",
    };
    let copyright = templates::render("linux/deb/copyright", &words)?;
    let history = templates::render("linux/deb/changelog", &words)?;
    let mut gzip = Vec::new();
    let mut stream = context.compressor.stream(Codec::Gzip(12), &mut gzip);
    stream.bytes(history.as_bytes())?;
    stream.finish()?;
    Ok([
        Entry::customer(format!("{folder}/copyright"), 0o644, copyright),
        Entry::customer(format!("{folder}/{changelog}"), 0o644, gzip),
    ])
}

/// A date as a changelog has it (Policy 4.4): RFC 5322 with a numeric zone.
fn date(epoch: u64, form: &str) -> Result<String, BuildError> {
    i64::try_from(epoch)
        .ok()
        .and_then(|epoch| jiff::Timestamp::from_second(epoch).ok())
        .map(|time| time.strftime(form).to_string())
        .ok_or_else(|| unfit(format!("the time stamp {epoch}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let cases = [
            (0, Some("Thu, 01 Jan 1970 00:00:00 +0000")),
            (1_767_225_600, Some("Thu, 01 Jan 2026 00:00:00 +0000")),
            (u64::MAX, None),
        ];
        for (epoch, expected) in cases {
            let form = "%a, %d %b %Y %H:%M:%S +0000";
            assert_eq!(date(epoch, form).ok().as_deref(), expected, "{epoch}");
        }
    }
}
