//! What all tests share.
//!
//! - [`Scratch`]: a folder of a test's own, and programs that run in it with a clean
//!   environment ([`scratch::Run`], [`scratch::Ran`]).
//! - [`trial`], [`trial_needing`]: a test; one whose tools are missing is reported as ignored
//!   with their names, and fails where `CI=true`.
//! - [`golden`]: text compared with a file under `tests/fixtures`.
//! - [`linux_tree`]: a tree to build packages of, without a repository.
//! - [`mount`]: file systems that are full or for reading only.
//! - [`schema`]: JSON held against `docs/schema`.
//! - [`server`]: nginx and Python's web server on loopback; [`faults`]: one that misbehaves
//!   as it is told.
//! - [`objects`]: object storage on loopback: S3, Azure.
//! - [`standin`]: a stand-in for S3 that refuses as it is told.
//! - [`container`]: Debian with systemd as process 1.
//! - [`unpacked`]: what lies compressed in caches and installers.
//! - [`tools`]: where programs, the Python environment and the Go programs of
//!   `tests/interop` are.

mod golden;

pub mod agent;
pub mod container;
pub mod faults;
pub mod linux_cells;
pub mod linux_tree;
pub mod mount;
pub mod native;
pub mod objects;
pub mod schema;
pub mod scratch;
pub mod server;
pub mod standin;
pub mod tools;
pub mod unpacked;

pub use golden::{fixtures, golden};
pub use scratch::{Scratch, TreeState};

use libtest_mimic::{Arguments, Completion, Trial};

/// Runs the trials as the command line asks.
pub fn run(capabilities: impl IntoIterator<Item = Vec<Trial>>) -> std::process::ExitCode {
    // One line per panic: the report at the end repeats it, and a test says enough.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let trials = capabilities.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A test that needs nothing but the program. It fails by panicking.
pub fn trial(name: &str, body: impl FnOnce() + Send + 'static) -> Trial {
    trial_needing(name, &[], body)
}

/// A test that needs tools, each a word that [`tools::find`] knows.
pub fn trial_needing(
    name: &str,
    needs: &'static [&'static str],
    body: impl FnOnce() + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let missing = tools::missing(needs);
        match missing.is_empty() {
            true => {
                body();
                Ok(Completion::Completed)
            }
            false => absent(&missing, tools::in_ci()),
        }
    })
}

/// What becomes of a test whose tools are missing.
fn absent(missing: &[&str], ci: bool) -> Result<Completion, libtest_mimic::Failed> {
    let reason = format!("needs {}", missing.join(", "));
    match ci {
        true => Err(format!("{reason}: ci/setup.sh installs it").into()),
        false => Ok(Completion::ignored_with(reason)),
    }
}

pub mod checks {
    //! What `harness_works` asks of this folder's private parts.

    use super::{Completion, absent, golden::difference};

    /// Missing tools ignore a test, and fail it in CI.
    pub fn missing_tools_are_never_silent() {
        match absent(&["a", "b"], false) {
            Ok(Completion::Ignored { reason }) => assert_eq!(reason.unwrap(), "needs a, b"),
            _ => panic!("not ignored"),
        }
        let failed = absent(&["a"], true).err().unwrap();
        assert_eq!(failed.message(), Some("needs a: ci/setup.sh installs it"));
    }

    /// Texts that differ are told apart at the line where they begin to.
    pub fn goldens_differ() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let shown = difference("a\nb\n", "a\nc\n").unwrap();
        assert_eq!(shown, "line 2:\n- \"b\\n\"\n+ \"c\\n\"\n");
        assert!(difference("a\n", "a").is_some());
        super::golden("harness/example.golden", "two\nlines\n");
        let wrong = || super::golden("harness/example.golden", "two\nline\n");
        if std::env::var_os("FLEETPACK_REWRITE_GOLDENS").is_none() {
            assert!(std::panic::catch_unwind(wrong).is_err());
        }
    }
}
