//! `fleetpack inspect FILE [FILE]`: what is inside an installer, or how two differ.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::{CliError, Printer, Surroundings};
use crate::inspect::{self, Agent, Change, Document, Installed, Report};

const EXAMPLES: &str = "\
Examples:
  fleetpack inspect fleet-osquery_1.50.0_amd64.deb
  fleetpack inspect --json fleet-osquery.msi | jq .agent.channels
  fleetpack inspect old.rpm new.rpm";

/// What follows `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A deb, rpm, pkg.tar.zst, pkg or msi, whoever made it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A second one: show what differs
    #[arg(value_name = "OTHER")]
    other: Option<PathBuf>,

    /// Print JSON (docs/schema/inspect.json, docs/schema/inspect-difference.json)
    #[arg(long)]
    json: bool,

    /// Print the enroll secret that is inside, and addresses with their passwords
    #[arg(long, conflicts_with = "other")]
    show_secret: bool,

    /// Print the text of scripts
    #[arg(long, conflicts_with = "other")]
    scripts: bool,
}

/// Runs the command.
pub fn run(args: Args, surroundings: &Surroundings, printer: &Printer) -> Result<(), CliError> {
    let mut report = inspect::inspect(&args.file)?;
    let text = match &args.other {
        Some(other) => {
            let changes = inspect::difference(&report, &inspect::inspect(other)?);
            match args.json {
                true => json(&changes)?,
                false => changes_text(&changes),
            }
        }
        None => {
            match (args.show_secret, report.agent.as_mut()) {
                (true, Some(agent)) => agent.secret.reveal(),
                (true, None) => {}
                (false, _) => report.bare(),
            }
            match args.json {
                true => json(&report)?,
                false => report_text(&report, args.scripts, surroundings.now),
            }
        }
    };
    printer.result(text.trim_end())
}

fn json(value: &impl Serialize) -> Result<String, CliError> {
    let mut bytes = BufWriter::new(Vec::new());
    let written = serde_json::to_writer_pretty(&mut bytes, value).map_err(std::io::Error::from);
    let bytes = written.and_then(|()| {
        bytes.flush()?;
        bytes.into_inner().map_err(|e| e.into_error())
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Lines of text, with control characters of foreign packages made visible.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, indent: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(' ', indent));
        for character in text.chars() {
            match character {
                '\t' => self.0.push('\t'),
                c if c.is_control() => self.0.extend(c.escape_default()),
                c => self.0.push(c),
            }
        }
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.0.push('\n');
        self.add(0, text);
    }

    fn pair(&mut self, name: &str, value: &str) {
        let mut lines = value.lines();
        self.add(
            2,
            &format!("{name:<14} {}", lines.next().unwrap_or_default()),
        );
        for line in lines {
            self.add(17, line);
        }
    }
}

fn report_text(report: &Report, scripts: bool, now: Timestamp) -> String {
    let mut lines = Lines::default();
    lines.add(0, &report.file.name);
    lines.pair("format", report.format);
    lines.pair("name", &report.name);
    lines.pair("version", &report.version);
    lines.pair("architecture", &report.arch);
    lines.pair("size", &format!("{} bytes", report.file.bytes));
    lines.pair("sha256", &report.file.sha256);
    lines.pair("signature", report.signature.as_deref().unwrap_or("none"));
    let parts = match report.payload.parts {
        1 => "1 part".to_owned(),
        parts => format!("{parts} parts"),
    };
    lines.pair(
        "contents",
        &format!("{}, {parts}", report.payload.compression),
    );
    match &report.agent {
        Some(agent) => agent_text(agent, now, &mut lines),
        None => lines.heading("Fleet's agent is not inside."),
    }
    if !report.metadata.is_empty() {
        lines.heading("Fields");
    }
    for field in &report.metadata {
        lines.pair(&field.name, &field.value);
    }
    lines.heading(&format!("Scripts: {}", report.scripts.len()));
    for script in &report.scripts {
        match scripts || script.text.lines().count() == 1 {
            true => lines.pair(&script.name, &script.text),
            false => {
                let count = script.text.lines().count();
                lines.pair(
                    &script.name,
                    &format!("{count} lines (--scripts prints them)"),
                );
            }
        }
    }
    let base = report.base.as_ref().map(|base| format!(", below {base}"));
    lines.heading(&format!(
        "Files: {}{}",
        report.files.len(),
        base.unwrap_or_default()
    ));
    for file in &report.files {
        lines.add(2, &file_text(file));
    }
    lines.0
}

fn agent_text(agent: &Agent, now: Timestamp, lines: &mut Lines) {
    lines.heading("Agent");
    lines.pair("Fleet URL", agent.fleet_url.as_deref().unwrap_or("none"));
    lines.pair(
        "update URL",
        agent
            .update_url
            .as_deref()
            .unwrap_or("the agent's own default"),
    );
    let secret = match (&agent.secret.value, agent.secret.inside) {
        (Some(secret), _) => secret.as_str(),
        (None, true) => "inside (--show-secret prints it)",
        (None, false) => "none",
    };
    lines.pair("enroll secret", secret);
    match &agent.trust {
        None => lines.pair("trust anchor", "none that can be read"),
        Some(trust) => {
            lines.pair("trust anchor", &document_text("root", &trust.root, now));
            let others = [
                ("timestamp", &trust.timestamp),
                ("snapshot", &trust.snapshot),
                ("targets", &trust.targets),
            ];
            for (name, document) in others {
                match document {
                    Some(document) => lines.pair("", &document_text(name, document, now)),
                    None => lines.pair("", &format!("{name} is missing")),
                }
            }
        }
    }
    for (component, channel) in &agent.channels {
        lines.pair("channel", &format!("{component}: {channel}"));
    }
    for component in &agent.components {
        let version = component.version.as_deref().unwrap_or("unknown version");
        let verdict = match component.is_target {
            Some(true) => "as the packaged metadata have it",
            Some(false) => "NOT what the packaged metadata have",
            None if component.sha512.is_none() => "without its digest",
            None => "not in the packaged metadata",
        };
        lines.pair(
            "component",
            &format!("{} ({version}), {verdict}", component.target),
        );
    }
    lines.heading("Variables");
    for (name, value) in &agent.variables {
        lines.add(2, &format!("{name}={value}"));
    }
}

fn document_text(name: &str, document: &Document, now: Timestamp) -> String {
    let expired = document
        .expires
        .parse::<Timestamp>()
        .is_ok_and(|at| at <= now);
    let verb = if expired { "EXPIRED" } else { "expires" };
    format!(
        "{name} version {}, {verb} {}",
        document.version, document.expires
    )
}

fn file_text(file: &Installed) -> String {
    let letter = match file.kind {
        "directory" => 'd',
        "link" => 'l',
        "hard link" => 'h',
        "ghost" => 'g',
        "special" => 's',
        _ => '-',
    };
    let link = file.link.as_ref().map(|link| format!(" -> {link}"));
    format!(
        "{letter} {:>4} {:<11} {:>10} {}{}",
        file.mode.as_deref().unwrap_or("-"),
        file.owner.as_deref().unwrap_or("-"),
        file.bytes,
        file.path,
        link.unwrap_or_default(),
    )
}

pub(super) fn changes_text(changes: &[Change]) -> String {
    let mut lines = Lines::default();
    if changes.is_empty() {
        lines.add(0, "no difference");
    }
    let mut section = "";
    for change in changes {
        if section != change.section {
            section = change.section;
            lines.add(0, section);
        }
        lines.add(2, &change.name);
        for (mark, value) in [("-", &change.before), ("+", &change.after)] {
            for line in value.iter().flat_map(|value| value.lines()) {
                lines.add(4, &format!("{mark} {line}"));
            }
        }
    }
    lines.0
}
