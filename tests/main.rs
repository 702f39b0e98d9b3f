//! Every capability's tests, one file each, in one binary.

mod harness;

fn main() -> std::process::ExitCode {
    harness::run(vec![])
}
