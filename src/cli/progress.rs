//! What is seen of [`crate::steps`]: bars on a terminal, lines elsewhere, nothing with
//! `--quiet`; with `--verbose` a line for each step and its time.
//!
//! A bar appears when a step takes longer than a glance, and goes away with it. A line is
//! written when something large was fetched or sent, and from time to time while something
//! takes long, so that the log of a pipeline shows that it lives. What the printer writes
//! goes through [`aside`], which takes bars off the screen meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::units::{rate, size, time};
use crate::steps::{Kind, TARGET};

/// A bar for less than this would only flicker.
const GLANCE: Duration = Duration::from_millis(150);
/// A line at least this often while something goes on.
const PULSE: Duration = Duration::from_secs(10);
/// What is worth a line of its own when it was fetched or sent.
const LARGE: u64 = 1_000_000;

static WATCH: OnceLock<Arc<Watch>> = OnceLock::new();

/// Begins to watch the steps of this process.
pub fn start(quiet: bool, verbose: bool) {
    let watch = Arc::new(Watch::new(quiet, verbose));
    if WATCH.set(watch.clone()).is_ok() {
        // Somebody else's subscriber stays: then nothing is shown here.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(Ear(watch)));
    }
}

/// Writes what is no progress, with no bar in its way.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    match WATCH.get().and_then(|watch| watch.bars.as_ref()) {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Puts a bar of a command's own among the others.
pub fn add(bar: ProgressBar) -> ProgressBar {
    match WATCH.get().and_then(|watch| watch.bars.as_ref()) {
        Some(bars) => bars.add(bar),
        None => bar,
    }
}

/// Whether there is a terminal for bars.
pub fn has_bars() -> bool {
    WATCH.get().is_some_and(|watch| watch.bars.is_some())
}

/// Whether [`close`] tells of it.
pub fn is_verbose() -> bool {
    WATCH.get().is_some_and(|watch| watch.verbose)
}

/// How long the phases of the command took so far, in the order in which they began, and how
/// long it took from its beginning.
pub fn spent() -> (Vec<(String, Duration)>, Duration) {
    WATCH.get().map(|watch| watch.spent()).unwrap_or_default()
}

/// With `--verbose`: where all of the time went.
pub fn close() {
    let Some(watch) = WATCH.get().filter(|watch| watch.verbose) else {
        return;
    };
    let (phases, all) = watch.spent();
    let mut parts: Vec<_> = phases
        .into_iter()
        .map(|(what, spent)| format!("{what} {}", time(spent)))
        .collect();
    for (kind, spent) in lock(&watch.kinds).iter() {
        let (bytes, verb) = (size(spent.bytes), kind.verb());
        parts.push(format!("{verb} {} ({bytes})", time(spent.total)));
    }
    let parts = match parts.is_empty() {
        true => String::new(),
        false => format!(": {}", parts.join(", ")),
    };
    say(&format!("took {}{parts}", time(all)));
}

/// Steps of one kind: time in which at least one of them went on.
#[derive(Default)]
struct Spent {
    active: usize,
    since: Option<Instant>,
    total: Duration,
    bytes: u64,
}

struct Running {
    kind: Kind,
    what: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

struct Watch {
    quiet: bool,
    verbose: bool,
    began: Instant,
    bars: Option<MultiProgress>,
    running: Mutex<HashMap<u64, Running>>,
    phases: Mutex<Vec<(String, Duration)>>,
    kinds: Mutex<BTreeMap<Kind, Spent>>,
}

/// Hears of steps, and of nothing that libraries tell of themselves: addresses with secrets in
/// them may be among that.
struct Ear(Arc<Watch>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ear {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        span.record(&mut fields);
        if let Some(kind) = fields.kind {
            let (what, total) = (&fields.what, fields.total);
            self.0.begin(id.into_u64(), kind, what, total);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some(id) = event.parent() {
            self.0.advance(id.into_u64(), fields.bytes);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.0.end(id.into_u64());
    }
}

/// The fields of a step and of its events.
#[derive(Default)]
struct Fields {
    kind: Option<Kind>,
    what: String,
    total: Option<u64>,
    bytes: u64,
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "total" => self.total = Some(value),
            "bytes" => self.bytes = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "kind" => self.kind = Kind::named(value),
            "what" => value.clone_into(&mut self.what),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Watch {
    fn new(quiet: bool, verbose: bool) -> Self {
        let bars = !quiet && io::stderr().is_terminal();
        Self {
            quiet,
            verbose,
            began: Instant::now(),
            bars: bars.then(MultiProgress::new),
            running: Mutex::default(),
            phases: Mutex::default(),
            kinds: Mutex::default(),
        }
    }

    fn begin(&self, id: u64, kind: Kind, what: &str, total: Option<u64>) {
        let now = Instant::now();
        if kind == Kind::Phase {
            let mut phases = lock(&self.phases);
            if phases.iter().all(|(name, _)| name != what) {
                phases.push((what.to_owned(), Duration::ZERO));
            }
        } else {
            let mut kinds = lock(&self.kinds);
            let spent = kinds.entry(kind).or_default();
            spent.active += 1;
            spent.since = spent.since.or(Some(now));
        }
        let running = Running {
            kind,
            what: visible(what),
            total,
            done: 0,
            began: now,
            told: now,
            bar: None,
        };
        lock(&self.running).insert(id, running);
    }

    fn advance(&self, id: u64, bytes: u64) {
        let mut running = lock(&self.running);
        let Some(step) = running.get_mut(&id) else {
            return;
        };
        step.done += bytes;
        let now = Instant::now();
        if let Some(bars) = &self.bars {
            if step.bar.is_none() && now - step.began > GLANCE {
                step.bar = Some(bars.add(step.new_bar()));
            }
            if let Some(bar) = &step.bar {
                bar.set_position(step.done);
            }
        } else if !self.quiet && now - step.told > PULSE {
            step.told = now;
            let line = step.so_far();
            drop(running);
            say(&line);
        }
    }

    fn end(&self, id: u64) {
        let Some(step) = lock(&self.running).remove(&id) else {
            return;
        };
        let took = step.began.elapsed();
        self.account(&step, took);
        if let Some(bar) = &step.bar {
            bar.finish_and_clear();
        }
        let moved = matches!(step.kind, Kind::Download | Kind::Upload);
        let large = moved && step.done >= LARGE;
        if !self.quiet && (self.verbose || large) {
            say(&step.at_its_end(took));
        }
    }

    fn account(&self, step: &Running, took: Duration) {
        if step.kind == Kind::Phase {
            let mut phases = lock(&self.phases);
            if let Some((_, spent)) = phases.iter_mut().find(|(name, _)| *name == step.what) {
                *spent += took;
            }
            return;
        }
        let mut kinds = lock(&self.kinds);
        let spent = kinds.entry(step.kind).or_default();
        spent.bytes += step.done;
        spent.active = spent.active.saturating_sub(1);
        if spent.active == 0
            && let Some(since) = spent.since.take()
        {
            spent.total += since.elapsed();
        }
    }

    fn spent(&self) -> (Vec<(String, Duration)>, Duration) {
        (lock(&self.phases).clone(), self.began.elapsed())
    }
}

impl Running {
    fn new_bar(&self) -> ProgressBar {
        let bar = match self.total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let template = match columns() {
            0..40 => "{wide_msg} {percent:>3}%",
            40..72 => "{wide_msg} {percent:>3}% {decimal_bytes_per_sec}",
            _ => {
                "{wide_msg} {bar:16} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}"
            }
        };
        let bar = bar.with_message(format!("{} {}", self.kind.verb(), self.what));
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style.progress_chars("=> ")),
            Err(_) => bar,
        }
    }

    fn so_far(&self) -> String {
        let part = match self.total.filter(|total| *total > 0) {
            Some(total) => format!("{} % of {}", self.done * 100 / total, size(total)),
            None => size(self.done),
        };
        let (verb, rate) = (self.kind.verb(), rate(self.done, self.began.elapsed()));
        format!("{verb} {}: {part}, {rate}", self.what)
    }

    fn at_its_end(&self, took: Duration) -> String {
        match self.kind {
            Kind::Phase => format!("{}: {}", self.what, time(took)),
            kind => format!(
                "{} {}: {} in {}, {}",
                kind.past(),
                self.what,
                size(self.done),
                time(took),
                rate(self.done, took)
            ),
        }
    }
}

fn say(line: &str) {
    aside(|| {
        let _ = writeln!(io::stderr().lock(), "{line}");
    });
}

/// Names come from other people's metadata: none of them moves the cursor.
fn visible(text: &str) -> String {
    let shown = text.chars().flat_map(|c| match c.is_control() {
        true => c.escape_default().collect::<Vec<_>>(),
        false => vec![c],
    });
    shown.collect()
}

fn columns() -> u16 {
    rustix::termios::tcgetwinsize(io::stderr())
        .map(|size| size.ws_col)
        .ok()
        .filter(|columns| *columns > 0)
        .unwrap_or(80)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_steps_count_once() {
        let watch = Watch::new(true, false);
        let wait = Duration::from_millis(30);
        watch.begin(1, Kind::Download, "one", Some(10));
        watch.begin(2, Kind::Download, "two", None);
        std::thread::sleep(wait);
        watch.advance(1, 10);
        watch.advance(2, 5);
        watch.end(1);
        watch.end(2);
        let kinds = lock(&watch.kinds);
        let spent = &kinds[&Kind::Download];
        assert_eq!(spent.bytes, 15);
        assert!(spent.total >= wait && spent.total <= watch.began.elapsed());
    }

    #[test]
    fn phases_keep_their_order() {
        let watch = Watch::new(true, false);
        for (id, what) in [(1, "verifying"), (2, "building"), (3, "verifying")] {
            watch.begin(id, Kind::Phase, what, None);
            watch.end(id);
        }
        let names: Vec<_> = watch.spent().0.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["verifying", "building"]);
    }

    #[test]
    fn steps_are_heard() {
        let watch = Arc::new(Watch::new(true, false));
        let hears = Registry::default().with(Ear(watch.clone()));
        tracing::subscriber::with_default(hears, || {
            let _other = tracing::error_span!("step", kind = "hash", what = "theirs").entered();
            let step = crate::steps::begin(Kind::Upload, "ours", Some(3));
            step.advance(2);
            step.advance(1);
            let running = lock(&watch.running);
            let all: Vec<_> = running.values().collect();
            assert_eq!(all.len(), 1);
            assert_eq!((all[0].what.as_str(), all[0].total), ("ours", Some(3)));
        });
        assert!(lock(&watch.running).is_empty());
        let kinds = lock(&watch.kinds);
        assert_eq!(kinds[&Kind::Upload].bytes, 3);
        assert_eq!(kinds.len(), 1);
    }

    #[test]
    fn names_move_no_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\r"), "a\\u{1b}[2Jb\\r");
    }
}
