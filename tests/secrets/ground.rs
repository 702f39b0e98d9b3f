//! What the commands of the table work on, and every secret that they are given.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::Scratch;
use crate::harness::faults::FaultServer;
use crate::harness::scratch::{Ran, Run};
use crate::harness::standin::StandIn;
use crate::updates::{elf, fixture};

pub const SECRET: &str = "Zq7wK4rT9yBn2XcVm5LpD8sHf3GjE6aU";
pub const PASSPHRASE: &str = "correct-horse-9137-battery";
const URL_SECRET: &str = "uRl7pAsSwOrD4mAdEuP9zzz";
const CLOUD_SECRET: &str = "wJalrMadeUp7bPxRfiCYzEXAMPLEKEY0";
const CLOUD_TOKEN: &str = "FwoGZXIvMadeUpTokenEXAMPLE9999aa";
const TEAM_SECRETS: [&str; 3] = [
    "FileTeam8sHf3GjE6aUZq7wK4rT9yBn2",
    "VariableTeam3GjE6aUZq7wK4rT9yBn2",
    "CommandTeamHf3GjE6aUZq7wK4rT9yBn",
];

const ROLES: [&str; 4] = ["ROOT", "TARGETS", "SNAPSHOT", "TIMESTAMP"];

/// The folder, the storage, and the folder served.
pub struct Ground {
    pub scratch: Scratch,
    storage: StandIn,
    server: FaultServer,
    /// The id of the key that was made last.
    made: RefCell<String>,
}

impl Ground {
    /// Without keys that other programs make.
    pub fn plain() -> Self {
        let scratch = Scratch::new();
        scratch.write("new", elf(62));
        for folder in ["dest", "out", "out/mdm", "out/teams", "tmp"] {
            std::fs::create_dir(scratch.join(folder)).unwrap();
        }
        given(&scratch, "secret", SECRET);
        fixture(&scratch, "plaintext-keys");
        std::fs::rename(scratch.join("repo"), scratch.join("plain")).unwrap();
        for key in std::fs::read_dir(scratch.join("plain/keys")).unwrap() {
            private(&key.unwrap().path());
        }
        let refused = |key: &str| key.starts_with("refused").then_some((403, "AccessDenied"));
        Self {
            server: FaultServer::new(scratch.path()),
            scratch,
            made: RefCell::default(),
            storage: StandIn::new(true, move |request| refused(&request.key)),
        }
    }

    /// With all keys; needs `openssl` and `gpg`.
    pub fn new() -> Self {
        let ground = Self::plain();
        let scratch = &ground.scratch;
        let openssl = |words: &str| drop(scratch.tool("openssl", words.split_whitespace()).ok());
        openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -keyout tls.key -out tls.pem",
        );
        openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out api.p8");
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=code -addext extendedKeyUsage=codeSigning -addext keyUsage=digitalSignature -keyout code.key -out code.pem",
        );
        let identity = "Developer ID Installer: Made Up (ABCDE12345)";
        let usage = "extendedKeyUsage=critical,1.2.840.113635.100.4.13";
        let make = "req -x509 -newkey rsa:2048 -nodes -days 30 -keyout leaf.key -out leaf.pem";
        let run = scratch.tool("openssl", make.split_whitespace());
        run.arg("-subj")
            .arg(format!("/CN={identity}"))
            .args([
                "-addext",
                usage,
                "-addext",
                "keyUsage=critical,digitalSignature",
            ])
            .ok();
        let all = ["leaf.key", "leaf.pem"]
            .map(|name| scratch.text(name))
            .concat();
        given(scratch, "identity.pem", &all);
        openssl(&format!(
            "pkcs12 -export -legacy -in identity.pem -passout pass:{PASSPHRASE}-p12 -out identity.p12"
        ));
        rpm_key(scratch);
        teams(scratch);
        ground
    }

    /// What must not be seen anywhere.
    pub fn secrets(&self) -> Vec<String> {
        let mut found = vec![SECRET, PASSPHRASE, CLOUD_SECRET, CLOUD_TOKEN, URL_SECRET];
        found.extend(TEAM_SECRETS);
        let mut found: Vec<String> = found.into_iter().map(str::to_owned).collect();
        found.extend(plain_keys(&self.scratch.join("plain/keys")));
        for file in ["tls.key", "api.p8", "code.key", "leaf.key"] {
            let path = self.scratch.join(file);
            let text = std::fs::read_to_string(path).unwrap_or_default();
            // The first line of a key's text is nearly the same for all keys.
            let mut lines = text
                .lines()
                .filter(|line| line.len() > 40 && !line.starts_with('-'));
            found.extend(lines.nth(1).map(str::to_owned));
        }
        let quickstart = std::fs::read_to_string(self.scratch.join("qs/passphrases.env"));
        let quickstart = quickstart.unwrap_or_default();
        let words = quickstart.lines().filter_map(|line| line.split_once('='));
        found.extend(words.map(|(_, word)| word.to_owned()));
        found
    }

    /// Those of them that no installer is given: all but enroll secrets, the key of a client
    /// certificate, and the password by which hosts ask for updates.
    pub fn never_packed(&self) -> Vec<String> {
        let mut found = self.secrets();
        let tls = self.scratch.text("tls.key");
        let given = [SECRET, URL_SECRET];
        let given =
            |word: &String| given.contains(&word.as_str()) || TEAM_SECRETS.contains(&word.as_str());
        found.retain(|word| !given(word) && !tls.contains(word.as_str()));
        found
    }

    /// The words of a command, with what stands in capital letters filled in.
    pub fn words(&self, words: &str) -> Vec<String> {
        const UPDATES: &str = "--update-url=repo/repository --no-state \
            --update-roots=@repo/repository/1.root.json --disable-updates --outdir=out";
        const FLEET: &str = "--fleet-url=https://fleet.example.com --enroll-secret-file=secret";
        let served = self.server.url.replace("://", "://updates:URLSECRET@");
        let mut words = words
            .replace("SERVER", &served)
            .replace("ARGS", "UPDATES FLEET")
            .replace("FLEET", FLEET)
            .replace("URLSECRET", URL_SECRET)
            .replace("UPDATES", UPDATES)
            .replace("PROGRAMS", &programs())
            .replace("STORAGE", &self.storage.url)
            .replace("INSTALLER", "out/fleet-osquery")
            .replace(" WRONG", "");
        if words.contains("KEYID") {
            words = words.replace("KEYID", &self.keys("repo", "snapshot").pop().unwrap());
        }
        words = words.replace("NEWKEY", &self.made.borrow());
        words
            .split_whitespace()
            .map(|word| self.installer(word))
            .collect()
    }

    /// Where an installer of a type lies.
    fn installer(&self, word: &str) -> String {
        let Some(extension) = word.strip_prefix("out/fleet-osquery.") else {
            return word.to_owned();
        };
        let mut names: Vec<String> = std::fs::read_dir(self.scratch.join("out"))
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(&format!(".{extension}")))
            .collect();
        names.sort();
        format!(
            "out/{}",
            names.first().unwrap_or_else(|| panic!("no {extension}"))
        )
    }

    /// Ids of a role's keys.
    fn keys(&self, repository: &str, role: &str) -> Vec<String> {
        let args = ["updates", "keys", "list", "--json", "--path", repository];
        let ran = self.scratch.fleetpack(args).ok();
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        let roles = report["roles"].as_array().unwrap();
        let role = roles.iter().find(|one| one["role"] == role).unwrap();
        let keys = role["keys"].as_array().unwrap();
        keys.iter()
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Takes down the id of a key that a command made.
    pub fn note(&self, ran: &Ran) {
        if let Ok(report) = serde_json::from_slice::<serde_json::Value>(&ran.stdout)
            && let Some(id) = report["generated"][0]["id"].as_str()
        {
            self.made.replace(id.to_owned());
        }
    }

    /// Gives a command its passphrases and variables.
    pub fn variables(&self, mut run: Run, case: &super::table::Case) -> Run {
        for role in ROLES {
            let wrong = if case.words.contains("WRONG") {
                "-wrong"
            } else {
                ""
            };
            let value = format!("{PASSPHRASE}-{role}{wrong}");
            run = run.env(&format!("FLEET_{role}_PASSPHRASE"), value);
        }
        run = run
            .env(
                "FLEET_TARGETS_NEW_PASSPHRASE",
                format!("{PASSPHRASE}-TARGETS"),
            )
            .env("FLEET_RPM_SIGNING_PASSPHRASE", format!("{PASSPHRASE}-rpm"))
            .env("TMPDIR", self.scratch.join("tmp"));
        let file = |name: &str| self.scratch.text(name);
        for (name, value) in case.variables {
            let value = match *value {
                "SECRET" => SECRET.to_owned(),
                "TEAMSECRET" => TEAM_SECRETS[1].to_owned(),
                "CLOUDSECRET" => CLOUD_SECRET.to_owned(),
                "CLOUDTOKEN" => CLOUD_TOKEN.to_owned(),
                "IDENTITY" => file("identity.pem"),
                "APIKEY" => file("api.p8"),
                other => other.to_owned(),
            };
            run = run.env(name, value);
        }
        run
    }
}

/// Writes a file that its owner alone can read.
fn given(scratch: &Scratch, name: &str, text: &str) {
    private(&scratch.write(name, text));
}

fn private(path: &Path) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// All programs of the sample agent, as one command adds them.
fn programs() -> String {
    let programs = [
        ("orbit", "linux", "orbit"),
        ("osqueryd", "linux", "osqueryd"),
        ("orbit", "macos", "orbit"),
        ("osqueryd", "macos-app", "osqueryd.app.tar.gz"),
        ("orbit", "windows", "orbit.exe"),
        ("osqueryd", "windows", "osqueryd.exe"),
    ];
    let one = |(name, platform, file)| {
        format!(
            "--target qs/sample/{platform}/{file} --name {name} --platform {platform} --version 1.0.0 -t stable "
        )
    };
    programs.map(one).concat()
}

fn rpm_key(scratch: &Scratch) {
    let home = scratch.join("gnupg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    let passphrase = format!("{PASSPHRASE}-rpm");
    let gpg = |words: &[&str]| {
        let common = [
            "--batch",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            &passphrase,
        ];
        let run = scratch.tool("gpg", common.iter().chain(words));
        run.env("GNUPGHOME", &home).ok()
    };
    gpg(&[
        "--quick-gen-key",
        "packages@example.com",
        "rsa2048",
        "sign",
        "never",
    ]);
    let key = gpg(&["--armor", "--export-secret-keys", "packages@example.com"]);
    given(scratch, "rpm.key", key.text());
    // Its agent would go on running.
    scratch
        .tool("gpgconf", ["--kill", "gpg-agent"])
        .env("GNUPGHOME", &home)
        .ok();
    std::fs::remove_dir_all(home).unwrap();
}

/// Three teams, each with its secret elsewhere; and a profile whose keys a program prints. Both
/// programs write down what they can see.
fn teams(scratch: &Scratch) {
    let [file, _, command] = TEAM_SECRETS;
    given(scratch, "secret-of-a-file", file);
    given(scratch, "secret-of-a-command", command);
    let look = "tr '\\0' '\\n' < /proc/$$/environ > seen-$1\ntr '\\0' '\\n' < /proc/$$/cmdline >> seen-$1\n";
    scratch.write("team.sh", format!("{look}cat secret-of-a-command\n"));
    let keys = format!(
        "{{\"Version\": 1, \"AccessKeyId\": \"AKIAMADEUP\", \"SecretAccessKey\": \"{CLOUD_SECRET}\", \"SessionToken\": \"{CLOUD_TOKEN}\"}}"
    );
    given(scratch, "secret-of-a-profile", &keys);
    scratch.write("profile.sh", format!("{look}cat secret-of-a-profile\n"));
    scratch.write(
        "aws-config",
        "[profile made-up]\ncredential_process = sh profile.sh profile\n",
    );
    scratch.write(
        "teams.toml",
        "[defaults]\ntype = 'deb'\nfleet-url = 'https://fleet.example.com'\n\
         update-url = 'repo/repository'\nupdate-roots = '@repo/repository/1.root.json'\n\
         disable-updates = true\n\
         [[installer]]\nteam = 'file'\nenroll-secret-file = 'secret-of-a-file'\n\
         [[installer]]\nteam = 'variable'\nenroll-secret-variable = 'TEAM_SECRET'\n\
         [[installer]]\nteam = 'command'\nenroll-secret-command = ['sh', 'team.sh', 'team']\n",
    );
}

/// The private keys that lie in the clear.
fn plain_keys(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let Ok(text) = std::fs::read_to_string(file.unwrap().path()) else {
            continue;
        };
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("\"private\": \"") {
            let (key, after) = after.split_once('"').unwrap();
            found.push(key.to_owned());
            rest = after;
        }
    }
    found
}
