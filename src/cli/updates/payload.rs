//! `updates payload`, `updates sign`, `updates attach`: a document is signed on another
//! machine than the one that has the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{CliError, Passphrases, Place, Printer, Surroundings, outcome, tls, tokens};
use crate::tuf::ceremony::{Allowed, Difference, Machine, Payload};
use crate::tuf::client::ROOT_LIMIT;
use crate::tuf::keystore::{Keystore, Signer};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{
    self, Missing, Outcome, Repository, RepositoryError, Signing, Validities,
};
use crate::tuf::time::Validity;

const PAYLOAD: &str = "\
Examples:
  fleetpack updates payload root --path updates --out root.payload.json";

/// What follows `payload`.
#[derive(Debug, clap::Args)]
#[command(after_help = PAYLOAD)]
pub struct PayloadArgs {
    /// Role whose document waits for signatures: root, targets, snapshot or timestamp
    #[arg(value_name = "ROLE")]
    role: Role,

    /// File to write [default: ROLE-VERSION.payload.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    pub(super) place: Place,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Written {
    file: String,
    role: Role,
    version: u64,
    keys: Vec<String>,
}

// Those that are asked and have not signed yet.
fn lacking(
    repository: &Repository,
    payload: &Payload,
    role: Role,
) -> Result<Vec<String>, CliError> {
    let pending = repository.pending()?;
    let missing = pending.iter().flat_map(|pending| &pending.missing);
    let lacking: BTreeSet<&String> = missing
        .filter(|missing| missing.role == role)
        .flat_map(|missing| &missing.keys)
        .collect();
    let asked = payload.asked().map(str::to_owned);
    Ok(asked.filter(|id| lacking.contains(id)).collect())
}

/// Writes what is to be signed.
pub fn payload(args: PayloadArgs, printer: &Printer) -> Result<(), CliError> {
    let repository = args.place.open(printer)?;
    let payload = repository.payload(args.role)?;
    let name = format!("{}-{}.payload.json", args.role, payload.version());
    let file = args.out.unwrap_or_else(|| name.into());
    payload.write(&file)?;
    let written = Written {
        file: file.display().to_string(),
        role: args.role,
        version: payload.version(),
        keys: lacking(&repository, &payload, args.role)?,
    };
    match args.json {
        true => outcome::as_json(&written, printer),
        false => {
            printer.result(format!(
                "wrote {}: {} version {}, for a signature by one of these keys:",
                written.file, written.role, written.version
            ))?;
            let mut keys = written.keys.iter();
            keys.try_for_each(|id| printer.result(format!("  {id}")))
        }
    }
}

const SIGN: &str = "\
Examples:
  fleetpack updates sign root.payload.json --show
  fleetpack updates sign root.payload.json --keys keys";

/// What follows `sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN)]
pub struct SignArgs {
    /// The file that `updates payload` wrote; the signature is added to it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    pub(super) place: Place,

    /// Sign with the key of a token (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<tokens::Named>,

    /// Root metadata that this machine is to trust from now on, when it trusts none yet
    #[arg(long, value_name = "FILE")]
    trust_root: Option<PathBuf>,

    /// Id of a key that may be added to a role (16 digits of it are enough)
    #[arg(long, value_name = "ID")]
    allow_key: Vec<String>,

    /// Sign even though fewer keys than before would suffice
    #[arg(long)]
    allow_lowered_threshold: bool,

    /// Sign even though another document of the same version was signed here
    #[arg(long)]
    allow_replaced: bool,

    /// Show the difference and sign nothing
    #[arg(long)]
    show: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Signed {
    role: Role,
    from: u64,
    to: u64,
    differences: Vec<Difference>,
    signed_by: Vec<String>,
}

/// Shows what a payload changes, and signs it.
pub fn sign(
    args: SignArgs,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let layout = args.place.layout();
    let machine = Machine::new(&layout);
    let mut payload = Payload::read(&args.file)?;
    let pinned = pinned(&machine, &layout, args.trust_root.as_deref())?;
    let allowed = Allowed {
        keys: args.allow_key,
        lowered_threshold: args.allow_lowered_threshold,
    };
    let mut review = payload.review(&pinned, &allowed, surroundings.now)?;
    if !args.json {
        printer.result(format!(
            "{}: version {} to {}, by root version {}",
            review.role,
            review.from,
            review.to,
            review.root.version()
        ))?;
        for difference in &review.differences {
            printer.result(format!("  {difference}"))?;
        }
    }
    review.permitted()?;
    let message = payload.canonical()?;
    machine.check(&payload, &message, args.allow_replaced)?;
    let mut signed_by = Vec::new();
    if !args.show {
        let keys = keys(&layout, review.role, &args.key, surroundings, printer)?;
        signed_by = payload
            .sign(&message, keys.iter().map(|key| &**key))
            .map_err(RepositoryError::from)?;
        if signed_by.is_empty() {
            return Err(crate::tuf::ceremony::CeremonyError::NoKey(review.role).into());
        }
        // A signature that leaves this machine is remembered by it.
        machine.remember(&payload, &review, &message)?;
        payload.write(&args.file)?;
    }
    match args.json {
        true => outcome::as_json(
            &Signed {
                role: review.role,
                from: review.from,
                to: review.to,
                differences: review.differences,
                signed_by,
            },
            printer,
        ),
        false => {
            let mut ids = signed_by.iter();
            ids.try_for_each(|id| printer.result(format!("signed by {id}")))
        }
    }
}

fn pinned(
    machine: &Machine<'_>,
    layout: &repository::Layout,
    trust: Option<&Path>,
) -> Result<Vec<u8>, CliError> {
    match (trust, machine.has_pin()?) {
        (Some(file), false) => {
            let bytes = tls::read(file, ROOT_LIMIT)?;
            Machine::check_root(&bytes)?;
            Ok(bytes)
        }
        (Some(_), true) => Err(CliError::usage(
            "this machine trusts a root already, and --trust-root would replace it",
            format!("look at {} first", layout.pinned().display()),
        )),
        (None, _) => Ok(machine.pinned()?),
    }
}

fn keys(
    layout: &repository::Layout,
    role: Role,
    named: &[tokens::Named],
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Vec<Box<dyn Signer>>, CliError> {
    let mut keys: Vec<Box<dyn Signer>> = Vec::new();
    let tokens = tokens::open(named, surroundings)?.remove(&role);
    for key in tokens.into_iter().flatten() {
        keys.push(Box::new(key));
    }
    // New keys of an edit that waits lie beside it.
    let waiting = Keystore::new(&layout.pending().join("keys"));
    match keys.is_empty() {
        // Only the token was asked for.
        false => {}
        true => {
            let store = match waiting.has(role).map_err(RepositoryError::from)? {
                true => waiting,
                false => Keystore::new(&layout.keys()),
            };
            let mut ask = Passphrases::new(surroundings, printer);
            let (file, _) = store.open(role, &mut ask).map_err(RepositoryError::from)?;
            for key in file {
                keys.push(Box::new(key));
            }
        }
    }
    Ok(keys)
}

const ATTACH: &str = "\
Examples:
  fleetpack updates attach root.payload.json --path updates";

/// What follows `attach`.
#[derive(Debug, clap::Args)]
#[command(after_help = ATTACH)]
pub struct AttachArgs {
    /// The file with the signatures
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    pub(super) place: Place,

    /// Sign what follows with the key of a token (ROLE=pkcs11:…)
    #[arg(long, value_name = "ROLE=URI")]
    key: Vec<tokens::Named>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// How long the snapshot metadata are valid
    #[arg(long, value_name = "TIME", default_value = "3y")]
    snapshot_expires: Validity,

    /// How long the timestamp metadata are valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,
}

#[derive(Debug, Serialize)]
struct Attached {
    what: String,
    published: bool,
    missing: Vec<Missing>,
}

/// Adds signatures to the edit that waits, and publishes it when they suffice.
pub fn attach(
    args: AttachArgs,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let payload = Payload::read(&args.file)?;
    let tokens = tokens::open(&args.key, surroundings)?;
    let mut repository = args.place.open(printer)?;
    repository.use_tokens(tokens);
    let mut signing = Signing {
        ask: &mut Passphrases::new(surroundings, printer),
        now: surroundings.now,
        validities: Validities {
            snapshot: args.snapshot_expires,
            timestamp: args.timestamp_expires,
            ..Validities::default()
        },
    };
    let message = payload.canonical()?;
    let signatures = payload.signatures();
    let (what, done) = repository.attach(payload.role(), &message, signatures, &mut signing)?;
    let missing = match &done {
        Outcome::Published => Vec::new(),
        Outcome::Held(missing) => missing.clone(),
    };
    match args.json {
        true => outcome::as_json(
            &Attached {
                what,
                published: missing.is_empty(),
                missing,
            },
            printer,
        )?,
        false if missing.is_empty() => printer.result(format!("published: {what}"))?,
        false => {}
    }
    outcome::end(done)
}
