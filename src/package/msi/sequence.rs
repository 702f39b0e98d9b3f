//! The order of actions: the five sequence tables.
//!
//! Standard actions have the numbers that Microsoft suggests, but two. RemoveExistingProducts
//! runs at 1401, right after InstallValidate: an older version is gone before anything of
//! the new one happens, in both directions of an upgrade, and even where components changed
//! their identity. WriteEnvironmentStrings runs before RemoveRegistryValues, as both remove
//! the same variables and only the first tells running programs. Document: Windows Installer, "Suggested InstallExecuteSequence",
//! "RemoveExistingProducts Action".

use super::schema::{Tables, row};

/// Where the scripted steps of each moment begin; there is room for nine.
pub const REMOVE: i32 = 3490;
/// Before InstallFiles.
pub const BEFORE_FILES: i32 = 3990;
/// After InstallFiles.
pub const FIRST_INSTALL: i32 = 4002;
/// Before InstallServices, after registry values were written.
pub const BEFORE_SERVICE: i32 = 5790;
/// Right after InstallServices.
pub const AFTER_SERVICE: i32 = 5801;

const VERSION_NT: &str = "VersionNT";

/// Standard actions of an installation: action, condition, number.
const EXECUTE: &[(&str, &str, i32)] = &[
    ("FindRelatedProducts", "", 25),
    ("AppSearch", "", 50),
    ("LaunchConditions", "", 100),
    ("ValidateProductID", "", 700),
    ("CostInitialize", "", 800),
    ("FileCost", "", 900),
    ("CostFinalize", "", 1000),
    ("MigrateFeatureStates", "", 1200),
    ("InstallValidate", "", 1400),
    ("RemoveExistingProducts", "", 1401),
    ("InstallInitialize", "", 1500),
    ("ProcessComponents", "", 1600),
    ("UnpublishFeatures", "", 1800),
    ("StopServices", VERSION_NT, 1900),
    ("DeleteServices", VERSION_NT, 2000),
    ("WriteEnvironmentStrings", "", 2500),
    ("RemoveRegistryValues", "", 2600),
    ("RemoveFiles", "", 3500),
    ("RemoveFolders", "", 3600),
    ("CreateFolders", "", 3700),
    ("InstallFiles", "", 4000),
    ("WriteRegistryValues", "", 5000),
    ("InstallServices", VERSION_NT, 5800),
    ("StartServices", VERSION_NT, 5900),
    ("RegisterUser", "", 6000),
    ("RegisterProduct", "", 6100),
    ("PublishFeatures", "", 6300),
    ("PublishProduct", "", 6400),
    ("InstallFinalize", "", 6600),
];

const INSTALL_UI: &[(&str, &str, i32)] = &[
    ("FindRelatedProducts", "", 25),
    ("AppSearch", "", 50),
    ("LaunchConditions", "", 100),
    ("ValidateProductID", "", 700),
    ("CostInitialize", "", 800),
    ("FileCost", "", 900),
    ("CostFinalize", "", 1000),
    ("MigrateFeatureStates", "", 1200),
    ("ExecuteAction", "", 1300),
];

const ADMIN_EXECUTE: &[(&str, &str, i32)] = &[
    ("CostInitialize", "", 800),
    ("FileCost", "", 900),
    ("CostFinalize", "", 1000),
    ("InstallValidate", "", 1400),
    ("InstallInitialize", "", 1500),
    ("InstallAdminPackage", "", 3900),
    ("InstallFiles", "", 4000),
    ("InstallFinalize", "", 6600),
];

const ADMIN_UI: &[(&str, &str, i32)] = &[
    ("CostInitialize", "", 800),
    ("FileCost", "", 900),
    ("CostFinalize", "", 1000),
    ("ExecuteAction", "", 1300),
];

const ADVERTISE: &[(&str, &str, i32)] = &[
    ("CostInitialize", "", 800),
    ("CostFinalize", "", 1000),
    ("InstallValidate", "", 1400),
    ("InstallInitialize", "", 1500),
    ("PublishFeatures", "", 6300),
    ("PublishProduct", "", 6400),
    ("InstallFinalize", "", 6600),
];

/// Adds the standard actions of all five sequences.
pub fn standard(tables: &mut Tables) {
    let sequences = [
        ("InstallExecuteSequence", EXECUTE),
        ("InstallUISequence", INSTALL_UI),
        ("AdminExecuteSequence", ADMIN_EXECUTE),
        ("AdminUISequence", ADMIN_UI),
        ("AdvtExecuteSequence", ADVERTISE),
    ];
    for (table, actions) in sequences {
        for &(action, condition, number) in actions {
            tables.add(table, row![action, condition, number]);
        }
    }
}
