//! `fleetpack quickstart`: the main job on embedded input, without network.
//!
//! A repository with throw-away passphrases and a sample agent, packaged into every type,
//! each installer read back; then the commands for the real thing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::package::{Built, Options, Summary, build};
use super::units::size;
use super::{CliError, Printer, Surroundings};
use crate::agent::config::{Config, Enrollment, Secret};
use crate::agent::sample::{self, Sample};
use crate::fs;
use crate::hint;
use crate::install::{Arch, Os};
use crate::package::{Format, read};
use crate::tuf::keystore::{Origin, Passphrase, PassphraseError, Passphrases};
use crate::tuf::metadata::Role;
use crate::tuf::repository::{self, Adding, Layout, NewTarget, Repository, Signing, Validities};

const EXAMPLES: &str = "\
Examples:
  fleetpack quickstart
  fleetpack quickstart --dir try --json";

/// What follows `quickstart`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder for everything that is made; one of an earlier quickstart is replaced
    #[arg(long, value_name = "DIR", default_value = "fleetpack-quickstart")]
    dir: PathBuf,

    /// Print one JSON object (docs/schema/quickstart.json)
    #[arg(long, help_heading = "Output")]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    folder: String,
    repository: String,
    #[serde(flatten)]
    made: Summary<'a>,
}

/// A file that says that a folder is a quickstart's and may be replaced.
const MARKER: &str = ".fleetpack-quickstart";

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let dir = args.dir;
    let printer = &printer.keeping_stdout(args.json);
    prepare(&dir)?;
    printer.result("The sample agent is made of stand-ins: shell scripts for Linux and macOS,")?;
    printer.result("a minimal program for Windows. They answer --help and do nothing else.")?;
    let mut throwaway = Throwaway::new()?;
    write_passphrases(&dir, &throwaway)?;
    make_repository(&dir, &mut throwaway, surroundings, printer)?;
    let built = make_installers(&dir, surroundings, printer)?;
    let installers = dir.join("installers");
    printer.result(format!("  {}:", installers.display()))?;
    for installer in &built {
        read_back(installer)?;
        let name = installer.path.file_name().unwrap_or_default().display();
        let size = size(installer.size);
        printer.result(format!("    {name} ({size}), read back and verified"))?;
    }
    if args.json {
        let (folder, repository) = (&dir, dir.join("updates/repository"));
        return printer.json(&Report {
            folder: folder.display().to_string(),
            repository: repository.display().to_string(),
            made: Summary::of(&built, &[])?,
        });
    }
    printer.result(next_steps(&dir))
}

fn prepare(dir: &Path) -> Result<(), CliError> {
    if dir.join(MARKER).is_file() {
        fs::remove_tree(dir)?;
    }
    if is_occupied(dir)? {
        return Err(CliError::usage(
            format!(
                "{} is there already and no earlier quickstart's",
                dir.display()
            ),
            "fleetpack quickstart --dir DIR",
        ));
    }
    // The marker comes first: what a kill leaves is the next quickstart's to replace.
    fs::create_folders(dir, 0o755)?;
    fs::write_atomic(&dir.join(MARKER), b"", 0o644)?;
    for folder in ["sample", "updates", "installers"] {
        fs::create_folders(&dir.join(folder), 0o755)?;
    }
    Ok(())
}

/// Whether something else than a marker that was never finished lies in the folder.
fn is_occupied(dir: &Path) -> Result<bool, CliError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return Ok(error.kind() != std::io::ErrorKind::NotFound),
    };
    let begun = fs::temporary_prefix(&dir.join(MARKER));
    let mut unfinished = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| fs::naming(e, "list", dir))?;
        if !entry.file_name().to_string_lossy().starts_with(&begun) {
            return Ok(true);
        }
        unfinished.push(entry.path());
    }
    for path in unfinished {
        fs::remove(&path)?;
    }
    Ok(false)
}

/// Random passphrases, one for each role.
struct Throwaway(Vec<(Role, Zeroizing<String>)>);

impl Throwaway {
    fn new() -> Result<Self, CliError> {
        let words = Role::ALL.into_iter().map(|role| Ok((role, random_word()?)));
        Ok(Self(words.collect::<Result<_, CliError>>()?))
    }

    fn of(&self, role: Role) -> Passphrase {
        let word = self.0.iter().find(|(of, _)| *of == role);
        Passphrase::new(word.map(|(_, word)| word.to_string()).unwrap_or_default())
    }
}

fn random_word() -> Result<Zeroizing<String>, CliError> {
    let mut bytes = Zeroizing::new([0; 12]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|e| {
        std::io::Error::other(format!("the operating system gives no random bytes: {e}"))
    })?;
    Ok(Zeroizing::new(hex::encode(bytes.as_slice())))
}

impl Passphrases for Throwaway {
    fn existing(&mut self, role: Role, _: bool) -> Result<(Passphrase, Origin), PassphraseError> {
        Ok((self.of(role), Origin::Typed))
    }

    fn new_one(&mut self, role: Role) -> Result<Passphrase, PassphraseError> {
        Ok(self.of(role))
    }
}

fn write_passphrases(dir: &Path, throwaway: &Throwaway) -> Result<(), CliError> {
    let mut text = Zeroizing::new(String::new());
    for (role, word) in &throwaway.0 {
        let role = role.name().to_uppercase();
        let _ = writeln!(text, "export FLEET_{role}_PASSPHRASE={}", **word);
    }
    Ok(fs::write_atomic(
        &dir.join("passphrases.env"),
        text.as_bytes(),
        0o600,
    )?)
}

fn make_repository(
    dir: &Path,
    throwaway: &mut Throwaway,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<(), CliError> {
    let layout = Layout::new(&dir.join("updates"));
    let mut signing = Signing {
        ask: throwaway,
        now: surroundings.now,
        validities: Validities::default(),
    };
    repository::create(&layout, &repository::Tokens::new(), &mut signing)?;
    let mut targets = Vec::new();
    for sample in sample::agent()? {
        targets.push(target(dir, &sample)?);
    }
    let (mut repository, _) = Repository::open(layout, || ())?;
    repository.add(&targets, Adding::default(), &mut signing)?;
    let place = dir.join("updates/repository");
    printer.result(format!(
        "  {}: {} programs, signed",
        place.display(),
        targets.len()
    ))
}

fn target(dir: &Path, sample: &Sample) -> Result<NewTarget, CliError> {
    let folder = dir.join("sample").join(sample.platform);
    fs::create_folders(&folder, 0o755)?;
    let source = folder.join(sample.file);
    fs::write_atomic(&source, &sample.bytes, 0o755)?;
    let name = |channel| {
        format!(
            "{}/{}/{channel}/{}",
            sample.name, sample.platform, sample.file
        )
    };
    Ok(NewTarget {
        custom: Some(serde_json::json!({ "version": sample::VERSION })),
        names: vec![name(sample::VERSION), name("stable")],
        source,
        known: None,
    })
}

fn make_installers(
    dir: &Path,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Vec<Built>, CliError> {
    let repository = dir.join("updates/repository");
    let root = fs::read_limited(&repository.join("root.json"), 512_000)?;
    let config = Config {
        enrollment: Some(Enrollment {
            url: "https://fleet.example.com".into(),
            secret: Secret::new(random_word()?.as_str()),
        }),
        update_url: "https://updates.example.com".into(),
        desktop: true,
        ..Config::default()
    };
    let folder = dir.join("installers");
    let options = Options {
        epoch: surroundings.epoch()?,
        anchor: root.unwrap_or_default(),
        source: repository.display().to_string(),
        ..Options::plain(config, installers(), folder)
    };
    build(&options, surroundings, &printer.silent())
}

fn installers() -> Vec<(Format, Arch)> {
    let mut pairs = Vec::new();
    for format in Format::ALL {
        match format.os() {
            Os::Macos => pairs.push((format, Arch::Universal)),
            Os::Linux | Os::Windows => pairs.extend([(format, Arch::Amd64), (format, Arch::Arm64)]),
        }
    }
    pairs
}

fn read_back(installer: &Built) -> Result<(), CliError> {
    let file =
        std::fs::File::open(&installer.path).map_err(|e| fs::naming(e, "open", &installer.path))?;
    let package = read::read(installer.format, &file)?;
    Ok(read::matches(&installer.tree, &package)?)
}

// As lines that a terminal of 80 columns does not break. The throw-away passphrases stay in a shell
// of their own: a repository for real is not made with them.
fn next_steps(dir: &Path) -> String {
    let inside = |name: &str| hint::word(&dir.join(name).display().to_string());
    let (variables, updates) = (inside("passphrases.env"), inside("updates"));
    format!(
        "
To look further:
  (. {variables}
   fleetpack updates timestamp --path {updates})
  fleetpack updates roots --path {updates}

For real, with your own programs and passphrases:
  fleetpack updates init --path updates
  fleetpack updates add --path updates --target ./orbit --name orbit \\
    --platform linux --version 1.50.0 -t stable
  fleetpack updates add --path updates --target ./osqueryd --name osqueryd \\
    --platform linux --version 5.19.0 -t stable
  fleetpack updates roots --path updates > root.json
  fleetpack package --type deb --fleet-url https://fleet.example.com \\
    --enroll-secret-file secret.txt \\
    --update-url https://updates.example.com --update-roots @root.json"
    )
}
