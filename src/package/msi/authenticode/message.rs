//! The CMS message of an Authenticode signature.
//!
//! The content is SpcIndirectDataContent: what kind of file it is, and its digest. As in
//! PKCS #7, from which Authenticode took it, the content stands in the message as it is and
//! not in an OCTET STRING, and what is digested is its value without tag and length.
//!
//! ```text
//! SpcIndirectDataContent: { { SPC_SIPINFO, { 1, package's class id, 0, 0, 0, 0, 0 } }, { { sha256, NULL }, digest } }
//! signed attributes: content type, message digest, SpcStatementType, SpcSpOpusInfo (name, link)
//! unsigned attribute: RFC 3161 time stamp token over the signature
//! ```

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Null, ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode, Encode, Sequence, Tag};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;

use super::signer::{Algorithm, Signer, named};
use super::{Authority, SignError, timestamp};
use crate::compress::sha256;
use crate::install::Identity;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// RFC 5652 11.1, 11.2, 5.1; RFC 5754; RFC 8017; RFC 5758.
const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
pub const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
/// Authenticode's own.
const SPC_INDIRECT_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.4");
const SPC_STATEMENT_TYPE: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.11");
const SPC_SP_OPUS_INFO: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.12");
const SPC_INDIVIDUAL: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.21");
const SPC_SIPINFO: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.30");
const TIMESTAMP_TOKEN: ObjectIdentifier = oid("1.3.6.1.4.1.311.3.3.1");

/// The class id of the interface that knows packages:
/// {000C10F1-0000-0000-C000-000000000046}.
const PACKAGES: [u8; 16] = [
    0xf1, 0x10, 0x0c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46,
];

#[derive(Sequence)]
struct IndirectData {
    data: TypedSipInfo,
    digest: DigestInfo,
}

#[derive(Sequence)]
struct TypedSipInfo {
    kind: ObjectIdentifier,
    value: SipInfo,
}

#[derive(Sequence)]
struct SipInfo {
    version: u8,
    interface: OctetString,
    reserved1: u8,
    reserved2: u8,
    reserved3: u8,
    reserved4: u8,
    reserved5: u8,
}

#[derive(Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// The message over a package's digest, in DER.
pub fn signed(
    digest: &[u8; 32],
    signer: &Signer,
    about: &Identity,
    authority: Option<&Authority>,
) -> Result<Vec<u8>, SignError> {
    let content = indirect_data(digest)?;
    let attributes = attributes(content.value(), about)?;
    let signature = signer.sign(&attributes.to_der()?)?;
    let unsigned = match authority {
        Some(authority) => {
            let token = timestamp::token(&sha256(&signature), authority)?;
            Some(SetOfVec::try_from(vec![attribute(
                TIMESTAMP_TOKEN,
                token,
            )?])?)
        }
        None => None,
    };
    let mut signers = Vec::new();
    if let Some(leaf) = signer.chain().first() {
        signers.push(SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(named(leaf)),
            digest_alg: sha256_algorithm()?,
            signed_attrs: Some(attributes),
            signature_algorithm: signature_algorithm(signer.algorithm())?,
            signature: OctetString::new(signature)?,
            unsigned_attrs: unsigned,
        });
    }
    let certificates: Vec<_> = signer
        .chain()
        .iter()
        .cloned()
        .map(CertificateChoices::Certificate)
        .collect();
    let message = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha256_algorithm()?])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: SPC_INDIRECT_DATA,
            econtent: Some(content),
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(certificates)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(signers)?),
    };
    let info = ContentInfo {
        content_type: SIGNED_DATA,
        content: Any::from_der(&message.to_der()?)?,
    };
    Ok(info.to_der()?)
}

fn indirect_data(digest: &[u8; 32]) -> Result<Any, SignError> {
    let content = IndirectData {
        data: TypedSipInfo {
            kind: SPC_SIPINFO,
            value: SipInfo {
                version: 1,
                interface: OctetString::new(PACKAGES)?,
                reserved1: 0,
                reserved2: 0,
                reserved3: 0,
                reserved4: 0,
                reserved5: 0,
            },
        },
        digest: DigestInfo {
            algorithm: sha256_algorithm()?,
            digest: OctetString::new(*digest)?,
        },
    };
    Ok(Any::from_der(&content.to_der()?)?)
}

fn attributes(content: &[u8], about: &Identity) -> Result<SetOfVec<Attribute>, SignError> {
    let content_type = Any::from_der(&SPC_INDIRECT_DATA.to_der()?)?;
    let digest = Any::new(Tag::OctetString, sha256(content))?;
    let statement = Any::new(Tag::Sequence, SPC_INDIVIDUAL.to_der()?)?;
    let attributes = vec![
        attribute(CONTENT_TYPE, content_type)?,
        attribute(MESSAGE_DIGEST, digest)?,
        attribute(SPC_STATEMENT_TYPE, statement)?,
        attribute(SPC_SP_OPUS_INFO, opus_info(about)?)?,
    ];
    Ok(SetOfVec::try_from(attributes)?)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, SignError> {
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![value])?,
    })
}

/// `SEQUENCE { [0] { [0] BMPString }, [1] { [0] IA5String } }`: name and link.
fn opus_info(about: &Identity) -> Result<Any, SignError> {
    let name: Vec<u8> = about
        .display_name
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let mut value = tagged(0xa0, &tagged(0x80, &name));
    value.extend(tagged(0xa1, &tagged(0x80, about.homepage.as_bytes())));
    Ok(Any::new(Tag::Sequence, value)?)
}

/// Tag, length (X.690 8.1.3), value.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match value.len() {
        len @ 0..0x80 => bytes.push(len as u8),
        len @ 0x80..0x100 => bytes.extend_from_slice(&[0x81, len as u8]),
        len => bytes.extend_from_slice(&[0x82, (len >> 8) as u8, len as u8]),
    }
    bytes.extend_from_slice(value);
    bytes
}

/// sha256 with a NULL, as Windows writes it.
pub fn sha256_algorithm() -> Result<AlgorithmIdentifierOwned, SignError> {
    with_null(SHA256)
}

fn signature_algorithm(algorithm: Algorithm) -> Result<AlgorithmIdentifierOwned, SignError> {
    match algorithm {
        Algorithm::Rsa => with_null(RSA),
        Algorithm::EcdsaP256 => Ok(AlgorithmIdentifierOwned {
            oid: ECDSA_SHA256,
            parameters: None,
        }),
    }
}

fn with_null(oid: ObjectIdentifier) -> Result<AlgorithmIdentifierOwned, SignError> {
    Ok(AlgorithmIdentifierOwned {
        oid,
        parameters: Some(Any::from_der(&Null.to_der()?)?),
    })
}
