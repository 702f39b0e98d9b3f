//! The command that makes an installer once more.

use super::OnDisk;
use crate::hint::word;

/// What of the command a report does not tell.
const REST: &str = ", with its other flags as they were";

/// Makes the installer anew from the repository at `place`.
pub fn again(on_disk: &OnDisk<'_>, place: &str) -> String {
    format!("{}{REST}", command(on_disk, place))
}

/// The same with one flag more.
pub fn again_with(on_disk: &OnDisk<'_>, place: &str, flag: &str) -> String {
    format!("{} {flag}{REST}", command(on_disk, place))
}

fn command(on_disk: &OnDisk<'_>, place: &str) -> String {
    let report = on_disk.report;
    let arch = match report.arch.as_str() {
        "arm64" | "aarch64" | "Arm64" if report.format != "pkg" => " --arch arm64",
        _ => "",
    };
    format!(
        "fleetpack package --type {}{arch} --update-url {} --update-roots @root.json --outfile {}",
        report.format,
        word(place),
        word(on_disk.path)
    )
}
