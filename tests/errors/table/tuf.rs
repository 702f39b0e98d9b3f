//! Errors of `src/tuf`.

use fleetpack::cli::CliError;
use fleetpack::tuf::ceremony::CeremonyError;
use fleetpack::tuf::client::ClientError;
use fleetpack::tuf::hashes::HashMismatch;
use fleetpack::tuf::json::JsonError;
use fleetpack::tuf::keystore::{KeystoreError, PassphraseError};
use fleetpack::tuf::metadata::{MetadataError, Role};
use fleetpack::tuf::name::NameError;
use fleetpack::tuf::repository::{Missing, RepositoryError};
use fleetpack::tuf::survey::Finding;
use fleetpack::tuf::time::{Expires, Validity, ValidityError};
use fleetpack::tuf::token::TokenError;
use fleetpack::tuf::trusted::Rejected;

use super::{Examples, every, io, json, one, path, s};

pub fn all() -> Vec<Examples> {
    vec![
        client(),
        rejected(),
        metadata(),
        syntax(),
        hashes(),
        name(),
        validity(),
        repository(),
        keystore(),
        passphrase(),
        token(),
        ceremony(),
        finding(),
    ]
}

const PLACE: &str = "https://updates.example.com";
const ID: &str = "4c9b8d0a5e";

fn expires() -> Expires {
    "2026-11-30T00:00:00Z".parse().unwrap()
}

fn reject() -> Rejected {
    Rejected::Rollback {
        document: s("snapshot.json"),
        offered: 4,
        trusted: 5,
    }
}

every! { client: ClientError as CliError::Client;
    Rejected { place: s(PLACE), source: reject() },
    Anchor(reject()),
    Fetch { document: s("timestamp.json"), source: fleetpack::store::StoreError::NotFound(s("updates/timestamp.json")) },
    Fetch { document: s("2.root.json"), source: fleetpack::store::StoreError::Status { url: format!("{PLACE}/2.root.json"), status: 403 } },
    CutOff { document: s("targets.json"), received: 512, source: None },
    TooLarge { place: s(PLACE), document: s("targets.json"), limit: 8_000_000 },
    TooLarge { place: s(PLACE), document: s("timestamp.json"), limit: 16_384 },
    TooLarge { place: s("updates/repository"), document: s("root.json"), limit: 512_000 },
    TooLong { place: s(PLACE), document: s("targets.json"), expected: 512 },
    NoTarget { place: s(PLACE), name: s("orbit/linux/stable/orbit") },
    Target { name: s("orbit/linux/stable/orbit"), source: HashMismatch::NoneKnown },
    TargetLength { name: s("orbit/linux/stable/orbit"), expected: 512 },
    Store { name: s("orbit/linux/stable/orbit"), source: io() },
    State { folder: path("state"), source: io() },
    NotRefreshed,
}

every! { rejected: Rejected as |source| CliError::Client(ClientError::Rejected { place: s(PLACE), source });
    Unreadable { document: s("root.json"), source: MetadataError::KeyList },
    Threshold { document: s("targets.json"), role: s("targets"), have: 1, need: 2, root: 3 },
    Rollback { document: s("snapshot.json"), offered: 4, trusted: 5 },
    Version { document: s("targets.json"), found: 4, expected: 5 },
    Vanished { entry: s("targets.json") },
    NotListed { document: s("snapshot.json"), entry: s("targets.json") },
    Length { document: s("targets.json"), found: 1, expected: 2 },
    Hash { document: s("targets.json"), source: HashMismatch::NoneKnown },
    Expired { document: s("root.json"), since: expires() },
    Expired { document: s("targets.json"), since: expires() },
    Expired { document: s("timestamp.json"), since: expires() },
}

every! { metadata: MetadataError as |source| CliError::Client(ClientError::Anchor(Rejected::Unreadable { document: s("root.json"), source }));
    Json(JsonError::Number(s("1.5"))),
    Form { role: Role::Root, source: json() },
    Type { expected: Role::Root, found: s("targets") },
    SpecVersion(s("2.0.0")),
    KeyList,
}

every! { syntax: JsonError as |error| CliError::Client(ClientError::Anchor(Rejected::Unreadable { document: s("root.json"), source: error.into() }));
    Syntax(json()),
    Number(s("1.5")),
    Write(json()),
}

every! { hashes: HashMismatch as |source| CliError::Client(ClientError::Target { name: s("orbit/linux/stable/orbit"), source });
    Differs { algorithm: "sha256", expected: s("ab"), found: s("cd") },
    NoneKnown,
}

one! { name: NameError as |error| CliError::Repository(error.into());
    NameError { what: "channel", value: s("a/b"), reason: "it contains a slash" }
}

one! { validity: ValidityError as |error| CliError::Usage { message: error.to_string(), hint: None };
    "soon".parse::<Validity>().unwrap_err()
}

fn missing() -> Missing {
    Missing {
        role: Role::Root,
        version: 2,
        root: 1,
        have: 1,
        need: 2,
        keys: vec![s(ID)],
    }
}

every! { repository: RepositoryError as CliError::Repository;
    NotARepository { path: path("updates"), missing: path("updates/repository/root.json") },
    Published { path: path("updates/repository"), around: Some(path("updates")) },
    Published { path: path("www"), around: None },
    Exists(path("updates/keys")),
    ExistsElsewhere(path("vault/keys/targets.json")),
    NoNumberedRoot(path("updates/repository/2.root.json")),
    RootDiffers { plain: path("updates/repository/root.json"), numbered: path("updates/repository/2.root.json") },
    NoDocument(path("updates/repository/targets.json")),
    Invalid { path: path("updates/repository"), source: reject() },
    Refused(reject()),
    TooLarge { document: s("timestamp.json"), length: 20_000, limit: 16_384 },
    RolledBack { role: Role::Targets, found: 4, seen: 5 },
    Forked { role: Role::Targets, version: 5 },
    State { path: path("updates/keys/state.json"), source: json() },
    StateReadOnly { path: path("updates/keys/state.json"), source: io() },
    Staged(path("updates/staged/targets.json")),
    KeyMismatch { role: Role::Targets, path: path("updates/keys/targets.json") },
    TooFewKeys { role: Role::Root, path: path("updates/keys/root.json"), have: 1, need: 2 },
    NoSuchKey { role: Role::Root, id: s(ID) },
    KeyFileReplaced { role: Role::Root, path: path("updates/keys/root.json") },
    BelowThreshold { role: Role::Root, keys: 1, threshold: 2 },
    NoThreshold,
    KeyThere { role: Role::Root, id: s(ID) },
    KeyType(s("agents read no key of the type dsa")),
    Pending { what: s("rotate root") },
    Held(vec![missing()]),
    PendingStale { what: s("rotate root") },
    PendingForm { path: path("updates/staged/pending.json"), source: json() },
    NothingPending,
    NothingToSign { role: Role::Root },
    OtherEdit { role: Role::Root },
    BadSignature { role: Role::Root, id: s(ID) },
    NoTarget(s("orbit/linux/stable/orbit")),
    NoTargetFile(s("orbit/linux/stable/orbit")),
    OtherTargetFile(s("orbit/linux/stable/orbit")),
    NoAnchor(path("updates/keys/state.json")),
    Key(KeystoreError::Crypto("get random bytes")),
    Name(NameError { what: "channel", value: s("a/b"), reason: "it contains a slash" }),
    Collision { new: s("orbit/linux/Stable/orbit"), existing: s("orbit/linux/stable/orbit") },
    Source { path: path("orbit"), reason: "it is empty" },
    Stray { list: path("updates/.fleetpack/commit.json"), name: s("../keys/root.json") },
    InTheWay { file: path("vault/keys/targets.json"), new: path("updates/.fleetpack/new/keys/targets.json") },
    Linked(path("updates/repository/targets/orbit")),
    Stopped,
    Io { what: s("write updates/repository/targets.json"), source: io() },
    Make { role: Role::Targets, source: JsonError::Number(s("1.5")).into() },
    Calendar(Role::Root),
}

every! { keystore: KeystoreError as |error| CliError::Repository(error.into());
    Missing { role: Role::Root, path: path("updates/keys/root.json") },
    Io { role: Role::Root, path: path("updates/keys/root.json"), source: io() },
    Form { path: path("updates/keys/root.json"), reason: "its sealed content is no array of keys" },
    WrongPassphrase { variable: s("FLEET_ROOT_PASSPHRASE"), path: path("updates/keys/root.json") },
    Passphrase(PassphraseError::Empty(Role::Root)),
    Token(TokenError::PinLocked),
    Crypto("get random bytes"),
}

every! { passphrase: PassphraseError as |error| CliError::Repository(KeystoreError::from(error).into());
    Empty(Role::Root),
    NoTerminal { role: Role::Root, variable: s("FLEET_ROOT_PASSPHRASE") },
    Differ(Role::Root),
    Terminal { role: Role::Root, source: io() },
}

const URI: &str = "pkcs11:token=signing;object=root";

every! { token: TokenError as CliError::Token;
    Build,
    NoModule(s(URI)),
    Module { path: path("/usr/lib/softhsm/libsofthsm2.so"), reason: s("no such file") },
    NoToken { uri: s(URI), present: vec![] },
    NoToken { uri: s(URI), present: vec![s("other"), s("spare")] },
    NoKey(s(URI)),
    Ambiguous { uri: s(URI), what: "tokens", count: 2 },
    KeyType { uri: s(URI), reason: "it is neither ed25519 nor ECDSA on P-256" },
    WrongPin { origin: s("FLEET_ROOT_PASSPHRASE") },
    PinLocked,
    Failed { uri: s(URI), what: "did not sign", reason: s("CKR_DEVICE_REMOVED") },
}

every! { ceremony: CeremonyError as CliError::Ceremony;
    Form { path: path("root.payload.json"), source: json() },
    Altered(path("root.payload.json")),
    Io { path: path("root.payload.json"), source: io() },
    NoPin(path("vault/keys/pinned-root.json")),
    OldBase { base: 1, pinned: 2 },
    AlteredRoot(2),
    Chain { pinned: 2, source: reject() },
    AlteredBase(Role::Targets),
    Version { role: Role::Targets, found: 4, expected: 5 },
    Document { role: Role::Targets, source: JsonError::Number(s("1.5")).into() },
    Lowered { entry: s("targets.json"), found: 4, before: 5 },
    AddedKey { role: s("root"), id: s(ID) },
    LoweredThreshold { role: s("root"), from: 2, to: 1 },
    Expired { role: Role::Targets, since: expires() },
    OlderThanSigned { role: Role::Root, signed: 3 },
    SignedAnother { role: Role::Root, version: 3 },
    Memory(Box::new(RepositoryError::Forked { role: Role::Root, version: 3 })),
    NoKey(Role::Root),
}

// A finding is printed as a fault or a warning, and has a hint like an error.
every! { finding: Finding as |finding| CliError::Usage {
        message: finding.to_string(),
        hint: fleetpack::hint::Hint::hint(&finding),
    };
    MissingRoot(path("updates/repository/1.root.json")),
    RootAhead { path: path("updates/repository/root.json"), version: 3, highest: 2 },
    RootDiffers { path: path("updates/repository/root.json"), highest: 2 },
    RolledBack { role: Role::Targets, found: 4, seen: 5 },
    Forked { role: Role::Targets, version: 5 },
    StaleMemory { path: path("updates/keys/state.json"), role: Role::Targets, found: 5, seen: 4 },
    BadMemory { path: path("updates/keys/state.json"), why: s("it is not valid JSON") },
    PrivateKey(path("updates/repository/targets-key.json")),
    ForeignKey { role: Role::Targets, path: path("updates/keys/targets.json") },
    Interrupted(path("updates/staged/commit.json")),
    MissingFile { target: s("orbit/linux/stable/orbit"), path: path("updates/repository/targets/orbit/linux/stable/orbit") },
    WrongLength { target: s("orbit/linux/stable/orbit"), path: path("updates/repository/targets/orbit/linux/stable/orbit"), found: 1, expected: 2 },
    Collision { first: s("orbit/linux/stable/orbit"), second: s("orbit/linux/Stable/orbit") },
    UnknownRole(s("mirrors")),
    UnusableKey { id: s(ID), keytype: s("dsa") },
    KeyId { id: s(ID), computed: s("aa") },
    ExpiresForm { role: Role::Timestamp, expires: s("2026-11-30T00:00:00+01:00") },
    ExpiresForm { role: Role::Root, expires: s("2026-11-30T00:00:00+01:00") },
    SnapshotLists(s("root.json")),
}
