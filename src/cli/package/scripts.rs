//! An administrator's own scripts: the flags, the files, and where they apply.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::options::read_file;
use crate::cli::CliError;
use crate::install::{AdminScript, Customer, Event};
use crate::package::Format;

/// Scripts that run in addition to the installer's own; one that fails fails its step.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Scripts")]
pub struct ScriptArgs {
    /// Script to run before files are installed or upgraded (not for msi)
    #[arg(long, value_name = "FILE")]
    pub pre_install: Option<PathBuf>,

    /// Script to run after files are installed or upgraded (not for msi)
    #[arg(long, value_name = "FILE")]
    pub post_install: Option<PathBuf>,

    /// Script to run before the agent is removed (deb, rpm, pkg.tar.zst)
    #[arg(long, value_name = "FILE")]
    pub pre_remove: Option<PathBuf>,

    /// Script to run after the agent was removed (deb, rpm, pkg.tar.zst)
    #[arg(long, value_name = "FILE")]
    pub post_remove: Option<PathBuf>,
}

/// The scripts by the event they run at.
pub type Scripts = BTreeMap<Event, AdminScript>;

impl ScriptArgs {
    /// Reads the files; what does not name its interpreter is refused.
    pub fn read(&self) -> Result<Scripts, CliError> {
        let files = [
            (Event::BeforeInstall, &self.pre_install),
            (Event::AfterInstall, &self.post_install),
            (Event::BeforeRemove, &self.pre_remove),
            (Event::AfterRemove, &self.post_remove),
        ];
        let mut scripts = Scripts::new();
        for (event, file) in files {
            if let Some(file) = file {
                scripts.insert(event, script(flag(event), file)?);
            }
        }
        Ok(scripts)
    }
}

fn script(flag: &str, file: &Path) -> Result<AdminScript, CliError> {
    let body = read_file(file)?;
    if body.contains(&0) {
        return Err(CliError::usage(
            format!(
                "{flag}: {} holds a NUL character, as no script does",
                file.display()
            ),
            format!("{flag} FILE, a script with its interpreter in the first line: #!/bin/sh"),
        ));
    }
    if !body.starts_with(b"#!") {
        return Err(CliError::usage(
            format!("{} is no script: it does not begin with #!", file.display()),
            "#!/bin/sh as its first line names its interpreter",
        ));
    }
    let name = file.file_name().unwrap_or(file.as_os_str());
    Ok(AdminScript {
        name: name.to_string_lossy().into_owned(),
        body: Customer::new(body),
    })
}

/// The scripts that a format can run, and the flags of those that it cannot.
pub fn limited_to(scripts: &Scripts, format: Format) -> (Scripts, Vec<&'static str>) {
    let (applicable, left_out): (Scripts, Scripts) = scripts
        .clone()
        .into_iter()
        .partition(|(event, _)| runs(format, *event));
    (applicable, left_out.keys().map(|e| flag(*e)).collect())
}

/// When each script runs, in the word of its flag, and the sha256 of its text in hex.
pub fn digests(scripts: &Scripts) -> Vec<(&'static str, String)> {
    let digest = |script: &AdminScript| hex::encode(crate::compress::sha256(script.body.bytes()));
    let scripts = scripts.iter();
    scripts
        .map(|(event, script)| (flag(*event).trim_start_matches('-'), digest(script)))
        .collect()
}

// macOS keeps no scripts for removal; Windows Installer runs programs, not shell scripts.
fn runs(format: Format, event: Event) -> bool {
    match format {
        Format::Deb | Format::Rpm | Format::PkgTarZst => true,
        Format::Pkg => matches!(event, Event::BeforeInstall | Event::AfterInstall),
        Format::Msi => false,
    }
}

fn flag(event: Event) -> &'static str {
    match event {
        Event::BeforeInstall => "--pre-install",
        Event::AfterInstall | Event::Handover => "--post-install",
        Event::BeforeRemove => "--pre-remove",
        Event::AfterRemove => "--post-remove",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_run_what_they_can() {
        let any = || AdminScript {
            name: "x".to_owned(),
            body: Customer::new("#!/bin/sh\n"),
        };
        let scripts: Scripts = [
            Event::BeforeInstall,
            Event::AfterInstall,
            Event::BeforeRemove,
            Event::AfterRemove,
        ]
        .map(|event| (event, any()))
        .into();
        let cases: &[(Format, usize, &[&str])] = &[
            (Format::Deb, 4, &[]),
            (Format::Rpm, 4, &[]),
            (Format::PkgTarZst, 4, &[]),
            (Format::Pkg, 2, &["--pre-remove", "--post-remove"]),
            (
                Format::Msi,
                0,
                &[
                    "--pre-install",
                    "--post-install",
                    "--pre-remove",
                    "--post-remove",
                ],
            ),
        ];
        for (format, kept, left_out) in cases {
            let (applicable, flags) = limited_to(&scripts, *format);
            assert_eq!(
                (applicable.len(), flags.as_slice()),
                (*kept, *left_out),
                "{format}"
            );
        }
    }
}
