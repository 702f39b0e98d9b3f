//! Signatures by the program, judged by OpenSSL and the reader crate. Certificates come from a
//! chain that the test makes; Apple's own chain and Gatekeeper are not tested by this.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

use apple_xar::reader::XarReader;
use libtest_mimic::Trial;

use super::archive::members;
use super::notary::{Apple, ISSUER, Request, api_key, start};
use super::whole::package;
use crate::harness::{Scratch, trial_needing};

const NEEDS: &[&str] = &["openssl"];

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("pkg::signed_by_pem", &["openssl", "bsdtar", "7z"], by_pem),
        trial_needing("pkg::signed_by_pem_content", NEEDS, by_content),
        trial_needing("pkg::signed_by_p12", NEEDS, by_p12),
        trial_needing("pkg::wrong_credentials_are_refused", NEEDS, wrong),
        trial_needing("pkg::wrong_p12_is_refused", NEEDS, wrong_p12),
        trial_needing(
            "pkg::wrong_certificates_are_refused",
            NEEDS,
            wrong_certificate,
        ),
        trial_needing("pkg::signed_with_a_time_stamp", NEEDS, stamped),
        trial_needing("pkg::time_stamp_that_is_none", NEEDS, no_stamp),
        trial_needing("pkg::time_stamp_server_out_of_reach", NEEDS, no_timestamp),
        trial_needing("pkg::signed_profile", NEEDS, signed_profile),
        trial_needing("pkg::signed_notarised_stapled", NEEDS, notarised),
        trial_needing(
            "pkg::notarising_fails_and_leaves_nothing",
            NEEDS,
            notary_fails,
        ),
    ]
}

/// Apple's extended key usages: Developer ID Installer, and code signing's.
const INSTALLER: &str = "1.2.840.113635.100.4.13";
const APPLICATION: &str = "1.3.6.1.5.5.7.3.3";

fn openssl(scratch: &Scratch, line: &str) {
    scratch.tool("openssl", line.split(' ')).ok();
}

/// A root, a certificate of this usage below it, and `identity.pem` with all of it.
fn chain(scratch: &Scratch, usage: &str, dates: Option<&str>) {
    scratch.write(
        "root.cnf",
        "[req]\ndistinguished_name=dn\nx509_extensions=ca\nprompt=no\n[dn]\nCN=Made-up Root\n\
         [ca]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n\
         subjectKeyIdentifier=hash\n",
    );
    scratch.write(
        "leaf.cnf",
        format!(
            "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=Developer ID Installer: Made Up (ABCDE12345)\n\
             [ext]\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n\
             extendedKeyUsage=critical,{usage}\n"
        ),
    );
    openssl(
        scratch,
        "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3650 -config root.cnf",
    );
    openssl(
        scratch,
        "req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -config leaf.cnf",
    );
    let dates = dates.unwrap_or("-days 30");
    openssl(
        scratch,
        &format!(
            "x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -out leaf.pem \
             -extfile leaf.cnf -extensions ext {dates}"
        ),
    );
    let all = ["leaf.key", "leaf.pem", "root.pem"].map(|name| scratch.text(name));
    scratch.write("identity.pem", all.concat());
}

fn verify(scratch: &Scratch, file: &Path) {
    let mut reader = XarReader::new(std::fs::File::open(file).unwrap()).unwrap();
    assert!(reader.verify_table_of_contents_checksum().unwrap());
    assert!(reader.verify_rsa_checksum_signature().unwrap());
    assert!(reader.verify_cms_signature().unwrap());
    let toc = reader.table_of_contents();
    let signature = toc.x_signature.clone().unwrap();
    let table = reader.checksum().unwrap().1;
    let bytes = std::fs::read(file).unwrap();
    let start = (reader.heap_start_offset() + signature.offset) as usize;
    let cms = &bytes[start..start + signature.size as usize];
    // The reserved space is larger than the signature: its own DER length tells where it ends.
    assert_eq!(cms[..2], [0x30, 0x82]);
    let length = 4 + usize::from(u16::from_be_bytes([cms[2], cms[3]]));
    scratch.write("signature.der", &cms[..length]);
    scratch.write("digest", table);
    scratch
        .tool(
            "openssl",
            "cms -verify -inform DER -in signature.der -content digest -binary -CAfile root.pem -purpose any"
                .split(' '),
        )
        .ok();
    scratch.write("other", [0; 20]);
    let other = scratch
        .tool(
            "openssl",
            "cms -verify -inform DER -in signature.der -content other -binary -CAfile root.pem -purpose any"
                .split(' '),
        )
        .run();
    assert_ne!(other.code, Some(0));
}

fn by_pem() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    package(&scratch).arg("--outfile=plain.pkg").ok();
    package(&scratch)
        .arg("--outfile=signed.pkg")
        .arg("--macos-devid-pem=identity.pem")
        .ok();
    let signed = scratch.join("signed.pkg");
    verify(&scratch, &signed);
    scratch.tool("7z", ["t", "-tXar", "signed.pkg"]).ok();
    scratch.tool("bsdtar", ["-tvf", "signed.pkg"]).ok();
    assert_eq!(members(&scratch.join("plain.pkg")), members(&signed));
}

fn by_content() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    let ran = package(&scratch)
        .env(
            "FLEETCTL_MACOS_DEVID_PEM_CONTENT",
            scratch.text("identity.pem"),
        )
        .ok();
    ran.never_says("PRIVATE KEY");
    verify(&scratch, &scratch.join("fleet-osquery.pkg"));
}

fn p12(scratch: &Scratch, more: &str) {
    let line = format!(
        "pkcs12 -export -inkey leaf.key -in leaf.pem -out identity.p12 -passout pass:made-up{more}"
    );
    openssl(scratch, &line);
}

fn by_p12() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    p12(&scratch, " -legacy");
    package(&scratch)
        .arg("--macos-devid-p12=identity.p12")
        .env("FLEETPACK_MACOS_P12_PASSWORD", "made-up")
        .ok();
    verify(&scratch, &scratch.join("fleet-osquery.pkg"));
}

#[track_caller]
fn refused(scratch: &Scratch, flag: &str, password: &str, sentences: &[&str]) {
    let ran = package(scratch)
        .arg(flag)
        .env("FLEETPACK_MACOS_P12_PASSWORD", password)
        .run();
    assert_eq!(ran.code, Some(1), "{ran}");
    for sentence in sentences {
        ran.says(sentence);
    }
    ran.never_says("panicked");
    assert!(!scratch.join("fleet-osquery.pkg").exists());
}

fn wrong() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    let pem = "--macos-devid-pem=x.pem";
    scratch.write("x.pem", scratch.text("leaf.pem"));
    refused(&scratch, pem, "", &["x.pem holds no PEM private key"]);
    scratch.write("x.pem", scratch.text("leaf.key"));
    refused(&scratch, pem, "", &["x.pem holds no PEM certificate"]);
    scratch.write("x.pem", "nothing");
    refused(&scratch, pem, "", &["x.pem holds no PEM certificate"]);
    scratch.write(
        "x.pem",
        scratch.text("leaf.pem") + &scratch.text("root.key"),
    );
    refused(
        &scratch,
        pem,
        "",
        &["x.pem holds no certificate that its key belongs to"],
    );
    openssl(
        &scratch,
        "pkey -in leaf.key -aes256 -passout pass:x -out locked.key",
    );
    scratch.write(
        "x.pem",
        scratch.text("leaf.pem") + &scratch.text("locked.key"),
    );
    refused(
        &scratch,
        pem,
        "",
        &["x.pem holds an encrypted key", "openssl pkey -in x.pem"],
    );
}

fn wrong_p12() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    p12(&scratch, "");
    let p12_flag = "--macos-devid-p12=identity.p12";
    let newer = [
        "as OpenSSL 3 makes it, which cannot be read",
        "openssl pkcs12 -in identity.p12 -nodes",
    ];
    refused(&scratch, p12_flag, "made-up", &newer);
    p12(&scratch, " -legacy");
    let password = [
        "identity.p12 does not open with this password",
        "FLEETPACK_MACOS_P12_PASSWORD",
    ];
    refused(&scratch, p12_flag, "another", &password);
    scratch.write("identity.p12", "nothing");
    refused(
        &scratch,
        p12_flag,
        "made-up",
        &["identity.p12 is no PKCS #12 file"],
    );
}

fn wrong_certificate() {
    let identity = "--macos-devid-pem=identity.pem";
    let other = Scratch::new();
    chain(&other, APPLICATION, None);
    let kind = "the certificate of Developer ID Installer: Made Up (ABCDE12345) is no Developer ID Installer certificate";
    refused(&other, identity, "", &[kind]);
    let old = Scratch::new();
    chain(&old, INSTALLER, Some("-days -1"));
    refused(&old, identity, "", &["(ABCDE12345) expired on 2"]);
}

fn no_timestamp() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    let port = crate::harness::server::free_port();
    let ran = package(&scratch)
        .arg("--macos-devid-pem=identity.pem")
        .arg(format!("--macos-timestamp=http://127.0.0.1:{port}/ts"))
        .fails(1);
    ran.says("error: cannot sign the package with a time stamp of http://127.0.0.1:");
    assert!(!scratch.join("fleet-osquery.pkg").exists());
}

/// An authority as Apple runs one (RFC 3161), played by OpenSSL, for as many requests as come.
fn authority(scratch: &Scratch) -> String {
    scratch.write(
        "tsa.cnf",
        "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=Made-up Timestamp Authority\n\
         [ext]\nextendedKeyUsage=critical,timeStamping\n\
         [tsa]\ndefault_tsa=authority\n[authority]\nserial=serial\nsigner_digest=sha256\n\
         default_policy=1.2.3.4\ndigests=sha1,sha256,sha512\naccuracy=secs:1\ness_cert_id_alg=sha256\n",
    );
    scratch.write("serial", "01\n");
    openssl(
        scratch,
        "req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -config tsa.cnf",
    );
    openssl(
        scratch,
        "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -out tsa.pem \
         -days 30 -extfile tsa.cnf -extensions ext",
    );
    let scratch = scratch.clone();
    answering(move |query| {
        scratch.write("query", query);
        openssl(
            &scratch,
            "ts -reply -queryfile query -config tsa.cnf -signer tsa.pem -inkey tsa.key \
             -chain root.pem -out reply",
        );
        scratch.read("reply")
    })
}

/// Answers every request with what `answer` makes of its body; gives the address.
fn answering(answer: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/ts01", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = Request::read(&stream) else {
                continue;
            };
            assert_eq!(
                request.header("content-type"),
                "application/timestamp-query"
            );
            let body = answer(request.body);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

/// The attribute that holds a time stamp: id-aa-timeStampToken, DER.
const TOKEN: [u8; 13] = [6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 16, 2, 14];

fn stamped() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    let address = authority(&scratch);
    package(&scratch)
        .arg("--macos-devid-pem=identity.pem")
        .arg(format!("--macos-timestamp={address}"))
        .ok();
    let signed = scratch.join("fleet-osquery.pkg");
    verify(&scratch, &signed);
    // The token is a CMS message of its own, over the digest of the signature's value.
    let cms = scratch.read("signature.der");
    let at = cms.windows(TOKEN.len()).position(|found| found == TOKEN);
    let set = &cms[at.expect("a time stamp") + TOKEN.len()..];
    assert_eq!(set[0], 0x31);
    let token = &set[if set[1] & 0x80 == 0 {
        2
    } else {
        2 + usize::from(set[1] & 0x7f)
    }..];
    scratch.write("token.der", token);
    let value = signature_value(&cms);
    scratch.write("value", value);
    let said = scratch
        .tool(
            "openssl",
            "ts -verify -token_in -in token.der -data value -CAfile root.pem -untrusted tsa.pem"
                .split(' '),
        )
        .ok();
    said.prints("Verification: OK");
    scratch.write("value", b"another");
    let other = scratch
        .tool(
            "openssl",
            "ts -verify -token_in -in token.der -data value -CAfile root.pem -untrusted tsa.pem"
                .split(' '),
        )
        .run();
    assert_ne!(other.code, Some(0), "{other}");
}

/// RSA's 256 bytes: the last such OCTET STRING before the time stamp.
fn signature_value(cms: &[u8]) -> Vec<u8> {
    let token = cms.windows(TOKEN.len()).position(|found| found == TOKEN);
    let before = &cms[..token.unwrap()];
    let head = [4, 0x82, 1, 0];
    let at = before.windows(4).rposition(|found| found == head).unwrap();
    before[at + 4..at + 260].to_vec()
}

fn no_stamp() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    // PKIStatus rejection (2), and something that is no answer at all.
    for answer in [vec![0x30, 5, 0x30, 3, 2, 1, 2], b"<html>".to_vec()] {
        let address = answering(move |_| answer.clone());
        package(&scratch)
            .arg("--macos-devid-pem=identity.pem")
            .arg(format!("--macos-timestamp={address}"))
            .fails(1)
            .says("error: cannot sign the package with a time stamp of http://127.0.0.1:")
            .never_says("panicked");
        assert!(!scratch.join("fleet-osquery.pkg").exists());
    }
}

fn signed_profile() {
    let scratch = Scratch::new();
    chain(&scratch, INSTALLER, None);
    package(&scratch)
        .arg("--macos-devid-pem=identity.pem")
        .arg("--use-system-configuration")
        .arg("--mobileconfig=a.mobileconfig")
        .arg("--sign-mobileconfig")
        .ok();
    let read = scratch
        .tool(
            "openssl",
            "cms -verify -inform DER -in a.mobileconfig -CAfile root.pem -purpose any".split(' '),
        )
        .ok();
    read.prints("<string>com.fleetdm.fleetd.config</string>");
}

fn notarised_with(scratch: &Scratch, apple: Apple) -> crate::harness::scratch::Ran {
    chain(scratch, INSTALLER, None);
    let (key, point) = api_key(scratch);
    let (address, _) = start(Apple { point, ..apple });
    package(scratch)
        .arg("--outfile=a.pkg")
        .arg("--macos-devid-pem=identity.pem")
        // The stand-in has no time-stamp server.
        .arg("--macos-timestamp=none")
        .arg("--notarize")
        .env("FLEETCTL_APP_STORE_CONNECT_API_KEY_ID", "ABCDE12345")
        .env("FLEETCTL_APP_STORE_CONNECT_API_KEY_ISSUER", ISSUER)
        .env("FLEETCTL_APP_STORE_CONNECT_API_KEY_CONTENT", key)
        .env("FLEETPACK_APPLE_STAND_IN", address)
        .run()
}

fn notarised() {
    let scratch = Scratch::new();
    let ran = notarised_with(
        &scratch,
        Apple {
            verdicts: ["In Progress", "Accepted"].into(),
            ..Apple::default()
        },
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    let package = scratch.join("a.pkg");
    verify(&scratch, &package);
    let bytes = std::fs::read(package).unwrap();
    assert!(bytes[bytes.len() - 16..].starts_with(b"t8lr\x01\0\x02\0"));
}

fn notary_fails() {
    let scratch = Scratch::new();
    let ran = notarised_with(
        &scratch,
        Apple {
            verdicts: ["Invalid"].into(),
            ..Apple::default()
        },
    );
    assert_eq!(ran.code, Some(1), "{ran}");
    ran.says("The binary is not signed.")
        .never_says("made-up secret");
    assert!(!scratch.join("a.pkg").exists());
}
