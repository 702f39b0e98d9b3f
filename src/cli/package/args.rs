//! What can be typed after `package`: the flags of `fleetctl package`, and a few more.
//!
//! Switches are Go's: `--debug`, `--debug=true`, `--debug=false`. Nothing is looked up here;
//! [`super::options`] makes sense of it.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use super::batch::Shard;
use super::caching::CacheArgs;
use super::naming::Naming;
use super::precedence::without_empty_variable;
use super::provenance::ProvenanceArgs;
use super::scripts::ScriptArgs;
use crate::agent::config::{HostIdentifier, Secret};
use crate::agent::duration::GoDuration;
use crate::cli::hints::Typed;
use crate::package::{Compression, Format};

/// Makes every flag that is on or off one in Go's notation: `--debug`, `--debug=true`,
/// `--debug=false`; off when it is not given, unless its own attributes say otherwise.
fn go_switch(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    // That a switch is off needs no words.
    let arg = match arg.get_default_values().is_empty() {
        true => arg.default_value("false").hide_default_value(true),
        false => arg,
    };
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(switch)
        .value_name("BOOL")
}

/// What holds for every flag.
fn as_fleetctl(arg: Arg) -> Arg {
    without_empty_variable(go_switch(arg))
}

/// A switch's value in Go's notation.
pub(in crate::cli) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("use true or false".into()),
    }
}

/// What is never shown, and wiped after use.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn host_identifier(text: &str) -> Result<HostIdentifier, String> {
    match text {
        "uuid" => Ok(HostIdentifier::Uuid),
        "instance" => Ok(HostIdentifier::Instance),
        _ => Err("use uuid or instance".into()),
    }
}

fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "xz" => Ok(Compression::Xz),
        "none" => Ok(Compression::None),
        _ => Err("use gzip, zstd, xz or none".into()),
    }
}

/// The words of `--type`: a format, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Types {
    /// One format.
    One(Format),
    /// Every format.
    All,
}

fn types(text: &str) -> Result<Types, String> {
    match text {
        "all" => Ok(Types::All),
        word => word.parse().map(Types::One),
    }
}

/// The words of `--arch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ArchWord {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

/// Make an installer of Fleet's agent
///
/// The agent's programs are taken from an update repository and verified on the way; the
/// installer holds them, the trust anchor, Fleet's address and the enroll secret.
#[derive(Debug, clap::Args)]
#[command(
    next_line_help = false,
    mut_args = as_fleetctl,
    after_help = "Examples:\n  \
    fleetpack package --type deb --fleet-url https://fleet.example.com \\\n    \
    --enroll-secret \"$SECRET\" \\\n    \
    --update-url https://updates.example.com --update-roots @root.json\n  \
    fleetpack package --type deb --arch arm64 --fleet-desktop \\\n    \
    --fleet-url … --enroll-secret …\n  \
    fleetpack package --type all --outdir installers --checksums \\\n    \
    --fleet-url … --enroll-secret …\n  \
    fleetpack package --manifest teams.toml --outdir installers"
)]
pub struct Args {
    // First, as the others take their values away.
    #[command(flatten)]
    pub(super) given: Given,

    /// Package type: deb, rpm, pkg.tar.zst, pkg, msi; several with commas, or `all`
    #[arg(long = "type", help_heading = "Package", required_unless_present_any = ["manifest", "rebuild_check"], value_delimiter = ',', value_parser = types, value_name = "TYPE")]
    pub types: Vec<Types>,

    /// Processor of the hosts; not for pkg, which holds both [default: amd64]
    #[arg(long, help_heading = "Package", value_delimiter = ',', value_enum)]
    pub arch: Vec<ArchWord>,

    #[command(flatten)]
    pub(super) fleet: FleetArgs,

    #[command(flatten)]
    pub(super) updates: UpdatesArgs,

    #[command(flatten)]
    pub(super) agent: AgentArgs,

    #[command(flatten)]
    pub(super) scripts: ScriptArgs,

    #[command(flatten)]
    pub(super) macos: MacosArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) batch: BatchArgs,

    #[command(flatten)]
    pub(super) caching: CacheArgs,

    #[command(flatten)]
    pub(super) provenance: ProvenanceArgs,
}

/// The names of the arguments that were typed.
#[derive(Clone, Debug, Default)]
pub struct Given(pub Vec<String>);

impl clap::FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        // Groups are among them, named after the structures of this file.
        let ids = matches.ids().map(|id| id.as_str());
        let ids = ids.filter(|id| !id.starts_with(char::is_uppercase));
        Ok(Self(
            ids.filter(|id| typed(id)).map(str::to_owned).collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Given {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

/// Installers of many teams.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Many teams")]
pub struct BatchArgs {
    /// Make the installers of all teams in a manifest (TOML)
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,

    /// Make a share of them: 3/16 is the third of sixteen
    #[arg(long, value_name = "K/N", requires = "manifest")]
    pub shard: Option<Shard>,

    /// Installers made at the same time; as many as there are processors
    #[arg(long, value_name = "N", requires = "manifest")]
    pub jobs: Option<NonZeroUsize>,
}

/// Fleet's side.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fleet")]
pub struct FleetArgs {
    /// Address of the Fleet server
    #[arg(long, value_name = "URL")]
    pub fleet_url: Option<String>,

    /// Secret with which hosts enroll
    #[arg(
        long,
        value_name = "SECRET",
        value_parser = secret,
        env = "FLEETPACK_ENROLL_SECRET",
        hide_env_values = true
    )]
    pub enroll_secret: Option<Secret>,

    /// File that holds the enroll secret; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub enroll_secret_file: Option<PathBuf>,

    /// PEM certificates that the Fleet server's is checked against
    #[arg(long, value_name = "FILE")]
    pub fleet_certificate: Option<PathBuf>,

    /// Client certificate (PEM) towards the Fleet server
    #[arg(long, value_name = "FILE", requires = "fleet_tls_client_key")]
    pub fleet_tls_client_certificate: Option<PathBuf>,

    /// Key of that client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "fleet_tls_client_certificate")]
    pub fleet_tls_client_key: Option<PathBuf>,

    /// Do not check servers' certificates
    #[arg(long)]
    pub insecure: bool,

    /// Hosts hold a certificate that Fleet issues (Linux)
    #[arg(
        long,
        env = "FLEETCTL_FLEET_MANAGED_HOST_IDENTITY_CERTIFICATE",
        hide_env = true
    )]
    pub fleet_managed_host_identity_certificate: bool,

    /// Address and secret come from an MDM profile (pkg)
    #[arg(long, env = "FLEETCTL_USE_SYSTEM_CONFIGURATION", hide_env = true)]
    pub use_system_configuration: bool,
}

impl Args {
    /// Where the repository is, when it was read from the folder that is published.
    pub(in crate::cli) fn typed(&self) -> Typed {
        let url = &self.updates.update_url;
        let published = Path::new(url).ends_with("repository") && !url.contains("://");
        let folder = Path::new(url).parent().filter(|_| published);
        folder.map_or_else(Typed::default, |path| Typed::new(path, None))
    }
}

/// The update repository's side.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Updates")]
pub struct UpdatesArgs {
    /// Update repository: http(s), file://, or a folder
    #[arg(long, value_name = "URL", default_value = crate::agent::config::FLEET_UPDATES)]
    pub update_url: String,

    /// Address that hosts update from, when this machine reads the repository elsewhere
    #[arg(long, value_name = "URL")]
    pub agent_update_url: Option<String>,

    /// Trust anchor: what `updates roots` prints, or `@FILE` with it; Fleet's own is built in for
    /// Fleet's own --update-url
    #[arg(long, value_name = "JSON")]
    pub update_roots: Option<String>,

    /// PEM certificates that the update server's is checked against
    #[arg(long, value_name = "FILE")]
    pub update_tls_certificate: Option<PathBuf>,

    /// Client certificate (PEM) towards the update server
    #[arg(long, value_name = "FILE", requires = "update_tls_client_key")]
    pub update_tls_client_certificate: Option<PathBuf>,

    /// Key of that client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "update_tls_client_certificate")]
    pub update_tls_client_key: Option<PathBuf>,

    /// How often hosts look for updates
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    pub update_interval: GoDuration,

    /// Hosts do not update the agent
    #[arg(long)]
    pub disable_updates: bool,

    /// Channel of orbit
    #[arg(long, value_name = "CHANNEL", default_value = "stable")]
    pub orbit_channel: String,

    /// Channel of osqueryd
    #[arg(long, value_name = "CHANNEL", default_value = "stable")]
    pub osqueryd_channel: String,

    /// Channel of Fleet Desktop
    #[arg(long, value_name = "CHANNEL", default_value = "stable")]
    pub desktop_channel: String,

    /// Folder that remembers what was verified before, against rollbacks
    #[arg(long, value_name = "DIR", conflicts_with = "no_state")]
    pub state_dir: Option<PathBuf>,

    /// Remember nothing between runs
    #[arg(long)]
    pub no_state: bool,
}

/// How the agent behaves.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Agent")]
pub struct AgentArgs {
    /// Include Fleet Desktop
    #[arg(long)]
    pub fleet_desktop: bool,

    /// Host that Fleet Desktop opens in the browser instead of the Fleet server
    #[arg(long, value_name = "HOST")]
    pub fleet_desktop_alternative_browser_host: Option<String>,

    /// Enable and start the service
    #[arg(long, default_value = "true")]
    pub service: bool,

    /// Fleet may run scripts on hosts
    #[arg(long, env = "FLEETCTL_ENABLE_SCRIPTS", hide_env = true)]
    pub enable_scripts: bool,

    /// Write verbose logs on hosts
    #[arg(long)]
    pub debug: bool,

    /// How hosts identify themselves: uuid or instance
    #[arg(long, value_parser = host_identifier, default_value = "uuid", value_name = "WORD", env = "FLEETCTL_HOST_IDENTIFIER", hide_env = true)]
    pub host_identifier: HostIdentifier,

    /// E-mail address of the host's user (not for pkg)
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FLEETCTL_END_USER_EMAIL",
        hide_env = true
    )]
    pub end_user_email: Option<String>,

    /// Where osquery's database lies on hosts: an absolute path
    #[arg(
        long,
        value_name = "PATH",
        env = "FLEETCTL_OSQUERY_DB",
        hide_env = true
    )]
    pub osquery_db: Option<String>,

    /// File of flags for osquery
    #[arg(long, value_name = "FILE")]
    pub osquery_flagfile: Option<PathBuf>,

    /// Share of one processor in percent (Linux) [default: 20]
    #[arg(long, value_name = "PERCENT")]
    pub cpu_quota: Option<u32>,

    /// Keep secrets in files (pkg, msi)
    #[arg(long, env = "FLEETCTL_DISABLE_KEYSTORE", hide_env = true)]
    pub disable_keystore: bool,

    /// No first-run screens (Linux, msi)
    #[arg(long)]
    pub disable_setup_experience: bool,

    /// Do not wait for the user's sign-in (Linux, msi)
    #[arg(long)]
    pub bypass_end_user_auth: bool,
}

/// What is done with a macOS package after it was built.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "macOS")]
pub struct MacosArgs {
    /// Developer ID Installer certificate with its key, as PEM text
    #[arg(
        long,
        value_name = "PEM",
        value_parser = secret,
        env = "FLEETCTL_MACOS_DEVID_PEM_CONTENT",
        hide_env_values = true
    )]
    pub macos_devid_pem_content: Option<Secret>,

    /// File with that certificate and key (PEM)
    #[arg(long, value_name = "FILE", conflicts_with = "macos_devid_p12")]
    pub macos_devid_pem: Option<PathBuf>,

    /// The same as PKCS #12; its password is in FLEETPACK_MACOS_P12_PASSWORD
    #[arg(long, value_name = "FILE")]
    pub macos_devid_p12: Option<PathBuf>,

    /// Time-stamp server for the signature; Apple's when no URL is given, and with --notarize
    /// unless it is `none`
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = crate::apple::signing::APPLE_TIMESTAMP)]
    pub macos_timestamp: Option<String>,

    /// Have Apple notarise the signed package, and staple the ticket
    #[arg(long)]
    pub notarize: bool,

    /// Identifier of the App Store Connect API key for --notarize
    #[arg(
        long,
        value_name = "ID",
        env = "FLEETCTL_APP_STORE_CONNECT_API_KEY_ID",
        hide_env = true
    )]
    pub app_store_connect_api_key_id: Option<String>,

    /// Issuer of that key
    #[arg(
        long,
        value_name = "UUID",
        env = "FLEETCTL_APP_STORE_CONNECT_API_KEY_ISSUER",
        hide_env = true
    )]
    pub app_store_connect_api_key_issuer: Option<String>,

    /// That key: the text of its .p8 file
    #[arg(
        long,
        value_name = "PEM",
        value_parser = secret,
        env = "FLEETCTL_APP_STORE_CONNECT_API_KEY_CONTENT",
        hide_env_values = true
    )]
    pub app_store_connect_api_key_content: Option<Secret>,

    /// Write the manifest for MDM's InstallEnterpriseApplication; URL is where Macs will find
    /// the package, or the folder when it ends in a slash
    #[arg(long, value_name = "URL")]
    pub mdm_manifest: Option<String>,

    /// Write the MDM profile for --use-system-configuration, with Fleet's address and the
    /// enroll secret, which the package then lacks
    #[arg(long, value_name = "FILE")]
    pub mobileconfig: Option<PathBuf>,

    /// Sign that profile, too
    #[arg(long, requires = "mobileconfig")]
    pub sign_mobileconfig: bool,
}

/// The file that is made.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Where to write the installer; must end in the type's extension
    #[arg(long, value_name = "FILE", conflicts_with = "outdir")]
    pub outfile: Option<PathBuf>,

    /// Folder for installers under their usual names
    #[arg(long, value_name = "DIR")]
    pub outdir: Option<PathBuf>,

    /// Name of each installer, of {name}, {version}, {arch} and {type}
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "outfile")]
    pub outname: Option<Naming>,

    /// OpenPGP private key that signs rpm files; its passphrase is read from
    /// FLEET_RPM_SIGNING_PASSPHRASE
    #[arg(long, value_name = "FILE")]
    pub rpm_signing_key: Option<PathBuf>,

    /// Certificate that signs msi files, as PEM: its own first, then its issuers'
    #[arg(long, value_name = "FILE")]
    pub msi_signing_cert: Option<PathBuf>,

    /// Private key of --msi-signing-cert, as PEM
    #[arg(long, value_name = "FILE")]
    pub msi_signing_key: Option<PathBuf>,

    /// Time stamp authority (RFC 3161) for signed msi files
    #[arg(long, value_name = "URL", requires = "msi_signing_cert")]
    pub msi_timestamp_url: Option<String>,

    /// Wrap each msi for Intune: `.intunewin` beside it, and `.intune.json` with command lines
    /// and detection
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true, value_parser = switch, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub intunewin: bool,

    /// Compression of the payload where the format has a choice: gzip, zstd, xz or none
    #[arg(long, value_parser = compression, value_name = "WORD")]
    pub compression: Option<Compression>,

    /// Build FILE again from the same flags and the metadata inside it, and compare; makes nothing
    #[arg(long, value_name = "FILE", conflicts_with = "manifest")]
    pub rebuild_check: Option<PathBuf>,

    /// Reverse-domain identifier of the product (pkg) [default: com.fleetdm.orbit]
    #[arg(long, value_name = "ID")]
    pub identifier: Option<String>,

    /// Print one JSON object (docs/schema/package.json)
    #[arg(long)]
    pub json: bool,

    /// Accepted for the sake of scripts: no folder is ever opened
    #[arg(long, hide = true)]
    pub disable_open_folder: bool,

    /// Accepted for the sake of scripts: there is no other tooling
    #[arg(long, hide = true, env = "FLEETCTL_NATIVE_TOOLING")]
    pub native_tooling: bool,

    /// Accepted for the sake of scripts: WiX is not used
    #[arg(long, hide = true, value_name = "DIR")]
    pub local_wix_dir: Option<PathBuf>,

    /// Signing identity in a Mac's keychain: needs a Mac
    #[arg(long, hide = true, value_name = "IDENTITY")]
    pub sign_identity: Option<String>,
}
