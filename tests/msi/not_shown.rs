//! What no test here can show: the list that `docs/not-shown.md` is made of.
//!
//! An entry goes away when a test shows it. `FLEETPACK_REWRITE_GOLDENS=1` writes the page.

use std::fmt::Write;
use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::trial;

pub fn trials() -> Vec<Trial> {
    vec![trial("not_shown_page_is_current", page_is_current)]
}

/// What is claimed, why no test here shows it, and how a person sees it.
struct Gap {
    claim: &'static str,
    why: &'static str,
    look: &'static str,
}

const fn gap(claim: &'static str, why: &'static str, look: &'static str) -> Gap {
    Gap { claim, why, look }
}

const WINDOWS: &[Gap] = &[
    gap(
        "Windows Installer opens the package: table order, codepage, compound file of version 4",
        "Wine, msitools and the tests' own checker read it; Microsoft's reader is another program",
        "step 2 ends with exit code 0",
    ),
    gap(
        "Microsoft's cabinet reader unpacks every block",
        "cabextract, 7-Zip, Wine and a strict decoder do",
        "step 2; then compare `bin\\orbit\\orbit.exe` with the target by `Get-FileHash`",
    ),
    gap(
        "The Arm64 package installs",
        "there is no Arm64 Windows here; it differs from the x64 one in the processor's words alone, which a test compares",
        "all steps on an Arm64 machine",
    ),
    gap(
        "The service gets its variables",
        "Wine does not hand a service its Environment value",
        "step 3: orbit's log names the address",
    ),
    gap(
        "The service is started again after it failed",
        "Wine accepts `sc.exe failure` and stores nothing",
        "step 3: `sc.exe qfailure \"Fleet osquery\"`, then end orbit.exe in the Task Manager and wait two seconds",
    ),
    gap(
        "Permissions: users cannot read secret.txt nor write below the folder",
        "Wine ignores MsiLockPermissionsEx",
        "step 3: `icacls \"C:\\Program Files\\Orbit\"`, `icacls \"C:\\Program Files\\Orbit\\secret.txt\"`",
    ),
    gap(
        "FLEET_SECRET is in no verbose log",
        "Wine ignores MsiHiddenProperties and the hide-target bit; the tables are asserted",
        "step 4: `Select-String made-up-secret install.log` finds nothing",
    ),
    gap(
        "The PowerShell steps do what they should",
        "there is no PowerShell here; a witness stands in for it, and a grammar reads the script",
        "steps 1 and 4: the standalone osquery is gone; secret.txt holds the new secret and has the same permissions as before",
    ),
    gap(
        "Removal leaves nothing of what the agent made",
        "the folder is removed by the script; under Wine only the package's own files are",
        "step 8: the folder, the service and the entry in Settings are gone",
    ),
    gap(
        "The removal step does not run while a version is being replaced",
        "Wine does not set UPGRADINGPRODUCTCODE",
        "step 5: `identifier` and `osquery.db` in the folder are the old ones",
    ),
    gap(
        "A downgrade replaces programs that updated themselves",
        "Wine compares no file versions; REINSTALLMODE=amus is asserted",
        "step 6: `bin\\orbit\\orbit.exe` is the older one",
    ),
    gap(
        "The signature is shown, and SmartScreen says whose it is",
        "osslsigncode verifies signature and time stamp; trust is Windows' own",
        "step 2: Properties, Digital Signatures",
    ),
];

const MACOS: &[Gap] = &[
    gap(
        "Installer opens the package and installs it",
        "the archive, bill of materials and payload are read back by other programs' readers; Apple's is another one",
        "`sudo installer -pkg fleet-osquery.pkg -target / -verbose` ends with exit code 0",
    ),
    gap(
        "The daemon is booted out, loaded and started by the postinstall",
        "there is no launchd here; the script is run with stand-ins",
        "`sudo launchctl print system/com.fleetdm.orbit` says `state = running`, also after a second installation",
    ),
    gap(
        "A signed and notarised package passes Gatekeeper",
        "signature and ticket are checked by what reads them here; trust is Apple's own",
        "`spctl --assess --type install -v fleet-osquery.pkg` says `accepted`",
    ),
    gap(
        "Both processors' programs run",
        "the binaries are copied as they are",
        "the second command on an Intel and an Apple silicon Mac",
    ),
];

const PROTOCOL: &str = "\
1. Take a fresh Windows with an osquery installed on its own, and two versions of a package,
   `old.msi` and `new.msi`, the newer one signed. All commands are typed in PowerShell as
   administrator, in the packages' folder.
2. `Start-Process -Wait -PassThru msiexec '/i old.msi /qn /l*v install.log'`; its `ExitCode` is 0.
   Look at the properties of `new.msi`.
3. `sc.exe query \"Fleet osquery\"` says RUNNING. Look at permissions, failure actions, and the log
   below `C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local\\FleetDM\\Orbit\\Logs`.
4. `msiexec /x old.msi /qn`, then install again with `FLEET_SECRET=made-up-secret`; search the log.
5. Install `new.msi`: one entry in Settings, the service runs, the host is the same one in Fleet.
6. Install `old.msi` over it: the same, with the older programs.
7. Plant the variable of older installers,
   `[Environment]::SetEnvironmentVariable('ORBIT_UPDATE_INTERVAL','1h','Machine')`, and install
   `new.msi`: it is gone.
8. Remove it in Settings. `Test-Path 'C:\\Program Files\\Orbit'` is False, `sc.exe query` knows no
   such service.
";

fn page() -> String {
    let mut page = String::from(
        "# What the tests do not show\n\n\
         Everything else is judged by other people's programs on Linux. What is left needs a real\n\
         Windows or a real Mac. This page is made from the list in `tests/msi/not_shown.rs`.\n",
    );
    for (system, gaps) in [("Windows", WINDOWS), ("macOS", MACOS)] {
        let _ = write!(
            page,
            "\n## {system}\n\n| claim | why it is not shown | how to see it |\n| --- | --- | --- |\n"
        );
        for gap in gaps {
            let _ = writeln!(page, "| {} | {} | {} |", gap.claim, gap.why, gap.look);
        }
    }
    let _ = write!(
        page,
        "\n## Protocol for Windows, half an hour\n\n{PROTOCOL}"
    );
    page
}

fn page_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("docs/not-shown.md");
    if std::env::var_os("FLEETPACK_REWRITE_GOLDENS").is_some_and(|v| v == "1") {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page(),
        "FLEETPACK_REWRITE_GOLDENS=1 writes docs/not-shown.md anew"
    );
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(
        readme.contains("docs/not-shown.md"),
        "the README does not link to it"
    );
}
