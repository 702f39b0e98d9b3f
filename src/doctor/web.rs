//! What a web server does to a repository: status of what is missing, lengths, encodings,
//! private keys among the published files, its clock.

use std::io::{self, Read};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use ureq::Body;
use ureq::http::Response;
use url::Url;

use super::Diagnosis;
use crate::hint::bare;
use crate::store::http::{Paced, TooSlow};
use crate::store::{self, HttpOptions};

/// Seconds by which clocks may differ before somebody should look.
const CLOCKS: i64 = 300;
/// Where private keys lie when the wrong folder is published.
const KEY_FILES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];
/// What is read of an answer; metadata documents are smaller.
const LIMIT: u64 = 1 << 20;

/// Asks the server at `base`, whose newest root has this version, when that is known.
pub fn examine(
    base: &Url,
    http: HttpOptions,
    root_version: Option<u64>,
    now: Timestamp,
) -> Vec<Diagnosis> {
    let about = bare(base.as_str());
    let https = base.scheme() == "https";
    let server = Server {
        agent: store::client(http, https),
        base,
        about: &about,
    };
    let mut found = Vec::new();
    if !https && base.host_str().is_some_and(|host| !is_loopback(host)) {
        let message = "updates are fetched without TLS: whoever is in between sees which programs hosts have, and can hold updates back".to_owned();
        found.push(Diagnosis::warning("no-tls", &about, message));
    }
    found.extend(root_version.and_then(|version| server.next_root(version + 1)));
    found.extend(server.timestamp(now));
    found.extend(server.published_keys());
    found
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

struct Server<'a> {
    agent: ureq::Agent,
    base: &'a Url,
    about: &'a str,
}

impl Server<'_> {
    /// `None` when there is no answer, which the refresh has told already.
    fn get(&self, name: &str) -> Option<Response<Body>> {
        let mut url = self.base.clone();
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", self.base.path()));
        }
        // Such as a browser sends, to see whether the server changes what it gives out.
        let request = self.agent.get(url.join(name).ok()?.as_str());
        request.header("Accept-Encoding", "gzip, br").call().ok()
    }

    /// Clients ask for the next root until there is none; go-tuf takes only 404 for "none".
    fn next_root(&self, version: u64) -> Option<Diagnosis> {
        let name = format!("{version}.root.json");
        let status = self.get(&name)?.status().as_u16();
        if matches!(status, 200 | 404) {
            return None;
        }
        let message = format!(
            "{name}, which does not exist, is answered with status {status} instead of 404: every agent stops updating"
        );
        let fault = Diagnosis::fault("missing-root-not-404", self.about, message);
        Some(match status {
            403 => fault.or_try("nginx: error_page 403 =404 /404; S3: \"Action\": \"s3:ListBucket\" in the bucket's policy"),
            _ => fault.or_try("nginx: try_files $uri =404"),
        })
    }

    fn timestamp(&self, now: Timestamp) -> Vec<Diagnosis> {
        let Some(response) = self.get("timestamp.json") else {
            return Vec::new();
        };
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let (encoding, date) = (header("content-encoding"), header("date"));
        let cache = header("cache-control");
        let length = header("content-length").and_then(|text| text.parse::<u64>().ok());
        let mut found = Vec::new();
        if let Some(encoding) = encoding.filter(|encoding| encoding != "identity") {
            let message = format!(
                "timestamp.json comes with Content-Encoding: {encoding}: lengths and digests are those of other bytes than agents get"
            );
            let fault = Diagnosis::fault("content-encoding", self.about, message);
            found.push(
                fault.or_try(
                    "nginx: gzip off; CloudFront, in the cache behavior: \"Compress\": false",
                ),
            );
        } else if length.is_none() {
            let message =
                "timestamp.json comes without a Content-Length: agents need the exact one"
                    .to_owned();
            found.push(Diagnosis::fault("no-content-length", self.about, message));
        } else {
            let read = io::copy(&mut body(response), &mut io::sink());
            // One that drips is the refresh's to tell.
            let drips = read.as_ref().is_err_and(TooSlow::is);
            let read = read.unwrap_or_default();
            if length != Some(read) && !drips {
                let message = format!(
                    "timestamp.json has {read} bytes and a Content-Length of {}",
                    length.unwrap_or_default()
                );
                found.push(Diagnosis::fault(
                    "wrong-content-length",
                    self.about,
                    message,
                ));
            }
        }
        if let Some(seconds) = cache.as_deref().and_then(max_age).filter(|s| *s > 3_600) {
            let message = format!(
                "timestamp.json may be kept by caches for {seconds} seconds: agents learn of updates that much later"
            );
            let warning = Diagnosis::warning("timestamp-cached", self.about, message);
            found.push(warning.or_try(
                "nginx: location = /timestamp.json { add_header Cache-Control no-store; }; a bucket: fleetpack updates publish DEST",
            ));
        }
        found.extend(date.and_then(|date| self.clock(&date, now)));
        found
    }

    fn clock(&self, date: &str, now: Timestamp) -> Option<Diagnosis> {
        let theirs = rfc2822::parse(date).ok()?.timestamp();
        let apart = now.duration_since(theirs).as_secs().abs();
        let message = format!(
            "this machine's clock and the server's are {apart} seconds apart: one of them judges expiry wrongly"
        );
        let warning = Diagnosis::warning("clock", self.about, message);
        (apart > CLOCKS).then(|| warning.or_try("timedatectl status"))
    }

    /// A key file is JSON with `encrypted`; a page that is shown for every name is not.
    fn is_key(&self, name: &str) -> io::Result<bool> {
        let Some(response) = self.get(name).filter(|response| response.status() == 200) else {
            return Ok(false);
        };
        let mut text = String::new();
        body(response).read_to_string(&mut text)?;
        let value = serde_json::from_str::<serde_json::Value>(&text);
        Ok(value.is_ok_and(|value| value.get("encrypted").is_some()))
    }

    fn published_keys(&self) -> Vec<Diagnosis> {
        let places = ["keys", "../keys"].into_iter();
        let names =
            places.flat_map(|place| KEY_FILES.map(|role| (role, format!("{place}/{role}.json"))));
        let mut found = Vec::new();
        for (role, name) in names {
            match self.is_key(&name) {
                Ok(true) => found.push(self.published_key(role, &name)),
                // Every further answer could take as long.
                Err(error) if TooSlow::is(&error) => break,
                _ => {}
            }
        }
        found
    }

    fn published_key(&self, role: &str, name: &str) -> Diagnosis {
        let message = format!("the private key file {name} can be fetched by everybody");
        let hint = format!(
            "nginx: location ~ /keys/ {{ return 404; }}; a bucket: aws s3 rm --recursive s3://BUCKET/PREFIX/keys; then fleetpack updates rotate --compromised {role}"
        );
        Diagnosis::fault("private-key-published", self.about, message).or_try(hint)
    }
}

fn body(response: Response<Body>) -> impl Read {
    Paced::new(response.into_body().into_reader()).take(LIMIT)
}

/// Seconds that a shared cache may keep it.
fn max_age(header: &str) -> Option<u64> {
    let directives: Vec<_> = header.split(',').map(str::trim).collect();
    if directives
        .iter()
        .any(|d| matches!(*d, "no-store" | "no-cache"))
    {
        return None;
    }
    let value = |name: &str| {
        directives
            .iter()
            .find_map(|d| d.strip_prefix(name)?.parse().ok())
    };
    value("s-maxage=").or_else(|| value("max-age="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_in_caches() {
        for (header, expected) in [
            ("no-store", None),
            ("max-age=60", Some(60)),
            ("public, max-age=60, s-maxage=7200", Some(7200)),
            ("max-age=86400, no-cache", None),
            ("", None),
        ] {
            assert_eq!(max_age(header), expected, "{header:?}");
        }
    }
}
