//! The command that makes an installer once more.

use crate::hint::word;
use crate::inspect::Report;

/// What of the command a report does not tell.
const REST: &str = ", with its other flags as they were";

/// Makes the installer anew from the repository at `place`.
pub fn again(report: &Report, place: &str) -> String {
    format!("{}{REST}", command(report, place))
}

/// The same with one flag more.
pub fn again_with(report: &Report, place: &str, flag: &str) -> String {
    format!("{} {flag}{REST}", command(report, place))
}

fn command(report: &Report, place: &str) -> String {
    let arch = match report.arch.as_str() {
        "arm64" | "aarch64" | "Arm64" if report.format != "pkg" => " --arch arm64",
        _ => "",
    };
    format!(
        "fleetpack package --type {}{arch} --update-url {} --update-roots @root.json --outfile {}",
        report.format,
        word(place),
        word(&report.file.name)
    )
}
