//! Arguments, prompts, output. The only floor that reads the terminal or prints.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with the arguments of its process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args.into_iter();
    ExitCode::SUCCESS
}
