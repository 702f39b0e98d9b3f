//! A small web server for one repository: what its metadata name, and nothing else.
//!
//! HTTP/1.1 (RFC 9110, RFC 9112) for GET and HEAD: ETags that are hashes of the contents,
//! conditional requests, one range, exact lengths, 404 for everything that no metadata name,
//! such as the root that does not exist yet. `/` is the status page. One thread for each
//! connection, at most [`CONNECTIONS`]; requests under way are ended when it is told to stop.

mod catalogue;
pub mod request;

pub use catalogue::Catalogue;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use catalogue::{Found, Kind};
use request::Request;

/// Connections at a time; more get 503.
pub const CONNECTIONS: usize = 512;
const SILENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(50);
/// How long requests under way may take once it is to stop.
const GRACE: Duration = Duration::from_secs(30);

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    catalogue: Arc<Catalogue>,
}

impl Server {
    /// Listens on `address`.
    pub fn bind(
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        catalogue: Catalogue,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            tls,
            catalogue: Arc::new(catalogue),
        })
    }

    /// The address, with the port that was chosen for port 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then lets what is under way end.
    pub fn run(&self, stop: &Arc<AtomicBool>) -> io::Result<()> {
        let open = Arc::new(AtomicUsize::new(0));
        while !stop.load(Ordering::Relaxed) {
            match self.listener.accept() {
                Ok((stream, _)) => self.begin(stream, &open, stop),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => thread::sleep(TICK / 10),
                // One that was gone before it was taken, or no descriptor left for now.
                Err(_) => thread::sleep(TICK),
            }
        }
        let begun = Instant::now();
        while open.load(Ordering::Relaxed) > 0 && begun.elapsed() < GRACE {
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn begin(&self, stream: TcpStream, open: &Arc<AtomicUsize>, stop: &Arc<AtomicBool>) {
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            let mut stream = stream;
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        let (tls, catalogue) = (self.tls.clone(), self.catalogue.clone());
        let (ended, stop) = (open.clone(), stop.clone());
        let begun = thread::Builder::new().spawn(move || {
            // Whoever went away does not matter to anybody else.
            let _ = connection(stream, tls, &catalogue, &stop);
            ended.fetch_sub(1, Ordering::Relaxed);
        });
        if begun.is_err() {
            // No thread for now: the connection was closed with what the thread was to own.
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn connection(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    catalogue: &Catalogue,
    stop: &AtomicBool,
) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(config) => {
            let session = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(rustls::StreamOwned::new(session, stream))
        }
    };
    let mut reader = BufReader::new(stream);
    loop {
        if !wait(&mut reader, stop)? {
            return Ok(());
        }
        let request = match Request::read(&mut reader, SILENCE) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return short(reader.get_mut(), "400 Bad Request", &[], true);
            }
            Err(error) => return Err(error),
        };
        let close = request.close || stop.load(Ordering::Relaxed);
        answer(reader.get_mut(), &request, catalogue, close)?;
        if close {
            return Ok(());
        }
    }
}

// Waits for the next request; a connection that asks nothing is closed when it is to stop.
fn wait(reader: &mut BufReader<Box<dyn Stream>>, stop: &AtomicBool) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match reader.fill_buf() {
            Ok(bytes) => return Ok(!bytes.is_empty()),
            Err(e) if request::is_timeout(&e) => {
                if stop.load(Ordering::Relaxed) || begun.elapsed() > SILENCE {
                    return Ok(false);
                }
            }
            Err(e) => return Err(e),
        }
    }
}

fn short(
    out: &mut dyn Stream,
    status: &str,
    headers: &[(&str, &str)],
    close: bool,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += if close {
        "Connection: close\r\n\r\n"
    } else {
        "\r\n"
    };
    out.write_all(head.as_bytes())?;
    out.flush()
}

fn answer(
    out: &mut dyn Stream,
    request: &Request,
    catalogue: &Catalogue,
    close: bool,
) -> io::Result<()> {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return short(
            out,
            "405 Method Not Allowed",
            &[("Allow", "GET, HEAD")],
            true,
        );
    }
    let Some(found) = request
        .path
        .as_deref()
        .and_then(|path| catalogue.find(path))
    else {
        return short(
            out,
            "404 Not Found",
            &[("Cache-Control", "no-store")],
            close,
        );
    };
    let etag = format!("\"{}\"", found.hash);
    let shared = [
        ("ETag", etag.as_str()),
        ("Cache-Control", found.headers.cache_control),
    ];
    // RFC 9110 §13.2.2: If-Match, then If-None-Match, then the range.
    if let Some(wanted) = &request.if_match
        && !request::lists(wanted, &etag)
    {
        return short(out, "412 Precondition Failed", &shared, close);
    }
    if let Some(known) = &request.if_none_match
        && request::lists(known, &etag)
    {
        return short(out, "304 Not Modified", &shared, close);
    }
    let conditional = request.if_range.as_ref().is_none_or(|tag| *tag == etag);
    let range = request.range.as_deref().filter(|_| conditional);
    let (status, start, end) = match range.map(|range| request::range(range, found.len)) {
        None | Some(request::Ranged::All) => ("200 OK", 0, found.len),
        Some(request::Ranged::Part(start, end)) => ("206 Partial Content", start, end),
        Some(request::Ranged::Outside) => {
            let all = format!("bytes */{}", found.len);
            let headers = [("Content-Range", all.as_str())];
            return short(out, "416 Range Not Satisfiable", &headers, close);
        }
    };
    let head = head(status, &found, &etag, (start, end), close);
    out.write_all(head.as_bytes())?;
    if request.method == "GET" {
        send(out, found, start, end)?;
    }
    out.flush()
}

// The head of an answer with a body.
fn head(status: &str, found: &Found, etag: &str, (start, end): (u64, u64), close: bool) -> String {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: {}\r\nAccept-Ranges: bytes\r\n",
        end - start,
        found.headers.content_type
    );
    for (name, value) in [
        ("ETag", etag),
        ("Cache-Control", found.headers.cache_control),
    ] {
        head += &format!("{name}: {value}\r\n");
    }
    if status.starts_with("206") {
        head += &format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, found.len);
    }
    head += if close {
        "Connection: close\r\n\r\n"
    } else {
        "\r\n"
    };
    head
}

fn send(out: &mut dyn Stream, found: Found, start: u64, end: u64) -> io::Result<()> {
    let copied = match found.kind {
        Kind::Bytes(bytes) => {
            let part = bytes.get(start as usize..end as usize).unwrap_or_default();
            out.write_all(part)?;
            part.len() as u64
        }
        Kind::File(mut file) => {
            File::seek(&mut file, SeekFrom::Start(start))?;
            io::copy(&mut file.take(end - start), out)?
        }
    };
    match copied == end - start {
        true => Ok(()),
        // The connection ends before the length that was promised: no client takes it for whole.
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
