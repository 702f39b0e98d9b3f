//! Public keys and the verification of signatures (TUF 4.2).
//!
//! Known are ed25519, ECDSA on P-256 (keytypes `ecdsa-sha2-nistp256` and, to read only,
//! `ecdsa`) and `rsassa-pss-sha256`. A key of another type or a malformed one is kept as it
//! is, for it is signed, and verifies nothing. The key's object survives a round trip.

use aws_lc_rs::{digest, signature};
use base64::Engine as _;
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::pss;
use rsa::sha2::Sha256;
use rsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use super::json;

/// A public key as metadata list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    object: Map<String, Value>,
    public: Public,
}

// Head of the SubjectPublicKeyInfo of an uncompressed point on P-256 (RFC 5480 §2), to its 4.
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 0x42, 0, 4,
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    /// 32 bytes, RFC 8032.
    Ed25519(Vec<u8>),
    /// The point, uncompressed; other forms as they are.
    EcdsaP256(Vec<u8>),
    /// SubjectPublicKeyInfo in DER.
    RsaPss(Vec<u8>),
    /// Another type, or not to be read.
    Unusable,
}

impl Key {
    /// An ed25519 key in the object that go-tuf writes.
    pub fn ed25519(public: &[u8; 32]) -> Self {
        let mut keyval = Map::new();
        keyval.insert("public".into(), hex::encode(public).into());
        let mut object = Map::new();
        object.insert("keytype".into(), "ed25519".into());
        object.insert("scheme".into(), "ed25519".into());
        object.insert(
            "keyid_hash_algorithms".into(),
            vec!["sha256", "sha512"].into(),
        );
        object.insert("keyval".into(), keyval.into());
        Self {
            object,
            public: Public::Ed25519(public.to_vec()),
        }
    }

    /// An ECDSA key on P-256 in the object that go-tuf writes; `info` is its
    /// SubjectPublicKeyInfo in DER.
    pub fn ecdsa_p256(info: &[u8]) -> Self {
        Self {
            object: pem_object("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", info),
            public: Public::EcdsaP256(p256_point(info.to_vec())),
        }
    }

    /// An RSA key, as [`Key::ecdsa_p256`].
    pub fn rsa_pss(info: &[u8]) -> Self {
        Self {
            object: pem_object("rsa", "rsassa-pss-sha256", info),
            public: Public::RsaPss(info.to_vec()),
        }
    }

    /// Reads a public key as people carry it: the object of TUF metadata, or PEM
    /// (`PUBLIC KEY`, RFC 7468). The sentence says what is wrong.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let key = match json::parse(text.as_bytes()) {
            Ok(Value::Object(object)) => Self::from_object(object)?,
            _ => {
                let info = pem(text).ok_or("it is neither a TUF key nor a public key in PEM")?;
                Self::from_info(&info)?
            }
        };
        key.check_writable()?;
        Ok(key)
    }

    // By the algorithm at the head of the SubjectPublicKeyInfo (RFC 8410, 5480, 3279).
    fn from_info(info: &[u8]) -> Result<Self, String> {
        const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        if let Some(public) = info.strip_prefix(ED25519) {
            let public = public
                .try_into()
                .map_err(|_| "its ed25519 key is not 32 bytes long")?;
            return Ok(Self::ed25519(public));
        }
        if info.starts_with(P256) && info.len() == P256.len() + 64 {
            return Ok(Self::ecdsa_p256(info));
        }
        match info
            .get(..32)
            .is_some_and(|head| head.windows(RSA.len()).any(|w| w == RSA))
        {
            true => Ok(Self::rsa_pss(info)),
            false => Err("it is neither an ed25519, nor an ECDSA P-256, nor an RSA key".to_owned()),
        }
    }

    /// Whether agents can use the key in a root that we write (go-tuf 0.5.2 refuses a whole
    /// root for one key that it does not know). The sentence says why not.
    pub fn check_writable(&self) -> Result<(), String> {
        let text = |field| self.object.get(field).and_then(Value::as_str);
        let (keytype, scheme) = (self.keytype(), text("scheme").unwrap_or_default());
        match (keytype, scheme) {
            ("ed25519", "ed25519")
            | ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256")
            | ("rsa", "rsassa-pss-sha256") => {}
            _ => {
                return Err(format!(
                    "agents refuse a root with a key of type {keytype} and scheme {scheme}"
                ));
            }
        }
        // A root with it could not be signed.
        json::canonical(&Value::Object(self.object.clone())).map_err(|error| error.to_string())?;
        // The old form of an ECDSA key, a bare point in hex, is read and never written.
        let in_pem = keytype == "ed25519"
            || self
                .object
                .get("keyval")
                .and_then(|keyval| keyval.get("public"))
                .and_then(Value::as_str)
                .is_some_and(|text| text.contains("-----BEGIN PUBLIC KEY-----"));
        match self.usable() && in_pem && self.readable() {
            true => Ok(()),
            false => Err(format!("its {keytype} key cannot be read")),
        }
    }

    // Whether the bytes are a public key at all.
    fn readable(&self) -> bool {
        let (algorithm, bytes): (&dyn signature::VerificationAlgorithm, _) = match &self.public {
            Public::Ed25519(bytes) => (&signature::ED25519, bytes),
            Public::EcdsaP256(bytes) => (&signature::ECDSA_P256_SHA256_ASN1, bytes),
            Public::RsaPss(bytes) => (&signature::RSA_PSS_2048_8192_SHA256, bytes),
            Public::Unusable => return false,
        };
        signature::ParsedPublicKey::new(algorithm, bytes).is_ok()
    }

    /// Reads a key's object; an error when it has no `keytype`, `scheme` and `keyval`.
    pub fn from_object(object: Map<String, Value>) -> Result<Self, String> {
        let text = |field: &str| match object.get(field) {
            Some(Value::String(text)) => Ok(text.as_str()),
            _ => Err(format!("a key has no {field}")),
        };
        let keyval = match object.get("keyval") {
            Some(Value::Object(keyval)) => keyval,
            _ => return Err("a key has no keyval".to_owned()),
        };
        let value = keyval.get("public").and_then(Value::as_str);
        let public = match (text("keytype")?, text("scheme")?, value) {
            ("ed25519", "ed25519", Some(value)) => ed25519_public(value),
            ("ecdsa-sha2-nistp256" | "ecdsa", "ecdsa-sha2-nistp256", Some(value)) => {
                ecdsa_public(value)
            }
            ("rsa", "rsassa-pss-sha256", Some(value)) => pem(value).map(Public::RsaPss),
            _ => None,
        };
        Ok(Self {
            public: public.unwrap_or(Public::Unusable),
            object,
        })
    }

    /// The key id by the specification's rule: sha256 of the canonical form of the four
    /// fields that go-tuf knows.
    pub fn id(&self) -> String {
        // go-tuf 0.5.2: recomputes ids over these fields alone.
        let known: Map<String, Value> = self
            .object
            .iter()
            .filter(|(field, _)| {
                matches!(
                    field.as_str(),
                    "keytype" | "scheme" | "keyid_hash_algorithms" | "keyval"
                )
            })
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        // A key with fractions in it has no canonical form; its text then stands in.
        let bytes = json::canonical(&Value::Object(known))
            .unwrap_or_else(|_| format!("{:?}", self.object).into_bytes());
        hex::encode(digest::digest(&digest::SHA256, &bytes))
    }

    /// The type, for people: `ed25519`, `ecdsa-sha2-nistp256`, `rsa`, …
    pub fn keytype(&self) -> &str {
        self.object
            .get("keytype")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whether signatures by it can be verified at all.
    pub fn usable(&self) -> bool {
        self.public != Public::Unusable
    }

    /// Whether this is the same key, whatever its object looks like.
    pub fn same_as(&self, other: &Key) -> bool {
        match self.public {
            Public::Unusable => self.object == other.object,
            _ => self.public == other.public,
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, bytes): (&dyn signature::VerificationAlgorithm, _) = match &self.public {
            Public::Ed25519(bytes) => (&signature::ED25519, bytes),
            Public::EcdsaP256(bytes) => (&signature::ECDSA_P256_SHA256_ASN1, bytes),
            Public::RsaPss(bytes) => (&signature::RSA_PSS_2048_8192_SHA256, bytes),
            Public::Unusable => return false,
        };
        let key = signature::UnparsedPublicKey::new(algorithm, bytes);
        match (key.verify(message, signature), &self.public) {
            (Ok(()), _) => true,
            (Err(_), Public::RsaPss(info)) => verify_with_longest_salt(info, message, signature),
            (Err(_), _) => false,
        }
    }
}

// RFC 8017 §9.1 leaves the salt's length open. aws-lc takes one as long as the hash alone;
// go-tuf 0.5.2 and older securesystemslib sign with the longest that fits.
fn verify_with_longest_salt(info: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = RsaPublicKey::from_public_key_der(info) else {
        return false;
    };
    let length = key.n().bits().saturating_sub(1).div_ceil(8);
    let Some(salt) = length.checked_sub(32 + 2) else {
        return false;
    };
    let Ok(signature) = pss::Signature::try_from(signature) else {
        return false;
    };
    pss::VerifyingKey::<Sha256>::new_with_salt_len(key, salt)
        .verify(message, &signature)
        .is_ok()
}

fn pem_object(keytype: &str, scheme: &str, info: &[u8]) -> Map<String, Value> {
    let body = base64::engine::general_purpose::STANDARD.encode(info);
    let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: Vec<_> = lines.collect();
    let text = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    let mut keyval = Map::new();
    keyval.insert("public".into(), text.into());
    let mut object = Map::new();
    object.insert("keytype".into(), keytype.into());
    object.insert("scheme".into(), scheme.into());
    object.insert(
        "keyid_hash_algorithms".into(),
        vec!["sha256", "sha512"].into(),
    );
    object.insert("keyval".into(), keyval.into());
    object
}

fn ed25519_public(value: &str) -> Option<Public> {
    let bytes = hex::decode(value).ok()?;
    (bytes.len() == 32).then_some(Public::Ed25519(bytes))
}

// go-tuf 0.5.2: old keys hold the uncompressed point in hex in place of PEM.
fn ecdsa_public(value: &str) -> Option<Public> {
    let bytes = pem(value).or_else(|| hex::decode(value).ok())?;
    Some(Public::EcdsaP256(p256_point(bytes)))
}

// One key is one value, however it is spelled, so that it counts once for a threshold.
fn p256_point(bytes: Vec<u8>) -> Vec<u8> {
    match bytes.strip_prefix(P256) {
        Some(point) if point.len() == 64 => [&[4], point].concat(),
        _ => bytes,
    }
}

// RFC 7468, one block `PUBLIC KEY`.
fn pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_object(Map::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    fn key(value: Value) -> Result<Key, String> {
        match value {
            Value::Object(object) => Key::from_object(object),
            _ => Err("no object".into()),
        }
    }

    fn as_pem(spki: &[u8]) -> String {
        let body = base64::engine::general_purpose::STANDARD.encode(spki);
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }

    #[test]
    fn what_cannot_be_signed_is_no_key_to_add() {
        let public = "f6b40b8cf52dec3d785221fbc4198f5b9ea7ff117da4563f4b61bdc2861992a0";
        let text = |more: &str| {
            format!(
                r#"{{"keytype":"ed25519","scheme":"ed25519","keyval":{{"public":"{public}"}}{more}}}"#
            )
        };
        for (more, expected) in [
            ("", None),
            (r#","serial":7"#, None),
            (
                r#","serial":1.5"#,
                Some("the number 1.5 has no canonical form"),
            ),
            // Beyond 64 bits a number would be read as another one each time it is written.
            (
                r#","kees":[888888888800000000000000000000088888888]"#,
                Some("the number 8.88"),
            ),
            (r#","scheme":"ed25519""#, Some("it is neither a TUF key")),
        ] {
            let error = Key::from_text(&text(more)).err();
            let same = match (&error, expected) {
                (Some(error), Some(expected)) => error.starts_with(expected),
                (error, expected) => error.is_none() && expected.is_none(),
            };
            assert!(same, "{more}: {error:?}");
        }
    }

    #[test]
    fn id_of_a_go_tuf_key() {
        let public = "f6b40b8cf52dec3d785221fbc4198f5b9ea7ff117da4563f4b61bdc2861992a0";
        let bytes: [u8; 32] = hex::decode(public).unwrap().try_into().unwrap();
        let expected = "0584f2a3e4253abb1782dd85efe0337038e7013b0f6e4e384a45459e64777a1f";
        assert_eq!(Key::ed25519(&bytes).id(), expected);
    }

    #[test]
    fn ecdsa_in_all_spellings() {
        use aws_lc_rs::encoding::AsDer as _;
        let random = SystemRandom::new();
        let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let signed = pair.sign(&random, b"message").unwrap();
        let cases = [
            ("pem", "ecdsa-sha2-nistp256", as_pem(spki.as_ref()), true),
            ("old keytype", "ecdsa", as_pem(spki.as_ref()), true),
            (
                "old hex",
                "ecdsa",
                hex::encode(pair.public_key().as_ref()),
                true,
            ),
            ("no key", "ecdsa", "nonsense".to_owned(), false),
            (
                "other type",
                "ecdsa-sha2-nistp384",
                as_pem(spki.as_ref()),
                false,
            ),
        ];
        for (name, keytype, public, accepted) in cases {
            let key = key(json!({"keytype": keytype, "scheme": "ecdsa-sha2-nistp256",
                "keyval": {"public": public}}))
            .unwrap();
            assert_eq!(key.verify(b"message", signed.as_ref()), accepted, "{name}");
            assert!(!key.verify(b"massage", signed.as_ref()), "{name}");
        }
    }

    #[test]
    fn rsa_pss() {
        use aws_lc_rs::encoding::AsDer as _;
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let mut signed = vec![0; pair.public_modulus_len()];
        pair.sign(
            &signature::RSA_PSS_SHA256,
            &SystemRandom::new(),
            b"message",
            &mut signed,
        )
        .unwrap();
        let key = key(json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256",
            "keyval": {"public": as_pem(spki.as_ref())}}))
        .unwrap();
        assert!(key.verify(b"message", &signed));
        assert!(!key.verify(b"massage", &signed));
    }

    // By `openssl dgst -sha256 -sign KEY -sigopt rsa_padding_mode:pss
    // -sigopt rsa_pss_saltlen:max`, which is how go-tuf 0.5.2 signs.
    #[test]
    fn rsa_pss_with_the_longest_salt() {
        let spki = "\
            30820122300d06092a864886f70d01010105000382010f003082010a0282010100e5ef26005e57ed\
            2890bee4d196f200edbc6d6dcc7565b2a88d43e0d48d85b21485bb30b8357f88ebcc732a822dec63\
            16c946d6ddd8919e0e30a47e5565e6fc83b6728955e1baeb7ce23a5eca1cd16c691735d18004f52a\
            98b81258237b7402a8b8a78459f39a326f7544bb8d98fe57362f54c751007889c9a9d2e423cdf7d1\
            a8cc1a345a4189a69cb6488bc995a747108f08bce718e75c64ddcb9ee5ba1e4c6de455e77e19dc19\
            0a58195e3941c1558842967e995ec7cc4761a2c9e05bbd57b53a6d2a1b665b80c9e88ccdacd499a3\
            baf69deb4f4888f2fed5bea1ca1c8bb7431c14ed2759a01ec9e4994f7f953a6357212b3e0bdb8d87\
            c15cbe272d71cabe3d0203010001";
        let signed = "\
            a34d140627fa5de77a9f65e4c13987d31dd3d7d95a187a9bc2ebfd188df26ba6abf782b72f622b8b\
            11f0b78763b8f41fadcdd7b4e5f90aac08f85f22db4661bcb7edeadf6e4b150477ac215a8acd0f23\
            7c70e7618b4d2174b0dfcdcede0208a0daafa73d06d92389beea9f5ff208772f24ea62839a9445a3\
            6bbf8e5dbe423afeaf3b1e144d69359e7e368119489b7719670280c8978a1b108e6b054fade5b115\
            ff73bd3f3d563c48768eb75ffad19698b53cc96f85bac4be369a31b371794b7908393916e4e38f79\
            6acb953de137643c7908d0ced8ced9a2df6d56e7ceaed87d9c1326eeb0df4267e9bc88c8119196b2\
            80b384ee153494af716ba6098e075e85";
        let spki = hex::decode(spki).unwrap();
        let signed = hex::decode(signed).unwrap();
        let mut altered = signed.clone();
        altered[200] ^= 1;
        let key = Key::rsa_pss(&spki);
        assert!(key.verify(b"message", &signed));
        for (name, message, signature) in [
            ("another message", "massage", &signed[..]),
            ("altered", "message", &altered),
            ("cut short", "message", &signed[..255]),
            ("empty", "message", &[]),
            ("all bits", "message", &[0xff; 256]),
        ] {
            assert!(!key.verify(message.as_bytes(), signature), "{name}");
        }
        let unreadable = Key::rsa_pss(&spki[..100]);
        assert!(!unreadable.verify(b"message", &signed));
    }

    #[test]
    fn one_key_in_two_spellings_is_one() {
        use aws_lc_rs::encoding::AsDer as _;
        let document = EcdsaKeyPair::generate_pkcs8(
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &SystemRandom::new(),
        );
        let pair = EcdsaKeyPair::from_pkcs8(
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            document.unwrap().as_ref(),
        )
        .unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let point = hex::encode(pair.public_key().as_ref());
        let spelled = |keytype, public: String| {
            key(json!({"keytype": keytype, "scheme": "ecdsa-sha2-nistp256",
                "keyval": {"public": public}}))
            .unwrap()
        };
        let written = Key::ecdsa_p256(spki.as_ref());
        for (name, other) in [
            ("old keytype", spelled("ecdsa", as_pem(spki.as_ref()))),
            ("point", spelled("ecdsa-sha2-nistp256", point.clone())),
            ("upper case", spelled("ecdsa", point.to_uppercase())),
        ] {
            assert!(written.same_as(&other), "{name}");
            assert!(written != other, "{name}: its object is kept");
        }
    }

    #[test]
    fn unknown_keys_survive_and_verify_nothing() {
        let object = json!({"keytype": "sigstore-oidc", "scheme": "Fulcio",
            "keyval": {"identity": "a", "issuer": "b"}, "x-note": 1});
        let key = key(object.clone()).unwrap();
        assert!(!key.usable() && !key.verify(b"", b""));
        assert_eq!(serde_json::to_value(&key).unwrap(), object);
    }

    #[test]
    fn no_key_at_all() {
        for object in [
            json!({}),
            json!({"keytype": "ed25519", "scheme": "ed25519"}),
            json!({"keytype": 1, "scheme": "x", "keyval": {}}),
        ] {
            assert!(key(object).is_err());
        }
    }
}
