//! Parse, run, report. Everything else lives in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    fleetpack::cli::main(std::env::args_os())
}
