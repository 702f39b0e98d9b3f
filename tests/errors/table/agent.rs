//! Errors of `src/agent`, `src/install` and `src/templates`.

use fleetpack::agent::AgentError;
use fleetpack::agent::archive::ArchiveError;
use fleetpack::agent::component::Component;
use fleetpack::agent::config::ConfigError;
use fleetpack::agent::fetch::FetchError;
use fleetpack::agent::release::ReleaseError;
use fleetpack::agent::sample::SampleError;
use fleetpack::agent::sniff::Kind;
use fleetpack::cli::CliError;
use fleetpack::install::{Arch, ContentError, Os, TreeError};
use fleetpack::templates::TemplateError;
use fleetpack::templates::escape::{EscapeError, xml_text};
use fleetpack::tuf::client::ClientError;
use fleetpack::tuf::hashes::HashMismatch;
use fleetpack::tuf::name::NameError;

use super::{Examples, cause, every, io, json, one, path, s};

pub fn all() -> Vec<Examples> {
    vec![
        config(),
        fetch(),
        archive(),
        agent(),
        release(),
        sample(),
        tree(),
        content(),
        template(),
        escape(),
    ]
}

const TARGET: &str = "osqueryd/macos-app/stable/osqueryd.app.tar.gz";

every! { config: ConfigError as CliError::Config;
    Value { flag: "--end-user-email", value: s("nobody"), why: "is no e-mail address" },
    Value { flag: "--fleet-url", value: s("fleet.example.com"), why: "is no address like https://fleet.example.com" },
    Hidden { flag: "--enroll-secret", why: "holds a line break" },
    Channel { flag: "--orbit-channel", why: NameError { what: "channel", value: s("a/b"), reason: "it contains a slash" } },
    Long { flag: "--fleet-url", len: 200_000, holder: "an environment variable", limit: 131_000 },
    Exclusive("--insecure", "--fleet-certificate"),
    Needs { flag: "--fleet-tls-client-certificate", other: "--fleet-tls-client-key" },
}

every! { fetch: FetchError as CliError::Fetch;
    Client(ClientError::NoTarget { place: s("https://updates.example.com"), name: s("orbit/linux/nightly/orbit") }),
    Client(ClientError::NotRefreshed),
    Archive { name: s(TARGET), source: ArchiveError::Members(10_000) },
    NoProgram { name: s(TARGET), program: "osquery.app/Contents/MacOS/osqueryd" },
    Kept { name: s(TARGET), source: cause() },
    Temporary { folder: path("/tmp"), source: io() },
}

every! { archive: ArchiveError as |source| CliError::Release(ReleaseError::Archive { path: path("osqueryd.app.tar.gz"), source });
    Read(io()),
    Kind { path: s("osquery.app/link"), kind: "symbolic link" },
    Path(s("../escape")),
    Twice(s("osquery.app/file")),
    Order { path: s("osquery.app/file") },
    Members(10_000),
    Bytes(1_000_000),
    Name(1_000_000),
    Names(1_000_000),
    Length,
}

every! { agent: AgentError as CliError::Agent;
    Template(malformed()),
    Tree(TreeError::Path(s("../escape"))),
    Documents(json()),
    Missing(Component::Desktop),
    NoVersion(s("orbit/linux/stable/orbit")),
}

every! { release: ReleaseError as CliError::Release;
    Name(NameError { what: "channel", value: s("a/b"), reason: "it contains a slash" }),
    Unusable { path: path("orbit"), reason: "it is empty" },
    Read { path: path("orbit"), source: io() },
    Platform { path: path("orbit"), kind: Kind::Xar, platform: s("linux") },
    Platform { path: path("orbit"), kind: Kind::Program { os: Os::Windows, arch: None }, platform: s("linux") },
    Platform { path: path("orbit"), kind: Kind::Program { os: Os::Windows, arch: Some(Arch::Arm64) }, platform: s("linux") },
    Archive { path: path("desktop.tar.gz"), source: ArchiveError::Twice(s("fleet-desktop/file")) },
    Incomplete { path: path("desktop.tar.gz"), program: "fleet-desktop/fleet-desktop" },
}

every! { sample: SampleError as CliError::Sample;
    Template(malformed()),
    Archive(io()),
}

every! { tree: TreeError as |error| CliError::Agent(error.into());
    Collision(s("/opt/orbit/certs.pem")),
    Path(s("../escape")),
}

every! { content: ContentError as |error| CliError::Build(error.into());
    Read { path: path("orbit"), source: io() },
    Later { path: path("orbit"), source: cause() },
    Unsigned { path: path("orbit"), source: HashMismatch::NoneKnown },
    Changed { path: path("orbit") },
}

fn malformed() -> TemplateError {
    TemplateError::Malformed {
        name: "linux/orbit.service",
        reason: s("a placeholder has no end"),
    }
}

fn render() -> handlebars::RenderError {
    handlebars::Handlebars::new()
        .render("unknown", &())
        .unwrap_err()
}

every! { template: TemplateError as |error| CliError::Build(error.into());
    Refused { value: s("fleet_url"), source: line_break() },
    Render { name: s("linux/orbit.service"), source: Box::new(render()) },
    Malformed { name: "linux/orbit.service", reason: s("a placeholder has no end") },
}

fn line_break() -> EscapeError {
    xml_text("\0").unwrap_err()
}

one! { escape: EscapeError as |source| CliError::Build(TemplateError::Refused { value: s("fleet_url"), source }.into());
    line_break()
}
