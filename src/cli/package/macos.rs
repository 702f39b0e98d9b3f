//! What is done with a macOS package after it was built: signing, notarising, and the files
//! for MDM. Credentials are read and checked before anything is fetched.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;
use zeroize::Zeroizing;

use super::args::MacosArgs;
use super::build::Committed;
use crate::agent::config::{Config, Secret};
use crate::agent::mobileconfig;
use crate::apple::manifest::manifest;
use crate::apple::notary::{ApiKey, Endpoints, Notary, Patience};
use crate::apple::signing::{APPLE_TIMESTAMP, Credentials, Identity};
use crate::cli::{CliError, Printer, Surroundings};
use crate::fs::{self, AtomicFile};
use crate::install;

/// The largest file with credentials.
const FILE_LIMIT: u64 = 1 << 20;

/// See the head of this file.
#[derive(Default)]
pub struct Finish {
    identity: Option<Identity>,
    timestamp: Option<Url>,
    notary: Option<Notary>,
    manifest: Option<String>,
    profile: Option<(PathBuf, Zeroizing<Vec<u8>>)>,
}

/// A file beside the package, complete but without its name.
type Beside = (AtomicFile, PathBuf);

impl Finish {
    /// Resolves the flags. A profile takes Fleet's address and the secret out of `config`.
    pub fn resolve(
        args: &MacosArgs,
        config: &mut Config,
        surroundings: &Surroundings,
    ) -> Result<Self, CliError> {
        let identity = credentials(args, surroundings)?
            .map(|credentials| Identity::load(&credentials, surroundings.now))
            .transpose()?;
        let notary = notary(args, surroundings)?;
        if notary.is_some() && identity.is_none() {
            return Err(CliError::usage(
                "--notarize needs a signed package",
                "add --macos-devid-pem FILE",
            ));
        }
        let profile = match &args.mobileconfig {
            Some(path) => Some((path.clone(), profile(args, config, identity.as_ref())?)),
            None => None,
        };
        Ok(Self {
            timestamp: timestamp(args)?,
            identity,
            notary,
            manifest: args.mdm_manifest.as_deref().map(checked).transpose()?,
            profile,
        })
    }

    /// Signs and notarises the package that lies in `built`, makes the files that go with it,
    /// and gives them all their names.
    pub(super) fn commit(
        &self,
        mut built: AtomicFile,
        path: &Path,
        identity: &install::Identity,
        printer: &Printer,
    ) -> Result<Committed, CliError> {
        if let Some(signer) = &self.identity {
            printer.note(format!("Signing {}", path.display()));
            let signed = AtomicFile::create(path, 0o600)?;
            // Handles share one position, and the builder left it at the end.
            let mut unsigned = built.handle()?;
            unsigned.seek(SeekFrom::Start(0))?;
            signer.sign_package(unsigned, &signed.handle()?, self.timestamp.as_ref())?;
            built = signed;
        }
        if let Some(notary) = &self.notary {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let package = built.handle()?;
            notary.notarize(&package, &name, &|line| printer.note(line))?;
            notary.staple(&package, path)?;
        }
        let beside = self.beside(&built.handle()?, path, identity, printer)?;
        let size = built.file().metadata()?.len();
        built.commit()?;
        let mut named = Vec::new();
        for (file, path) in beside {
            file.commit()?;
            printer.result(path.display().to_string())?;
            named.push(path);
        }
        Ok(Committed {
            size,
            beside: named,
        })
    }

    fn beside(
        &self,
        package: &File,
        path: &Path,
        identity: &install::Identity,
        printer: &Printer,
    ) -> Result<Vec<Beside>, CliError> {
        let mut files = Vec::new();
        if let Some(url) = &self.manifest {
            if self.identity.is_none() {
                printer.warn("Macs install a package by MDM only when it is signed");
            }
            let url = match url.ends_with('/') {
                true => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    format!("{url}{name}")
                }
                false => url.clone(),
            };
            let text = manifest(package, &url, identity)?;
            let path = path.with_extension("manifest.plist");
            files.push((written(&path, text.as_bytes(), 0o644)?, path));
        }
        if let Some((path, bytes)) = &self.profile {
            files.push((written(path, bytes, 0o600)?, path.clone()));
        }
        Ok(files)
    }
}

fn written(path: &Path, bytes: &[u8], mode: u32) -> Result<AtomicFile, CliError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.copy_from(&mut { bytes })?;
    Ok(file)
}

/// Refuses flags that are about a macOS package when there is none, or others as well.
pub fn check_types(args: &MacosArgs, pkg: bool, alone: bool) -> Result<(), CliError> {
    let given = [
        ("--macos-devid-pem", args.macos_devid_pem.is_some()),
        ("--macos-devid-p12", args.macos_devid_p12.is_some()),
        ("--notarize", args.notarize),
        ("--mdm-manifest", args.mdm_manifest.is_some()),
        ("--mobileconfig", args.mobileconfig.is_some()),
    ];
    if let (false, Some((flag, _))) = (pkg, given.iter().find(|(_, given)| *given)) {
        let sentence = format!("{flag} goes with --type pkg alone");
        return Err(CliError::usage(sentence, format!("leave out {flag}")));
    }
    if args.mobileconfig.is_some() && !alone {
        return Err(CliError::usage(
            "--mobileconfig takes the enroll secret out of the package, so it goes with --type pkg alone",
            "--type pkg",
        ));
    }
    Ok(())
}

fn credentials(
    args: &MacosArgs,
    surroundings: &Surroundings,
) -> Result<Option<Credentials>, CliError> {
    if let Some(path) = &args.macos_devid_pem {
        return Ok(Some(Credentials::Pem {
            text: Zeroizing::new(file("--macos-devid-pem", path)?),
            name: path.display().to_string(),
        }));
    }
    if let Some(path) = &args.macos_devid_p12 {
        let password = surroundings.secret("FLEETPACK_MACOS_P12_PASSWORD");
        return Ok(Some(Credentials::P12 {
            bytes: Zeroizing::new(file("--macos-devid-p12", path)?),
            password: password.unwrap_or_default(),
            name: path.display().to_string(),
        }));
    }
    let content = args.macos_devid_pem_content.as_ref().map(Secret::reveal);
    Ok(content
        .filter(|content| !content.is_empty())
        .map(|content| Credentials::Pem {
            text: Zeroizing::new(content.as_bytes().to_vec()),
            name: "--macos-devid-pem-content".to_owned(),
        }))
}

fn file(flag: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read_limited(path, FILE_LIMIT)?.ok_or_else(|| {
        CliError::usage(
            format!("{flag}: {} does not exist", path.display()),
            format!("{flag} FILE"),
        )
    })
}

fn timestamp(args: &MacosArgs) -> Result<Option<Url>, CliError> {
    let default = args.notarize.then_some(APPLE_TIMESTAMP);
    let url = match args.macos_timestamp.as_deref().or(default) {
        None | Some("none") => return Ok(None),
        Some(url) => url,
    };
    let url = Url::parse(url).map_err(|_| {
        CliError::usage(
            format!("--macos-timestamp {url} is no address"),
            format!("--macos-timestamp={APPLE_TIMESTAMP}"),
        )
    })?;
    Ok(Some(url))
}

fn notary(args: &MacosArgs, surroundings: &Surroundings) -> Result<Option<Notary>, CliError> {
    if !args.notarize {
        return Ok(None);
    }
    let (Some(id), Some(issuer), Some(content)) = (
        &args.app_store_connect_api_key_id,
        &args.app_store_connect_api_key_issuer,
        &args.app_store_connect_api_key_content,
    ) else {
        let sentence = match surroundings.variable("AC_USERNAME") {
            Some(_) => {
                "AC_USERNAME and AC_PASSWORD are for a Mac's own tools; --notarize needs an App Store Connect API key"
            }
            None => "--notarize needs an App Store Connect API key",
        };
        return Err(CliError::usage(
            sentence,
            "--app-store-connect-api-key-id ID --app-store-connect-api-key-issuer UUID --app-store-connect-api-key-content \"$(cat FILE)\"",
        ));
    };
    let key = ApiKey::new(id, issuer, content.reveal())
        .map_err(crate::apple::notary::NotaryError::from)?;
    let (endpoints, patience) = match surroundings.variable("FLEETPACK_APPLE_STAND_IN") {
        None => (Endpoints::default(), Patience::default()),
        Some(base) => stand_in(&base)?,
    };
    Ok(Some(Notary::new(key, endpoints, patience)))
}

// For tests: a server on this machine that plays Apple's side.
fn stand_in(base: &str) -> Result<(Endpoints, Patience), CliError> {
    if !base.starts_with("http://127.0.0.1:") {
        return Err(CliError::usage(
            format!("FLEETPACK_APPLE_STAND_IN is {base}, which is not on this machine"),
            "unset FLEETPACK_APPLE_STAND_IN",
        ));
    }
    let endpoints = Endpoints {
        notary: format!("{base}/notary/v2"),
        storage: Some(format!("{base}/storage")),
        tickets: format!("{base}/tickets"),
    };
    let patience = Patience {
        pause: Duration::from_millis(50),
        questions: 20,
        clock: Timestamp::now,
    };
    Ok((endpoints, patience))
}

// InstallEnterpriseApplication takes https addresses alone.
fn checked(url: &str) -> Result<String, CliError> {
    let https = Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    match https {
        true => Ok(url.to_owned()),
        false => Err(CliError::usage(
            format!("--mdm-manifest {url} is no https address"),
            "--mdm-manifest https://www.example.com/fleet-osquery.pkg",
        )),
    }
}

fn profile(
    args: &MacosArgs,
    config: &mut Config,
    identity: Option<&Identity>,
) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if !config.use_system_configuration {
        return Err(CliError::usage(
            "--mobileconfig makes the profile that --use-system-configuration reads",
            "add --use-system-configuration",
        ));
    }
    let enrollment = config.enrollment.take().ok_or_else(|| {
        CliError::usage(
            "--mobileconfig carries Fleet's address and the enroll secret",
            "add --fleet-url and --enroll-secret",
        )
    })?;
    // The address and the secret are checked as if they were in the package.
    Config {
        enrollment: Some(enrollment.clone()),
        use_system_configuration: false,
        ..config.clone()
    }
    .check()?;
    let text =
        mobileconfig::profile(config, &enrollment).map_err(crate::agent::AgentError::from)?;
    let text = Zeroizing::new(text);
    match (args.sign_mobileconfig, identity) {
        (false, _) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        (true, Some(identity)) => Ok(Zeroizing::new(identity.sign_profile(&text)?)),
        (true, None) => Err(CliError::usage(
            "--sign-mobileconfig needs a certificate",
            "add --macos-devid-pem FILE",
        )),
    }
}
