//! A web server that misbehaves as it is told, on loopback, plain or with TLS.
//!
//! Without an order for a path it serves the file of that name below its folder, ranges
//! included, or 404. An order holds until it is replaced, or for a number of requests.
//! HTTP/1.1 with one request per connection (RFC 9112), which every client must take.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Scratch;

/// What to answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status with an empty body.
    Status(u16),
    /// 302 to this location.
    Redirect(String),
    /// 200 with these bytes.
    Body(Vec<u8>),
    /// The file, announced in full but ended after so many bytes.
    CutAfter(usize),
    /// The file with another Content-Length than it has.
    Length(u64),
    /// The file without a Content-Length.
    NoLength,
    /// Endless zeros, without a Content-Length.
    Endless,
    /// The connection is taken and nothing is ever answered.
    Silent,
    /// The head and so many bytes, then nothing more while the connection stays open.
    StallAfter(usize),
    /// The file, a byte at a time with this long between.
    Drip(Duration),
    /// These bytes, said to be compressed by gzip.
    Gzip(Vec<u8>),
    /// The whole file although a range was asked for.
    IgnoreRange,
    /// The connection is closed without a word.
    Close,
}

/// A request that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Path with query, as sent.
    pub path: String,
    /// The Range header.
    pub range: Option<String>,
}

struct Inner {
    root: PathBuf,
    orders: Mutex<BTreeMap<String, (Answer, usize)>>,
    requests: Mutex<Vec<Request>>,
    presented: Mutex<Vec<bool>>,
    ended: AtomicBool,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// The server; its thread ends with its value.
pub struct FaultServer {
    inner: Arc<Inner>,
    address: SocketAddr,
    /// `http://127.0.0.1:PORT` or `https://…`, without a slash at the end.
    pub url: String,
}

impl FaultServer {
    /// Serves a folder over HTTP.
    pub fn new(root: &Path) -> Self {
        Self::start(root, None)
    }

    /// Serves a folder over TLS with a certificate of its own making for 127.0.0.1; answers
    /// the path of that certificate (PEM). The test needs `openssl`.
    pub fn tls(root: &Path, scratch: &Scratch) -> (Self, PathBuf) {
        let (certificate, key) = certificate(scratch, "server", "127.0.0.1");
        let config = server_config(&certificate, &key, None);
        (Self::start(root, Some(config)), certificate)
    }

    /// As [`FaultServer::tls`], for clients with the certificate `client` (PEM) alone.
    pub fn mutual_tls(root: &Path, scratch: &Scratch, client: &Path) -> (Self, PathBuf) {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject;
        let (certificate, key) = certificate(scratch, "server", "127.0.0.1");
        let mut known = rustls::RootCertStore::empty();
        known
            .add(CertificateDer::from_pem_file(client).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let known = Arc::new(known);
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(known, provider).build();
        let config = server_config(&certificate, &key, Some(verifier.unwrap()));
        (Self::start(root, Some(config)), certificate)
    }

    /// The same, with `name` for its certificate, and it asks clients for theirs, which
    /// `trusted` vouches for; it serves those that show none as well.
    pub fn asking(root: &Path, scratch: &Scratch, name: &str, trusted: &Path) -> (Self, PathBuf) {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject;
        let (certificate, key) = certificate(scratch, name, "127.0.0.1");
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(trusted).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .allow_unauthenticated()
                .build()
                .unwrap();
        let config = server_config(&certificate, &key, Some(verifier));
        (Self::start(root, Some(config)), certificate)
    }

    /// For each connection with TLS, whether the client showed a certificate.
    pub fn presented(&self) -> Vec<bool> {
        self.inner.presented.lock().unwrap().clone()
    }

    /// As [`Self::tls`], with a certificate for another address.
    pub fn tls_for(root: &Path, scratch: &Scratch, address: &str) -> (Self, PathBuf) {
        let (certificate, key) = certificate(scratch, "other", address);
        let config = server_config(&certificate, &key, None);
        (Self::start(root, Some(config)), certificate)
    }

    fn start(root: &Path, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let inner = Arc::new(Inner {
            root: root.to_owned(),
            orders: Mutex::default(),
            requests: Mutex::default(),
            presented: Mutex::default(),
            ended: AtomicBool::new(false),
            tls,
        });
        let shared = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let shared = shared.clone();
                // A client that goes away is not this server's failure.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self {
            inner,
            address,
            url: format!("{scheme}://{address}"),
        }
    }

    /// Orders an answer for a path (`/timestamp.json`) from now on.
    pub fn order(&self, path: &str, answer: Answer) {
        self.order_times(path, answer, usize::MAX);
    }

    /// Orders an answer for the next `times` requests of a path.
    pub fn order_times(&self, path: &str, answer: Answer, times: usize) {
        let mut orders = self.inner.orders.lock().unwrap();
        orders.insert(path.to_owned(), (answer, times));
    }

    /// Takes every order back.
    pub fn behave(&self) {
        self.inner.orders.lock().unwrap().clear();
    }

    /// What was asked for so far.
    pub fn requests(&self) -> Vec<Request> {
        self.inner.requests.lock().unwrap().clone()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; if nobody listens any more, so much the better.
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        match &self.tls {
            None => self.converse(stream),
            Some(config) => {
                let session =
                    rustls::ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
                let mut stream = rustls::StreamOwned::new(session, stream);
                self.converse(&mut stream)?;
                let shown = stream.conn.peer_certificates().is_some();
                self.presented.lock().unwrap().push(shown);
                stream.conn.send_close_notify();
                stream.flush()
            }
        }
    }

    fn converse(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        let Some(request) = read_request(&mut stream)? else {
            return Ok(());
        };
        self.requests.lock().unwrap().push(request.clone());
        let ordered = self.take_order(&request.path);
        let range = match ordered {
            Some(Answer::IgnoreRange) => None,
            _ => request.range.as_deref().and_then(first_byte),
        };
        let file = self.file(&request.path);
        match ordered {
            None | Some(Answer::IgnoreRange) => match file {
                Some(bytes) => send_file(&mut stream, &bytes, range),
                None => send(&mut stream, "404 Not Found", &[], &[]),
            },
            Some(answer) => self.misbehave(&mut stream, answer, &file.unwrap_or_default()),
        }
    }

    fn misbehave(
        &self,
        stream: &mut (impl Read + Write),
        answer: Answer,
        file: &[u8],
    ) -> std::io::Result<()> {
        let announced = |len: u64| format!("Content-Length: {len}");
        match answer {
            Answer::Status(code) => send(stream, &format!("{code} Ordered"), &[], &[]),
            Answer::Redirect(to) => send(stream, "302 Found", &[format!("Location: {to}")], &[]),
            Answer::Body(bytes) => send(stream, "200 OK", &[], &bytes),
            Answer::CutAfter(len) => {
                head(stream, "200 OK", &[announced(file.len() as u64)])?;
                stream.write_all(&file[..len.min(file.len())])
            }
            Answer::Length(len) => {
                head(stream, "200 OK", &[announced(len)])?;
                stream.write_all(file)
            }
            Answer::NoLength => {
                head(stream, "200 OK", &[])?;
                stream.write_all(file)
            }
            Answer::Endless => {
                head(stream, "200 OK", &[])?;
                while !self.ended.load(Ordering::SeqCst) {
                    stream.write_all(&[0; 65536])?;
                }
                Ok(())
            }
            Answer::StallAfter(len) => {
                head(stream, "200 OK", &[announced(file.len() as u64)])?;
                stream.write_all(&file[..len.min(file.len())])?;
                stream.flush()?;
                self.wait_for_the_end();
                Ok(())
            }
            Answer::Drip(pause) => {
                head(stream, "200 OK", &[announced(file.len() as u64)])?;
                for byte in file {
                    stream.write_all(&[*byte])?;
                    stream.flush()?;
                    std::thread::sleep(pause);
                }
                Ok(())
            }
            Answer::Gzip(bytes) => send(
                stream,
                "200 OK",
                &["Content-Encoding: gzip".to_owned()],
                &bytes,
            ),
            Answer::Silent => {
                self.wait_for_the_end();
                Ok(())
            }
            Answer::Close | Answer::IgnoreRange => Ok(()),
        }
    }

    fn wait_for_the_end(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn take_order(&self, path: &str) -> Option<Answer> {
        let mut orders = self.orders.lock().unwrap();
        let (answer, times) = orders.get_mut(path)?;
        let answer = answer.clone();
        *times = times.saturating_sub(1);
        if *times == 0 {
            orders.remove(path);
        }
        Some(answer)
    }

    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let name = path.split('?').next()?.trim_start_matches('/');
        let inside = !name.split('/').any(|part| part == "..");
        inside.then(|| std::fs::read(self.root.join(name)).ok())?
    }
}

fn read_request(stream: &mut impl Read) -> std::io::Result<Option<Request>> {
    let mut lines = BufReader::with_capacity(1, stream).lines();
    let Some(first) = lines.next().transpose()? else {
        return Ok(None);
    };
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut range = None;
    for line in lines {
        let line = line?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("range") => {
                range = Some(value.trim().to_owned());
            }
            None => break,
            _ => {}
        }
    }
    Ok(Some(Request { path, range }))
}

/// The first byte of `bytes=N-`.
fn first_byte(range: &str) -> Option<usize> {
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

fn send_file(stream: &mut impl Write, bytes: &[u8], from: Option<usize>) -> std::io::Result<()> {
    match from {
        None => send(stream, "200 OK", &[], bytes),
        Some(from) if from < bytes.len() => {
            let (last, len) = (bytes.len() - 1, bytes.len());
            let range = format!("Content-Range: bytes {from}-{last}/{len}");
            send(stream, "206 Partial Content", &[range], &bytes[from..])
        }
        Some(_) => send(stream, "416 Range Not Satisfiable", &[], &[]),
    }
}

fn send(
    stream: &mut impl Write,
    status: &str,
    headers: &[String],
    body: &[u8],
) -> std::io::Result<()> {
    let mut headers = headers.to_vec();
    headers.push(format!("Content-Length: {}", body.len()));
    head(stream, status, &headers)?;
    stream.write_all(body)?;
    stream.flush()
}

fn head(stream: &mut impl Write, status: &str, headers: &[String]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    for header in headers {
        write!(stream, "{header}\r\n")?;
    }
    stream.write_all(b"\r\n")
}

/// A self-signed certificate for an address, and its key, both PEM files in the scratch
/// folder. The test needs `openssl`.
pub fn certificate(scratch: &Scratch, name: &str, address: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) = (
        scratch.join(format!("{name}.crt")),
        scratch.join(format!("{name}.key")),
    );
    scratch
        .tool(
            "openssl",
            [
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ],
        )
        .arg("-nodes")
        .arg("-days=3650")
        .arg(format!("-subj=/CN={name}"))
        .arg(format!("-addext=subjectAltName=IP:{address}"))
        .arg("-addext=basicConstraints=critical,CA:FALSE")
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .ok();
    (certificate, key)
}

fn server_config(
    certificate: &Path,
    key: &Path,
    clients: Option<Arc<dyn rustls::server::danger::ClientCertVerifier>>,
) -> Arc<rustls::ServerConfig> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(verifier) => config.with_client_cert_verifier(verifier),
    };
    let config = config.with_single_cert(chain, key).unwrap();
    Arc::new(config)
}
