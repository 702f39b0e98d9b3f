//! A stand-in for object storage that answers as it is told, on loopback.
//!
//! It speaks as much of S3's REST interface as `object_store` uses (Amazon S3 API Reference:
//! GetObject, PutObject, CopyObject, DeleteObjects, ListObjectsV2), keeps objects in memory,
//! honours conditions when asked to, and looks at no signature. What real services refuse only
//! with accounts, clocks and regions that tests do not have, a rule makes it refuse with the
//! documented status and code.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The object's key; empty for the bucket itself.
    pub key: String,
    /// After `?`.
    pub query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether it writes on condition.
    pub fn is_conditional(&self) -> bool {
        ["if-match", "if-none-match"]
            .into_iter()
            .any(|name| self.header(name).is_some())
    }
}

type Refusal = (u16, &'static str);
type Rule = dyn Fn(&Request) -> Option<Refusal> + Send + Sync;

struct Inner {
    objects: Mutex<BTreeMap<String, (Vec<u8>, u64)>>,
    writings: Mutex<u64>,
    rule: Box<Rule>,
    honours: bool,
    ended: AtomicBool,
}

/// The service; its thread ends with its value.
pub struct StandIn {
    inner: Arc<Inner>,
    address: SocketAddr,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl StandIn {
    /// Refuses what `rule` says, with a status and an S3 error code; `honours` conditions.
    pub fn new(
        honours: bool,
        rule: impl Fn(&Request) -> Option<Refusal> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            objects: Mutex::default(),
            writings: Mutex::default(),
            rule: Box::new(rule),
            honours,
            ended: AtomicBool::new(false),
        });
        let shared = inner.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Ordering::SeqCst) {
                    break;
                }
                let shared = shared.clone();
                // A client that goes away is not this service's failure.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self {
            inner,
            address,
            url: format!("http://{address}"),
        }
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.inner.objects.lock().unwrap().keys().cloned().collect()
    }

    /// An object.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        let objects = self.inner.objects.lock().unwrap();
        objects.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// Loses all objects whose keys hold `part`.
    pub fn forget(&self, part: &str) {
        let mut objects = self.inner.objects.lock().unwrap();
        objects.retain(|key, _| !key.contains(part));
    }

    /// Credentials, which it does not look at, as variables.
    pub fn variables(&self) -> [(&'static str, &'static str); 2] {
        [
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ]
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; if nobody listens any more, so much the better.
        let _ = TcpStream::connect(self.address);
    }
}

struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn error((status, code): Refusal) -> Self {
        let body =
            format!("<Error><Code>{code}</Code><Message>said by a stand-in</Message></Error>");
        Self::new(status, body)
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = read(&mut stream)? else {
            return Ok(());
        };
        let answer = match (self.rule)(&request) {
            Some(refusal) => Answer::error(refusal),
            None => self.answer(&request),
        };
        let length = match request.method.as_str() {
            "HEAD" => None,
            _ => Some(format!("Content-Length: {}", answer.body.len())),
        };
        write!(
            stream,
            "HTTP/1.1 {} Said\r\nConnection: close\r\n",
            answer.status
        )?;
        for header in answer.headers.iter().chain(&length) {
            write!(stream, "{header}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        if request.method != "HEAD" {
            stream.write_all(&answer.body)?;
        }
        stream.flush()
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        let there = objects.get(&request.key).cloned();
        match request.method.as_str() {
            "GET" if request.key.is_empty() => Answer::new(200, list(&objects, &request.query)),
            "GET" | "HEAD" => match there {
                None => Answer::error((404, "NoSuchKey")),
                Some((bytes, etag)) => found(request, &bytes, etag),
            },
            "POST" => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let keys = text.split("<Key>").skip(1);
                let keys = keys.filter_map(|rest| rest.split_once("</Key>"));
                let mut answer = "<DeleteResult>".to_owned();
                for (key, _) in keys {
                    objects.remove(key);
                    answer.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
                }
                Answer::new(200, answer + "</DeleteResult>")
            }
            _ => {
                let stale = match (request.header("if-match"), request.header("if-none-match")) {
                    (Some(etag), _) => there.is_none_or(|(_, now)| etag != quoted(now)),
                    (None, Some(_)) => there.is_some(),
                    (None, None) => false,
                };
                if stale && self.honours {
                    return Answer::error((412, "PreconditionFailed"));
                }
                let source = request.header("x-amz-copy-source");
                let source = source.and_then(|source| source.trim_matches('/').split_once('/'));
                let body = match source {
                    Some((_, source)) => objects.get(source).map(|(bytes, _)| bytes.clone()),
                    None => Some(request.body.clone()),
                };
                let Some(body) = body else {
                    return Answer::error((404, "NoSuchKey"));
                };
                let mut writings = self.writings.lock().unwrap();
                *writings += 1;
                objects.insert(request.key.clone(), (body, *writings));
                let mut answer = Answer::new(
                    200,
                    format!(
                        "<CopyObjectResult><ETag>{}</ETag><LastModified>2025-01-01T00:00:00Z</LastModified></CopyObjectResult>",
                        quoted(*writings)
                    ),
                );
                answer.headers = vec![format!("ETag: {}", quoted(*writings))];
                answer
            }
        }
    }
}

fn quoted(etag: u64) -> String {
    format!("\"{etag:032x}\"")
}

fn found(request: &Request, bytes: &[u8], etag: u64) -> Answer {
    let mut headers = vec![
        format!("ETag: {}", quoted(etag)),
        "Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT".to_owned(),
    ];
    if request.method == "HEAD" {
        headers.push(format!("Content-Length: {}", bytes.len()));
    }
    let range = request.header("range").and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        Some((from, to.min(bytes.len().checked_sub(1)?)))
    });
    let (status, body) = match range {
        Some((from, to)) if from <= to => {
            headers.push(format!("Content-Range: bytes {from}-{to}/{}", bytes.len()));
            (206, bytes[from..=to].to_vec())
        }
        _ => (200, bytes.to_vec()),
    };
    Answer {
        status,
        headers,
        body,
    }
}

fn list(objects: &BTreeMap<String, (Vec<u8>, u64)>, query: &str) -> String {
    let prefix = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("prefix="))
        .unwrap_or_default()
        .replace("%2F", "/");
    let listed = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
    let entries: String = listed
        .map(|(key, (bytes, etag))| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size></Contents>",
                quoted(*etag),
                bytes.len()
            )
        })
        .collect();
    format!(
        "<ListBucketResult><Name>bucket</Name><Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    )
}

fn read(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (_, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or_default();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Some(Request {
        method,
        key: key.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    }))
}
