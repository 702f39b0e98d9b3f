//! `updates pull`.

use serde::Serialize;

use super::report::Documents;
use super::{CliError, Passphrases, Place, Printer, Surroundings};
use crate::publish::{self, Known};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Signing, Validities};

const EXAMPLES: &str = "\
Examples:
  fleetpack updates pull s3://bucket/updates --path updates
  fleetpack updates pull /srv/updates --path updates --metadata-only";

/// What follows `pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where from: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or a folder
    #[arg(value_name = "SOURCE")]
    source: String,

    #[command(flatten)]
    pub(super) place: Place,

    /// Leave out the targets' files: enough to sign timestamps
    #[arg(long)]
    metadata_only: bool,

    /// Print one JSON object (docs/schema/updates-pull.json)
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    source: String,
    taken_over: bool,
    targets: Vec<String>,
    bytes: u64,
    metadata: Documents,
}

/// Takes over what is there, verified from this copy's root.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let place = super::remote::objects(&args.source, args.place.at.endpoint.as_deref())?;
    let mut repository = args.place.open(printer)?;
    let known = Known::of(repository.layout());
    let mut passphrases = Passphrases::new(surroundings, printer);
    let mut signing = Signing {
        ask: &mut passphrases,
        now: surroundings.now,
        validities: Validities::default(),
    };
    let pulled = publish::pull(
        &mut repository,
        &*place,
        &known,
        !args.metadata_only,
        &mut signing,
        &|line| printer.note(line),
    )?;
    let trusted = repository.trusted();
    let news = match pulled.metadata {
        true => "took over",
        false => "already has",
    };
    printer.note(format!(
        "{news} targets version {}, timestamp version {}; {} files fetched, {} bytes",
        trusted.version(Role::Targets),
        trusted.version(Role::Timestamp),
        pulled.targets.len(),
        pulled.fetched
    ));
    match args.json {
        true => printer.json(&Report {
            source: args.source,
            taken_over: pulled.metadata,
            targets: pulled.targets,
            bytes: pulled.fetched,
            metadata: Documents::of(trusted),
        }),
        false => Ok(()),
    }
}
