//! From a manifest's teams to the list of installers to make: numbered, shared out, each with
//! its programs and its path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::Entry;
use super::manifest::{ManifestError, wrong};
use super::origin::{Access, Origins};
use super::{Failure, Run, Shard};
use crate::agent::component::Platform;
use crate::agent::fetched::Fetched;
use crate::agent::identity;
use crate::cli::package::applicable::{Applied, applied};
use crate::cli::package::build::{Job, identity_of};
use crate::cli::package::naming::{self, Installer};
use crate::cli::package::options::{Options, installers};
use crate::cli::printer::text;
use crate::cli::{CliError, Printer, Surroundings};
use crate::install::{Arch, Identity};
use crate::package::{Builder, Format, builder};

/// A team and which of its installers are to be made.
pub struct Selected {
    entry: Entry,
    installers: Vec<(Format, Arch)>,
}

/// The installers of this run's share; teams without any are left out.
pub fn select(entries: Vec<Entry>, shard: Option<Shard>) -> Result<Vec<Selected>, ManifestError> {
    let mut number = 0;
    let mut selected = Vec::new();
    let mut names = Names::default();
    for entry in entries {
        let all = installers(&entry.args);
        let all = all.map_err(|error| wrong(entry.line, format!("`{}`: {error}", entry.team)))?;
        names.add(&entry, &all)?;
        let mut mine = Vec::new();
        for installer in all {
            if shard.is_none_or(|shard| shard.holds(number)) {
                mine.push(installer);
            }
            number += 1;
        }
        if !mine.is_empty() {
            selected.push(Selected {
                entry,
                installers: mine,
            });
        }
    }
    Ok(selected)
}

/// Names that teams chose themselves, whatever share they are in: no share sees the others'
/// files. Versions are not known yet, and the same where programs come from the same place.
#[derive(Default)]
struct Names(BTreeMap<Name, String>);

/// A name, and where its version comes from if it has one.
type Name = (String, Option<(String, String)>);

/// Stands for a version in a name.
const VERSION: &str = "VERSION";

impl Names {
    fn add(&mut self, entry: &Entry, installers: &[(Format, Arch)]) -> Result<(), ManifestError> {
        let args = &entry.args;
        let Some(naming) = &args.output.outname else {
            return Ok(());
        };
        for &(format, arch) in installers {
            let of = |version: &str| {
                naming.of(&Installer {
                    format,
                    builder: builder(format),
                    identity: &identity(version, arch, None),
                })
            };
            let name = of(VERSION);
            let place = (
                args.updates.update_url.clone(),
                args.updates.orbit_channel.clone(),
            );
            let place = (name != of("")).then_some(place);
            let who = format!("{} {}", entry.team, label(format, arch));
            if let Some(other) = self.0.insert((name.clone(), place), who.clone()) {
                let what = format!("two installers ({other} and {who}) would be called {name}");
                return Err(wrong(entry.line, what));
            }
        }
        Ok(())
    }
}

/// A team whose flags make sense.
pub struct Team {
    /// Its name.
    pub name: String,
    /// Its flags, resolved.
    pub options: Options,
    /// Whether its files have names of their own and lie in no folder of the team.
    pub named: bool,
    applied: BTreeMap<Format, Applied>,
    access: Access,
}

/// An installer to make.
pub struct Unit {
    /// Index of its team in the plan.
    team: usize,
    /// Which format.
    pub format: Format,
    /// For which processor.
    pub arch: Arch,
    /// Where it goes.
    pub path: PathBuf,
    /// What goes into it.
    pub fetched: Arc<Fetched>,
}

/// Everything that is to be made, and what cannot be.
#[derive(Default)]
pub struct Plan {
    /// Teams that something is made for.
    pub teams: Vec<Team>,
    /// The installers, by team.
    pub units: Vec<Unit>,
    /// What failed already.
    pub failures: Vec<Failure>,
}

impl Plan {
    /// Resolves all teams, fetches what they need, settles all names.
    pub fn make(
        selected: Vec<Selected>,
        run: &Run,
        surroundings: &Surroundings,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        let mut plan = Self::default();
        let mut warnings: Vec<(String, Vec<String>)> = Vec::new();
        for one in selected {
            let (name, wanted) = (one.entry.team.clone(), one.installers.clone());
            match team(one, run, surroundings, printer) {
                Ok(team) => {
                    for warning in &team.options.warnings {
                        match warnings.iter_mut().find(|(text, _)| text == warning) {
                            Some((_, teams)) => teams.push(name.clone()),
                            None => warnings.push((warning.clone(), vec![name.clone()])),
                        }
                    }
                    plan.teams.push(team);
                }
                Err(error) => plan.fail(&name, &wanted, text(&error)),
            }
        }
        for (warning, teams) in &warnings {
            printer.warn(format!("{} ({})", warning, some(teams)));
        }
        plan.fetch(run, surroundings, printer);
        plan.refuse_collisions()?;
        Ok(plan)
    }

    fn fail(&mut self, team: &str, installers: &[(Format, Arch)], report: String) {
        let word = |(format, arch): &(Format, Arch)| label(*format, *arch);
        self.failures.push(Failure {
            team: team.to_owned(),
            installers: installers.iter().map(word).collect(),
            report,
        });
    }

    fn fetch(&mut self, run: &Run, surroundings: &Surroundings, printer: &Printer) {
        let mut origins = Origins::new(run.cache.clone());
        for (index, team) in std::mem::take(&mut self.teams).into_iter().enumerate() {
            let mut failed: BTreeMap<String, Vec<(Format, Arch)>> = BTreeMap::new();
            for &(format, arch) in &team.options.installers {
                let platform = Platform::of(format.os(), arch);
                let (options, access) = (&team.options, &team.access);
                let unit = origins
                    .fetch(options, access, platform, surroundings, printer)
                    .and_then(|fetched| {
                        let path = path(&team, (format, arch), &fetched);
                        Ok(Unit {
                            team: index,
                            format,
                            arch,
                            path: path.map_err(|error| text(&error))?,
                            fetched,
                        })
                    });
                match unit {
                    Ok(unit) => self.units.push(unit),
                    Err(report) => failed.entry(report).or_default().push((format, arch)),
                }
            }
            for (report, installers) in failed {
                self.fail(&team.name, &installers, report);
            }
            self.teams.push(team);
        }
    }

    fn refuse_collisions(&self) -> Result<(), CliError> {
        let mut taken = BTreeMap::new();
        for unit in &self.units {
            let label = format!("{} {}", self.team(unit).name, label(unit.format, unit.arch));
            if let Some(other) = taken.insert(&unit.path, label.clone()) {
                return Err(CliError::usage(
                    format!(
                        "two installers ({other} and {label}) would be written to {}",
                        unit.path.display()
                    ),
                    "outname = \"{team}-{version}-{arch}.{type}\"",
                ));
            }
        }
        Ok(())
    }

    /// Whose installer it is.
    pub fn team(&self, unit: &Unit) -> &Team {
        &self.teams[unit.team]
    }

    /// What the builders want to know of it; `None` cannot be.
    pub fn job<'a>(&'a self, unit: &'a Unit) -> Option<Job<'a>> {
        self.team(unit).job(unit.format, unit.arch, &unit.fetched)
    }
}

impl Team {
    fn job<'a>(&'a self, format: Format, arch: Arch, fetched: &'a Fetched) -> Option<Job<'a>> {
        Some(Job {
            format,
            arch,
            builder: match format {
                Format::Rpm => &self.options.rpm,
                other => builder(other),
            },
            applied: self.applied.get(&format)?,
            fetched,
        })
    }
}

/// The words for an installer that has no name yet.
pub fn label(format: Format, arch: Arch) -> String {
    match arch {
        Arch::Universal => format.to_string(),
        arch => format!("{format} {}", naming::arch(arch)),
    }
}

/// The first few of many.
fn some(names: &[String]) -> String {
    match names.len() {
        0..=4 => names.join(", "),
        len => format!("{} and {} more", names[..3].join(", "), len - 3),
    }
}

fn team(
    one: Selected,
    run: &Run,
    surroundings: &Surroundings,
    printer: &Printer,
) -> Result<Team, CliError> {
    let Entry {
        team,
        mut args,
        secret,
        named,
        ..
    } = one.entry;
    if let Some(source) = secret {
        args.fleet.enroll_secret = Some(source.read(surroundings, &run.hidden)?);
    }
    args.updates.state_dir = run.state_dir.clone();
    args.updates.no_state = run.no_state;
    // The run has one for all.
    args.caching.cache = Some("none".to_owned());
    args.output.outdir = Some(match (named, run.outdir == Path::new(".")) {
        (true, _) => run.outdir.clone(),
        (false, true) => team.clone().into(),
        (false, false) => run.outdir.join(&team),
    });
    let access = Access::of(&args);
    let mut options = Options::resolve(args, surroundings, &printer.silent())?;
    // Flags are judged by all of the team's types, whatever the share.
    let applied = applied(&options)?;
    options.installers = one.installers;
    Ok(Team {
        name: team,
        options,
        named,
        applied,
        access,
    })
}

fn path(
    team: &Team,
    (format, arch): (Format, Arch),
    fetched: &Fetched,
) -> Result<PathBuf, CliError> {
    let none = || CliError::Usage {
        message: format!("nothing is known of {format}"),
        hint: None,
    };
    let job = team.job(format, arch, fetched).ok_or_else(none)?;
    let identity: Identity = identity_of(&job)?;
    let builder: &dyn Builder = job.builder;
    builder.check(&identity)?;
    let installer = Installer {
        format,
        builder,
        identity: &identity,
    };
    let options = &team.options;
    let paths = naming::paths(&options.place, &options.naming, &[installer])?;
    paths.into_iter().next().ok_or_else(none)
}
