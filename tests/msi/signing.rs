//! Signatures, verified by osslsigncode; time stamps by openssl's authority.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fleetpack::package::msi::authenticode::{Authority, SignError, Signer, sign};
use libtest_mimic::Trial;

use super::readers::verify;
use super::sample::Sample;
use crate::harness::{Scratch, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "msi_signature_is_accepted",
            &["openssl", "osslsigncode"],
            accepted,
        ),
        trial_needing(
            "msi_signature_notices_changes",
            &["openssl", "osslsigncode"],
            changed,
        ),
        trial_needing("msi_signature_is_the_same_twice", &["openssl"], twice),
        trial_needing(
            "msi_time_stamp_is_accepted",
            &["openssl", "osslsigncode"],
            stamped,
        ),
        trial_needing("msi_time_stamps_that_are_none", &["openssl"], no_stamp),
        trial_needing("msi_certificates_that_cannot_sign", &["openssl"], refused),
    ]
}

const CONFIG: &str = "\
[req]
distinguished_name = name
[name]
[code]
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
[web]
extendedKeyUsage = serverAuth
[encipher]
keyUsage = critical, keyEncipherment
[stamp]
extendedKeyUsage = critical, timeStamping
[ca]
basicConstraints = critical, CA:true
[tsa]
default_tsa = authority
[authority]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
";

/// Keys and certificates made with openssl.
pub struct Issuer {
    pub scratch: Scratch,
}

impl Issuer {
    pub fn new() -> Self {
        let issuer = Self {
            scratch: Scratch::new(),
        };
        issuer.scratch.write("openssl.cnf", CONFIG);
        issuer.scratch.write("serial", "01\n");
        issuer.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out ca.key");
        issuer.openssl(
            "req -x509 -new -key ca.key -subj /CN=root -days 30 -config openssl.cnf \
             -extensions ca -out ca.pem",
        );
        issuer
    }

    fn openssl(&self, words: &str) {
        self.scratch.tool("openssl", words.split_whitespace()).ok();
    }

    /// A pair `<name>.pem` (with its issuer) and `<name>.key`.
    pub fn issue(&self, name: &str, key: &str, extensions: &str) {
        self.openssl(&format!("genpkey {key} -out {name}.key"));
        self.openssl(&format!(
            "req -new -key {name}.key -subj /CN={name} -config openssl.cnf -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -sha256 \
             -extfile openssl.cnf -extensions {extensions} -out {name}.crt"
        ));
        let chain = self.scratch.text(&format!("{name}.crt")) + &self.scratch.text("ca.pem");
        self.scratch.write(&format!("{name}.pem"), chain);
    }

    pub fn signer(&self, certificate: &str, key: &str) -> Result<Signer, SignError> {
        self.signer_at(certificate, key, SystemTime::now())
    }

    fn signer_at(
        &self,
        certificate: &str,
        key: &str,
        now: SystemTime,
    ) -> Result<Signer, SignError> {
        let (pem, private) = (format!("{certificate}.pem"), format!("{key}.key"));
        Signer::from_pem(
            (&self.scratch.read(&pem), &pem),
            (&self.scratch.read(&private), &private),
            now,
        )
    }

    /// A signed package.
    fn sign(
        &self,
        name: &str,
        signer: &Signer,
        authority: Option<&Authority>,
    ) -> Result<PathBuf, SignError> {
        self.sign_sample(&Sample::new(), name, signer, authority)
    }

    /// A signed package of `sample`.
    pub fn sign_sample(
        &self,
        sample: &Sample,
        name: &str,
        signer: &Signer,
        authority: Option<&Authority>,
    ) -> Result<PathBuf, SignError> {
        let msi = sample.build(&self.scratch, name);
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&msi)
            .unwrap();
        sign(file, signer, &sample.tree().identity, authority)?;
        Ok(msi)
    }

    pub fn verified(&self, msi: &Path) -> String {
        let args = [
            "verify",
            "-CAfile",
            "ca.pem",
            "-TSA-CAfile",
            "ca.pem",
            "-in",
        ];
        let run = self.scratch.tool("osslsigncode", args).arg(msi).run();
        format!("{}{}", run.text(), run.stderr)
    }
}

pub const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

fn accepted() {
    let issuer = Issuer::new();
    for (name, key) in [("rsa", RSA), ("p256", P256)] {
        issuer.issue(name, key, "code");
        let signer = issuer.signer(name, name).unwrap();
        let msi = issuer.sign("x.msi", &signer, None).unwrap();
        let report = issuer.verified(&msi);
        assert!(report.contains("Signature verification: ok"), "{report}");
        assert!(report.contains("Fleet osquery"), "{report}");
        assert!(report.contains("https://fleetdm.com"), "{report}");
        verify(&issuer.scratch, &msi);
        // Signed once more, it has one signature, by the second.
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&msi)
            .unwrap();
        sign(file, &signer, &Sample::new().tree().identity, None).unwrap();
        let report = issuer.verified(&msi);
        assert!(report.contains("Signature verification: ok"), "{report}");
    }
}

fn changed() {
    let issuer = Issuer::new();
    issuer.issue("rsa", RSA, "code");
    let signer = issuer.signer("rsa", "rsa").unwrap();
    let msi = issuer.sign("x.msi", &signer, None).unwrap();
    let mut bytes = std::fs::read(&msi).unwrap();
    // Inside the customer's cabinet.
    let at = bytes.windows(4).rposition(|four| four == b"MSCF").unwrap();
    bytes[at + 60] ^= 1;
    std::fs::write(&msi, bytes).unwrap();
    let report = issuer.verified(&msi);
    assert!(!report.contains("Signature verification: ok"), "{report}");
}

fn twice() {
    let issuer = Issuer::new();
    issuer.issue("rsa", RSA, "code");
    let signer = issuer.signer("rsa", "rsa").unwrap();
    let one = std::fs::read(issuer.sign("one.msi", &signer, None).unwrap()).unwrap();
    let two = std::fs::read(issuer.sign("two.msi", &signer, None).unwrap()).unwrap();
    assert!(one == two);
}

/// Answers one request with what `answer` makes of its body.
fn authority(answer: impl FnOnce(Vec<u8>) -> Vec<u8> + Send + 'static) -> Authority {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let body = answer(request(&mut stream));
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
    });
    Authority::new(url)
}

/// The body of an HTTP request.
fn request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        assert!(
            head.contains("content-type: application/timestamp-query"),
            "{head}"
        );
        let (_, len) = head.split_once("content-length: ").unwrap();
        let len: usize = len.lines().next().unwrap().trim().parse().unwrap();
        if bytes.len() >= end + 4 + len {
            return bytes[end + 4..].to_vec();
        }
    }
}

fn stamped() {
    let issuer = Issuer::new();
    issuer.issue("rsa", RSA, "code");
    issuer.issue("tsa", RSA, "stamp");
    let signer = issuer.signer("rsa", "rsa").unwrap();
    let scratch = issuer.scratch.clone();
    let authority = authority(move |query| {
        scratch.write("query", query);
        let words = "ts -reply -queryfile query -config openssl.cnf -signer tsa.crt \
                     -inkey tsa.key -chain ca.pem -out reply";
        scratch.tool("openssl", words.split_whitespace()).ok();
        scratch.read("reply")
    });
    let msi = issuer.sign("x.msi", &signer, Some(&authority)).unwrap();
    let report = issuer.verified(&msi);
    assert!(report.contains("Signature verification: ok"), "{report}");
    assert!(
        report.contains("Timestamp Server Signature verification: ok"),
        "{report}"
    );
}

fn no_stamp() {
    let issuer = Issuer::new();
    issuer.issue("rsa", RSA, "code");
    let signer = issuer.signer("rsa", "rsa").unwrap();
    let failed = |authority: &Authority| {
        let error = issuer.sign("x.msi", &signer, Some(authority)).unwrap_err();
        error.to_string().replace(&authority.url, "[URL]")
    };
    // One that takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = Authority {
        url: format!("http://{}/", listener.local_addr().unwrap()),
        patience: Duration::from_millis(300),
    };
    assert_eq!(failed(&silent), "no time stamp from [URL]");
    drop(listener);
    assert_eq!(
        failed(&silent),
        "no time stamp from [URL]",
        "nobody listens"
    );
    let garbage = authority(|_| b"<html>".to_vec());
    let words = failed(&garbage);
    assert!(
        words.starts_with("[URL] gave no usable time stamp: the answer is no time stamp"),
        "{words}"
    );
    // PKIStatus rejection (2).
    let refusal = authority(|_| vec![0x30, 5, 0x30, 3, 2, 1, 2]);
    assert_eq!(
        failed(&refusal),
        "[URL] gave no usable time stamp: it was refused with status 2"
    );
    let empty = authority(|_| vec![0x30, 5, 0x30, 3, 2, 1, 0]);
    assert_eq!(
        failed(&empty),
        "[URL] gave no usable time stamp: the answer holds none"
    );
}

type Case = (
    &'static str,
    &'static str,
    &'static str,
    SystemTime,
    &'static str,
);

fn unfit_pairs() -> [Case; 8] {
    let now = SystemTime::now();
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    [
        (
            "another's key",
            "rsa",
            "other",
            now,
            "the key in other.key does not belong to the certificate in rsa.pem",
        ),
        (
            "for web servers",
            "web",
            "web",
            now,
            "the certificate in web.pem is not for code signing",
        ),
        (
            "for enciphering",
            "encipher",
            "encipher",
            now,
            "the certificate in encipher.pem is not for code signing",
        ),
        (
            "too long a curve",
            "p384",
            "p384",
            now,
            "the key in p384.key is of a kind that cannot sign here: RSA or NIST P-256",
        ),
        (
            "no certificate",
            "none",
            "rsa",
            now,
            "none.pem holds no PEM certificate",
        ),
        (
            "no key",
            "rsa",
            "none",
            now,
            "none.key holds no PEM private key",
        ),
        (
            "expired",
            "rsa",
            "rsa",
            now + days(31),
            "the certificate in rsa.pem is valid from ",
        ),
        (
            "not yet valid",
            "rsa",
            "rsa",
            now - days(2),
            "the certificate in rsa.pem is valid from ",
        ),
    ]
}

fn refused() {
    let issuer = Issuer::new();
    issuer.issue("rsa", RSA, "code");
    issuer.issue("other", RSA, "code");
    issuer.issue("web", RSA, "web");
    issuer.issue("encipher", RSA, "encipher");
    issuer.issue(
        "p384",
        "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        "code",
    );
    issuer.scratch.write("none.pem", "no certificate\n");
    issuer.scratch.write("none.key", "no key\n");
    for (name, certificate, key, now, sentence) in unfit_pairs() {
        let error = match issuer.signer_at(certificate, key, now) {
            Ok(_) => panic!("{name}: taken"),
            Err(error) => error.to_string(),
        };
        assert!(error.starts_with(sentence), "{name}: {error}");
        assert!(
            error == sentence || sentence.ends_with("from "),
            "{name}: {error}"
        );
    }
}
