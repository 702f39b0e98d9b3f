//! Makes a change visible, and finishes one that was interrupted.
//!
//! All files of a change lie complete in `.fleetpack/stage/` before `.fleetpack/commit.json`
//! appears, which lists the renames in their order: new targets first, then targets.json,
//! snapshot.json and timestamp.json (a new root before them all or after, as the change
//! says), then deletions. From then on the change will happen: whoever opens the repository
//! next does what is left. Before that it has not happened, and the stage is thrown away.
//!
//! Syncs are batched, and order is kept where it counts: the stage before commit.json; what a
//! new timestamp or root leads to before these; all renames before commit.json goes; that it is
//! gone before the next change begins, of which it would do a part.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Layout, RepositoryError, create, exists, io_error};

/// Largest list of renames that is read.
const LIMIT: u64 = 64 << 20;

/// The list of an edit that waits, seen from `repository/`: the one name outside it that goes.
pub(super) const WAITING_EDIT: &str = "../pending/edit.json";

/// The staged files of an edit that waits, seen from the stage.
pub(super) const WAITING_FILES: &str = "../../pending/files/";

/// What a commit does, in order. Names are relative: `from` to the stage, others to
/// `repository/`. None leads elsewhere, but for [`WAITING_FILES`] and [`WAITING_EDIT`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Commit {
    pub renames: Vec<Rename>,
    pub removals: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    pub from: String,
    pub to: String,
}

impl Commit {
    /// A name that fleetpack would not have listed. Somebody who can write here and holds no key
    /// could have files moved that he cannot touch, such as a key to where it is published.
    fn stray(&self) -> Option<&str> {
        let sources = self.renames.iter().map(|rename| &*rename.from);
        let sources =
            sources.filter(|from| !is_below(from.strip_prefix(WAITING_FILES).unwrap_or(from)));
        let places = self.renames.iter().map(|rename| &*rename.to);
        let gone = self.removals.iter().map(|name| &**name);
        let gone = gone.filter(|name| *name != WAITING_EDIT);
        let mut strays = sources.chain(places.chain(gone).filter(|name| !is_below(name)));
        strays.next()
    }
}

/// Whether a name, joined to a folder, stays in it. What lies there may have any characters.
pub(super) fn is_below(name: &str) -> bool {
    name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// An empty stage. Its name is on the disk when the commit is decided on.
pub(super) fn clear_stage(layout: &Layout) -> Result<std::path::PathBuf, RepositoryError> {
    let stage = layout.work().join("stage");
    remove_tree(&stage)?;
    crate::fs::create_folders_unsynced(&stage, 0o755)
        .map_err(io_error(format!("make {}", stage.display())))?;
    Ok(stage)
}

pub(super) fn remove_tree(folder: &Path) -> Result<(), RepositoryError> {
    crate::fs::remove_tree(folder).map_err(io_error(format!("delete {}", folder.display())))
}

/// Writes a document into the stage.
pub(super) fn stage_document(
    stage: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), RepositoryError> {
    let path = stage.join(name);
    crate::fs::write_atomic(&path, bytes, 0o644)
        .map_err(io_error(format!("write {}", path.display())))
}

/// Writes documents into the stage of a change and syncs them together.
pub(super) fn stage_documents(
    layout: &Layout,
    documents: &[(String, &[u8])],
) -> Result<(), RepositoryError> {
    let stage = layout.work().join("stage");
    let mut paths = Vec::new();
    for (name, bytes) in documents {
        let path = stage.join(name);
        let written = crate::fs::create_unsynced(&path, 0o644).and_then(|mut file| {
            crate::fs::step(crate::fs::Step::Write, "write", &path, || {
                file.write_all(bytes)
            })
        });
        written.map_err(io_error(format!("write {}", path.display())))?;
        paths.push(path);
    }
    crate::fs::sync_files(&paths).map_err(io_error(format!("write {}", stage.display())))
}

/// Decides on the commit and does it. The contents of the staged files are on the disk.
pub(super) fn run(layout: &Layout, commit: &Commit) -> Result<(), RepositoryError> {
    decide(layout, commit)?;
    finish(layout, commit)
}

/// Decides on the commit: from now on it will happen. An error may come when it is decided on
/// already: [`Layout::interrupted`] tells.
pub(super) fn decide(layout: &Layout, commit: &Commit) -> Result<(), RepositoryError> {
    check_names(layout, commit)?;
    for name in commit.renames.iter().map(|rename| &rename.to) {
        check_links(layout, name)?;
    }
    for name in &commit.removals {
        check_links(layout, name)?;
    }
    let work = layout.work();
    let mut folders = Folders::below(&work);
    for rename in &commit.renames {
        folders.touched(&work.join("stage").join(&rename.from));
    }
    folders.sync()?;
    let path = layout.work().join("commit.json");
    let text = serde_json::to_vec(commit)
        .map_err(io::Error::from)
        .map_err(io_error("list the commit"))?;
    crate::fs::write_atomic(&path, &text, 0o644)
        .map_err(io_error(format!("write {}", path.display())))
}

/// Folders in which names appeared that are not synced yet, each with those above it.
struct Folders<'a> {
    top: &'a Path,
    touched: BTreeSet<PathBuf>,
}

impl<'a> Folders<'a> {
    fn below(top: &'a Path) -> Self {
        Self {
            top,
            touched: BTreeSet::new(),
        }
    }

    fn touched(&mut self, file: &Path) {
        // A folder may be as new as what is in it.
        let above = file.ancestors().skip(1);
        let mut inside = above.take_while(|folder| folder.starts_with(self.top));
        while let Some(folder) = inside.next()
            && self.touched.insert(folder.to_owned())
        {}
    }

    fn sync(&mut self) -> Result<(), RepositoryError> {
        let touched = std::mem::take(&mut self.touched);
        crate::fs::sync_folders(&touched).map_err(io_error(format!("write {}", self.top.display())))
    }
}

/// Whether a change was decided on and is not done yet.
pub(super) fn interrupted(layout: &Layout) -> Result<bool, RepositoryError> {
    Ok(layout.interrupted()?.is_some() || create::interrupted(layout)?)
}

/// Finishes what was interrupted; says whether there was anything.
pub(super) fn recover(layout: &Layout) -> Result<bool, RepositoryError> {
    let created = create::recover(layout)?;
    remove_tree(&layout.work().join("incoming"))?;
    let path = layout.work().join("commit.json");
    let text = crate::fs::read_document(&path, LIMIT)
        .map_err(io_error(format!("read {}", path.display())))?;
    let Some(text) = text else {
        remove_tree(&layout.work().join("stage"))?;
        return Ok(created);
    };
    let commit: Commit = serde_json::from_slice(&text)
        .map_err(io::Error::from)
        .map_err(io_error(format!("read {}", path.display())))?;
    check_names(layout, &commit)?;
    finish(layout, &commit)?;
    Ok(true)
}

fn check_names(layout: &Layout, commit: &Commit) -> Result<(), RepositoryError> {
    match commit.stray() {
        Some(name) => Err(RepositoryError::Stray {
            list: layout.work().join("commit.json"),
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Does what was decided on, or what is left of it.
pub(super) fn finish(layout: &Layout, commit: &Commit) -> Result<(), RepositoryError> {
    let (stage, repository) = (layout.work().join("stage"), layout.repository());
    let mut folders = Folders::below(&repository);
    for Rename { from, to: name } in &commit.renames {
        let (from, to) = (stage.join(from), layout.published(name));
        // Gone: an earlier try did this one. It may not have come to syncing.
        let done = !exists(&from)?;
        if !done && leads_to_others(&to) {
            folders.sync()?;
        }
        folders.touched(&to);
        if done {
            continue;
        }
        check_links(layout, name)?;
        super::stage::make_parents_unsynced(&to)?;
        crate::fs::rename_unsynced(&from, &to)
            .map_err(io_error(format!("write {}", to.display())))?;
    }
    folders.sync()?;
    for name in &commit.removals {
        check_links(layout, name)?;
        let path = match &**name {
            // Not by way of `repository/..`: it may be a link.
            WAITING_EDIT => layout.pending_edit(),
            name => layout.published(name),
        };
        crate::fs::remove(&path).map_err(io_error(format!("delete {}", path.display())))?;
        remove_empty_above(&path, &layout.published("targets"));
    }
    let path = layout.work().join("commit.json");
    crate::fs::remove(&path)
        .and_then(|()| crate::fs::sync_folder(&layout.work()))
        .map_err(io_error(format!("delete {}", path.display())))?;
    // It is done; what stays of the stage is cleared by the next change.
    let _ = remove_tree(&stage);
    Ok(())
}

/// Refuses a place in `repository/` that a link leads out of: what is written or deleted there
/// would be somebody else's. `repository` and `repository/targets` may be links, to another
/// disk.
pub(super) fn check_links(layout: &Layout, name: &str) -> Result<(), RepositoryError> {
    let top = layout.published("targets");
    let path = layout.published(name);
    let above = path.ancestors().skip(1);
    for folder in above.take_while(|folder| folder.starts_with(&top) && *folder != top) {
        match folder.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                return Err(RepositoryError::Linked(folder.to_owned()));
            }
            Err(e) if !crate::fs::is_absence(&e) => {
                return Err(io_error(format!("read {}", folder.display()))(e));
            }
            _ => {}
        }
    }
    Ok(())
}

// Folders that a removal left empty; one that cannot go is in nobody's way.
fn remove_empty_above(path: &Path, top: &Path) {
    let above = path.ancestors().skip(1);
    for folder in above.take_while(|folder| folder.starts_with(top) && *folder != top) {
        if !crate::fs::remove_empty_folder(folder) {
            return;
        }
    }
}

// Where clients begin.
fn leads_to_others(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name == "timestamp.json" || name.ends_with("root.json"))
}
