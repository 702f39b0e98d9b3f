//! Credentials of S3, found where the AWS command line finds them, in its order.
//!
//! Variables (`AWS_ACCESS_KEY_ID`, …); a web identity's variables; the profile that
//! `AWS_PROFILE` names, in `~/.aws/credentials` and `~/.aws/config` or the files that
//! `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` name: keys, a web identity, or a
//! program (`credential_process`); a container's address; an EC2 instance's role ("AWS CLI
//! User Guide", "Authentication and access credentials"). The instance's address is asked on
//! an instance alone: anywhere else nobody answers there, and waiting helps nobody. Logins by
//! browser (SSO) and roles taken from another profile are left to the AWS tools, which hand
//! out what they get.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Setting};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::credentials::{Access, Refusal};

/// Gives `builder` what is found.
pub(super) fn authorize(
    builder: AmazonS3Builder,
    access: &Access,
    profile: &Profile,
) -> Result<AmazonS3Builder, Refusal> {
    let has = |name: &str| access.variable(name).is_some();
    let anonymous = access
        .variable("AWS_SKIP_SIGNATURE")
        .is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1");
    if anonymous || has("AWS_ACCESS_KEY_ID") || has("AWS_SECRET_ACCESS_KEY") {
        return Ok(builder);
    }
    if has("AWS_WEB_IDENTITY_TOKEN_FILE") && has("AWS_ROLE_ARN") {
        return Ok(builder);
    }
    match profile.keys()? {
        Keys::Static(keys) => return Ok(keys.give_to(builder)),
        Keys::WebIdentity { token, role } => {
            let builder = builder.with_config(Setting::WebIdentityTokenFile, token);
            return Ok(builder.with_config(Setting::RoleArn, role));
        }
        Keys::Process(command) => return Ok(run(&command, &profile.name)?.give_to(builder)),
        Keys::None => {}
    }
    let container = [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    if container.into_iter().any(has) {
        return Ok(builder);
    }
    let disabled = access
        .variable("AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let address = ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_METADATA_ENDPOINT"]
        .into_iter()
        .find_map(|name| access.variable(name));
    match address {
        _ if disabled => {}
        Some(address) => return Ok(builder.with_metadata_endpoint(address)),
        None if is_instance(Path::new("/sys/class/dmi/id")) => return Ok(builder),
        None => {}
    }
    Err(Refusal::NoCredentials(format!(
        "looked for AWS_ACCESS_KEY_ID, {}, AWS_WEB_IDENTITY_TOKEN_FILE and a container's or an instance's role",
        profile.shown()
    )))
}

// What firmware says of an EC2 instance: `Amazon EC2`, or `4.11.amazon` on older ones.
fn is_instance(firmware: &Path) -> bool {
    ["sys_vendor", "bios_vendor", "bios_version"]
        .into_iter()
        .filter_map(|name| std::fs::read_to_string(firmware.join(name)).ok())
        .any(|text| text.to_ascii_lowercase().contains("amazon"))
}

/// Keys that sign requests.
#[derive(Deserialize)]
struct StaticKeys {
    #[serde(rename = "AccessKeyId")]
    id: String,
    #[serde(rename = "SecretAccessKey")]
    secret: String,
    #[serde(rename = "SessionToken")]
    token: Option<String>,
}

impl StaticKeys {
    fn give_to(self, builder: AmazonS3Builder) -> AmazonS3Builder {
        let builder = builder
            .with_access_key_id(self.id)
            .with_secret_access_key(self.secret);
        match self.token {
            Some(token) => builder.with_token(token),
            None => builder,
        }
    }
}

// "Sourcing credentials with an external process": its output is one JSON object. What a person
// wrote there may hold a secret, and is not repeated.
fn run(command: &str, profile: &str) -> Result<StaticKeys, Refusal> {
    let failed = |why: String| {
        Refusal::NoCredentials(format!(
            "the credential_process of the profile {profile} {why}"
        ))
    };
    let output = crate::programs::output("sh", ["-c", command], &[])
        .map_err(|error| failed(format!("cannot be run: {error}")))?;
    let Some(printed) = output.printed else {
        return Err(failed("printed more than credentials".to_owned()));
    };
    if !output.status.success() {
        return Err(failed(format!("failed ({})", output.status)));
    }
    serde_json::from_slice(&printed)
        .map_err(|_| failed("did not print the JSON object that it must".to_owned()))
}

/// What a profile says about keys.
enum Keys {
    None,
    Static(StaticKeys),
    WebIdentity { token: String, role: String },
    Process(String),
}

/// A section of the AWS tools' two files.
#[derive(Default)]
pub(super) struct Profile {
    name: String,
    /// Somebody asked for this one.
    named: bool,
    found: bool,
    settings: BTreeMap<String, Zeroizing<String>>,
    /// Files that nobody named and that cannot be read, with the reason.
    unread: Vec<String>,
}

impl Profile {
    /// The profile that the variables name.
    pub fn of(access: &Access) -> Result<Self, Refusal> {
        let variable = |name: &str| access.variable(name);
        let asked = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let mut profile = Self {
            named: asked.is_some(),
            name: asked.unwrap_or_else(|| "default".to_owned()),
            ..Self::default()
        };
        let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
        // The credentials file counts more than the configuration.
        for (name, file) in [
            ("AWS_CONFIG_FILE", "config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ] {
            let given = variable(name).map(PathBuf::from);
            let asked = profile.named || given.is_some();
            let path = given.unwrap_or_else(|| home.join(".aws").join(file));
            match crate::fs::read_limited(&path, 1 << 20) {
                Ok(bytes) => {
                    let bytes = Zeroizing::new(bytes.unwrap_or_default());
                    profile.read(&String::from_utf8_lossy(&bytes));
                }
                Err(error) if asked => {
                    let path = path.display();
                    return Err(Refusal::NoCredentials(format!("{path}: {error}")));
                }
                // Another person's home: variables may hold all that is needed.
                Err(error) => profile.unread.push(format!("{}: {error}", path.display())),
            }
        }
        match profile.named && !profile.found {
            true => Err(Refusal::NoCredentials(format!(
                "there is no profile {} in ~/.aws/credentials or ~/.aws/config",
                profile.name
            ))),
            false => Ok(profile),
        }
    }

    fn shown(&self) -> String {
        let mut shown = format!(
            "the profile {} in ~/.aws/credentials and ~/.aws/config",
            self.name
        );
        if !self.unread.is_empty() {
            shown.push_str(&format!(" ({})", self.unread.join(", ")));
        }
        shown
    }

    // Sections are `[NAME]` in one file and `[profile NAME]` in the other; lines that are
    // indented belong to a setting of another service.
    fn read(&mut self, text: &str) {
        let mut inside = false;
        for line in text.lines() {
            if let Some(section) = line
                .trim()
                .strip_prefix('[')
                .and_then(|l| l.strip_suffix(']'))
            {
                let section = section.trim();
                let name = section.strip_prefix("profile ").unwrap_or(section);
                inside = name.trim().trim_matches('"') == self.name;
                self.found |= inside;
                continue;
            }
            let indented = line.starts_with([' ', '\t']);
            let comment = line.starts_with(['#', ';']);
            if let Some((key, value)) = line.split_once('=')
                && inside
                && !indented
                && !comment
            {
                let key = key.trim().to_ascii_lowercase();
                let value = Zeroizing::new(value.trim().to_owned());
                self.settings.insert(key, value);
            }
        }
    }

    /// A setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(|value| value.as_str())
    }

    fn keys(&self) -> Result<Keys, Refusal> {
        let get = |key: &str| self.get(key).map(str::to_owned);
        let role = get("role_arn");
        match (get("web_identity_token_file"), &role) {
            (Some(token), Some(role)) => {
                let role = role.clone();
                return Ok(Keys::WebIdentity { token, role });
            }
            (_, Some(_)) => return Err(Refusal::Delegated(self.name.clone())),
            (_, None) => {}
        }
        if let (Some(id), Some(secret)) = (get("aws_access_key_id"), get("aws_secret_access_key")) {
            let token = get("aws_session_token");
            return Ok(Keys::Static(StaticKeys { id, secret, token }));
        }
        if let Some(command) = get("credential_process") {
            return Ok(Keys::Process(command));
        }
        let login = ["sso_session", "sso_start_url", "login_session"];
        match login.into_iter().any(|key| self.get(key).is_some()) {
            true => Err(Refusal::Delegated(self.name.clone())),
            false => Ok(Keys::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-central-1\n[profile ci]\nregion=eu-west-1 \n# x = y\n\
        s3 =\n  region = nested\n[profile \"two words\"]\nregion = a\n[profile login]\nsso_session = s\n\
        [profile other]\nrole_arn = arn\nsource_profile = ci\n\
        [profile program]\ncredential_process = printf '{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"s\"}'\n\
        [profile broken]\ncredential_process = false\n\
        [profile endless]\ncredential_process = cat /dev/zero\n\
        [profile pod]\nweb_identity_token_file = /t\nrole_arn = arn\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id=A\naws_secret_access_key=s\n\
        [ci]\naws_access_key_id = B\naws_secret_access_key = s\n";

    fn profile(name: &str) -> Profile {
        let mut profile = Profile {
            name: name.to_owned(),
            ..Profile::default()
        };
        profile.read(CONFIG);
        profile.read(CREDENTIALS);
        profile
    }

    #[test]
    fn profiles() {
        for (name, region, keys) in [
            ("default", Some("eu-central-1"), "A"),
            ("ci", Some("eu-west-1"), "B"),
            ("two words", Some("a"), "none"),
            ("pod", None, "/t"),
            ("login", None, "the AWS tools"),
            ("other", None, "the AWS tools"),
            ("program", None, "P"),
            (
                "broken",
                None,
                "the credential_process of the profile broken failed (exit status: 1)",
            ),
            ("endless", None, "printed more than credentials"),
            ("nobody", None, "none"),
        ] {
            let profile = profile(name);
            assert_eq!(profile.get("region"), region, "{name}");
            let found = match profile.keys() {
                Ok(Keys::Static(found)) => found.id,
                Ok(Keys::WebIdentity { token, .. }) => token,
                Ok(Keys::Process(command)) => match run(&command, name) {
                    Ok(found) => found.id,
                    Err(refusal) => refusal.to_string(),
                },
                Ok(Keys::None) => "none".to_owned(),
                Err(refusal) => refusal.to_string(),
            };
            assert!(found.contains(keys), "{name}: {found}");
        }
    }

    #[test]
    fn instances() {
        for (file, text, instance) in [
            ("sys_vendor", "Amazon EC2\n", true),
            ("bios_version", "4.11.amazon\n", true),
            ("sys_vendor", "QEMU\n", false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), text).unwrap();
            assert_eq!(is_instance(folder.path()), instance, "{text}");
        }
        assert!(!is_instance(Path::new("/nowhere")));
    }

    #[test]
    fn no_credentials_no_question() {
        let access = |more: &[(&str, &str)]| {
            let home = [("HOME", "/nowhere"), ("AWS_EC2_METADATA_DISABLED", "true")];
            let all = home.iter().chain(more);
            Access::new(
                None,
                all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            )
        };
        for (variables, refused) in [
            (
                &[][..],
                Some("looked for AWS_ACCESS_KEY_ID, the profile default"),
            ),
            (&[("AWS_PROFILE", "ci")], Some("there is no profile ci")),
            (&[("AWS_ACCESS_KEY_ID", "A")], None),
            (&[("AWS_SKIP_SIGNATURE", "true")], None),
            (
                &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "a")],
                None,
            ),
            (&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")], None),
        ] {
            let access = access(variables);
            let result = Profile::of(&access)
                .and_then(|profile| authorize(AmazonS3Builder::new(), &access, &profile));
            let said = result.err().map(|refusal| refusal.to_string());
            match refused {
                None => assert_eq!(said, None),
                Some(words) => assert!(said.is_some_and(|said| said.contains(words))),
            }
        }
    }

    #[test]
    fn files_that_cannot_be_read() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".aws/config")).unwrap();
        let profile = |more: &[(&str, &str)]| {
            let home = ("HOME", home.path().to_str().unwrap());
            let all = [home].into_iter().chain(more.iter().copied());
            let access = Access::new(None, all.map(|(k, v)| (k.to_owned(), v.to_owned())));
            Profile::of(&access).map(|profile| profile.shown())
        };
        // Nobody asked for it: it is an error only where nothing else is found.
        assert!(profile(&[]).unwrap().contains(".aws/config: "));
        for asked in [("AWS_PROFILE", "ci"), ("AWS_CONFIG_FILE", "/dev")] {
            assert!(profile(&[asked]).is_err(), "{asked:?}");
        }
    }
}
