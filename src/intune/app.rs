//! An app of Intune as Microsoft Graph takes it: command lines, detection, what hosts it is for.
//!
//! The body of `POST deviceAppManagement/mobileApps` (Microsoft Graph, win32LobApp): of v1.0 for
//! x64. v1.0 knows neither `allowedArchitectures`, without which an app is not for Arm, nor
//! `displayVersion`; a package for Arm has both, and its body is for /beta. The package is
//! detected by its product code, which is another for every other package: a new one is installed
//! where an old one is.

use serde_json::{Value, json};

use crate::package::msi::Product;

/// The app of a package called `msi` in a wrapping called `wrapped`.
pub fn app(product: &Product, msi: &str, wrapped: &str) -> Value {
    let arm = product.processor == "Arm64";
    let architectures = if arm { "none" } else { "x64" };
    let code = &product.code;
    let mut app = json!({
        "@odata.type": "#microsoft.graph.win32LobApp",
        "displayName": product.name,
        "description": product.name,
        "publisher": product.publisher,
        "fileName": wrapped,
        "setupFilePath": msi,
        "installCommandLine": format!("msiexec /i \"{msi}\" /qn /norestart"),
        "uninstallCommandLine": format!("msiexec /x \"{code}\" /qn /norestart"),
        "applicableArchitectures": architectures,
        "minimumSupportedWindowsRelease": "1607",
        "installExperience": { "runAsAccount": "system", "deviceRestartBehavior": "suppress" },
        "msiInformation": {
            "productCode": code,
            "productVersion": product.version,
            "upgradeCode": product.upgrade_code,
            "requiresReboot": false,
            "packageType": "perMachine",
            "productName": product.name,
            "publisher": product.publisher,
        },
        "rules": [{
            "@odata.type": "#microsoft.graph.win32LobAppProductCodeRule",
            "ruleType": "detection",
            "productCode": code,
            "productVersionOperator": "notConfigured",
            "productVersion": null,
        }],
        "returnCodes": [
            { "returnCode": 0, "type": "success" },
            { "returnCode": 1707, "type": "success" },
            { "returnCode": 1641, "type": "hardReboot" },
            { "returnCode": 3010, "type": "softReboot" },
            { "returnCode": 1618, "type": "retry" },
        ],
    });
    if arm {
        app["displayVersion"] = json!(product.version);
        app["allowedArchitectures"] = json!("arm64");
    }
    app
}
