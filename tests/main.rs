//! Every capability's tests, one file each, in one binary.
//!
//! A capability is a module with `pub fn trials() -> Vec<Trial>`: one `mod` line and one line
//! in `main`, both in alphabetical order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test that cannot go on stops, and says where"
)]

mod arch;
mod bad_input;
mod batch;
mod between_steps;
mod broken_repositories;
mod cache;
mod canonical_form;
mod ceremony;
mod conformance;
mod crashes;
mod crowd;
mod deb;
mod doctor;
mod documents;
mod drop_in;
mod errors;
mod foreign_packages;
mod go_tuf_command;
mod guides;
mod harness;
mod harness_works;
mod hostile_archives;
mod hostile_network;
mod hostile_values;
mod interface;
mod keys;
mod linux_arch;
mod linux_deb;
mod linux_rpm;
mod linux_scripts;
mod mdm;
mod mirror;
mod msi;
mod package_outputs;
mod package_places;
mod package_repositories;
mod packaging;
mod pkg;
mod power_loss;
mod provenance;
mod publish;
mod quickstart;
mod read_back;
mod readme;
mod reference;
mod releases;
mod rotation;
mod rpm;
mod rpm_signing;
mod secrets;
mod serve;
mod shell;
mod shipping;
mod static_programs;
mod status;
mod tokens;
mod tuf_peers;
mod updates;
mod witness;

fn main() -> std::process::ExitCode {
    harness::run([
        // One line each.
        arch::trials(),
        bad_input::trials(),
        batch::trials(),
        between_steps::trials(),
        cache::trials(),
        broken_repositories::trials(),
        canonical_form::trials(),
        conformance::trials(),
        ceremony::trials(),
        crashes::trials(),
        crowd::trials(),
        hostile_archives::trials(),
        hostile_network::trials(),
        hostile_values::trials(),
        power_loss::trials(),
        secrets::trials(),
        witness::trials(),
        deb::trials(),
        doctor::trials(),
        documents::trials(),
        drop_in::trials(),
        errors::trials(),
        foreign_packages::trials(),
        go_tuf_command::trials(),
        guides::trials(),
        harness_works::trials(),
        interface::trials(),
        keys::trials(),
        linux_arch::trials(),
        linux_deb::trials(),
        linux_rpm::trials(),
        linux_scripts::trials(),
        mdm::trials(),
        mirror::trials(),
        msi::trials(),
        package_outputs::trials(),
        package_places::trials(),
        package_repositories::trials(),
        packaging::trials(),
        pkg::trials(),
        provenance::trials(),
        publish::trials(),
        quickstart::trials(),
        read_back::trials(),
        readme::trials(),
        reference::trials(),
        releases::trials(),
        rpm::trials(),
        rpm_signing::trials(),
        rotation::trials(),
        status::trials(),
        serve::trials(),
        shell::trials(),
        shipping::trials(),
        static_programs::trials(),
        tokens::trials(),
        tuf_peers::trials(),
        updates::trials(),
    ])
}
