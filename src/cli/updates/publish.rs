//! `updates publish`.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::grace::Grace;
use super::{CliError, Passphrases, Place, Printer, Surroundings};
use crate::agent::duration::GoDuration;
use crate::hint::bare;
use crate::publish::{self, Known, Options, Prefer, PublishError, Published, Readers};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{Repository, Signing, Validities};
use crate::tuf::time::Validity;

const EXAMPLES: &str = "\
Examples:
  fleetpack updates publish --path updates s3://bucket/updates
  fleetpack updates publish --path updates s3://bucket/updates \\
    --public-url https://updates.example.com --delete
  fleetpack updates publish --path updates --dry-run /srv/updates";

/// What follows `publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where to: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, or a folder
    #[arg(value_name = "DEST")]
    destination: String,

    #[command(flatten)]
    pub(super) place: Place,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Delete what no metadata name any more, --grace after it was dropped
    #[arg(long)]
    delete: bool,

    /// How long files stay that no metadata name any more; agents may still be downloading
    /// them, and 0 is no time at all
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "delete")]
    grace: Grace,

    /// Address that agents use: every changed file is fetched through it and compared, and
    /// timestamp.json is not written before a cache there gives the new snapshot.json
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// How long to wait for caches in front of --public-url
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    cache_wait: Duration,

    /// Publish a status page too
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "status.html")]
    status_page: Option<String>,

    /// Whose entry counts where this copy and DEST both changed a target: local or remote
    #[arg(long, value_name = "SIDE")]
    prefer: Option<Prefer>,

    /// Put this copy in the place of metadata that are broken or were rolled back
    #[arg(long)]
    repair: bool,

    /// For how long other publishers wait for one that does not answer
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = time)]
    lock_time: Duration,

    /// How long a timestamp that has to be signed anew is valid
    #[arg(long, value_name = "TIME", default_value = "14d")]
    timestamp_expires: Validity,

    /// Print one JSON object (docs/schema/updates-publish.json)
    #[arg(long)]
    json: bool,
}

impl Args {
    fn options(&self, now: Timestamp) -> Result<Options, CliError> {
        let grace = self.grace.length(now)?;
        Ok(Options {
            dry_run: self.dry_run,
            delete: self.delete.then_some(grace),
            repair: self.repair,
            prefer: self.prefer,
            status_page: self.status_page.clone(),
            lock_time: self.lock_time,
            readers: self.public_url.clone().map(|url| Readers {
                url,
                patience: self.cache_wait,
            }),
            ..Options::default()
        })
    }
}

#[derive(Serialize)]
struct Report<'a> {
    destination: &'a str,
    dry_run: bool,
    written: &'a [String],
    deleted: &'a [String],
    taken_over: bool,
    bytes: u64,
    timestamp: u64,
}

fn time(text: &str) -> Result<Duration, String> {
    text.parse::<GoDuration>().map(Duration::from)
}

/// Publishes, and looks through the public address when there is one.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let printer = &printer.keeping_stdout(args.json);
    let place = super::remote::objects(&args.destination, args.place.at.endpoint.as_deref())?;
    let mut repository = args.place.clone().open(printer)?;
    let known = Known::of(repository.layout());
    let options = args.options(surroundings.now)?;
    let mut passphrases = Passphrases::new(surroundings, printer);
    let mut signing = Signing {
        ask: &mut passphrases,
        now: surroundings.now,
        validities: Validities {
            timestamp: args.timestamp_expires,
            ..Validities::default()
        },
    };
    let tell = |line: &str| printer.note(line);
    let publish = |repository: &mut Repository, signing: &mut Signing<'_>| {
        publish::publish(repository, &*place, &known, &options, signing, &tell)
    };
    let published = publish(&mut repository, &mut signing)?;
    print(&args, &published, &repository, printer)?;
    let Some(url) = args.public_url.filter(|_| !args.dry_run) else {
        return Ok(());
    };
    let checked = publish::check_public(&repository, &url, &published.written)?;
    for problem in &checked.problems {
        printer.warn(problem);
    }
    if !checked.problems.is_empty() {
        return Err(PublishError::Public(checked.problems.len()).into());
    }
    if checked.stale.is_empty() {
        let (compared, shown) = (checked.compared, bare(&url));
        printer.note(format!("{compared} files compared through {shown}"));
        return Ok(());
    }
    printer.note(format!(
        "{} still gives an older {}; waiting for its cache",
        bare(&url),
        checked.stale.join(", ")
    ));
    wait_for_caches(
        &repository,
        &url,
        &published,
        checked.cached_for,
        args.cache_wait,
    )?;
    // go-tuf 0.5.2: whoever fetched the new timestamp and an old snapshot asks no more until
    // there is another timestamp.
    repository.timestamp(&mut signing)?;
    publish(&mut repository, &mut signing)?;
    printer.note(format!(
        "caches had given old copies: one more timestamp, version {}",
        repository.trusted().version(Role::Timestamp)
    ));
    Ok(())
}

fn wait_for_caches(
    repository: &Repository,
    url: &str,
    published: &Published,
    first: Duration,
    limit: Duration,
) -> Result<(), CliError> {
    let begun = std::time::Instant::now();
    let mut pause = first.clamp(Duration::from_secs(1), Duration::from_secs(30));
    loop {
        std::thread::sleep(pause.min(limit));
        let checked = publish::check_public(repository, url, &published.written)?;
        if checked.stale.is_empty() && checked.problems.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > limit {
            return Err(PublishError::Stale(checked.stale).into());
        }
        pause = Duration::from_secs(1);
    }
}

fn print(
    args: &Args,
    published: &Published,
    repository: &Repository,
    printer: &Printer,
) -> Result<(), CliError> {
    let timestamp = repository.trusted().version(Role::Timestamp);
    let verbs = match args.dry_run {
        true => ("would write", "would delete"),
        false => ("wrote", "deleted"),
    };
    for name in &published.written {
        printer.result(format!("{} {name}", verbs.0))?;
    }
    for name in &published.deleted {
        printer.result(format!("{} {name}", verbs.1))?;
    }
    if published.taken_over {
        printer.note(
            "targets of another host were taken over; `fleetpack updates pull` fetches their files",
        );
    }
    printer.note(format!(
        "{} files, {} bytes sent; timestamp version {}",
        published.written.len(),
        published.sent,
        timestamp
    ));
    match args.json {
        true => printer.json(&Report {
            destination: &args.destination,
            dry_run: args.dry_run,
            written: &published.written,
            deleted: &published.deleted,
            taken_over: published.taken_over,
            bytes: published.sent,
            timestamp,
        }),
        false => Ok(()),
    }
}
