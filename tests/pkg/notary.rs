//! Notarisation against a small server on this machine that plays Apple's side: the notary
//! service, its storage, and the ticket database. Apple's own judgement is not tested by this.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use fleetpack::apple::notary::{ApiKey, Endpoints, Notary, NotaryError, Patience};

use super::archive::members;
use super::sample::{build, config, tree};
use crate::harness::{Scratch, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "pkg::notarised_and_stapled",
            &["openssl", "bsdtar", "7z"],
            accepted,
        ),
        trial_needing("pkg::notary_refuses_the_package", &["openssl"], refused),
        trial_needing("pkg::notary_refuses_the_key", &["openssl"], unauthorized),
        trial_needing("pkg::notary_never_answers", &["openssl"], no_verdict),
        trial_needing("pkg::no_ticket_for_the_package", &["openssl"], no_ticket),
        trial_needing("pkg::notary_answers_nonsense", &["openssl"], nonsense),
    ]
}

pub const ISSUER: &str = "11111111-2222-3333-4444-555555555555";
const KEY: &str = "ABCDE12345";
const SUBMISSION: &str = "2efe2717-52ef-43a5-96dc-0797e4ca1041";
const TICKET: &[u8] = b"a made-up ticket";

/// A fresh key as App Store Connect hands it out, and its public point.
pub fn api_key(scratch: &Scratch) -> (String, Vec<u8>) {
    let arguments = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    scratch.tool("openssl", arguments).args_out("key.p8");
    let public = scratch
        .tool(
            "openssl",
            ["pkey", "-in", "key.p8", "-pubout", "-outform", "DER"],
        )
        .ok();
    let point = public.stdout[public.stdout.len() - 65..].to_vec();
    (scratch.text("key.p8"), point)
}

trait Out {
    fn args_out(self, file: &str);
}

impl Out for crate::harness::scratch::Run {
    fn args_out(self, file: &str) {
        self.arg("-out").arg(file).ok();
    }
}

/// What Apple's side does and has seen.
#[derive(Default)]
pub struct Apple {
    pub point: Vec<u8>,
    pub verdicts: VecDeque<&'static str>,
    pub no_ticket: bool,
    pub nonsense: bool,
    pub refuse_key: bool,
    pub stored: Vec<u8>,
    pub seen: Vec<String>,
    pub address: String,
}

/// Starts Apple's side; returns its address.
pub fn start(apple: Apple) -> (String, Arc<Mutex<Apple>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let apple = Arc::new(Mutex::new(Apple {
        address: address.clone(),
        ..apple
    }));
    let shared = Arc::clone(&apple);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap(), &shared);
        }
    });
    (address, apple)
}

/// A request as a server of HTTP/1.1 reads it.
pub struct Request {
    line: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut request = Self {
            line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
            headers,
            body: Vec::new(),
        };
        let length = request.header("content-length").parse().unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }
}

fn serve(mut stream: TcpStream, apple: &Mutex<Apple>) {
    let Some(request) = Request::read(&stream) else {
        return;
    };
    let (status, body) = apple.lock().unwrap().answer(&request);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(body.as_bytes());
}

impl Apple {
    fn answer(&mut self, request: &Request) -> (u16, String) {
        self.seen.push(request.line.clone());
        let submission = format!("/notary/v2/submissions/{SUBMISSION}");
        let line = request.line.as_str();
        if line.contains("/notary/v2/") && (self.refuse_key || !self.token_holds(request)) {
            return (401, "{}".into());
        }
        if self.nonsense {
            return (200, "<html>".into());
        }
        match line {
            "POST /notary/v2/submissions" => (200, grant(&request.body)),
            "PUT /storage/prod/AROA%3Amade-up/object" => self.store(request),
            _ if line == format!("GET {submission}") => {
                let status = self.verdicts.pop_front().unwrap_or("In Progress");
                (200, data(json!({ "status": status, "name": "x" })))
            }
            _ if line == format!("GET {submission}/logs") => {
                let url = format!("{}/log.json?secret=1", self.address);
                (200, data(json!({ "developerLogUrl": url })))
            }
            "GET /log.json?secret=1" if request.header("authorization").is_empty() => {
                let issue =
                    json!({ "path": "a.pkg/orbit", "message": "The binary is not signed." });
                (200, json!({ "issues": [issue] }).to_string())
            }
            "POST /tickets" => (200, self.ticket(&request.body)),
            _ => (404, "{}".into()),
        }
    }

    fn token_holds(&self, request: &Request) -> bool {
        let Some(token) = request.header("authorization").strip_prefix("Bearer ") else {
            return false;
        };
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let json = |part: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let (header, claims) = (json(header), json(claims));
        let now = Timestamp::now().as_second();
        let (from, until) = (
            claims["iat"].as_i64().unwrap(),
            claims["exp"].as_i64().unwrap(),
        );
        assert_eq!(header, json!({ "alg": "ES256", "kid": KEY, "typ": "JWT" }));
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!(ISSUER), &json!("appstoreconnect-v1"))
        );
        assert!(from <= now && now < until && until - from <= 1200);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
            .verify(
                signed.as_bytes(),
                &URL_SAFE_NO_PAD.decode(signature).unwrap(),
            )
            .is_ok()
    }

    // The signature itself is checked by the published example, beside its code.
    fn store(&mut self, request: &Request) -> (u16, String) {
        let sha256 = hex::encode(fleetpack::compress::sha256(&request.body));
        let authorization = request.header("authorization");
        let begins = "AWS4-HMAC-SHA256 Credential=made-up-key/";
        assert!(authorization.starts_with(begins), "{authorization}");
        let scope = "/us-west-2/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,Signature=";
        assert!(authorization.contains(scope), "{authorization}");
        assert_eq!(request.header("x-amz-content-sha256"), sha256);
        assert_eq!(request.header("x-amz-security-token"), "made-up token");
        self.stored.clone_from(&request.body);
        (200, String::new())
    }

    fn ticket(&self, body: &[u8]) -> String {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let name = &asked["records"][0]["recordName"];
        let record = match self.no_ticket {
            true => {
                json!({ "recordName": name, "reason": "Record not found", "serverErrorCode": "NOT_FOUND" })
            }
            false => {
                let value = STANDARD.encode(TICKET);
                let ticket = json!({ "type": "BYTES", "value": value });
                json!({ "recordName": name, "fields": { "signedTicket": ticket }, "deleted": false })
            }
        };
        json!({ "records": [record] }).to_string()
    }
}

fn data(attributes: Value) -> String {
    json!({ "data": { "id": SUBMISSION, "type": "x", "attributes": attributes }, "meta": {} })
        .to_string()
}

fn grant(body: &[u8]) -> String {
    let asked: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(asked["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(asked["submissionName"], "a.pkg");
    data(json!({
        "awsAccessKeyId": "made-up-key",
        "awsSecretAccessKey": "made-up secret",
        "awsSessionToken": "made-up token",
        "bucket": "a-bucket",
        "object": "prod/AROA:made-up/object",
    }))
}

struct Case {
    scratch: Scratch,
    notary: Notary,
    apple: Arc<Mutex<Apple>>,
}

fn case(apple: Apple) -> Case {
    let scratch = Scratch::new();
    let (key, point) = api_key(&scratch);
    let (address, apple) = start(Apple { point, ..apple });
    let endpoints = Endpoints {
        notary: format!("{address}/notary/v2"),
        storage: Some(format!("{address}/storage")),
        tickets: format!("{address}/tickets"),
    };
    let patience = Patience {
        pause: std::time::Duration::from_millis(5),
        questions: 4,
        clock: Timestamp::now,
    };
    let key = ApiKey::new(KEY, ISSUER, &key).unwrap();
    build(&tree(&config()), &scratch.join("a.pkg"));
    Case {
        notary: Notary::new(key, endpoints, patience),
        scratch,
        apple,
    }
}

impl Case {
    fn file(&self) -> std::fs::File {
        let path = self.scratch.join("a.pkg");
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    }

    fn notarize(&self) -> Result<(), NotaryError> {
        self.notary.notarize(&self.file(), "a.pkg", &|_| {})
    }
}

fn accepted() {
    let case = case(Apple {
        verdicts: ["In Progress", "In Progress", "Accepted"].into(),
        ..Apple::default()
    });
    let before = case.scratch.read("a.pkg");
    case.notarize().unwrap();
    case.notary
        .staple(&case.file(), Path::new("fleet.pkg"))
        .unwrap();
    assert!(case.apple.lock().unwrap().stored == before);
    let after = case.scratch.read("a.pkg");
    let trailer = [
        &b"t8lr\x01\0\x01\0\0\0\0\0\0\0\0\0"[..],
        TICKET,
        b"t8lr\x01\0\x02\0",
        &(TICKET.len() as u32).to_le_bytes(),
        &[0; 4],
    ];
    assert!(after == [before, trailer.concat()].concat());
    // The trailer lies behind what xar knows.
    members(&case.scratch.join("a.pkg"));
    case.scratch.tool("7z", ["t", "-tXar", "a.pkg"]).ok();
    case.scratch.tool("bsdtar", ["-tf", "a.pkg"]).ok();
    let table = apple_xar::reader::XarReader::new(case.file())
        .unwrap()
        .checksum()
        .unwrap()
        .1;
    assert_eq!(table.len(), 20);
    let asked = case.apple.lock().unwrap().seen.clone();
    assert_eq!(
        asked.iter().filter(|line| line.starts_with("GET")).count(),
        3
    );
}

fn refused() {
    let case = case(Apple {
        verdicts: ["In Progress", "Invalid"].into(),
        ..Apple::default()
    });
    let error = case.notarize().unwrap_err().to_string();
    let expected = format!(
        "Apple's notary service does not accept the package (Invalid, submission {SUBMISSION})\n  \
         a.pkg/orbit: The binary is not signed."
    );
    assert_eq!(error, expected);
}

fn unauthorized() {
    let case = case(Apple {
        refuse_key: true,
        ..Apple::default()
    });
    let error = case.notarize().unwrap_err().to_string();
    assert_eq!(
        error,
        "the notary service refuses the API key, which must have the role Developer (status 401)"
    );
}

fn no_verdict() {
    let case = case(Apple::default());
    let error = case.notarize().unwrap_err().to_string();
    let expected = format!("the notary service has no verdict on submission {SUBMISSION} yet");
    assert_eq!(error, expected);
}

fn no_ticket() {
    let case = case(Apple {
        no_ticket: true,
        ..Apple::default()
    });
    let before = case.scratch.read("a.pkg");
    let error = case
        .notary
        .staple(&case.file(), Path::new("fleet.pkg"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "there is no ticket for the notarised package yet: Record not found"
    );
    assert!(case.scratch.read("a.pkg") == before);
}

fn nonsense() {
    let case = case(Apple {
        nonsense: true,
        ..Apple::default()
    });
    let error = case.notarize().unwrap_err().to_string();
    assert!(
        error.ends_with("/notary/v2/submissions gives an answer that cannot be read"),
        "{error}"
    );
}
