//! A Windows package and, where it is asked for, what Intune wants of it: `.intunewin`, and
//! the app with command lines and detection.

use std::path::Path;

use super::build::Committed;
use crate::cli::{CliError, Printer};
use crate::fs::AtomicFile;
use crate::intune::{app, wrap};

/// Wraps the package that lies in `built`, and gives all files their names.
pub fn commit(
    built: AtomicFile,
    path: &Path,
    epoch: u64,
    printer: &Printer,
) -> Result<Committed, CliError> {
    let shown = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let (wrapped, described) = (
        path.with_extension("intunewin"),
        path.with_extension("intune.json"),
    );
    printer.note(format!("Wrapping {} for Intune", path.display()));
    // Its keys stand in it, so it is as secret as the package.
    let wrapping = AtomicFile::create(&wrapped, 0o600)?;
    let package = built.handle()?;
    let out = (wrapping.handle()?, wrapped.as_path());
    let product = wrap(&package, &shown(path), epoch, out)?;
    let description = app(&product, &shown(path), &shown(&wrapped));
    let mut text = serde_json::to_string_pretty(&description).map_err(std::io::Error::from)?;
    text.push('\n');
    let mut about = AtomicFile::create(&described, 0o644)?;
    about.copy_from(&mut text.as_bytes())?;
    let size = package.metadata()?.len();
    built.commit()?;
    let mut beside = Vec::new();
    for (file, path) in [(wrapping, wrapped), (about, described)] {
        file.commit()?;
        printer.result(path.display().to_string())?;
        beside.push(path);
    }
    Ok(Committed { size, beside })
}
