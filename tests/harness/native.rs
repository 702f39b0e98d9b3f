//! Packages built by the distributions' own tools: stand-ins for what is in the field.
//!
//! `dpkg-deb` and `rpmbuild` pack a few files with given scripts, so that tests can upgrade
//! from packages that fleetpack did not make.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Scratch;

/// What a package holds.
#[derive(Default)]
pub struct Native {
    /// Package name.
    pub name: &'static str,
    /// Its version.
    pub version: String,
    /// More lines of a deb's control file or of an rpm's specification.
    pub fields: &'static str,
    /// Absolute path, mode, contents.
    pub files: Vec<(String, u32, String)>,
    /// Absolute path and text of symbolic links.
    pub links: Vec<(String, String)>,
    /// Absolute paths of empty folders.
    pub folders: Vec<String>,
    /// Name in the format's own words (`postinst`; `%post`) and shell text.
    pub scripts: Vec<(&'static str, String)>,
}

impl Native {
    /// A deb for amd64. The test needs `dpkg-deb`.
    pub fn deb(&self, scratch: &Scratch) -> PathBuf {
        let folder = fresh_folder(scratch);
        let stage = folder.join("stage");
        self.lay_out(&stage);
        let control = stage.join("DEBIAN");
        std::fs::create_dir(&control).unwrap();
        let fields = format!(
            "Package: {}\nVersion: {}\nArchitecture: amd64\nMaintainer: A <a@example.com>\nDescription: stand-in\n{}",
            self.name, self.version, self.fields
        );
        std::fs::write(control.join("control"), fields).unwrap();
        for (name, text) in &self.scripts {
            write_mode(&control.join(name), text, 0o755);
        }
        let deb = folder.join(format!("{}_{}.deb", self.name, self.version));
        scratch
            .tool("dpkg-deb", ["--root-owner-group", "--build"])
            .arg(&stage)
            .arg(&deb)
            .ok();
        deb
    }

    /// An rpm for x86_64. The test needs `rpmbuild`.
    pub fn rpm(&self, scratch: &Scratch) -> PathBuf {
        let folder = fresh_folder(scratch);
        let stage = folder.join("stage");
        self.lay_out(&stage);
        let spec = folder.join("native.spec");
        std::fs::write(&spec, self.spec()).unwrap();
        scratch
            .tool("rpmbuild", ["-bb", "--quiet", "--target=x86_64-linux"])
            .arg("--define=_build_id_links none")
            .arg(format!("--define=_topdir {}", folder.display()))
            .arg(format!("--define=stage {}", stage.display()))
            .arg(spec)
            .ok();
        let name = format!("{}-{}-1.x86_64.rpm", self.name, self.version);
        folder.join("RPMS/x86_64").join(name)
    }

    fn spec(&self) -> String {
        let mut spec = format!(
            "Name: {}\nVersion: {}\nRelease: 1\nSummary: stand-in\nLicense: MIT\nAutoReqProv: no\n{}\
             %global __os_install_post %{{nil}}\n%description\nstand-in\n\
             %install\ncp -a %{{stage}}/. %{{buildroot}}/\n",
            self.name, self.version, self.fields
        );
        for (name, text) in &self.scripts {
            writeln!(spec, "{name} -p /bin/sh\n{text}").unwrap();
        }
        spec.push_str("%files\n%defattr(-,root,root)\n");
        for folder in &self.folders {
            writeln!(spec, "%dir \"{folder}\"").unwrap();
        }
        let files = self.files.iter().map(|(path, _, _)| path);
        for path in files.chain(self.links.iter().map(|(path, _)| path)) {
            writeln!(spec, "\"{path}\"").unwrap();
        }
        spec
    }

    fn lay_out(&self, stage: &Path) {
        let place = |path: &str| {
            let path = stage.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        std::fs::create_dir_all(stage).unwrap();
        for folder in &self.folders {
            std::fs::create_dir_all(place(folder)).unwrap();
        }
        for (path, mode, text) in &self.files {
            write_mode(&place(path), text, *mode);
        }
        for (path, target) in &self.links {
            std::os::unix::fs::symlink(target, place(path)).unwrap();
        }
    }
}

fn fresh_folder(scratch: &Scratch) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let folder = scratch.join(format!("native-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir(&folder).unwrap();
    folder
}

fn write_mode(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}
