//! Makes a change visible, and finishes one that was interrupted.
//!
//! All files of a change lie complete in `.fleetpack/stage/` before `.fleetpack/commit.json`
//! appears, which lists the renames in their order: new targets first, then targets.json,
//! snapshot.json and timestamp.json (a new root before them all or after, as the change
//! says), then deletions. From then on the change will happen: whoever opens the repository
//! next does what is left. Before that it has not happened, and the stage is thrown away.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Layout, RepositoryError, create, io_error};

/// Largest list of renames that is read.
const LIMIT: u64 = 64 << 20;

/// What a commit does, in order. Names are relative: `from` to the stage, others to
/// `repository/`.
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

/// An empty stage.
pub(super) fn clear_stage(layout: &Layout) -> Result<std::path::PathBuf, RepositoryError> {
    let stage = layout.work().join("stage");
    remove_tree(&stage)?;
    crate::fs::create_folders(&stage, 0o755)
        .map_err(io_error(format!("make {}", stage.display())))?;
    Ok(stage)
}

pub(super) fn remove_tree(folder: &Path) -> Result<(), RepositoryError> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(io_error(format!("delete {}", folder.display()))),
    }
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

/// Decides on the commit and does it.
pub(super) fn run(layout: &Layout, commit: &Commit) -> Result<(), RepositoryError> {
    let path = layout.work().join("commit.json");
    let text = serde_json::to_vec(commit)
        .map_err(io::Error::from)
        .map_err(io_error("list the commit"))?;
    crate::fs::write_atomic(&path, &text, 0o644)
        .map_err(io_error(format!("write {}", path.display())))?;
    finish(layout, commit)
}

/// Finishes what was interrupted; says whether there was anything.
pub(super) fn recover(layout: &Layout) -> Result<bool, RepositoryError> {
    let created = create::recover(layout)?;
    let path = layout.work().join("commit.json");
    let text = crate::fs::read_limited(&path, LIMIT)
        .map_err(io_error(format!("read {}", path.display())))?;
    let Some(text) = text else {
        remove_tree(&layout.work().join("stage"))?;
        return Ok(created);
    };
    let commit: Commit = serde_json::from_slice(&text)
        .map_err(io::Error::from)
        .map_err(io_error(format!("read {}", path.display())))?;
    finish(layout, &commit)?;
    Ok(true)
}

fn finish(layout: &Layout, commit: &Commit) -> Result<(), RepositoryError> {
    let stage = layout.work().join("stage");
    for Rename { from, to } in &commit.renames {
        let (from, to) = (stage.join(from), layout.published(to));
        // Gone: an earlier try did this one.
        if !from.exists() {
            continue;
        }
        super::stage::make_parents(&to)?;
        crate::fs::rename(&from, &to).map_err(io_error(format!("write {}", to.display())))?;
    }
    for name in &commit.removals {
        let path = layout.published(name);
        crate::fs::remove(&path).map_err(io_error(format!("delete {}", path.display())))?;
    }
    let path = layout.work().join("commit.json");
    crate::fs::remove(&path).map_err(io_error(format!("delete {}", path.display())))?;
    remove_tree(&stage)
}
