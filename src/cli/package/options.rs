//! What the flags mean: files read, the environment looked up, contradictions refused.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::anchor::{self, Address};
use super::args::{ArchWord, Args, FleetArgs, Types, UpdatesArgs};
use super::caching;
use super::macos::{self, Finish};
use super::naming::Naming;
use super::precedence;
use super::scripts::Scripts;
use super::signing::Signing;
use crate::agent::config::{Channels, ClientFiles, Config, Enrollment, Secret, check_address};
use crate::agent::fetched::Documents;
use crate::cache::Cache;
use crate::cli::{CliError, Printer, Surroundings};
use crate::fs;
use crate::install::{Arch, Os};
use crate::package::rpm::{self, Rpm, SigningKey};
use crate::package::{Compression, Format};
use crate::store::tls::{self, ClientIdentity, TrustedRoots};
use crate::store::{HttpOptions, StoreError};

/// The largest file that is taken from the command line: certificates, flags, secrets.
const FILE_LIMIT: u64 = 4 << 20;

/// A run of `fleetpack package`, resolved.
pub struct Options {
    /// What hosts are told.
    pub config: Config,
    /// An administrator's own scripts.
    pub scripts: Scripts,
    /// Formats and processors, each pair once, in a fixed order.
    pub installers: Vec<(Format, Arch)>,
    /// Where the files go.
    pub place: Place,
    /// What the files are called in a folder.
    pub naming: Naming,
    /// The builder of rpm files, with the key that signs them.
    pub rpm: Rpm,
    /// By whom Windows packages are signed.
    pub signing: Option<Signing>,
    /// Windows packages are wrapped for Intune.
    pub intunewin: bool,
    /// Payload compression, if not the format's own.
    pub compression: Option<Compression>,
    /// Seconds since 1970 in the packages.
    pub epoch: u64,
    /// Trusted root metadata.
    pub anchor: Vec<u8>,
    /// Where the repository is read from while packaging.
    pub source: String,
    /// How to speak to the update server while packaging.
    pub http: HttpOptions,
    /// Where verified state is kept.
    pub state: Option<PathBuf>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// What is done with a macOS package.
    pub finish: Finish,
    /// The repository is read as it was when these were its newest metadata, expired or not.
    pub documents: Option<Documents>,
    /// What is kept from one run to the next.
    pub cache: Option<Arc<Cache>>,
}

/// Where the files go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One file, by its name.
    File(PathBuf),
    /// Usual names in a folder.
    Folder(PathBuf),
}

impl Options {
    /// Installers of the agent in a folder, with everything else as when no flag is given.
    pub fn plain(config: Config, installers: Vec<(Format, Arch)>, folder: PathBuf) -> Self {
        Self {
            source: config.update_url.clone(),
            config,
            scripts: Scripts::default(),
            installers,
            place: Place::Folder(folder),
            naming: Naming::default(),
            rpm: Rpm::unsigned(),
            signing: None,
            intunewin: false,
            compression: None,
            epoch: 0,
            anchor: Vec::new(),
            http: HttpOptions::default(),
            state: None,
            warnings: Vec::new(),
            finish: Finish::default(),
            documents: None,
            cache: None,
        }
    }

    /// Resolves the arguments.
    pub fn resolve(
        mut args: Args,
        surroundings: &Surroundings,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        precedence::settle(&mut args)?;
        note_ignored(&args, printer)?;
        let installers = installers(&args)?;
        let finishing = std::mem::take(&mut args.macos);
        let pkg = installers.iter().any(|(format, _)| *format == Format::Pkg);
        macos::check_types(&finishing, pkg, installers.len() == 1)?;
        let place = place(&args, &installers)?;
        let state = match (args.updates.no_state, &args.updates.state_dir) {
            (true, _) => None,
            (false, Some(folder)) => Some(folder.clone()),
            (false, None) => surroundings.state_folder(),
        };
        let epoch = surroundings.epoch()?;
        let anchor = anchor(&args.updates)?;
        let http = http_options(&args)?;
        let cache = caching::resolve(&args.caching, surroundings, printer)?;
        let source = args.updates.update_url.clone();
        let mut warnings = Vec::new();
        let update_url = agent_update_url(&args.updates, &mut warnings)?;
        let compression = args.output.compression;
        let intunewin = args.output.intunewin;
        let naming = args.output.outname.clone().unwrap_or_default();
        let rpm = rpm(args.output.rpm_signing_key.as_deref(), surroundings)?;
        let signing = Signing::read(&args.output, surroundings)?;
        let scripts = args.scripts.read()?;
        let mut config = config(args, update_url)?;
        // Before a profile takes the secret out.
        warnings.extend(short_secret(&config));
        let finish = match pkg {
            true => Finish::resolve(&finishing, &mut config, surroundings)?,
            false => Finish::default(),
        };
        config.check()?;
        Ok(Self {
            config,
            scripts,
            installers,
            place,
            naming,
            rpm,
            signing,
            intunewin,
            compression,
            epoch,
            anchor,
            source,
            http,
            state,
            warnings,
            finish,
            documents: None,
            cache,
        })
    }
}

fn anchor(updates: &UpdatesArgs) -> Result<Vec<u8>, CliError> {
    let address = Address {
        flag: Some("--update-url"),
        url: &updates.update_url,
    };
    anchor::of(updates.update_roots.as_deref(), address)
}

/// Fewer characters than this can be found by trying, given a digest of the secret.
const SECRET_LENGTH: usize = 16;

// An rpm's header lists a sha256 of every file, and everybody on a host can read it.
fn short_secret(config: &Config) -> Option<String> {
    let secret = config.enrollment.as_ref().map(|e| e.secret.reveal());
    let length = secret.map(|secret| secret.chars().count())?;
    (length < SECRET_LENGTH).then(|| {
        format!(
            "the enroll secret has {length} characters; one of fewer than {SECRET_LENGTH} can be guessed by who sees a digest of it"
        )
    })
}

fn note_ignored(args: &Args, printer: &Printer) -> Result<(), CliError> {
    if args.output.sign_identity.is_some() {
        return Err(CliError::usage(
            "--sign-identity takes a key from a Mac's keychain, which only a Mac's own tools can use",
            "--macos-devid-pem FILE signs here; `productsign` does on a Mac",
        ));
    }
    if args.output.native_tooling {
        printer.note("note: --native-tooling has no effect: fleetpack always builds by itself");
    }
    if args.output.local_wix_dir.is_some() {
        printer.note("note: --local-wix-dir has no effect: fleetpack builds without WiX");
    }
    Ok(())
}

pub(super) fn installers(args: &Args) -> Result<Vec<(Format, Arch)>, CliError> {
    let mut formats = BTreeSet::new();
    for word in &args.types {
        match word {
            Types::One(format) => formats.extend([*format]),
            Types::All => formats.extend(Format::ALL),
        }
    }
    let only_macos = formats.iter().all(|format| format.os() == Os::Macos);
    if only_macos && !args.arch.is_empty() {
        return Err(CliError::usage(
            "--arch does not go with pkg, which holds both processors' programs",
            "leave out --arch",
        ));
    }
    let arches: BTreeSet<Arch> = match args.arch.is_empty() {
        true => [Arch::Amd64].into(),
        false => args.arch.iter().map(|word| word.arch()).collect(),
    };
    let mut pairs = Vec::new();
    for format in formats {
        match format.os() {
            Os::Macos => pairs.push((format, Arch::Universal)),
            Os::Linux | Os::Windows => pairs.extend(arches.iter().map(|arch| (format, *arch))),
        }
    }
    Ok(pairs)
}

impl ArchWord {
    fn arch(self) -> Arch {
        match self {
            Self::Amd64 => Arch::Amd64,
            Self::Arm64 => Arch::Arm64,
        }
    }
}

fn place(args: &Args, installers: &[(Format, Arch)]) -> Result<Place, CliError> {
    let Some(outfile) = &args.output.outfile else {
        let folder = args.output.outdir.clone();
        return Ok(Place::Folder(folder.unwrap_or_else(|| PathBuf::from("."))));
    };
    let [(format, _)] = installers else {
        return Err(CliError::usage(
            format!(
                "--outfile names one file, but {} are made",
                installers.len()
            ),
            "--outdir DIR",
        ));
    };
    let extension = format!(".{format}");
    match outfile.to_string_lossy().ends_with(&extension) && outfile.file_name().is_some() {
        true => Ok(Place::File(outfile.clone())),
        false => Err(CliError::usage(
            format!(
                "--outfile {} does not end in {extension}",
                outfile.display()
            ),
            format!("--outfile fleet-osquery{extension}"),
        )),
    }
}

/// The builder of rpm files; a key is opened and tried at once.
fn rpm(key: Option<&Path>, surroundings: &Surroundings) -> Result<Rpm, CliError> {
    let Some(key) = key else {
        return Ok(Rpm::unsigned());
    };
    let bytes = Zeroizing::new(read_file(key)?);
    let passphrase = surroundings.secret(rpm::PASSPHRASE_VARIABLE);
    let now = u64::try_from(surroundings.now.as_second()).unwrap_or(0);
    let passphrase = passphrase.as_ref().map(|p| p.as_str());
    Ok(Rpm::signed_by(SigningKey::open(&bytes, passphrase, now)?))
}

/// Where hosts update from: a folder is told to them as a `file` URL, with a warning.
fn agent_update_url(updates: &UpdatesArgs, warnings: &mut Vec<String>) -> Result<String, CliError> {
    if let Some(url) = &updates.agent_update_url {
        if !url.starts_with("file://") {
            check_address("--agent-update-url", url)?;
        }
        return Ok(url.clone());
    }
    let typed = &updates.update_url;
    let url = match typed.split_once("://") {
        Some(("file", _)) => typed.clone(),
        Some(_) => return Ok(typed.clone()),
        None => {
            let folder = std::path::absolute(typed)?;
            let url =
                url::Url::from_file_path(&folder).map_err(|()| StoreError::Place(typed.clone()));
            url?.to_string()
        }
    };
    if !updates.disable_updates {
        warnings.push(format!(
            "hosts cannot update from {typed}; give them an address with --agent-update-url, or --disable-updates"
        ));
    }
    Ok(url)
}

fn config(args: Args, update_url: String) -> Result<Config, CliError> {
    let Args {
        fleet,
        updates,
        agent,
        output,
        ..
    } = args;
    Ok(Config {
        enrollment: enrollment(&fleet)?,
        fleet_certificate: pem(fleet.fleet_certificate.as_deref())?,
        fleet_client: client_files(
            fleet.fleet_tls_client_certificate.as_deref(),
            fleet.fleet_tls_client_key.as_deref(),
        )?,
        update_certificate: pem(updates.update_tls_certificate.as_deref())?,
        update_client: client_files(
            updates.update_tls_client_certificate.as_deref(),
            updates.update_tls_client_key.as_deref(),
        )?,
        update_url,
        update_interval: updates.update_interval,
        channels: Channels {
            orbit: updates.orbit_channel,
            osqueryd: updates.osqueryd_channel,
            desktop: updates.desktop_channel,
        },
        desktop: agent.fleet_desktop,
        desktop_browser_host: agent.fleet_desktop_alternative_browser_host,
        insecure: fleet.insecure,
        disable_updates: updates.disable_updates,
        debug: agent.debug,
        enable_scripts: agent.enable_scripts,
        host_identifier: agent.host_identifier,
        end_user_email: agent.end_user_email,
        osquery_db: agent.osquery_db,
        disable_keystore: agent.disable_keystore,
        use_system_configuration: fleet.use_system_configuration,
        managed_host_identity: fleet.fleet_managed_host_identity_certificate,
        disable_setup_experience: agent.disable_setup_experience,
        bypass_end_user_auth: agent.bypass_end_user_auth,
        service: agent.service,
        cpu_quota: agent.cpu_quota,
        osquery_flagfile: read(agent.osquery_flagfile.as_deref())?,
        identifier: output.identifier,
    })
}

fn enrollment(fleet: &FleetArgs) -> Result<Option<Enrollment>, CliError> {
    let secret = match (&fleet.enroll_secret, &fleet.enroll_secret_file) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(file)) => Some(secret_from(file)?),
        (None, None) => None,
    };
    match (&fleet.fleet_url, secret) {
        (None, None) => Ok(None),
        (Some(url), Some(secret)) => Ok(Some(Enrollment {
            url: url.clone(),
            secret,
        })),
        (Some(_), None) => Err(CliError::usage(
            "--fleet-url needs the secret with which hosts enroll",
            "add --enroll-secret or --enroll-secret-file",
        )),
        (None, Some(_)) => Err(CliError::usage(
            "an enroll secret needs the address of the Fleet server",
            "add --fleet-url https://fleet.example.com",
        )),
    }
}

/// A secret from a file or standard input; one line break at its end is not part of it.
fn secret_from(file: &Path) -> Result<Secret, CliError> {
    let bytes = match file.as_os_str() == "-" {
        true => typed(std::io::stdin())?,
        false => Zeroizing::new(read_file(file)?),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        CliError::usage(
            format!("the enroll secret in {} is no UTF-8 text", file.display()),
            "printf %s SECRET >FILE",
        )
    })?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

/// All of standard input, of which a part would be another secret.
fn typed(input: impl Read) -> Result<Zeroizing<Vec<u8>>, CliError> {
    // Room for all of it: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_LIMIT as usize + 1));
    input
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| fs::naming(e, "read", Path::new("standard input")))?;
    match bytes.len() as u64 > FILE_LIMIT {
        true => Err(CliError::usage(
            format!("standard input holds more than {FILE_LIMIT} bytes, which is no enroll secret"),
            "printf %s SECRET | fleetpack package --enroll-secret-file -",
        )),
        false => Ok(bytes),
    }
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, CliError> {
    let bytes = fs::read_limited(path, FILE_LIMIT)?;
    bytes.ok_or_else(|| {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
        CliError::usage(
            format!("{} does not exist", path.display()),
            format!("ls {}", folder.unwrap_or(Path::new(".")).display()),
        )
    })
}

fn read(path: Option<&Path>) -> Result<Option<Vec<u8>>, CliError> {
    path.map(read_file).transpose()
}

fn pem(path: Option<&Path>) -> Result<Option<Vec<u8>>, CliError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let bytes = read_file(path)?;
    tls::certificates(&bytes, &path.display().to_string()).map_err(StoreError::from)?;
    Ok(Some(bytes))
}

/// Both files of a pair, which clap sees to, and that they are one.
fn client_files(
    certificate: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<ClientFiles>, CliError> {
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Ok(None);
    };
    let files = ClientFiles {
        certificate: read_file(certificate)?,
        key: Zeroizing::new(read_file(key)?),
    };
    identity(&files, certificate, key)?;
    Ok(Some(files))
}

fn identity(
    files: &ClientFiles,
    certificate: &Path,
    key: &Path,
) -> Result<ClientIdentity, CliError> {
    let names = (certificate.display().to_string(), key.display().to_string());
    let pair = ClientIdentity::from_pem((&files.certificate, &names.0), (&files.key, &names.1));
    Ok(pair.map_err(StoreError::from)?)
}

fn http_options(args: &Args) -> Result<HttpOptions, CliError> {
    let UpdatesArgs {
        update_tls_certificate,
        update_tls_client_certificate,
        update_tls_client_key,
        ..
    } = &args.updates;
    let roots = match update_tls_certificate {
        None => None,
        Some(path) => {
            let name = path.display().to_string();
            let roots = TrustedRoots::from_pem(&read_file(path)?, &name);
            Some(roots.map_err(StoreError::from)?)
        }
    };
    let (certificate, key) = (update_tls_client_certificate, update_tls_client_key);
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let files = client_files(Some(certificate), Some(key))?;
            files
                .map(|files| identity(&files, certificate, key))
                .transpose()?
        }
        _ => None,
    };
    Ok(HttpOptions {
        roots,
        identity,
        insecure: args.fleet.insecure,
        silence: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_without_an_end_is_no_secret() {
        assert_eq!(typed(&b"secret\n"[..]).unwrap().as_slice(), b"secret\n");
        let endless = typed(std::io::repeat(b'x')).unwrap_err().to_string();
        let words = "standard input holds more than 4194304 bytes, which is no enroll secret";
        assert_eq!(endless, words);
    }
}
