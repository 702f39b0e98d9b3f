//! Values that would break out of what they are written into: each field of a configuration
//! carries them intact into the installed system, or is refused by its flag's name, with nothing
//! written.
//!
//! An installer is made with one value in every field at once. While it is refused, the field
//! whose flag is named is taken out, and counted; the others must arrive. Channels are real: the
//! update repository has the programs under these names, so that they become paths on hosts.

mod linux;
mod macos;
mod windows;

use std::path::PathBuf;

use libtest_mimic::Trial;

use crate::harness::scratch::Run;
use crate::harness::{Scratch, TreeState};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let systems = [linux::trials(), macos::trials(), windows::trials()];
    systems.into_iter().flatten().collect()
}

/// Texts, each with what it is.
pub fn values() -> Vec<(&'static str, String)> {
    let texts = [
        ("double quotes", r#"a"b""c"#),
        ("single quotes", "a'b''c"),
        ("both quotes", r#"'"'"'"#),
        ("a command", "$(touch pwned)"),
        ("backticks", "`touch pwned`"),
        ("a variable", "$HOME${PATH}"),
        ("a line break", "a\nORBIT_PWNED=1"),
        ("a carriage return", "a\rb"),
        ("percent", "%h %% %n %i"),
        ("a percent-escape", "%2fb%00"),
        ("angle brackets", "<a>&amp;</a>"),
        ("square brackets", "[ORBIT_ENROLL_SECRET][~x]"),
        ("the end of a list", "a[~]b"),
        ("braces", "{{secret}}{[x]}"),
        ("end of CDATA", "]]>"),
        ("a closing mark", "]]"),
        ("NUL", "a\0b"),
        ("emoji", "🚀🦀 Zoë"),
        ("letters that look alike", "e\u{301}\u{2019}\u{ff02}"),
        ("backslashes", r"\\a\n\"),
        ("a comment", "#a ;b"),
        ("spaces around", "  a  "),
        ("spaces within", "a  b"),
        ("a tab", "a\tb"),
        ("semicolons", "a;b&&c|d"),
        ("an ampersand", "a;b&&c&"),
        ("stars", "*?~!"),
        ("a dash", "-rf"),
        ("a home folder", "~root"),
        ("a device of Windows", "nul"),
        ("the end of a here-document", "END_OF_ADMINISTRATORS_SCRIPT"),
    ];
    let mut values: Vec<_> = texts.map(|(what, text)| (what, text.to_owned())).into();
    values.push(("64 KiB", "0123456789abcdef".repeat(4096)));
    values
}

/// How a field is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// As an argument.
    Argument,
    /// In a file.
    File,
    /// In a PEM file, before the certificate.
    Certificate,
    /// In a PEM file, before the key.
    Key,
    /// As text that a script prints.
    Script,
    /// As a script's file name.
    Name,
}

/// A field of a configuration, with what stands around a value so that it is of the field's kind.
#[derive(Clone, Copy, Debug)]
struct Field {
    flag: &'static str,
    way: Way,
    front: &'static str,
    back: &'static str,
}

const fn field(flag: &'static str, way: Way, around: (&'static str, &'static str)) -> Field {
    Field {
        flag,
        way,
        front: around.0,
        back: around.1,
    }
}

/// Fields that installers for all systems have.
const FIELDS: [Field; 15] = [
    field(
        "--fleet-url",
        Way::Argument,
        ("https://fleet.example.com/", ""),
    ),
    field("--enroll-secret", Way::File, ("", "")),
    field(
        "--agent-update-url",
        Way::Argument,
        ("https://updates.example.com/", ""),
    ),
    field("--update-interval", Way::Argument, ("", "")),
    field("--orbit-channel", Way::Argument, ("", "")),
    field("--osqueryd-channel", Way::Argument, ("", "")),
    field("--desktop-channel", Way::Argument, ("", "")),
    field(
        "--fleet-desktop-alternative-browser-host",
        Way::Argument,
        ("", ".example.com"),
    ),
    field("--host-identifier", Way::Argument, ("", "")),
    field("--osquery-flagfile", Way::File, ("--flag=", "\n")),
    field("--fleet-certificate", Way::Certificate, ("", "\n")),
    field("--update-tls-certificate", Way::Certificate, ("", "\n")),
    field("--fleet-tls-client-key", Way::Key, ("", "\n")),
    field("--update-tls-client-key", Way::Key, ("", "\n")),
    field("--compression", Way::Argument, ("", "")),
];

impl Field {
    /// What the host is to have.
    fn value(&self, text: &str) -> String {
        format!("{}{text}{}", self.front, self.back)
    }

    /// Whether there is a way to type it at all.
    fn can_be_given(&self, text: &str) -> bool {
        match self.way {
            Way::Argument => !text.contains('\0'),
            Way::Name => !text.contains(['\0', '/']) && text.len() < 200,
            Way::File | Way::Certificate | Way::Key | Way::Script => true,
        }
    }
}

/// A repository with the sample agent, in a channel of each name that a channel can have.
struct Ground {
    scratch: Scratch,
    certificate: String,
    key: String,
    /// Further arguments.
    more: Vec<String>,
}

/// An installer, what it is to carry, and how many fields were refused.
struct Made {
    file: PathBuf,
    carried: Vec<Field>,
    refused: usize,
}

impl Ground {
    /// Makes it; needs `openssl`.
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.fleetpack(["quickstart", "--dir", "qs"]).ok();
        std::fs::remove_dir_all(scratch.join("qs/installers")).unwrap();
        std::fs::create_dir(scratch.join("out")).unwrap();
        add_channels(&scratch);
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
            -subj /CN=client -keyout key.pem -out certificate.pem";
        scratch.tool("openssl", words.split_whitespace()).ok();
        Self {
            certificate: scratch.text("certificate.pem"),
            key: scratch.text("key.pem"),
            more: Vec::new(),
            scratch,
        }
    }

    /// What a file with a value holds.
    fn contents(&self, field: &Field, text: &str) -> String {
        let value = field.value(text);
        match field.way {
            Way::Certificate => format!("{value}{}", self.certificate),
            Way::Key => format!("{value}{}", self.key),
            Way::Script => {
                format!("#!/bin/sh\ncat > \"$HOME/said\" << 'LAST'\n{value}\nLAST\n")
            }
            Way::Name => "#!/bin/sh\n:\n".to_owned(),
            Way::Argument | Way::File => value,
        }
    }

    /// Makes an installer of this type with a value in all fields that can carry it.
    fn make(&self, format: &str, fields: &[Field], what: &str, text: &str) -> Made {
        let mut carried: Vec<Field> = fields.to_vec();
        carried.retain(|field| field.can_be_given(text));
        let mut refused = 0;
        let _ = std::fs::remove_dir_all(self.scratch.join("out"));
        std::fs::create_dir(self.scratch.join("out")).unwrap();
        loop {
            let before = TreeState::of(self.scratch.path());
            let ran = self.run(format, &carried, text).run();
            if ran.code == Some(0) {
                break;
            }
            let sentence = ran.stderr.lines().find(|line| line.starts_with("error: "));
            let sentence = sentence.unwrap_or_else(|| panic!("{format}, {what}: {ran}"));
            // A value with a line break is shown as it is.
            let by = |text: &str| carried.iter().position(|field| names(text, field));
            let named = by(sentence).or_else(|| by(&ran.stderr));
            let named = named.unwrap_or_else(|| panic!("{format}, {what}: {ran}"));
            assert!(matches!(ran.code, Some(1 | 2)), "{format}, {what}: {ran}");
            if carried[named].flag == "--enroll-secret" && text.len() > 3 {
                assert!(!sentence.contains(text), "{format}, {what}: {ran}");
            }
            // The arguments' own files are made anew for each run.
            let now = TreeState::of(self.scratch.path());
            before
                .without("given")
                .without(".home")
                .unchanged(&now.without("given").without(".home"));
            carried.remove(named);
            refused += 1;
        }
        let made = std::fs::read_dir(self.scratch.join("out")).unwrap();
        let paths = made.map(|entry| entry.unwrap().path());
        let is_installer = |path: &PathBuf| path.to_str().unwrap().ends_with(format);
        let files: Vec<PathBuf> = paths.filter(is_installer).collect();
        let [file]: [PathBuf; 1] = files.try_into().unwrap();
        Made {
            file,
            carried,
            refused,
        }
    }

    fn run(&self, format: &str, fields: &[Field], text: &str) -> Run {
        let words = "--update-url=qs/updates/repository --fleet-desktop --outdir=out --no-state \
            --update-roots=@qs/updates/repository/1.root.json --cache=none";
        let mut run = self.scratch.fleetpack(["package", "--type", format]);
        run = run.args(words.split_whitespace());
        let given = |flag| fields.iter().any(|field| field.flag == flag);
        if !given("--fleet-url") {
            run = run.arg("--fleet-url=https://fleet.example.com");
        }
        if !given("--enroll-secret") {
            run = run.env("FLEETPACK_ENROLL_SECRET", "a-made-up-secret-of-24-c");
        }
        if !given("--agent-update-url") {
            run = run.arg("--agent-update-url=https://updates.example.com");
        }
        run = self.more.iter().fold(run, Run::arg);
        let _ = std::fs::remove_dir_all(self.scratch.join("given"));
        fields
            .iter()
            .fold(run, |run, field| self.give(run, field, text))
    }

    fn give(&self, run: Run, field: &Field, text: &str) -> Run {
        let flag = field.flag;
        if field.way == Way::Argument {
            return run.arg(format!("{flag}={}", field.value(text)));
        }
        let name = match field.way {
            Way::Name => format!("given/{flag}/{}", field.value(text)),
            _ => format!("given/{flag}/file"),
        };
        self.scratch.write(&name, self.contents(field, text));
        let certificate = flag.strip_suffix("-key");
        match certificate.filter(|_| field.way == Way::Key) {
            Some(front) => run
                .arg(format!("{front}-certificate=certificate.pem"))
                .arg(format!("{flag}={name}")),
            None if flag == "--enroll-secret" => run.arg(format!("{flag}-file={name}")),
            None => run.arg(format!("{flag}={name}")),
        }
    }
}

/// Whether an error names the field: by its flag, or a script by its name.
fn names(sentence: &str, field: &Field) -> bool {
    let word = |end: Option<char>| end.is_none_or(|c| !c.is_alphanumeric() && c != '-');
    let flag = |flag: &str| {
        let mut parts = sentence.split(flag).skip(1);
        parts.any(|rest| word(rest.chars().next()))
    };
    // What hosts are told is `--update-url`, whichever of the two flags gave it.
    flag(field.flag) || field.flag == "--agent-update-url" && flag("--update-url")
}

fn add_channels(scratch: &Scratch) {
    let checked = |text: &String| fleetpack::tuf::name::check_component("channel", text).is_ok();
    let channels: Vec<String> = values().into_iter().map(|(_, text)| text).collect();
    let channels: Vec<String> = channels.into_iter().filter(checked).collect();
    assert!(channels.len() > 8, "only {channels:?} can be channels");
    let programs = [
        ("orbit", "linux", "orbit"),
        ("osqueryd", "linux", "osqueryd"),
        ("desktop", "linux", "desktop.tar.gz"),
        ("orbit", "macos", "orbit"),
        ("osqueryd", "macos-app", "osqueryd.app.tar.gz"),
        ("desktop", "macos", "desktop.app.tar.gz"),
        ("orbit", "windows", "orbit.exe"),
        ("osqueryd", "windows", "osqueryd.exe"),
        ("desktop", "windows", "fleet-desktop.exe"),
    ];
    let mut run = scratch.fleetpack(["updates", "add", "--path", "qs/updates"]);
    for (name, platform, file) in programs {
        run = run.arg(format!("--target=qs/sample/{platform}/{file}"));
        run = run
            .arg(format!("--name={name}"))
            .arg(format!("--platform={platform}"));
        run = run.arg("--version=1.0.0");
        run = channels
            .iter()
            .fold(run, |run, channel| run.arg(format!("--tag={channel}")));
    }
    for line in scratch.text("qs/passphrases.env").lines() {
        let (name, value) = line
            .strip_prefix("export ")
            .unwrap()
            .split_once('=')
            .unwrap();
        run = run.env(name, value);
    }
    run.ok();
}

/// Tells how many values were tried.
fn tell(format: &str, carried: usize, refused: usize) {
    assert!(
        carried > 100 && refused > 50,
        "{carried} carried, {refused} refused"
    );
    eprintln!(
        "{format}: {} values tried: {carried} carried, {refused} refused by name",
        carried + refused
    );
}
