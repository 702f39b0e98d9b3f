//! What is seen of a batch while it runs: one bar on a terminal, a line per installer
//! elsewhere, nothing with `--quiet`.

use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Printer, progress};

const TEMPLATE: &str = "{pos}/{len} {wide_bar} {eta} {msg}";

/// See the head of this file.
pub struct Progress {
    bar: Option<ProgressBar>,
    printer: Printer,
    done: AtomicUsize,
    of: usize,
}

impl Progress {
    /// Begins, with nothing done.
    pub fn new(of: usize, printer: Printer) -> Self {
        let bar = !printer.is_quiet() && progress::has_bars();
        Self {
            bar: bar.then(|| {
                let bar = progress::add(ProgressBar::new(of as u64));
                match ProgressStyle::with_template(TEMPLATE) {
                    Ok(style) => bar.with_style(style),
                    Err(_) => bar,
                }
            }),
            printer,
            done: AtomicUsize::new(0),
            of,
        }
    }

    /// One more was made, or has failed.
    pub fn done(&self, name: &str, well: bool) {
        let number = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        let word = if well { "" } else { "failed: " };
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{word}{name}"));
                bar.inc(1);
            }
            None => self
                .printer
                .note(format!("[{number}/{}] {word}{name}", self.of)),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
