//! Under which heading a flag stands in the help of a command: the same one everywhere.

use clap::{Arg, Command};

/// Sets the headings of a command and of those below it.
pub fn set(command: Command) -> Command {
    command
        .mut_args(|arg| match heading(&arg) {
            Some(heading) => arg.help_heading(heading),
            None => arg,
        })
        .mut_subcommands(set)
}

fn heading(arg: &Arg) -> Option<&'static str> {
    match arg.get_long()? {
        "path" | "state" | "endpoint" | "trust-current" | "keys" => Some("Place"),
        "update-tls-certificate"
        | "update-tls-client-certificate"
        | "update-tls-client-key"
        | "tls-cert"
        | "tls-key" => Some("TLS"),
        "key" => Some("Signing"),
        "root-expires" | "targets-expires" | "snapshot-expires" | "timestamp-expires" => {
            Some("Validity")
        }
        "json" | "format" | "html" => Some("Output"),
        _ => None,
    }
}
