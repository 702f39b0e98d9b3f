//! Signatures by an OpenPGP key (RFC 9580), as rpm reads them.
//!
//! Decides which key of a certificate signs, and refuses early what would only fail on the
//! hosts: an expired or revoked key, one that may not sign, one that rpm cannot read, a wrong
//! passphrase. The primary key signs when it may, as rpm before 4.14 knows no subkeys; else
//! the newest subkey that may. Packets and ciphers are the crate `pgp`'s (rPGP).

use std::fmt;
use std::io::Cursor;

use pgp::composed::{Deserializable, SignedSecretKey, SignedSecretSubKey};
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    PacketTrait, SecretKey, SecretSubkey, Signature, SignatureConfig, SignatureType, Subpacket,
    SubpacketData,
};
use pgp::types::{
    KeyDetails, KeyVersion, Password, S2kParams, SecretParams, StringToKey, Tag, Timestamp,
};

use crate::hint::Hint;

/// The variable that holds the key's passphrase.
pub const PASSPHRASE_VARIABLE: &str = "FLEET_RPM_SIGNING_PASSPHRASE";

/// A key cannot sign packages.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No OpenPGP private key was found.
    #[error("the rpm signing key is no OpenPGP private key")]
    Parse(#[source] Box<pgp::errors::Error>),
    /// The key's own signatures over its names are missing or wrong.
    #[error("the rpm signing key {key} does not vouch for itself: no name on it is signed by it")]
    Unbound {
        /// Fingerprint.
        key: String,
    },
    /// The key has an end, and it is over.
    #[error("the rpm signing key {key} expired at {at}")]
    Expired {
        /// Fingerprint.
        key: String,
        /// When.
        at: jiff::Timestamp,
    },
    /// Its owner took it back.
    #[error("the rpm signing key {key} is revoked")]
    Revoked {
        /// Fingerprint.
        key: String,
    },
    /// Neither the primary key nor a subkey can make signatures.
    #[error("the rpm signing key {key} cannot sign: {why}")]
    CannotSign {
        /// Fingerprint.
        key: String,
        /// What was found instead.
        why: String,
    },
    /// The key is encrypted and no passphrase was given.
    #[error("the rpm signing key {key} is encrypted and no passphrase is given")]
    Locked {
        /// Fingerprint.
        key: String,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open the rpm signing key {key}")]
    Passphrase {
        /// Fingerprint.
        key: String,
        /// What the decryption said.
        source: Box<pgp::errors::Error>,
    },
    /// Signing failed.
    #[error("cannot sign with the rpm signing key {key}")]
    Sign {
        /// Fingerprint.
        key: String,
        /// What the crate said.
        source: Box<pgp::errors::Error>,
    },
}

impl Hint for KeyError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Parse(_) => {
                "gpg --export-secret-keys --armor KEY > FILE, and --rpm-signing-key FILE".to_owned()
            }
            Self::Locked { .. } | Self::Passphrase { .. } => {
                format!("set {PASSPHRASE_VARIABLE} to the key's passphrase")
            }
            Self::Expired { key, .. } => format!("gpg --quick-set-expire {key} 2y"),
            _ => return None,
        })
    }
}

/// A signature packet, and which of rpm's tags it belongs to.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The packet with its head.
    pub packet: Vec<u8>,
    /// Made by an RSA key.
    pub rsa: bool,
}

/// A key that was found able to sign, and the passphrase that opens it.
pub struct SigningKey {
    key: Part,
    passphrase: Password,
    /// The earliest time at which the key and its binding exist.
    since: u32,
    until: Option<u32>,
}

enum Part {
    Primary(SecretKey),
    Subkey(SecretSubkey),
}

impl Part {
    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => key,
            Self::Subkey(key) => key,
        }
    }

    fn secret(&self) -> &SecretParams {
        match self {
            Self::Primary(key) => key.secret_params(),
            Self::Subkey(key) => key.secret_params(),
        }
    }

    fn unlock(&self, passphrase: &Password) -> pgp::errors::Result<()> {
        match self {
            Self::Primary(key) => key.unlock(passphrase, |_, _| Ok(()))?,
            Self::Subkey(key) => key.unlock(passphrase, |_, _| Ok(()))?,
        }
    }

    fn sign(
        &self,
        config: SignatureConfig,
        passphrase: &Password,
        data: &[u8],
    ) -> pgp::errors::Result<Signature> {
        match self {
            Self::Primary(key) => config.sign(key, passphrase, data),
            Self::Subkey(key) => config.sign(key, passphrase, data),
        }
    }

    /// GnuPG's stand-in for a private key that is elsewhere (offline, on a card).
    fn is_stub(&self) -> bool {
        let SecretParams::Encrypted(encrypted) = self.secret() else {
            return false;
        };
        let s2k = match encrypted.string_to_key_params() {
            S2kParams::Cfb { s2k, .. }
            | S2kParams::MalleableCfb { s2k, .. }
            | S2kParams::Aead { s2k, .. } => s2k,
            _ => return false,
        };
        matches!(s2k, StringToKey::Private { .. })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", fingerprint(self.key.details()))
    }
}

impl SigningKey {
    /// Reads a private key, armored or binary, and checks that it can sign at `now` (seconds
    /// since 1970). The passphrase is tried at once.
    pub fn open(bytes: &[u8], passphrase: Option<&str>, now: u64) -> Result<Self, KeyError> {
        let (certificate, _) = SignedSecretKey::from_reader_single(Cursor::new(bytes))
            .map_err(|e| KeyError::Parse(Box::new(e)))?;
        let now = u32::try_from(now).unwrap_or(u32::MAX);
        let (key, since, until) = choose(&certificate, now)?;
        let key_name = fingerprint(key.details());
        if passphrase.is_none() && key.secret().is_encrypted() {
            return Err(KeyError::Locked { key: key_name });
        }
        let passphrase = Password::from(passphrase.unwrap_or_default());
        key.unlock(&passphrase).map_err(|e| KeyError::Passphrase {
            key: key_name,
            source: Box::new(e),
        })?;
        Ok(Self {
            key,
            passphrase,
            since,
            until,
        })
    }

    /// Signs `data`. The signature's time is `epoch`, or the key's own time when that is
    /// later: a signature older than its key is refused by rpm.
    pub fn sign(&self, data: &[u8], epoch: u32) -> Result<Signed, KeyError> {
        let time = epoch.max(self.since);
        let details = self.key.details();
        if let Some(until) = self.until.filter(|until| *until <= time) {
            return Err(expired(details, until));
        }
        self.packet(data, time).map_err(|e| KeyError::Sign {
            key: fingerprint(details),
            source: Box::new(e),
        })
    }

    fn packet(&self, data: &[u8], time: u32) -> pgp::errors::Result<Signed> {
        let details = self.key.details();
        let hash = match &self.key {
            Part::Primary(key) => pgp::types::SigningKey::hash_alg(key),
            Part::Subkey(key) => pgp::types::SigningKey::hash_alg(key),
        };
        let mut config = SignatureConfig::v4(SignatureType::Binary, details.algorithm(), hash);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
                time,
            )))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(details.fingerprint()))?,
        ];
        // rpm 4.11 finds the key by the issuer's id alone.
        config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(
            details.legacy_key_id(),
        ))?];
        let signature = self.key.sign(config, &self.passphrase, data)?;
        let mut packet = Vec::new();
        signature.to_writer_with_header(&mut packet)?;
        Ok(Signed {
            packet,
            rsa: matches!(
                details.algorithm(),
                PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign
            ),
        })
    }
}

/// Picks the key that signs; with it the time since when it exists, and until when.
fn choose(certificate: &SignedSecretKey, now: u32) -> Result<(Part, u32, Option<u32>), KeyError> {
    let primary = &certificate.primary_key;
    let name = fingerprint(primary);
    let own = self_signatures(certificate);
    let Some(newest) = newest(&own) else {
        return Err(KeyError::Unbound { key: name });
    };
    let revoked = |signature: &Signature| signature.verify_key(primary.public_key()).is_ok();
    if certificate
        .details
        .revocation_signatures
        .iter()
        .any(revoked)
    {
        return Err(KeyError::Revoked { key: name });
    }
    let end = expiry(primary, newest);
    if let Some(at) = end.filter(|at| *at <= now) {
        return Err(expired(primary, at));
    }
    let part = Part::Primary(primary.clone());
    let mut refused = vec![];
    match unfit(&part, newest, now) {
        None => return Ok((part, since(primary, newest), end)),
        Some(why) => refused.push(format!("the primary key {why}")),
    }
    let mut subkeys: Vec<&SignedSecretSubKey> = certificate.secret_subkeys.iter().collect();
    subkeys.sort_by_key(|subkey| std::cmp::Reverse(subkey.key.created_at().as_secs()));
    for subkey in subkeys {
        let part = Part::Subkey(subkey.key.clone());
        match binding(subkey, primary).and_then(|binding| match unfit(&part, binding, now) {
            None => Ok(binding),
            Some(why) => Err(why),
        }) {
            Ok(binding) => {
                let ends = [end, expiry(&subkey.key, binding)];
                let until = ends.into_iter().flatten().min();
                return Ok((part, since(&subkey.key, binding), until));
            }
            Err(why) => refused.push(format!("subkey {} {why}", subkey.key.legacy_key_id())),
        }
    }
    Err(KeyError::CannotSign {
        key: name,
        why: refused.join("; "),
    })
}

/// The signatures by which the primary key vouches for its names and itself.
fn self_signatures(certificate: &SignedSecretKey) -> Vec<&Signature> {
    let key = certificate.primary_key.public_key();
    let users = certificate.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|signature| {
            signature.typ() != Some(SignatureType::CertRevocation)
                && signature
                    .verify_certification(key, Tag::UserId, &user.id)
                    .is_ok()
        })
    });
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.verify_key(key).is_ok());
    users.chain(direct).collect()
}

/// The newest valid binding of a subkey, or why there is none.
fn binding<'a>(
    subkey: &'a SignedSecretSubKey,
    primary: &SecretKey,
) -> Result<&'a Signature, String> {
    let valid: Vec<&Signature> = subkey
        .signatures
        .iter()
        .filter(|signature| {
            signature
                .verify_subkey_binding(primary.public_key(), subkey.key.public_key())
                .is_ok()
        })
        .collect();
    let revoked = |s: &&Signature| s.typ() == Some(SignatureType::SubkeyRevocation);
    match newest(&valid) {
        Some(_) if valid.iter().any(revoked) => Err("is revoked".to_owned()),
        Some(binding) => Ok(binding),
        None => Err("is not bound to the primary key".to_owned()),
    }
}

fn newest<'a>(signatures: &[&'a Signature]) -> Option<&'a Signature> {
    signatures
        .iter()
        .max_by_key(|signature| signature.created().map(Timestamp::as_secs))
        .copied()
}

/// Why a key that is bound by `binding` does not sign at `now`; `None` when it can.
fn unfit(part: &Part, binding: &Signature, now: u32) -> Option<String> {
    let key = part.details();
    let flags = binding.config().is_some_and(|config| {
        config
            .hashed_subpackets()
            .any(|packet| matches!(packet.data, SubpacketData::KeyFlags(_)))
    });
    if flags && !binding.key_flags().sign() {
        return Some("is not meant for signing".to_owned());
    }
    if part.is_stub() {
        return Some("is a stub without its private part".to_owned());
    }
    if let Some(at) = expiry(key, binding).filter(|at| *at <= now) {
        return Some(format!("expired at {}", time(at)));
    }
    if key.version() != KeyVersion::V4 {
        return Some("is not of version 4, the only one that rpm 4 reads".to_owned());
    }
    match key.algorithm() {
        PublicKeyAlgorithm::RSA
        | PublicKeyAlgorithm::RSASign
        | PublicKeyAlgorithm::ECDSA
        | PublicKeyAlgorithm::EdDSALegacy
        | PublicKeyAlgorithm::Ed25519 => None,
        other => Some(format!(
            "is of the kind {other:?}, which does not sign rpms"
        )),
    }
}

fn since(key: &dyn KeyDetails, binding: &Signature) -> u32 {
    let bound = binding.created().map_or(0, Timestamp::as_secs);
    key.created_at().as_secs().max(bound)
}

fn expiry(key: &dyn KeyDetails, binding: &Signature) -> Option<u32> {
    let seconds = binding.key_expiration_time()?.as_secs();
    (seconds > 0).then(|| key.created_at().as_secs().saturating_add(seconds))
}

fn expired(key: &dyn KeyDetails, at: u32) -> KeyError {
    KeyError::Expired {
        key: fingerprint(key),
        at: time(at),
    }
}

fn time(seconds: u32) -> jiff::Timestamp {
    jiff::Timestamp::from_second(i64::from(seconds)).unwrap_or(jiff::Timestamp::MAX)
}

fn fingerprint(key: &dyn KeyDetails) -> String {
    hex::encode_upper(key.fingerprint().as_bytes())
}
