//! Puts a package where the notary service wants it: one object of Amazon S3, by the
//! credentials of its answer (AWS, Signature Version 4, single chunk).

use std::fs::File;
use std::io::{Seek, SeekFrom};

use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;
use serde::Deserialize;

use super::{NotaryError, received};

/// Where Apple's buckets are; its answers do not tell.
const REGION: &str = "us-west-2";

/// The right to write one object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    aws_access_key_id: String,
    aws_secret_access_key: String,
    aws_session_token: String,
    bucket: String,
    object: String,
}

/// Uploads the package, whose sha256 is `sha256` in hex.
pub fn put(
    agent: &ureq::Agent,
    place: Option<&str>,
    grant: &Grant,
    package: &File,
    sha256: &str,
    now: Timestamp,
) -> Result<(), NotaryError> {
    let base = match place {
        Some(base) => base.to_owned(),
        None => format!("https://{}.s3.{REGION}.amazonaws.com", grant.bucket),
    };
    let url = format!("{base}/{}", encoded(&grant.object));
    let host_and_path = url.split_once("://").map_or("", |(_, rest)| rest);
    let (host, path) = host_and_path.split_once('/').unwrap_or((host_and_path, ""));
    let path = format!("/{path}");
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let headers = [
        ("host", host),
        ("x-amz-content-sha256", sha256),
        ("x-amz-date", &time),
        ("x-amz-security-token", &grant.aws_session_token),
    ];
    let request = Request {
        path: &path,
        headers: &headers,
        region: REGION,
        time: &time,
    };
    let authorization =
        request.authorization(&grant.aws_access_key_id, &grant.aws_secret_access_key);
    let mut body = package;
    body.seek(SeekFrom::Start(0))
        .map_err(NotaryError::Package)?;
    let mut put = agent.put(&url).header("Authorization", &authorization);
    for (name, value) in &headers[1..] {
        put = put.header(*name, *value);
    }
    let sent = put.content_type("application/octet-stream").send(body);
    received(&url, sent).map(|_| ())
}

/// A PUT request without a query, as far as it is signed.
struct Request<'a> {
    /// Encoded.
    path: &'a str,
    /// Names in lower case, sorted; with `x-amz-content-sha256`.
    headers: &'a [(&'a str, &'a str)],
    region: &'a str,
    /// `20130524T000000Z`.
    time: &'a str,
}

impl Request<'_> {
    /// The value of the `Authorization` header.
    fn authorization(&self, key: &str, secret: &str) -> String {
        let day = &self.time[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let digest = hex::encode(digest::digest(
            &digest::SHA256,
            self.canonical(&names).as_bytes(),
        ));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", self.time);
        let mut derived = format!("AWS4{secret}").into_bytes();
        for part in [day, self.region, "s3", "aws4_request"] {
            derived = mac(&derived, part);
        }
        let signature = hex::encode(mac(&derived, &text));
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/{scope},SignedHeaders={names},Signature={signature}"
        )
    }

    fn canonical(&self, names: &str) -> String {
        let line = |(name, value): &(&str, &str)| format!("{name}:{}\n", value.trim());
        let headers: String = self.headers.iter().map(line).collect();
        let payload = self
            .headers
            .iter()
            .find(|(name, _)| *name == "x-amz-content-sha256")
            .map_or("", |(_, value)| *value);
        format!("PUT\n{}\n\n{headers}\n{names}\n{payload}", self.path)
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// A path as S3 wants it: everything but RFC 3986's unreserved characters and `/` encoded.
fn encoded(path: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // AWS, "Signature Calculations for the Authorization Header", example PUT Object.
    #[test]
    fn published_example() {
        let request = Request {
            path: &format!("/{}", encoded("test$file.text")),
            headers: &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("host", "examplebucket.s3.amazonaws.com"),
                (
                    "x-amz-content-sha256",
                    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
                ),
                ("x-amz-date", "20130524T000000Z"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            region: "us-east-1",
            time: "20130524T000000Z",
        };
        let authorization = request.authorization(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        );
        let signature = authorization.rsplit('=').next();
        assert_eq!(
            signature,
            Some("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
        );
    }

    #[test]
    fn paths() {
        for (path, text) in [
            ("prod/AROA:x/1-2", "prod/AROA%3Ax/1-2"),
            ("a b+c", "a%20b%2Bc"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(encoded(path), text);
        }
    }
}
