//! Custom actions: what has no table of its own.
//!
//! No DLL is shipped. An action runs an EXE that Windows has: PowerShell, where AppSearch
//! finds it or else where it always was, and `sc.exe`. All are deferred and run as SYSTEM;
//! their command lines are resolved when the installation script is written, so they see
//! properties without a detour. Document: Windows Installer, "Custom Action Type 50", "34",
//! "51", "Custom Action In-Script Execution Options", "Custom Action Hidden Target Option".

use std::collections::BTreeSet;

use crate::install::{Moment, Restart, Step, Windows};
use crate::package::BuildError;

use super::schema::{Tables, row};
use super::sequence::{AFTER_SERVICE, BEFORE_FILES, BEFORE_SERVICE, FIRST_INSTALL, REMOVE};
use super::unfit;

/// An EXE whose path is the value of a property.
const EXE_IN_PROPERTY: i32 = 50;
/// An EXE named by a command line, in a folder of the Directory table.
const EXE_IN_DIRECTORY: i32 = 34;
/// Sets a property.
const SET_PROPERTY: i32 = 51;
/// Option bits.
const CONTINUE: i32 = 64;
const IN_SCRIPT: i32 = 1024;
const NO_IMPERSONATE: i32 = 2048;
const HIDE_TARGET: i32 = 8192;

/// The property with PowerShell's path.
const POWERSHELL: &str = "POWERSHELLEXE";
/// What every run of PowerShell is told: no profile, no questions.
const SWITCHES: &str = "-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass";
/// The property that is a double quote.
const QUOTE: &str = "DoubleQuote";
/// Steps of one moment.
const ROOM: usize = 9;

/// Set when an older or newer version of the product is being replaced.
pub const UPGRADE_DETECTED: &str = "WIX_UPGRADE_DETECTED";

/// Adds the search for PowerShell, the scripted steps and the service's failure actions.
pub fn add(
    tables: &mut Tables,
    windows: &Windows,
    service: Option<&str>,
) -> Result<(), BuildError> {
    find_powershell(tables);
    for moment in [
        Moment::Remove,
        Moment::BeforeFiles,
        Moment::FirstInstall,
        Moment::BeforeService,
    ] {
        let steps: Vec<&Step> = windows
            .steps
            .iter()
            .filter(|step| step.moment == moment)
            .collect();
        if steps.len() > ROOM {
            return Err(unfit(format!("more than {ROOM} steps of one moment")));
        }
        let (first, condition) = place(moment);
        for (number, step) in (first..).zip(steps) {
            add_step(tables, step, number, &condition);
        }
    }
    refuse_quotes(tables, windows);
    if let (Some(service), Some(restart)) = (service, windows.restart) {
        restart_on_failure(tables, service, &windows.folder_property, restart);
    }
    Ok(())
}

fn place(moment: Moment) -> (i32, String) {
    match moment {
        Moment::Remove => (
            REMOVE,
            "(NOT UPGRADINGPRODUCTCODE) AND (REMOVE=\"ALL\")".to_owned(),
        ),
        Moment::BeforeFiles => (BEFORE_FILES, "NOT Installed".to_owned()),
        Moment::FirstInstall => (
            FIRST_INSTALL,
            format!("NOT Installed AND NOT {UPGRADE_DETECTED}"),
        ),
        Moment::BeforeService => (BEFORE_SERVICE, "NOT Installed".to_owned()),
    }
}

fn add_step(tables: &mut Tables, step: &Step, number: i32, condition: &str) {
    let mut kind = EXE_IN_PROPERTY | IN_SCRIPT | NO_IMPERSONATE;
    if step.hidden {
        kind |= HIDE_TARGET;
    }
    if !step.required {
        kind |= CONTINUE;
    }
    let target = format!("{SWITCHES} {}", step.arguments);
    tables.add(
        "CustomAction",
        row![&step.name, kind, POWERSHELL, target, ()],
    );
    let condition = match &step.condition {
        Some(more) => format!("{condition} AND {more}"),
        None => condition.to_owned(),
    };
    tables.add(
        "InstallExecuteSequence",
        row![&step.name, condition, number],
    );
}

/// A double quote ends the argument that it stands in, and Formatted texts know no way to
/// escape one in a property's value. A condition's literals cannot hold one either, so it is
/// compared with a property.
fn refuse_quotes(tables: &mut Tables, windows: &Windows) {
    let quoted: BTreeSet<&String> = windows.steps.iter().flat_map(|s| &s.quotes).collect();
    if !quoted.is_empty() {
        tables.add("Property", row![QUOTE, "\""]);
    }
    for property in quoted {
        tables.add(
            "LaunchCondition",
            row![
                format!("Installed OR NOT ({property} >< {QUOTE})"),
                format!("The value of {property} holds a double quote, which it must not.")
            ],
        );
    }
}

fn find_powershell(tables: &mut Tables) {
    // msidbLocatorTypeRawValue (2) and msidbLocatorType64bit (16), below HKLM (2).
    tables.add("AppSearch", row![POWERSHELL, "PowerShellPath"]);
    tables.add(
        "RegLocator",
        row![
            "PowerShellPath",
            2,
            r"SOFTWARE\Microsoft\PowerShell\1\ShellIds\Microsoft.PowerShell",
            "Path",
            18
        ],
    );
    tables.add(
        "CustomAction",
        row![
            "SetPowershell",
            SET_PROPERTY,
            POWERSHELL,
            r"[System64Folder]WindowsPowerShell\v1.0\powershell.exe",
            ()
        ],
    );
    for sequence in ["InstallExecuteSequence", "InstallUISequence"] {
        tables.add(
            sequence,
            row!["SetPowershell", format!("NOT {POWERSHELL}"), 51],
        );
    }
}

/// MsiServiceConfigFailureActions would be the table for it, but Microsoft's page on
/// MsiConfigureServices says that it does not work as expected, and points to `sc.exe`.
fn restart_on_failure(tables: &mut Tables, service: &str, folder: &str, restart: Restart) {
    let again = format!("restart/{}", restart.after.as_millis());
    let target = format!(
        "\"[System64Folder]sc.exe\" failure \"{service}\" reset= {} actions= {again}/{again}/{again}",
        restart.forget.as_secs(),
    );
    let kind = EXE_IN_DIRECTORY | IN_SCRIPT | NO_IMPERSONATE;
    tables.add(
        "CustomAction",
        row!["CA_ServiceFailure", kind, folder, target, ()],
    );
    tables.add(
        "InstallExecuteSequence",
        row!["CA_ServiceFailure", "NOT (REMOVE=\"ALL\")", AFTER_SERVICE],
    );
}
