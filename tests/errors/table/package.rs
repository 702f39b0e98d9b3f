//! Errors of `src/package`, `src/compress`, `src/apple`, `src/intune`, `src/inspect` and
//! `src/provenance`.

use std::io::BufReader;

use fleetpack::apple::manifest::ManifestError;
use fleetpack::apple::notary::{ApiKeyError, NotaryError};
use fleetpack::apple::signing::SigningError;
use fleetpack::cli::CliError;
use fleetpack::compress::{Codec, CompressError, DeflateError};
use fleetpack::inspect::InspectError;
use fleetpack::install::ContentError;
use fleetpack::intune::IntuneError;
use fleetpack::package::msi::authenticode::SignError;
use fleetpack::package::msi::pe::PeError;
use fleetpack::package::read::{Difference, ReadError};
use fleetpack::package::rpm::KeyError;
use fleetpack::package::{BuildError, Format};
use fleetpack::provenance::BomError;
use fleetpack::store::tls::TlsError;
use fleetpack::templates::TemplateError;

use super::{Examples, cause, every, io, json, one, path, s};

pub fn all() -> Vec<Examples> {
    vec![
        build(),
        compress(),
        deflate(),
        executable(),
        sign(),
        key(),
        read(),
        difference(),
        inspect(),
        signing(),
        notary(),
        api_key(),
        manifest(),
        intune(),
        bom(),
    ]
}

fn template() -> TemplateError {
    TemplateError::Malformed {
        name: "linux/orbit.service",
        reason: s("a placeholder has no end"),
    }
}

fn pgp() -> Box<pgp::errors::Error> {
    use pgp::composed::{Deserializable, SignedSecretKey};
    Box::new(SignedSecretKey::from_armor_single(BufReader::new(&b"text"[..])).unwrap_err())
}

every! { build: BuildError as CliError::Build;
    Sign(Box::new(SignError::Purpose { name: s("cert.pem") })),
    Content(ContentError::Changed { path: path("orbit") }),
    Compress(CompressError::Write { source: io() }),
    Write { path: path("fleet-osquery.deb"), source: io() },
    Unfit { format: Format::Msi, what: s("the version \"a.b.c\": it is no number") },
    Template(template()),
    Signing(KeyError::Locked { key: s("4C9B8D0A5E") }),
    Cancelled,
}

every! { compress: CompressError as |error| CliError::Build(error.into());
    Content(ContentError::Changed { path: path("orbit") }),
    Level { codec: Codec::Gzip(99) },
    Spool { folder: path("/tmp"), source: io() },
    Write { source: io() },
    Deflate(DeflateError::Code),
    Stopped,
    Encode { codec: Codec::Zstd(3), source: io() },
}

every! { deflate: DeflateError as |error| CliError::Build(CompressError::from(error).into());
    Truncated,
    BlockType,
    StoredLength,
    Lengths,
    Code,
    Distance,
    Length,
}

// It ends as what a package cannot carry.
every! { executable: PeError as |error| CliError::Build(BuildError::Unfit {
        format: Format::Msi,
        what: format!("orbit.exe: {error}"),
    });
    Malformed("it has no PE header"),
    Content(ContentError::Changed { path: path("orbit.exe") }),
}

const STAMP: &str = "http://timestamp.example.com";

every! { sign: SignError as |error| CliError::Build(BuildError::Sign(Box::new(error)));
    Pair(TlsError::NoCertificate { name: s("cert.pem") }),
    Time { name: s("cert.pem"), from: s("2025-01-01"), to: s("2026-01-01") },
    Purpose { name: s("cert.pem") },
    Algorithm { name: s("key.pem") },
    File(io()),
    Encoding(der::ErrorKind::Overflow.into()),
    Key { name: s("key.pem"), source: rustls::Error::General(s("what the library says")) },
    Authority { url: s(STAMP), source: Box::new(ureq::Error::HostNotFound) },
    Stamp { url: s(STAMP), what: s("its digest is another") },
}

every! { key: KeyError as CliError::Signing;
    Parse(pgp()),
    Unbound { key: s("4C9B8D0A5E") },
    Expired { key: s("4C9B8D0A5E"), at: jiff::Timestamp::UNIX_EPOCH },
    Revoked { key: s("4C9B8D0A5E") },
    CannotSign { key: s("4C9B8D0A5E"), why: s("it is for encryption alone") },
    Locked { key: s("4C9B8D0A5E") },
    Passphrase { key: s("4C9B8D0A5E"), source: pgp() },
    Sign { key: s("4C9B8D0A5E"), source: pgp() },
}

every! { read: ReadError as |source| CliError::Inspect(InspectError::Read { path: path("agent.deb"), format: Format::Deb, source });
    Io(io()),
    Foreign { format: Format::Deb, why: s("it begins with something else") },
    Truncated { part: s("data.tar.gz") },
    Damaged { part: s("data.tar.gz"), why: s("its digest does not hold") },
    Unsupported { part: s("control.tar"), what: s("lzma") },
    TooLarge { part: s("control.tar.gz"), limit: s("64 MiB") },
    Mismatch { path: s("/opt/orbit/certs.pem"), list: "md5sums", what: "digest" },
}

every! { difference: Difference as CliError::Difference;
    Missing(s("/opt/orbit/certs.pem")),
    Extra(s("/opt/orbit/certs.pem")),
    Twice(s("/opt/orbit/certs.pem")),
    Other { path: s("/opt/orbit/certs.pem"), what: "mode", found: s("0644"), wanted: s("0600") },
    Parts(2),
}

every! { inspect: InspectError as CliError::Inspect;
    Open { path: path("agent.deb"), source: io() },
    Unknown { path: path("agent.deb") },
    Read { path: path("agent.deb"), format: Format::Deb, source: ReadError::Truncated { part: s("data.tar.gz") } },
}

every! { signing: SigningError as CliError::MacosSigning;
    NotBuilt,
    Credentials { name: s("cert.pem"), what: s("holds an encrypted key"), hint: Some(s("openssl pkey -in cert.pem -out plain.pem")) },
    Certificate { subject: s("Example"), what: s("expired on 2026-01-01") },
    Sign { what: s("the package"), source: cause() },
}

const NOTARY: &str = "https://appstoreconnect.apple.com/notary/v2/submissions";

every! { notary: NotaryError as CliError::Notary;
    Transport { url: s(NOTARY), source: Box::new(ureq::Error::HostNotFound) },
    Unauthorized(401),
    Status { url: s(NOTARY), status: 500, words: s("internal error") },
    Answer { url: s(NOTARY), source: json() },
    Refused { id: s("2efe2717"), status: s("Invalid"), issues: s(": the binary is not signed") },
    NoVerdict(s("2efe2717")),
    NoTicket(s("the service knows none")),
    Package(io()),
    Ticket(io()),
    Key(ApiKeyError::Token),
}

every! { api_key: ApiKeyError as |error| CliError::Notary(error.into());
    Content,
    Id(s("key")),
    Issuer(s("me")),
    Token,
}

every! { manifest: ManifestError as CliError::Manifest;
    Read(io()),
    Template(template()),
}

every! { intune: IntuneError as CliError::Intune;
    Io { name: s("fleet-osquery.msi"), source: io() },
    Zip { name: s("fleet-osquery.msi"), source: zip::result::ZipError::FileNotFound },
    Template(template()),
}

one! { bom: BomError as CliError::Bom;
    BomError { name: s("fleet-osquery.deb"), source: cause() }
}
