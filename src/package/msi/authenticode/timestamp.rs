//! A time stamp from an authority: RFC 3161 over HTTP.
//!
//! The answer is taken when it says that it was granted and is about what was asked for. Who
//! the authority is, Windows checks.

use std::io::Read;

use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::{ObjectIdentifier, OctetString, OctetStringRef};
use der::{Any, Decode, Encode, Sequence, SliceReader};
use spki::AlgorithmIdentifierOwned;

use super::message::{SIGNED_DATA, sha256_algorithm};
use super::{Authority, SignError};

/// No time stamp is longer.
const LIMIT: u64 = 1 << 20;
/// PKIStatus granted (0) and grantedWithMods (1).
const GRANTED: [u8; 2] = [0, 1];

#[derive(Sequence, Clone, PartialEq, Eq)]
struct Imprint {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

#[derive(Sequence)]
struct Request {
    version: u8,
    imprint: Imprint,
    with_certificate: bool,
}

#[derive(Sequence)]
struct Response {
    status: Any,
    #[asn1(optional = "true")]
    token: Option<Any>,
}

/// The token for a sha256.
pub fn token(digest: &[u8; 32], authority: &Authority) -> Result<Any, SignError> {
    let imprint = Imprint {
        algorithm: sha256_algorithm()?,
        digest: OctetString::new(*digest)?,
    };
    let request = Request {
        version: 1,
        imprint: imprint.clone(),
        with_certificate: true,
    };
    let answer = ask(&request.to_der()?, authority)?;
    read(&answer, digest).map_err(|what| SignError::Stamp {
        url: authority.url.clone(),
        what,
    })
}

fn ask(request: &[u8], authority: &Authority) -> Result<Vec<u8>, SignError> {
    let failed = |source: ureq::Error| SignError::Authority {
        url: authority.url.clone(),
        source: Box::new(source),
    };
    let agent = crate::store::http::agent(authority.patience);
    let response = agent
        .post(&authority.url)
        .header("Content-Type", "application/timestamp-query")
        .send(request)
        .map_err(failed)?;
    let mut answer = Vec::new();
    response
        .into_body()
        .into_reader()
        .take(LIMIT)
        .read_to_end(&mut answer)
        .map_err(|error| failed(ureq::Error::Io(error)))?;
    Ok(answer)
}

/// The token in an answer of DER, if it was granted and is about this sha256; else what is
/// wrong with it.
pub fn read(answer: &[u8], digest: &[u8; 32]) -> Result<Any, String> {
    let unreadable = |error: der::Error| format!("the answer is no time stamp ({error})");
    let response = Response::from_der(answer).map_err(unreadable)?;
    let mut status = SliceReader::new(response.status.value()).map_err(unreadable)?;
    let status = u8::decode(&mut status).map_err(unreadable)?;
    if !GRANTED.contains(&status) {
        return Err(format!("it was refused with status {status}"));
    }
    let token = response.token.ok_or("the answer holds none")?;
    let stamped = stamped(&token).map_err(unreadable)?;
    match stamped == digest {
        true => Ok(token),
        false => Err("it is about something else".to_owned()),
    }
}

/// The digest that a token is about: TSTInfo is version, policy, imprint, and more.
fn stamped(token: &Any) -> der::Result<Vec<u8>> {
    let info = ContentInfo::from_der(&token.to_der()?)?;
    if info.content_type != SIGNED_DATA {
        let oid = info.content_type;
        return Err(der::ErrorKind::OidUnknown { oid }.into());
    }
    let signed = info.content.decode_as::<SignedData>()?;
    let content = signed.encap_content_info.econtent.unwrap_or_else(Any::null);
    let content = content.decode_as::<OctetStringRef<'_>>()?;
    let info = Any::from_der(content.as_bytes())?;
    let mut fields = SliceReader::new(info.value())?;
    let _version = u8::decode(&mut fields)?;
    let _policy = ObjectIdentifier::decode(&mut fields)?;
    let imprint = Imprint::decode(&mut fields)?;
    Ok(imprint.digest.into_bytes())
}
