//! What all tests share: running the binary, scratch folders, tools that may be missing.

use libtest_mimic::{Arguments, Trial};

/// Runs the trials as the command line asks.
pub fn run(trials: Vec<Trial>) -> std::process::ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
