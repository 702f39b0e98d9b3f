//! Where other people's programs are. `ci/setup.sh` installs them all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The search path of every program that a test runs.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether a missing tool is a failure.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Which of these are missing.
pub fn missing(needs: &[&'static str]) -> Vec<&'static str> {
    needs
        .iter()
        .copied()
        .filter(|need| find(need).is_none())
        .collect()
}

/// Finds a program by name, in [`PATH`] and then in the tester's own search path. Words that
/// are no program's name:
/// - `root`: the test runs as root (the answer is `/`);
/// - `python-tuf`: the Python environment that `ci/setup.sh` makes (its interpreter);
/// - `versitygw`, `fake-gcs-server`, `azurite`: object storage, which `ci/setup.sh` builds or
///   fetches (the last is a script for `node`);
/// - `tough-client`: the program of `tests/interop/tough`;
/// - `pkcs11`: a build with this feature (the answer is `/`);
/// - `release`: the folder `FLEETPACK_RELEASE`, which `packaging/release.sh` filled;
/// - `libfaketime`-like libraries are asked for by the program that brings them.
pub fn find(need: &str) -> Option<PathBuf> {
    match need {
        "root" => rustix::process::geteuid()
            .is_root()
            .then(|| PathBuf::from("/")),
        "pkcs11" => cfg!(feature = "pkcs11").then(|| PathBuf::from("/")),
        "release" => std::env::var_os("FLEETPACK_RELEASE").map(PathBuf::from),
        "tough-client" => {
            Some(folder().join("tough/bin/tough-client")).filter(|path| path.exists())
        }
        "python-tuf" => Some(python()).filter(|path| path.exists()),
        "versitygw" | "fake-gcs-server" => {
            Some(folder().join("go").join(need)).filter(|path| path.exists())
        }
        "azurite" => {
            let script = folder().join("azurite/node_modules/azurite/dist/src/blob/main.js");
            Some(script).filter(|path| path.exists())
        }
        name => {
            let own = std::env::var("PATH").unwrap_or_default();
            PATH.split(':')
                .chain(own.split(':'))
                .map(|folder| Path::new(folder).join(name))
                .find(|path| path.is_file())
        }
    }
}

/// Where `ci/setup.sh` keeps what no package manager of the system installs:
/// `$FLEETPACK_TOOLS`, or `~/.cache/fleetpack-tools`.
pub fn folder() -> PathBuf {
    match std::env::var_os("FLEETPACK_TOOLS") {
        Some(folder) => folder.into(),
        None => {
            let home = std::env::var_os("HOME").unwrap_or_default();
            Path::new(&home).join(".cache/fleetpack-tools")
        }
    }
}

/// The interpreter of the Python environment.
pub fn python() -> PathBuf {
    folder().join("python/bin/python")
}

/// A Go program of `tests/interop/<name>`, built on first use. The test needs `go`.
pub fn go_program(name: &str) -> PathBuf {
    go_package(name, name, ".")
}

/// A program among what `tests/interop/<module>` depends on, by its import path.
pub fn go_package(name: &str, module: &str, package: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(module);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("interop")
        .join(name);
    let output = Command::new(find("go").expect("the test asks for go"))
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg(package)
        .current_dir(&source)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "go build {}:\n{words}",
        source.display()
    );
    built.insert(name.to_owned(), program.clone());
    program
}
