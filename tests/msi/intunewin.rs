//! `--intunewin`: unpacked by Python and 7-Zip, authenticated and decrypted by OpenSSL.

use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;
use serde_json::Value;

use super::command::{fleetpack, repository};
use crate::harness::{Scratch, trial, trial_needing};

pub fn trials() -> Vec<Trial> {
    let tools = &["openssl", "python3", "7z", "xmllint", "msiinfo"];
    vec![
        trial_needing("msi_intunewin_is_decrypted_by_others", tools, whole),
        trial("msi_intunewin_is_for_msi_alone", others),
    ]
}

const PACKAGE: &str = "--no-state --fleet-desktop --update-url repo/repository \
     --update-roots @repo/repository/root.json --agent-update-url https://updates.example.com \
     --fleet-url https://fleet.example.com --enroll-secret made-up-secret";

/// Text of an element.
fn element(scratch: &Scratch, name: &str) -> String {
    let question = format!("string(//{name})");
    let file = "out/IntuneWinPackage/Metadata/Detection.xml";
    let said = scratch.tool("xmllint", ["--xpath", &question, file]).ok();
    said.text().trim_end_matches('\n').to_owned()
}

fn hexed(scratch: &Scratch, name: &str, len: usize) -> String {
    let bytes = STANDARD.decode(element(scratch, name)).unwrap();
    assert_eq!(bytes.len(), len, "{name}");
    hex::encode(bytes)
}

fn whole() {
    let scratch = Scratch::new();
    repository(&scratch);
    let words = format!("package --type msi --arch amd64 --arch arm64 --intunewin {PACKAGE}");
    let ran = fleetpack(&scratch, &words).ok();
    for (msi, stem) in [
        ("fleet-osquery.msi", "fleet-osquery"),
        ("fleet-osquery-arm64.msi", "fleet-osquery-arm64"),
    ] {
        ran.prints(&format!("{stem}.intunewin"))
            .prints(&format!("{stem}.intune.json"));
        let wrapped = format!("{stem}.intunewin");
        let mode = std::fs::metadata(scratch.join(&wrapped)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        unwrapped(&scratch, &wrapped, msi);
        described(&scratch, &format!("{stem}.intune.json"), msi);
        std::fs::remove_dir_all(scratch.join("out")).unwrap();
    }
    // Another run has other keys and the same package.
    let before = (
        scratch.read("fleet-osquery.msi"),
        scratch.read("fleet-osquery.intunewin"),
    );
    fleetpack(&scratch, &words).ok();
    assert!(before.0 == scratch.read("fleet-osquery.msi"));
    assert!(before.1 != scratch.read("fleet-osquery.intunewin"));
}

fn unwrapped(scratch: &Scratch, wrapped: &str, msi: &str) {
    scratch
        .tool("7z", ["t", "-tzip", wrapped])
        .ok()
        .prints("Everything is Ok");
    scratch
        .tool("python3", ["-m", "zipfile", "-e", wrapped, "out"])
        .ok();
    let sealed = scratch.read("out/IntuneWinPackage/Contents/IntunePackage.intunewin");
    let (mac, rest) = sealed.split_at(32);
    let (vector, ciphertext) = rest.split_at(16);
    assert_eq!(hex::encode(mac), hexed(scratch, "Mac", 32));
    assert_eq!(
        hex::encode(vector),
        hexed(scratch, "InitializationVector", 16)
    );
    scratch.write("authenticated", rest);
    scratch.write("ciphertext", ciphertext);
    let key = format!("hexkey:{}", hexed(scratch, "MacKey", 32));
    let args = [
        "dgst",
        "-sha256",
        "-mac",
        "HMAC",
        "-macopt",
        &key,
        "-r",
        "authenticated",
    ];
    scratch.tool("openssl", args).ok().prints(&hex::encode(mac));
    let (key, vector) = (hexed(scratch, "EncryptionKey", 32), hex::encode(vector));
    let args = [
        "enc",
        "-d",
        "-aes-256-cbc",
        "-K",
        &key,
        "-iv",
        &vector,
        "-in",
        "ciphertext",
        "-out",
        "inner.zip",
    ];
    scratch.tool("openssl", args).ok();
    let inner = scratch.read("inner.zip");
    assert_eq!(
        element(scratch, "UnencryptedContentSize"),
        inner.len().to_string()
    );
    let digest = hex::encode(fleetpack::compress::sha256(&inner));
    assert_eq!(digest, hexed(scratch, "FileDigest", 32));
    scratch
        .tool("python3", ["-m", "zipfile", "-e", "inner.zip", "inner"])
        .ok();
    let found: Vec<_> = std::fs::read_dir(scratch.join("inner")).unwrap().collect();
    assert_eq!(found.len(), 1);
    assert!(scratch.read(&format!("inner/{msi}")) == scratch.read(msi));
    std::fs::remove_dir_all(scratch.join("inner")).unwrap();
    metadata(scratch, msi);
}

fn metadata(scratch: &Scratch, msi: &str) {
    for (name, value) in [
        ("Name", msi),
        ("SetupFile", msi),
        ("FileName", "IntunePackage.intunewin"),
        ("ProfileIdentifier", "ProfileVersion1"),
        ("FileDigestAlgorithm", "SHA256"),
        ("MsiProductVersion", "1.2.3"),
        ("MsiUpgradeCode", "{B681CB20-107E-428A-9B14-2D3C1AFED244}"),
        ("MsiExecutionContext", "System"),
        ("MsiIncludesServices", "true"),
    ] {
        assert_eq!(element(scratch, name), value, "{name}");
    }
    let summary = scratch.tool("msiinfo", ["suminfo", msi]).ok();
    summary.prints(&element(scratch, "MsiPackageCode"));
    let properties = scratch.tool("msiinfo", ["export", msi, "Property"]).ok();
    properties.prints(&format!(
        "ProductCode\t{}",
        element(scratch, "MsiProductCode")
    ));
}

fn described(scratch: &Scratch, file: &str, msi: &str) {
    let app: Value = serde_json::from_slice(&scratch.read(file)).unwrap();
    let code = element(scratch, "MsiProductCode");
    assert_eq!(app["@odata.type"], "#microsoft.graph.win32LobApp");
    assert_eq!(
        app["installCommandLine"],
        format!("msiexec /i \"{msi}\" /qn /norestart")
    );
    assert_eq!(
        app["uninstallCommandLine"],
        format!("msiexec /x \"{code}\" /qn /norestart")
    );
    assert_eq!(app["rules"][0]["productCode"], code);
    assert_eq!(app["msiInformation"]["productCode"], code);
    // v1.0 of Microsoft Graph refuses properties that it does not know.
    let (architectures, of_beta) = match msi.contains("arm64") {
        true => ("none", [Some("1.2.3"), Some("arm64")]),
        false => ("x64", [None, None]),
    };
    assert_eq!(app["applicableArchitectures"], architectures);
    for (name, value) in ["displayVersion", "allowedArchitectures"]
        .iter()
        .zip(of_beta)
    {
        assert_eq!(app.get(name).and_then(Value::as_str), value, "{name}");
    }
    let codes = app["returnCodes"].as_array().unwrap();
    let codes: Vec<_> = codes.iter().map(|code| &code["returnCode"]).collect();
    assert_eq!(codes, [0, 1707, 1641, 3010, 1618]);
    let text = app.to_string();
    assert!(!text.contains("made-up"), "{text}");
}

fn others() {
    let scratch = Scratch::new();
    let words = "package --type deb --intunewin --no-state --update-url repo \
                 --update-roots {} --agent-update-url https://updates.example.com";
    fleetpack(&scratch, words)
        .fails(2)
        .says("error: --intunewin does not go with --type deb");
}
