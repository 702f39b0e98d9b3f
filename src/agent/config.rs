//! Everything an administrator can set about an agent, validated once.
//!
//! What would stop an agent when it starts is refused here, by the flag's name. Flags that
//! exist for some systems only are taken out by [`Config::limited_to`], which says which.

use std::fmt;

use url::Url;
use zeroize::Zeroizing;

use super::duration::GoDuration;
use crate::hint::{Hint, bare, shortened, word};
use crate::install::Os;
use crate::tuf::name::{NameError, check_component};

/// Fleet's own update repository, the default.
pub const FLEET_UPDATES: &str = "https://updates.fleetdm.com";
/// A former address of the same repository.
pub const FLEET_UPDATES_FORMER: &str = "https://tuf.fleetctl.com";

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the one place that it goes to.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where the agent enrolls, and with what.
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// Fleet's address.
    pub url: String,
    /// The enroll secret.
    pub secret: Secret,
}

/// A client certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// Certificate chain.
    pub certificate: Vec<u8>,
    /// Private key.
    pub key: Zeroizing<Vec<u8>>,
}

/// The channel of each program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// orbit's.
    pub orbit: String,
    /// osqueryd's.
    pub osqueryd: String,
    /// Fleet Desktop's.
    pub desktop: String,
}

/// How a host names itself to Fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostIdentifier {
    /// By its hardware's identifier.
    #[default]
    Uuid,
    /// By an identifier of this installation.
    Instance,
}

/// What an administrator set. Files are their contents: reading happened before.
#[derive(Clone, Debug)]
pub struct Config {
    /// Fleet's address and the secret; neither on hosts that get them otherwise.
    pub enrollment: Option<Enrollment>,
    /// Certificates that Fleet's is checked against.
    pub fleet_certificate: Option<Vec<u8>>,
    /// The client's certificate and key towards Fleet.
    pub fleet_client: Option<ClientFiles>,
    /// Where the agent updates from.
    pub update_url: String,
    /// Certificates that the update server's is checked against.
    pub update_certificate: Option<Vec<u8>>,
    /// The client's certificate and key towards the update server.
    pub update_client: Option<ClientFiles>,
    /// How often the agent looks for updates.
    pub update_interval: GoDuration,
    /// Channels.
    pub channels: Channels,
    /// With Fleet Desktop.
    pub desktop: bool,
    /// The host that Fleet Desktop opens in a browser instead of Fleet's.
    pub desktop_browser_host: Option<String>,
    /// Servers' certificates are not checked.
    pub insecure: bool,
    /// The agent does not update itself.
    pub disable_updates: bool,
    /// Verbose logs.
    pub debug: bool,
    /// Fleet may run scripts.
    pub enable_scripts: bool,
    /// How a host names itself.
    pub host_identifier: HostIdentifier,
    /// The user of the host.
    pub end_user_email: Option<String>,
    /// Where osquery's database lies.
    pub osquery_db: Option<String>,
    /// Secrets stay in files (macOS, Windows).
    pub disable_keystore: bool,
    /// Address and secret come from an MDM profile (macOS).
    pub use_system_configuration: bool,
    /// Hosts hold a certificate of their own (Linux).
    pub managed_host_identity: bool,
    /// No first-run screens (Linux, Windows).
    pub disable_setup_experience: bool,
    /// Do not wait for the user's sign-in (Linux, Windows).
    pub bypass_end_user_auth: bool,
    /// Enable and start the service.
    pub service: bool,
    /// Share of one processor in percent (Linux).
    pub cpu_quota: Option<u32>,
    /// osquery's flags.
    pub osquery_flagfile: Option<Vec<u8>>,
    /// Reverse-domain identifier of the product (macOS).
    pub identifier: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        let stable = || "stable".to_owned();
        Self {
            enrollment: None,
            fleet_certificate: None,
            fleet_client: None,
            update_url: FLEET_UPDATES.to_owned(),
            update_certificate: None,
            update_client: None,
            update_interval: GoDuration::minutes(15),
            channels: Channels {
                orbit: stable(),
                osqueryd: stable(),
                desktop: stable(),
            },
            desktop: false,
            desktop_browser_host: None,
            insecure: false,
            disable_updates: false,
            debug: false,
            enable_scripts: false,
            host_identifier: HostIdentifier::Uuid,
            end_user_email: None,
            osquery_db: None,
            disable_keystore: false,
            use_system_configuration: false,
            managed_host_identity: false,
            disable_setup_experience: false,
            bypass_end_user_auth: false,
            service: true,
            cpu_quota: None,
            osquery_flagfile: None,
            identifier: None,
        }
    }
}

/// A configuration that would stop the agent, or that nothing can carry.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// A value that is none.
    #[error("{flag}: `{value}` {why}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A channel that no target can have.
    #[error("{flag}: {why}")]
    Channel {
        /// The flag.
        flag: &'static str,
        /// What is wrong with the name.
        why: NameError,
    },
    /// A value that is longer than what must hold it.
    #[error("{flag}: {len} bytes are more than {holder} can hold ({limit})")]
    Long {
        /// The flag.
        flag: &'static str,
        /// Bytes.
        len: usize,
        /// What is to hold them.
        holder: &'static str,
        /// The most.
        limit: usize,
    },
    /// A secret value that is none; it is not shown.
    #[error("{flag} {why}")]
    Hidden {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two flags that exclude each other.
    #[error("{0} and {1} exclude each other")]
    Exclusive(&'static str, &'static str),
    /// A flag that wants another one.
    #[error("{flag} needs {other}")]
    Needs {
        /// The flag that was given.
        flag: &'static str,
        /// The flag that is missing.
        other: &'static str,
    },
}

impl Hint for ConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Needs { other, .. } => Some(format!("add {other}")),
            Self::Exclusive(_, second) => Some(format!("leave out {second}")),
            // A host's name alone is what people have in mind.
            Self::Value { flag, value, why } if *why == NO_ADDRESS && !value.contains("://") => {
                let whole = format!("https://{value}");
                let fits = check_url(flag, &whole).is_ok();
                fits.then(|| format!("{flag} {}", word(&whole)))
            }
            Self::Value { .. } | Self::Channel { .. } | Self::Long { .. } | Self::Hidden { .. } => {
                None
            }
        }
    }
}

impl Config {
    /// Checks everything that does not depend on the system.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_texts()?;
        self.check_addresses()?;
        self.check_exclusions()
    }

    /// What is free text, by its flags; channels are the third to the fifth.
    fn texts(&self) -> [(&'static str, Option<&String>); 9] {
        let channels = &self.channels;
        [
            ("--fleet-url", self.enrollment.as_ref().map(|e| &e.url)),
            ("--update-url", Some(&self.update_url)),
            ("--orbit-channel", Some(&channels.orbit)),
            ("--osqueryd-channel", Some(&channels.osqueryd)),
            ("--desktop-channel", Some(&channels.desktop)),
            (
                "--fleet-desktop-alternative-browser-host",
                self.desktop_browser_host.as_ref(),
            ),
            ("--end-user-email", self.end_user_email.as_ref()),
            ("--osquery-db", self.osquery_db.as_ref()),
            ("--identifier", self.identifier.as_ref()),
        ]
    }

    fn check_texts(&self) -> Result<(), ConfigError> {
        let texts = self.texts();
        for (flag, text) in texts {
            if let Some(text) = text {
                check_text(flag, text)?;
            }
        }
        for (flag, channel) in &texts[2..5] {
            if let Some(channel) = channel {
                check_component("channel", channel)
                    .map_err(|why| ConfigError::Channel { flag, why })?;
            }
        }
        let secret = self.enrollment.as_ref().map(|e| e.secret.reveal());
        let why = match secret {
            Some("") => "is empty",
            Some(secret) if secret.chars().any(char::is_control) => {
                "holds a line break or another control character"
            }
            _ => return Ok(()),
        };
        let flag = "--enroll-secret";
        Err(ConfigError::Hidden { flag, why })
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        if let Some(enrollment) = &self.enrollment {
            check_url("--fleet-url", &enrollment.url)?;
        }
        // A repository in a folder: agents cannot update from it, but they run.
        if !self.update_url.starts_with("file://") {
            check_url("--update-url", &self.update_url)?;
        }
        if let Some(email) = self
            .end_user_email
            .as_deref()
            .filter(|email| !is_email(email))
        {
            return Err(refused("--end-user-email", email, "is no e-mail address"));
        }
        if let Some(id) = self.identifier.as_deref().filter(|id| !is_identifier(id)) {
            return Err(refused(
                "--identifier",
                id,
                "is no identifier like com.example.agent",
            ));
        }
        if let Some(id) = &self.identifier {
            // A Mac's receipt is a file of that name.
            check_len("--identifier", id, "a Mac's receipt", 200)?;
        }
        if self.cpu_quota == Some(0) {
            return Err(refused("--cpu-quota", "0", "is not positive"));
        }
        Ok(())
    }

    fn check_exclusions(&self) -> Result<(), ConfigError> {
        let exclusive = [
            (
                self.insecure && self.fleet_certificate.is_some(),
                "--fleet-certificate",
                "--insecure",
            ),
            (
                self.insecure && self.update_certificate.is_some(),
                "--update-tls-certificate",
                "--insecure",
            ),
            (
                self.managed_host_identity && self.fleet_client.is_some(),
                "--fleet-tls-client-certificate",
                "--fleet-managed-host-identity-certificate",
            ),
            (
                self.use_system_configuration && self.enrollment.is_some(),
                "--fleet-url",
                "--use-system-configuration",
            ),
        ];
        for (both, first, second) in exclusive {
            if both {
                return Err(ConfigError::Exclusive(first, second));
            }
        }
        if self.desktop_browser_host.is_some() && !self.desktop {
            let flag = "--fleet-desktop-alternative-browser-host";
            let other = "--fleet-desktop";
            return Err(ConfigError::Needs { flag, other });
        }
        Ok(())
    }

    /// The same configuration without what `os` does not know, and the flags taken out.
    pub fn limited_to(&self, os: Os) -> (Self, Vec<&'static str>) {
        let mut limited = self.clone();
        let mut out = Vec::new();
        let mut drop = |known: &[Os], flag, set: &mut dyn FnMut(&mut Self) -> bool| {
            if !known.contains(&os) && set(&mut limited) {
                out.push(flag);
            }
        };
        let (linux, macos, windows) = (Os::Linux, Os::Macos, Os::Windows);
        drop(&[linux, windows], "--end-user-email", &mut |c| {
            c.end_user_email.take().is_some()
        });
        drop(&[macos, windows], "--disable-keystore", &mut |c| {
            std::mem::take(&mut c.disable_keystore)
        });
        drop(&[macos], "--use-system-configuration", &mut |c| {
            std::mem::take(&mut c.use_system_configuration)
        });
        drop(
            &[linux],
            "--fleet-managed-host-identity-certificate",
            &mut |c| std::mem::take(&mut c.managed_host_identity),
        );
        drop(&[linux, windows], "--disable-setup-experience", &mut |c| {
            std::mem::take(&mut c.disable_setup_experience)
        });
        drop(&[linux, windows], "--bypass-end-user-auth", &mut |c| {
            std::mem::take(&mut c.bypass_end_user_auth)
        });
        drop(&[linux], "--cpu-quota", &mut |c| {
            c.cpu_quota.take().is_some()
        });
        drop(&[macos], "--identifier", &mut |c| {
            c.identifier.take().is_some()
        });
        (limited, out)
    }

    /// Checks that the system can hold what it is told, after [`Config::limited_to`].
    pub fn check_lengths(&self, os: Os) -> Result<(), ConfigError> {
        // execve(2), MAX_ARG_STRLEN: 128 KiB with the name. Windows, SetEnvironmentVariable:
        // 32,767 characters.
        let limit = match os {
            Os::Linux | Os::Macos => 131_000,
            Os::Windows => 32_700,
        };
        let secret = self.enrollment.as_ref().map(|e| e.secret.reveal());
        let secret = secret.filter(|_| os == Os::Linux).unwrap_or_default();
        let holder = "the service's environment";
        check_len("--enroll-secret", secret, holder, limit)?;
        for (flag, text) in self.texts() {
            check_len(flag, text.map_or("", String::as_str), holder, limit)?;
        }
        Ok(())
    }

    /// Checks what of paths depends on the system, after [`Config::limited_to`].
    pub fn check_for(&self, os: Os) -> Result<(), ConfigError> {
        let Some(db) = &self.osquery_db else {
            return Ok(());
        };
        // PATH_MAX, with room for the names of the files in it.
        let limit = match os {
            Os::Linux => 4000,
            Os::Macos => 960,
            Os::Windows => 32_700,
        };
        check_len("--osquery-db", db, "a path", limit)?;
        let (absolute, why) = match os {
            Os::Windows => (
                is_windows_absolute(db),
                "is no absolute path like C:\\osquery\\osquery.db",
            ),
            Os::Linux | Os::Macos => (
                db.starts_with('/'),
                "is no absolute path like /var/osquery/osquery.db",
            ),
        };
        match absolute {
            true => Ok(()),
            false => Err(refused("--osquery-db", db, why)),
        }
    }
}

fn refused(flag: &'static str, value: &str, why: &'static str) -> ConfigError {
    let value = shortened(value);
    let value = value.chars().flat_map(char::escape_debug).collect();
    ConfigError::Value { flag, value, why }
}

fn check_len(
    flag: &'static str,
    text: &str,
    holder: &'static str,
    limit: usize,
) -> Result<(), ConfigError> {
    let len = text.len();
    match len > limit {
        false => Ok(()),
        true => Err(ConfigError::Long {
            flag,
            len,
            holder,
            limit,
        }),
    }
}

fn check_text(flag: &'static str, text: &str) -> Result<(), ConfigError> {
    match text {
        "" => Err(refused(flag, text, "is empty")),
        text if text.chars().any(char::is_control) => Err(refused(
            flag,
            text,
            "holds a line break or another control character",
        )),
        _ => Ok(()),
    }
}

/// Checks an address that hosts are told; `flag` is where it was given.
pub fn check_address(flag: &'static str, text: &str) -> Result<(), ConfigError> {
    check_text(flag, text)?;
    check_url(flag, text)
}

const NO_ADDRESS: &str = "is no address like https://fleet.example.com";

fn check_url(flag: &'static str, text: &str) -> Result<(), ConfigError> {
    let wrong = || refused(flag, &bare(text), NO_ADDRESS);
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    let plain = url.query().is_none() && url.fragment().is_none() && !text.contains(' ');
    match matches!(url.scheme(), "http" | "https") && host && plain {
        true => Ok(()),
        false => Err(wrong()),
    }
}

// RFC 5321 4.1.2 without quoted local parts and address literals, as the agent's parser
// takes an address without a name.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    let dotted = |part: &str| !part.is_empty() && part.chars().all(atom);
    local.split('.').all(dotted) && domain.split('.').all(label)
}

fn is_identifier(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    text.split('.').all(part)
}

fn is_windows_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let drive = bytes.len() > 3
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes[2], b'\\' | b'/');
    drive || path.starts_with(r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        change(&mut config);
        config
    }

    fn enrolled(url: &str, secret: &str) -> Config {
        with(|c| {
            c.enrollment = Some(Enrollment {
                url: url.into(),
                secret: Secret::new(secret),
            });
        })
    }

    #[test]
    fn accepted() {
        let cases = [
            ("nothing set", Config::default()),
            (
                "enrolled",
                enrolled("https://fleet.example.com:8080/x", "s3cr3t"),
            ),
            (
                "e-mail",
                with(|c| c.end_user_email = Some("a.b+c@d.example".into())),
            ),
            ("channel", with(|c| c.channels.orbit = "1.2.3".into())),
        ];
        for (name, config) in cases {
            assert_eq!(config.check(), Ok(()), "{name}");
        }
    }

    #[test]
    fn refused_by_name() {
        let cases = [
            (
                "--enroll-secret is empty",
                enrolled("https://a.example", ""),
            ),
            (
                "--enroll-secret holds a line break or another control character",
                enrolled("https://a.example", "a\nb"),
            ),
            (
                "--fleet-url: `fleet.example.com` is no address like https://fleet.example.com",
                enrolled("fleet.example.com", "s"),
            ),
            (
                "--fleet-url: `https://a\\n.example` holds a line break or another control character",
                enrolled("https://a\n.example", "s"),
            ),
            (
                "--update-url: `ftp://x` is no address like https://fleet.example.com",
                with(|c| c.update_url = "ftp://x".into()),
            ),
            (
                "--orbit-channel: the channel \"../x\" cannot be used: it contains a slash",
                with(|c| c.channels.orbit = "../x".into()),
            ),
            (
                "--desktop-channel: the channel \"100%\" cannot be used: it contains one of ? # % * : | \" < >",
                with(|c| c.channels.desktop = "100%".into()),
            ),
            (
                "--identifier: 201 bytes are more than a Mac's receipt can hold (200)",
                with(|c| c.identifier = Some("a".repeat(201))),
            ),
            (
                "--end-user-email: `nobody` is no e-mail address",
                with(|c| c.end_user_email = Some("nobody".into())),
            ),
            (
                "--fleet-certificate and --insecure exclude each other",
                with(|c| {
                    c.insecure = true;
                    c.fleet_certificate = Some(vec![]);
                }),
            ),
            (
                "--fleet-desktop-alternative-browser-host needs --fleet-desktop",
                with(|c| c.desktop_browser_host = Some("h".into())),
            ),
            (
                "--cpu-quota: `0` is not positive",
                with(|c| c.cpu_quota = Some(0)),
            ),
        ];
        for (sentence, config) in cases {
            assert_eq!(
                config.check().map_err(|e| e.to_string()),
                Err(sentence.into())
            );
        }
    }

    #[test]
    fn limits() {
        let all = with(|c| {
            c.end_user_email = Some("a@b.example".into());
            c.disable_keystore = true;
            c.cpu_quota = Some(30);
            c.identifier = Some("com.example.a".into());
        });
        let cases = [
            (Os::Linux, vec!["--disable-keystore", "--identifier"]),
            (Os::Macos, vec!["--end-user-email", "--cpu-quota"]),
            (Os::Windows, vec!["--cpu-quota", "--identifier"]),
        ];
        for (os, flags) in cases {
            assert_eq!(all.limited_to(os).1, flags, "{os:?}");
        }
    }

    #[test]
    fn lengths() {
        let secret = |len| enrolled("https://a.example", &"s".repeat(len));
        let email = |len| with(|c| c.end_user_email = Some("e".repeat(len)));
        for (os, config, fits) in [
            (Os::Linux, secret(131_000), true),
            (Os::Linux, secret(131_001), false),
            (Os::Macos, secret(131_001), true),
            (Os::Windows, secret(131_001), true),
            (Os::Windows, email(32_700), true),
            (Os::Windows, email(32_701), false),
        ] {
            assert_eq!(config.check_lengths(os).is_ok(), fits, "{os:?}");
        }
    }

    #[test]
    fn databases() {
        for (os, path, fits) in [
            (Os::Linux, "/var/x.db", true),
            (Os::Linux, "x.db", false),
            (Os::Linux, "C:\\x.db", false),
            (Os::Windows, "C:\\x.db", true),
            (Os::Windows, "\\\\host\\x", true),
            (Os::Windows, "/x.db", false),
        ] {
            let config = with(|c| c.osquery_db = Some(path.into()));
            assert_eq!(config.check_for(os).is_ok(), fits, "{os:?} {path}");
        }
    }
}
