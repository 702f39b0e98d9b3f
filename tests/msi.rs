//! Windows Installer packages, judged by other people's programs.
//!
//! What msitools, cabextract, 7-Zip and osslsigncode read is asserted, and compared with what
//! wixl makes of the same content; under Wine packages are installed, replaced and removed.
//! What only a real Windows can show is listed in [`not_shown`].

mod bad_input;
mod command;
mod hostile;
mod intunewin;
mod not_shown;
pub mod powershell;
mod readers;
mod sample;
mod script;
mod signing;
mod wine;
mod wixl;

use libtest_mimic::Trial;

/// All of them.
pub fn trials() -> Vec<Trial> {
    [
        readers::trials(),
        bad_input::trials(),
        script::trials(),
        signing::trials(),
        command::trials(),
        intunewin::trials(),
        not_shown::trials(),
        wixl::trials(),
        wine::trials(),
        hostile::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
