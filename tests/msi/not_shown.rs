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
        "there is no PowerShell here; a witness stands in for it, a grammar reads the script, and every word in it is known",
        "steps 1 and 4: the standalone osquery is gone; secret.txt holds the new secret and has the same permissions as before",
    ),
    gap(
        "A secret on the command line reaches PowerShell whole",
        "the witness sees it as one argument; how Windows' msiexec and PowerShell read theirs is documented",
        "step 4: `secret.txt` is the text to its last character, a backslash",
    ),
    gap(
        "A secret with a double quote is refused in words",
        "Wine refuses it, and shows the sentence in a window alone",
        "step 4",
    ),
    gap(
        "Running programs are told that a variable is gone",
        "Wine passes over the row that does it",
        "step 7: a PowerShell started from the taskbar afterwards has no `$env:ORBIT_UPDATE_INTERVAL`",
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
        "Installer opens the package: table of contents, Distribution, bill of materials, payload",
        "four reader crates, bsdtar, 7-Zip and GNU cpio read it; Apple's reader is another program",
        "step 2 ends with exit code 0",
    ),
    gap(
        "Installer lays down modes and owners as the bill says, and leaves system folders alone",
        "the bill equals the payload path by path; whether `0:80` on `.`, `./Library` and `./opt` ever changes folders that exist is Installer's doing",
        "step 1 and step 3: `ls -lde / /Library /Library/LaunchDaemons /opt /usr/local /private/var/log` before and after",
    ),
    gap(
        "The order of the payload, shared files before folders' later members, does not matter",
        "other readers do not mind",
        "step 3: `lsbom` and `ls` agree",
    ),
    gap(
        "The daemon is booted out, loaded and started by the postinstall, in macOS's bash 3.2",
        "there is no launchd here; the script is run with stand-ins, in a newer bash, and read for what 3.2 lacks",
        "steps 3 and 5: `state = running`",
    ),
    gap(
        "The daemon gets its variables",
        "the property list is read back by plistlib; launchd is another reader",
        "step 3: `launchctl print` lists them; the log names the address",
    ),
    gap(
        "An upgrade removes what is stale, also on a disk that ignores case",
        "the script is run on a disk that heeds case",
        "step 5: the old channel's folder and its `.sha512` are gone",
    ),
    gap(
        "Orbit itself installs a package and lives on to report it",
        "the script's half is tested: marker, background, delay",
        "step 6",
    ),
    gap(
        "A signed package is trusted",
        "OpenSSL and the reader crate verify the signature, by a chain that the test makes; trust is Apple's own",
        "step 4: `pkgutil --check-signature` names Developer ID Installer and, with a time stamp, `trusted timestamp`",
    ),
    gap(
        "Apple's time stamp server and notary service take what they are sent, and the ticket is read",
        "the tests speak to stand-ins on the same machine",
        "step 4: `spctl --assess --type install -v` says `accepted`, `stapler validate` works offline",
    ),
    gap(
        "An MDM server installs the package by its manifest, and the profile reaches the agent",
        "manifest and profile are read back by plistlib; there is no MDM here",
        "step 7",
    ),
    gap(
        "Both processors' programs run, without Rosetta",
        "the binaries are copied as they are",
        "all steps on an Intel and on an Apple silicon Mac without Rosetta",
    ),
];

const LINUX: &[Gap] = &[
    gap(
        "rpm 4.11 of RHEL 7 installs the package",
        "Debian's rpm is 4.18; a test holds tags, required features, digests, compression and the sizes of both headers against what 4.11 knows",
        "`rpm -i fleet-osquery-*.rpm` on RHEL or CentOS 7; `systemctl is-active orbit` says `active`",
    ),
    gap(
        "SELinux lets the service start",
        "there is no SELinux here; that `restorecon` is called, and for which paths, is tested with a stand-in",
        "`getenforce` says `Enforcing`, and `ausearch -m avc -ts recent` finds nothing of orbit after an installation",
    ),
    gap(
        "The arm64 packages run",
        "the container is amd64; the packages differ in the programs and the processor's words",
        "install on an arm64 host; `systemctl is-active orbit` says `active`",
    ),
    gap(
        "The container's recipe compiles the program",
        "no registry of images is asked: buildah follows the recipe from stand-ins of the images that it begins with, and `cargo` is one too",
        "`podman build -t fleetpack -f packaging/container/Containerfile . && podman run --rm fleetpack --version`",
    ),
    gap(
        "What Amazon itself refuses is said in words: a missing right, another region, expired credentials, a wrong clock",
        "versitygw refuses wrong keys, buckets and regions; the rest is answered by a stand-in, with the statuses and codes of the S3 API Reference",
        "`fleetpack updates publish s3://BUCKET/test --path updates` with a role that may not list: `does not allow to` and a hint",
    ),
    gap(
        "Google's own storage takes what is published",
        "fake-gcs-server keeps the objects and judges generations; the XML half of the API in front of it, and who may log in, are the tests' own, made from the documentation",
        "`fleetpack updates publish gs://BUCKET/test --path updates` twice, with a new timestamp in between",
    ),
    gap(
        "The public suite theupdateframework/tuf-conformance accepts the client",
        "it is published on GitHub alone, which the tests do not reach, so they do not run it; 169 cases of our own ask for what its cases ask for, by the same command line, and more. A copy of its cases, put together by hand from its commits up to version 3.0.0, was run once in November 2026: 110 of 110 passed; the case on Sigstore's repository was not in it",
        "the suite's action with `entrypoint: target/debug/examples/tuf_client` after `cargo build --example tuf_client`",
    ),
];

const WINDOWS_PROTOCOL: &str = "\
1. Take a fresh Windows with an osquery installed on its own, and two versions of a package,
   `old.msi` and `new.msi`, the newer one signed. All commands are typed in PowerShell as
   administrator, in the packages' folder.
2. `Start-Process -Wait -PassThru msiexec '/i old.msi /qn /l*v install.log'`; its `ExitCode` is 0.
   Look at the properties of `new.msi`.
3. `sc.exe query \"Fleet osquery\"` says RUNNING. Look at permissions, failure actions, and the log
   below `C:\\Windows\\System32\\config\\systemprofile\\AppData\\Local\\FleetDM\\Orbit\\Logs`.
4. `msiexec /x old.msi /qn`, then install again with `FLEET_SECRET=made-up-secret\\`; search the
   log. In between try `FLEET_SECRET=\"made\"\"up\"`: it ends with 1603, the log says why, and nothing
   is installed.
5. Install `new.msi`: one entry in Settings, the service runs, the host is the same one in Fleet.
6. Install `old.msi` over it: the same, with the older programs.
7. Plant the variable of older installers,
   `[Environment]::SetEnvironmentVariable('ORBIT_UPDATE_INTERVAL','1h','Machine')`, and install
   `new.msi`: it is gone.
8. Remove it in Settings. `Test-Path 'C:\\Program Files\\Orbit'` is False, `sc.exe query` knows no
   such service.
";

const MACOS_PROTOCOL: &str = "\
1. Take a fresh Mac and two packages, `old.pkg` with `--orbit-channel edge` and `new.pkg` with
   the usual channel, signed and notarised. Note what
   `ls -lde / /Library /Library/LaunchDaemons /opt /usr/local /private/var/log` says.
2. `sudo installer -verboseR -pkg old.pkg -target /; echo $?` says 0; nothing asks for Rosetta.
   The end of `/var/log/install.log` has no error.
3. The folders of step 1 are as before. `lsbom /var/db/receipts/com.fleetdm.orbit.base.pkg.bom`
   and `sudo ls -lR /opt/orbit` agree. `sudo launchctl print system/com.fleetdm.orbit` says
   `state = running` and lists the variables; `/var/log/orbit/orbit.stderr.log` names the
   address; the host is in Fleet.
4. `pkgutil --check-signature new.pkg`; `spctl --assess --type install -v new.pkg`; without a
   network, `xcrun stapler validate new.pkg`.
5. Install `new.pkg` by a double click. `sudo ls /opt/orbit/bin/orbit/macos` names the usual
   channel alone; the daemon runs, and it is the same host in Fleet.
6. `sudo touch /opt/orbit/.inband_upgrade`, install `new.pkg` as in step 2: the daemon's process
   is the old one for 30 seconds, then another; `/private/var/log/orbit/postinstall.log` tells of
   no error.
7. On a Mac that an MDM server manages: a package made with `--use-system-configuration`, its
   profile and its manifest. Assign the profile, then send `InstallEnterpriseApplication` with the
   manifest's address: the host appears in Fleet.
8. Again on a Mac with the other processor.
";

fn page() -> String {
    let mut page = String::from(
        "# What the tests do not show\n\n\
         Everything else is judged by other people's programs on Debian. What is left needs another\n\
         Linux, a real Windows or a real Mac. This page is made from the list in `tests/msi/not_shown.rs`.\n",
    );
    for (system, gaps) in [("Linux", LINUX), ("Windows", WINDOWS), ("macOS", MACOS)] {
        let _ = write!(
            page,
            "\n## {system}\n\n| claim | why it is not shown | how to see it |\n| --- | --- | --- |\n"
        );
        for gap in gaps {
            let _ = writeln!(page, "| {} | {} | {} |", gap.claim, gap.why, gap.look);
        }
    }
    for (system, protocol) in [("Windows", WINDOWS_PROTOCOL), ("macOS", MACOS_PROTOCOL)] {
        let _ = write!(
            page,
            "\n## Protocol for {system}, half an hour\n\n{protocol}"
        );
    }
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
