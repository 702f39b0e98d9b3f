//! A repository on a web server.
//!
//! What starts with https stays there: a redirect to http is an error; one to another host is
//! followed without the client's certificate. Time is bounded: 10 s
//! to connect, 30 s without a byte, and after a first minute at least 4 KiB/s. Files come as
//! they lie there (`Accept-Encoding: identity`), for their hashes are over these bytes.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::tls::{ClientCert, RootCerts, TlsConfig, TlsProvider};
use url::Url;

use super::tls::{ClientIdentity, TrustedRoots};
use super::{Blob, Store, StoreError, is_inside};

const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(60);
const SLOWEST: u64 = 4096;
const REDIRECTS: usize = 10;

/// How to speak to the server.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Certificates to trust instead of Mozilla's.
    pub roots: Option<TrustedRoots>,
    /// The client's certificate and key.
    pub identity: Option<ClientIdentity>,
    /// Do not check the server's certificate: the repository's signatures still hold.
    pub insecure: bool,
    /// No byte for this long ends the request; 30 s when not given.
    pub silence: Option<Duration>,
}

/// A client with these options and this page's limits of time; with `https`, it speaks nothing
/// else. Statuses are answers, not errors.
pub fn client(options: HttpOptions, https: bool) -> ureq::Agent {
    let silence = options.silence.unwrap_or(SILENCE);
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .https_only(https)
        .user_agent(concat!("fleetpack/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(silence))
        .timeout_per_read(Some(silence))
        .tls_config(tls_config(options))
        .build()
        .new_agent()
}

/// A web server's folder.
pub struct Http {
    base: Url,
    agent: ureq::Agent,
    /// For hosts that a redirect leads to: it has no certificate of its own to show.
    stranger: ureq::Agent,
}

impl Http {
    /// The folder at `base`; nothing is asked for yet.
    pub fn new(base: &str, options: HttpOptions) -> Result<Self, StoreError> {
        let url = Url::parse(base).map_err(|_| StoreError::Place(base.to_owned()))?;
        if url.host_str().is_none_or(str::is_empty) || url.fragment().is_some() {
            return Err(StoreError::Place(base.to_owned()));
        }
        let https = url.scheme() == "https";
        let anonymous = HttpOptions {
            identity: None,
            ..options.clone()
        };
        Ok(Self {
            base: url,
            agent: client(options, https),
            stranger: client(anonymous, https),
        })
    }

    /// The URL of a file: its name quoted, the base's query kept.
    fn url_of(&self, name: &str) -> Option<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .extend(name.split('/'));
        Some(url)
    }
}

impl Store for Http {
    fn describe(&self) -> String {
        shown(&self.base)
    }

    fn open(&self, name: &str, offset: u64) -> Result<Blob, StoreError> {
        let bad_name = || StoreError::Name(name.to_owned());
        let url = Some(name)
            .filter(|name| is_inside(name))
            .and_then(|name| self.url_of(name))
            .ok_or_else(bad_name)?;
        self.get(&url, offset)
    }

    fn open_quoted(&self, quoted: &str) -> Result<Blob, StoreError> {
        let mut url = self.base.clone();
        let folder = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{folder}/{quoted}"));
        self.get(&url, 0)
    }
}

impl Http {
    fn get(&self, url: &Url, offset: u64) -> Result<Blob, StoreError> {
        let shown = shown(url);
        let response = self.follow(url, offset, &shown)?;
        let status = response.status().as_u16();
        let offset = match status {
            200 => 0,
            206 if offset > 0 => offset,
            404 => return Err(StoreError::NotFound(shown)),
            _ => return Err(StoreError::Status { url: shown, status }),
        };
        let body = response.into_body();
        Ok(Blob {
            len: body.content_length(),
            offset,
            body: Box::new(Paced::new(body.into_reader())),
        })
    }
}

impl Http {
    // Redirects are followed here, for what proves who we are is for the base's host alone
    // (RFC 9110 §15.4: sensitive parts do not go to another authority).
    fn follow(&self, url: &Url, offset: u64, shown: &str) -> Result<Response, StoreError> {
        let mut at = url.clone();
        for _ in 0..=REDIRECTS {
            let agent = match at.origin() == self.base.origin() {
                true => &self.agent,
                false => &self.stranger,
            };
            let mut request = agent.get(at.as_str());
            if offset > 0 {
                request = request.header("Range", format!("bytes={offset}-"));
            }
            let request = request.config().max_redirects(0).build();
            let response = request.call().map_err(|error| match error {
                ureq::Error::RequireHttpsOnly(_) => StoreError::Downgrade {
                    url: shown.to_owned(),
                },
                other => transport(shown, other),
            })?;
            let location = response.headers().get("location");
            let location = location.and_then(|location| location.to_str().ok());
            match (response.status().as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    at = at.join(location).map_err(|error| {
                        transport(shown, ureq::Error::BadUri(error.to_string()))
                    })?;
                }
                _ => return Ok(response),
            }
        }
        Err(transport(shown, ureq::Error::TooManyRedirects))
    }
}

type Response = ureq::http::Response<ureq::Body>;

/// For a single request that is no repository's: answers are whole, within `patience`.
pub fn agent(patience: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .user_agent(concat!("fleetpack/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT.min(patience)))
        .timeout_global(Some(patience))
        .tls_config(tls_config(HttpOptions::default()))
        .build()
        .new_agent()
}

fn transport(url: &str, error: ureq::Error) -> StoreError {
    StoreError::Transport {
        url: url.to_owned(),
        source: Box::new(error),
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // A URL that has no place for them (there is none with a host) is shown as it is.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

fn tls_config(options: HttpOptions) -> TlsConfig {
    let roots = options.roots.unwrap_or_else(TrustedRoots::mozilla);
    let identity = options
        .identity
        .map(|identity| ClientCert::new_with_certs(&identity.ureq_chain(), identity.ureq_key()));
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots.ureq_certificates()))
        .client_cert(identity)
        .disable_verification(options.insecure)
        .build()
}

/// A body that drips, in an [`io::Error`]: whoever asks again waits as long again.
#[derive(Debug, thiserror::Error)]
#[error("{bytes} bytes in {seconds} s is too slow")]
pub struct TooSlow {
    /// What came.
    pub bytes: u64,
    /// In which time.
    pub seconds: u64,
}

impl TooSlow {
    /// Whether it is what an error is about.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|error| error.is::<Self>())
    }
}

/// A body that must not drip: the client's limits hold for each read alone.
pub(crate) struct Paced<R> {
    inner: R,
    begun: Instant,
    read: u64,
}

impl<R> Paced<R> {
    /// Its time begins now.
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            begun: Instant::now(),
            read: 0,
        }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.read += read as u64;
        let elapsed = self.begun.elapsed();
        match is_too_slow(self.read, elapsed) {
            true => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                TooSlow {
                    bytes: self.read,
                    seconds: elapsed.as_secs(),
                },
            )),
            false => Ok(read),
        }
    }
}

fn is_too_slow(bytes: u64, elapsed: Duration) -> bool {
    elapsed > GRACE && bytes / elapsed.as_secs().max(1) < SLOWEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_queries_kept() {
        let cases = [
            (
                "https://a.example/r",
                "1.root.json",
                "https://a.example/r/1.root.json",
            ),
            (
                "https://a.example/r/",
                "targets/x y",
                "https://a.example/r/targets/x%20y",
            ),
            (
                "https://a.example",
                "a?b#c%d",
                "https://a.example/a%3Fb%23c%25d",
            ),
            (
                "https://a.example/r?sig=1",
                "a",
                "https://a.example/r/a?sig=1",
            ),
        ];
        for (base, name, url) in cases {
            let http = Http::new(base, HttpOptions::default()).unwrap();
            assert_eq!(http.url_of(name).unwrap().as_str(), url);
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let http = Http::new("https://u:p@a.example/r?sig=1", HttpOptions::default()).unwrap();
        assert_eq!(http.describe(), "https://a.example/r");
    }

    #[test]
    fn paces() {
        for (bytes, seconds, expected) in [
            (0, 59, false),
            (0, 60, false),
            (1, 61, true),
            (61 * 4096, 61, false),
            (61 * 4096 - 1, 61, true),
            (8 << 20, 600, false),
            (1 << 20, 600, true),
        ] {
            let slow = is_too_slow(bytes, Duration::from_secs(seconds));
            assert_eq!(slow, expected, "{bytes} bytes in {seconds} s");
        }
    }
}
