//! The one place that prints: data to stdout, talk to stderr.
//!
//! Colours mark the words `error`, `warning` and `hint`, on a terminal alone and not where
//! `NO_COLOR` is set (<https://no-color.org>).

use std::error::Error;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::hints::Typed;
use super::{CliError, progress};
use crate::hint::Hint;

/// Prints for one run.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    quiet: bool,
    colour: bool,
    json: bool,
    mute: bool,
}

/// SGR codes (ECMA-48, 8.3.117): bold and a colour.
#[derive(Clone, Copy)]
enum Colour {
    Red = 31,
    Yellow = 33,
    Cyan = 36,
}

impl Printer {
    /// `quiet` leaves out everything but results, warnings and errors. Nothing is coloured.
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            colour: false,
            json: false,
            mute: false,
        }
    }

    /// Says nothing at all: for commands that run inside another program.
    pub fn mute() -> Self {
        Self {
            mute: true,
            ..Self::new(true)
        }
    }

    /// Colours what it says to a terminal, unless the user wants none.
    pub fn of_process(quiet: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            quiet,
            colour: io::stderr().is_terminal() && !dumb && !set("NO_COLOR"),
            json: false,
            mute: false,
        }
    }

    /// The same without talk.
    pub fn silent(&self) -> Self {
        Self {
            quiet: true,
            ..*self
        }
    }

    /// The same, and with `json` stdout is kept for one JSON object: lines of the result are talk.
    pub fn keeping_stdout(&self, json: bool) -> Self {
        Self { json, ..*self }
    }

    /// A line of the command's result, to stdout.
    pub fn result(&self, line: impl AsRef<str>) -> Result<(), CliError> {
        if self.mute {
            return Ok(());
        }
        if self.json {
            self.note(line);
            return Ok(());
        }
        write_out(line.as_ref())
    }

    /// The command's result as one JSON object.
    pub fn json(&self, result: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(result).map_err(io::Error::from)?;
        match self.mute {
            true => Ok(()),
            false => write_out(&text),
        }
    }

    /// What is being done, to stderr.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.say(format_args!("{}\n", line.as_ref()));
        }
    }

    /// Something that a person should look at, to stderr.
    pub fn warn(&self, line: impl AsRef<str>) {
        let word = self.marked("warning:", Colour::Yellow);
        self.say(format_args!("{word} {}\n", line.as_ref()));
    }

    /// Whether there is no talk.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The error that ended the command: sentence, causes, way out.
    pub(super) fn report(&self, error: &CliError, typed: &Typed) {
        let mut text = told(error, |hint| typed.placed(hint));
        if self.colour {
            let hint = self.marked("hint:", Colour::Cyan);
            text = text.replace("\n  hint:", &format!("\n  {hint}"));
        }
        let word = self.marked("error:", Colour::Red);
        self.say(format_args!("{word} {text}"));
    }

    /// What stopped a part of a command, as [`text`] tells it.
    pub fn failed(&self, part: &str, text: &str) {
        let word = self.marked("failed:", Colour::Red);
        self.say(format_args!("{word} {part}: {text}"));
    }

    fn say(&self, text: impl Display) {
        if !self.mute {
            say(text);
        }
    }

    fn marked(&self, word: &str, colour: Colour) -> String {
        match self.colour {
            true => format!("\x1b[1;{}m{word}\x1b[0m", colour as u8),
            false => word.to_owned(),
        }
    }
}

fn write_out(line: &str) -> Result<(), CliError> {
    progress::aside(|| match writeln!(io::stdout().lock(), "{line}") {
        // `| head` closed the pipe: nobody is left to read an error about it.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(CliError::Print),
    })
}

// Whoever closed stderr does not want to hear.
fn say(text: impl Display) {
    progress::aside(|| {
        let _ = io::stderr().lock().write_all(text.to_string().as_bytes());
    });
}

/// An error's sentence, its causes and the way out, a line each.
pub fn text(error: &CliError) -> String {
    told(error, |hint| hint)
}

fn told(error: &CliError, hinted: impl Fn(String) -> String) -> String {
    let mut text = format!("{error}\n");
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("  caused by: {error}\n"));
        cause = error.source();
    }
    if let Some(hint) = error.hint().map(hinted) {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    text
}
