//! Looking at a repository, in a folder or on a server: what `status` and `verify` share.

use serde::Serialize;

use super::remote::Published;
use super::tls::Tls;
use super::{At, CliError, Place, Printer};
use crate::cli::error::with_causes;
use crate::cli::hints::Typed;
use crate::cli::package::anchor::{self, Address};
use crate::hint::{Hint, bare};
use crate::store;
use crate::tuf::client::{Client, Options};
use crate::tuf::metadata::{Role, TargetFile};
use crate::tuf::repository::{self, Layout, Memory};
use crate::tuf::survey::{self, Finding};
use crate::tuf::trusted::Expiry;

/// Where to look.
#[derive(Debug, clap::Args)]
pub struct Look {
    /// Address of a published repository, in place of --path
    #[arg(value_name = "URL")]
    url: Option<String>,

    #[command(flatten)]
    pub(super) place: Place,

    /// Root metadata to begin with (JSON, or @FILE)
    #[arg(long, value_name = "ROOTS")]
    update_roots: Option<String>,

    #[command(flatten)]
    tls: Tls,
}

/// A repository that was found trustworthy.
pub struct Looked {
    /// Folder or URL, as it may be printed.
    pub place: String,
    /// Has refreshed.
    pub client: Client,
    /// What a search finds, by name.
    pub targets: Vec<(String, TargetFile)>,
    layout: Option<Layout>,
}

/// What somebody should look at, for people and programs.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// `fault` or `warning`.
    pub kind: &'static str,
    /// The target that it is about.
    pub target: Option<String>,
    /// The sentence.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

impl Look {
    /// Refreshes from an anchor that does not come from the place itself.
    pub fn refresh(mut self, expiry: Expiry, printer: &Printer) -> Result<Looked, CliError> {
        let at = self.place.at();
        if let (None, Some(url)) = (&self.url, at.url().map(str::to_owned)) {
            return elsewhere(at.clone(), url, self.update_roots.as_deref(), expiry);
        }
        let options = self.tls.options()?;
        let (store, place, anchor, layout) = match (self.url, self.update_roots) {
            (Some(url), roots) => {
                let anchor = anchor::of(roots.as_deref(), given(&url))?;
                (store::open(&url, options)?, bare(&url), anchor, None)
            }
            (None, roots) => {
                let layout = self.place.looked_at(printer);
                let anchor = match roots {
                    Some(roots) => anchor::parsed(&roots)?,
                    None => repository::known_root(&layout)?,
                };
                let place = layout.repository().display().to_string();
                let store = store::open(&place, options)?;
                (store, place, anchor, Some(layout))
            }
        };
        let mut client = Client::new(store, anchor, None, Options::default());
        if let Err(error) = client.refresh_with(expiry) {
            // A link that is missing is the cause, what is refused for it the consequence.
            let chain = layout.as_ref().map_or(Ok(Vec::new()), survey::chain)?;
            let mut chain = chain.iter();
            return Err(match chain.find(|f| matches!(f, Finding::MissingRoot(_))) {
                None => error.into(),
                Some(missing) => {
                    let said = [Said::of(missing, &typed(layout.as_ref()))];
                    print(&said, printer)?;
                    CliError::Faults { faults: 1, place }
                }
            });
        }
        Ok(Looked {
            targets: client.all_targets()?,
            place,
            client,
            layout,
        })
    }
}

// What is published at a URL may be older than what this key holder signed or saw.
fn elsewhere(at: At, url: String, roots: Option<&str>, expiry: Expiry) -> Result<Looked, CliError> {
    let Published {
        store,
        anchor,
        memory,
    } = match roots {
        None => at.look(&url)?,
        Some(roots) => {
            let anchor = anchor::parsed(roots)?;
            let cloud = super::remote::objects(&url, at.endpoint.as_deref())?;
            Published {
                store: cloud,
                anchor,
                memory: Memory::default(),
            }
        }
    };
    let mut client = Client::new(store, anchor, None, Options::default());
    let trusted = client.refresh_with(expiry)?;
    for role in Role::ALL {
        memory.check(role, trusted.version(role), trusted.bytes(role))?;
    }
    Ok(Looked {
        targets: client.all_targets()?,
        place: bare(&url),
        client,
        layout: None,
    })
}

// It follows the command's name.
fn given(url: &str) -> Address<'_> {
    Address { flag: None, url }
}

fn typed(layout: Option<&Layout>) -> Typed {
    layout.map_or_else(Typed::default, |layout| Typed::new(layout.path(), None))
}

impl Looked {
    /// What no client notices. `files`: also whether each target's file is there, which
    /// whoever reads them finds out anyway.
    pub fn survey(&self, files: bool) -> Result<Vec<Said>, CliError> {
        let Some(trusted) = self.client.trusted() else {
            return Ok(Vec::new());
        };
        let names = self.targets.iter().map(|(name, _)| name.as_str());
        let mut found = survey::documents(trusted, names);
        if let Some(layout) = &self.layout {
            found.extend(survey::folder(layout, trusted)?);
            if files {
                found.extend(survey::target_files(layout, trusted, &self.targets)?);
            }
        }
        let typed = typed(self.layout.as_ref());
        Ok(found.iter().map(|found| Said::of(found, &typed)).collect())
    }
}

impl Said {
    fn of(finding: &Finding, typed: &Typed) -> Self {
        let target = match finding {
            Finding::MissingFile { target, .. } | Finding::WrongLength { target, .. } => {
                Some(target.clone())
            }
            _ => None,
        };
        Self {
            kind: match finding.is_fault() {
                true => "fault",
                false => "warning",
            },
            target,
            message: finding.to_string(),
            hint: finding.hint().map(|hint| typed.placed(hint)),
        }
    }

    /// A target that is not what was signed.
    pub fn of_target(target: &str, error: &(impl std::error::Error + Hint)) -> Self {
        Self {
            kind: "fault",
            target: Some(target.to_owned()),
            message: with_causes(error),
            hint: error.hint(),
        }
    }

    /// Whether it is more than a warning.
    pub fn is_fault(&self) -> bool {
        self.kind == "fault"
    }
}

/// Prints one line for each, and the way out below it.
pub fn print(said: &[Said], printer: &Printer) -> Result<(), CliError> {
    for said in said {
        printer.result(format!("{}: {}", said.kind, said.message))?;
        if let Some(hint) = &said.hint {
            printer.result(format!("  hint: {hint}"))?;
        }
    }
    Ok(())
}

/// Fails when there are faults.
pub fn judge(said: &[Said], place: &str) -> Result<(), CliError> {
    match said.iter().filter(|said| said.is_fault()).count() {
        0 => Ok(()),
        faults => Err(CliError::Faults {
            faults,
            place: place.to_owned(),
        }),
    }
}
