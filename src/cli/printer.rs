//! The one place that prints: data to stdout, talk to stderr.

use std::error::Error;
use std::io::{self, Write};

use super::CliError;
use crate::hint::Hint;

/// Prints for one run.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    quiet: bool,
}

impl Printer {
    /// `quiet` leaves out everything but results, warnings and errors.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// The same without talk.
    pub fn silent(&self) -> Self {
        Self { quiet: true }
    }

    /// A line of the command's result, to stdout.
    pub fn result(&self, line: impl AsRef<str>) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{}", line.as_ref()) {
            // `| head` closed the pipe: nobody is left to read an error about it.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done.map_err(CliError::Print),
        }
    }

    /// What is being done, to stderr.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
        }
    }

    /// Something that a person should look at, to stderr.
    pub fn warn(&self, line: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "warning: {}", line.as_ref());
    }

    /// Whether there is no talk.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The error that ended the command: sentence, causes, way out.
    pub fn report(&self, error: &CliError) {
        let text = format!("error: {}", text(error));
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// What stopped a part of a command, as [`text`] tells it.
    pub fn failed(&self, part: &str, text: &str) {
        let text = format!("failed: {part}: {text}");
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// An error's sentence, its causes and the way out, a line each.
pub fn text(error: &CliError) -> String {
    let mut text = format!("{error}\n");
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("  caused by: {error}\n"));
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    text
}
