//! What publishing stands on: a service that refuses a stale write, and errors in words.

use libtest_mimic::Trial;

use fleetpack::store::object::{self, Access, Condition, Headers, ObjectError};

use super::begin;
use crate::harness::objects::Objects;
use crate::harness::{Scratch, trial_needing};
use crate::updates::updates;

const JSON: Headers = Headers {
    content_type: "application/json",
    cache_control: "no-store",
};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing("publish/stores/s3", &["versitygw", "curl"], || {
            let scratch = Scratch::new();
            let service = Objects::s3(&scratch);
            behaves(&service, &scratch);
            headers_arrive(&scratch, &format!("{}/s3/object", service.public(&scratch)));
        }),
        trial_needing(
            "publish/stores/azure",
            &["azurite", "node", "python-tuf", "curl"],
            || {
                let scratch = Scratch::new();
                let service = Objects::azure(&scratch);
                behaves(&service, &scratch);
                headers_arrive(
                    &scratch,
                    &format!("{}/bucket/az/object", service.endpoint()),
                );
            },
        ),
        trial_needing(
            "publish/stores/google",
            &["fake-gcs-server", "openssl", "curl"],
            || {
                let scratch = Scratch::new();
                let service = Objects::google(&scratch);
                behaves(&service, &scratch);
                headers_arrive(
                    &scratch,
                    &format!("{}/bucket/gs/object", service.endpoint()),
                );
                strangers(&scratch, &service);
            },
        ),
        trial_needing(
            "publish/stores/azure_logins",
            &["azurite", "node", "python-tuf"],
            azure_logins,
        ),
        trial_needing("publish/stores/errors", &["versitygw"], errors),
    ]
}

fn prefix(service: &Objects) -> String {
    let url = service.url("");
    url.split("://").next().unwrap().to_owned()
}

// The first thing to know of a service: a write that is based on an old reading is refused.
fn behaves(service: &Objects, scratch: &Scratch) {
    let place = object::open(&service.url(&prefix(service)), &service.access()).unwrap();
    let put = |bytes: &[u8], condition: &Condition| place.put("object", bytes, JSON, condition);
    assert_eq!(place.list("").unwrap(), []);
    assert_eq!(place.get("object", 9).unwrap(), None);
    let first = put(b"one", &Condition::Absent).unwrap();
    let lost = |result: Result<_, ObjectError>| {
        assert!(
            matches!(result, Err(ObjectError::Lost { .. })),
            "{result:?}"
        );
    };
    lost(put(b"two", &Condition::Absent));
    put(b"two", &Condition::Unchanged(first.clone())).unwrap();
    lost(put(b"three", &Condition::Unchanged(first)));
    let (bytes, version) = place.get("object", 9).unwrap().unwrap();
    assert_eq!(bytes, b"two");
    assert!(matches!(
        place.get("object", 2),
        Err(ObjectError::TooLarge { .. })
    ));
    // Parts, ranges, copies.
    let large: Vec<u8> = (0..20_000_000_u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let file = scratch.write("large", &large);
    place.upload("targets/a b/ü/large", &file, JSON).unwrap();
    place.copy("targets/a b/ü/large", "targets/copy").unwrap();
    for (name, offset) in [("targets/a b/ü/large", 0), ("targets/copy", 9_000_000)] {
        let mut blob = place.open(name, offset).unwrap();
        let mut got = Vec::new();
        blob.body.read_to_end(&mut got).unwrap();
        assert_eq!(blob.len, Some(large.len() as u64 - offset));
        assert!(got == large[offset as usize..], "{name}");
    }
    let names = |folder: &str| -> Vec<_> {
        let mut names: Vec<_> = place.list(folder).unwrap();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        names.into_iter().map(|l| (l.name, l.len)).collect()
    };
    let len = large.len() as u64;
    assert_eq!(
        names("targets"),
        [
            ("targets/a b/ü/large".to_owned(), len),
            ("targets/copy".to_owned(), len)
        ]
    );
    place.delete("targets/copy").unwrap();
    place.delete("targets/copy").unwrap();
    assert_eq!(names("targets").len(), 1);
    // What is gone was changed.
    place.put("gone", b"1", JSON, &Condition::Always).unwrap();
    place.delete("gone").unwrap();
    lost(place.put("gone", b"2", JSON, &Condition::Unchanged(version)));
}

fn headers_arrive(scratch: &Scratch, url: &str) {
    let ran = scratch.tool("curl", ["-fsSI", url]).ok();
    let text = ran.text().to_lowercase();
    assert!(text.contains("content-type: application/json"), "{text}");
    assert!(text.contains("cache-control: no-store"), "{text}");
    assert!(text.contains("content-length: 3"), "{text}");
}

// A key that the service does not know.
fn strangers(scratch: &Scratch, service: &Objects) {
    let key = ["genpkey", "-algorithm", "RSA", "-out", "other.pem"];
    scratch.tool("openssl", key).ok();
    let account = scratch.text(".gcs/account.json");
    let mut account: serde_json::Value = serde_json::from_str(&account).unwrap();
    account["private_key"] = scratch.text("other.pem").into();
    let other = scratch.write("other.json", account.to_string());
    let variable = "GOOGLE_APPLICATION_CREDENTIALS".to_owned();
    let endpoint = Some(service.endpoint().to_owned());
    let access = Access::new(endpoint, [(variable, other.display().to_string())]);
    let place = object::open("gs://bucket/gs", &access).unwrap();
    let error = place.list("").unwrap_err();
    assert_eq!(
        error.to_string(),
        "gs://bucket/gs does not accept these credentials",
        "{error:?}"
    );
}

fn errors() {
    let scratch = Scratch::new();
    let service = Objects::s3(&scratch);
    let error = |place: &str, changed: &[(&str, &str)]| {
        let mut variables: std::collections::BTreeMap<_, _> = service.variables().collect();
        variables.extend(changed.iter().copied());
        let variables = variables
            .into_iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        let access = Access::new(Some(service.endpoint().to_owned()), variables);
        object::open(place, &access)
            .unwrap()
            .list("targets")
            .unwrap_err()
    };
    let missing = error("s3://elsewhere/prefix", &[]);
    assert_eq!(
        missing.to_string(),
        "s3://elsewhere/prefix has no such bucket"
    );
    for (name, value) in [
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_ACCESS_KEY_ID", "nobody"),
    ] {
        let wrong = error("s3://bucket", &[(name, value)]);
        assert_eq!(
            wrong.to_string(),
            "s3://bucket does not accept these credentials",
            "{wrong:?}"
        );
    }
    let region = error("s3://bucket", &[("AWS_REGION", "eu-west-9")]);
    assert_eq!(
        region.to_string(),
        "the bucket of s3://bucket lies in another region",
        "{region:?}"
    );
}

/// Every way to give an account's key or signature that the `az` program knows.
fn azure_logins() {
    let scratch = Scratch::new();
    begin(&scratch);
    let service = Objects::azure(&scratch);
    let endpoint = service.endpoint();
    let value = |name: &str| {
        let found = service.variables().find(|(variable, _)| *variable == name);
        found.unwrap().1.to_owned()
    };
    let account = value("AZURE_STORAGE_ACCOUNT_NAME");
    let key = value("AZURE_STORAGE_ACCOUNT_KEY");
    let of_account = |name: &'static str, value: &str| {
        vec![
            ("AZURE_STORAGE_ACCOUNT", account.clone()),
            ("AZURE_STORAGE_ENDPOINT", endpoint.to_owned()),
            (name, value.to_owned()),
        ]
    };
    let connection = |text: &str| {
        let text = format!("DefaultEndpointsProtocol=http;BlobEndpoint={endpoint};{text}");
        vec![("AZURE_STORAGE_CONNECTION_STRING", text)]
    };
    for (name, variables) in [
        ("key", of_account("AZURE_STORAGE_KEY", &key)),
        (
            "connection",
            connection(&format!("AccountName={account};AccountKey={key};")),
        ),
    ] {
        let command = updates(&scratch, ["publish", &service.url(name), "--path", "repo"]);
        let command = command.envs(variables.iter().map(|(n, v)| (*n, v.as_str())));
        command.ok().never_says(&key);
        command.ok().says(" 0 bytes sent");
    }
    let signed = scratch.python("azure_sas.py", [&account, &key]).ok();
    let signature = signed.text().trim().to_owned();
    let asked = format!("?{signature}");
    let strange = signature.replace("sig=", "sig=A");
    let token = "AZURE_STORAGE_SAS_TOKEN";
    let by_connection = connection(&format!("SharedAccessSignature={signature}"));
    signs(&service, "sas", of_account(token, &signature), true);
    signs(&service, "sas-asked", of_account(token, &asked), true);
    signs(&service, "sas-connection", by_connection, true);
    signs(&service, "sas-strange", of_account(token, &strange), false);
}

// azurite answers 500 to deletions that a signature authorizes: writing and reading it is.
fn signs(service: &Objects, name: &str, variables: Vec<(&str, String)>, is_right: bool) {
    let variables = variables.into_iter().map(|(n, v)| (n.to_owned(), v));
    let place = object::open(&service.url(name), &Access::new(None, variables)).unwrap();
    let put = place.put("object", b"one", JSON, &Condition::Absent);
    assert_eq!(put.is_ok(), is_right, "{name}");
    let got = put.and_then(|_| place.get("object", 9)).ok().flatten();
    let got = got.map(|(bytes, _)| bytes);
    assert_eq!(got, is_right.then(|| b"one".to_vec()), "{name}");
}
