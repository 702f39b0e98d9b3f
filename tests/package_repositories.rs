//! Packages in package repositories: found, verified and taken by dnf and apt.

use std::path::{Path, PathBuf};

use fleetpack::package::Builder;
use fleetpack::package::deb::Deb;
use fleetpack::package::rpm::Rpm;
use libtest_mimic::Trial;

use crate::harness::linux_tree::{Build, assert_laid_down};
use crate::harness::scratch::Run;
use crate::harness::{Scratch, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "repositories: createrepo_c and dnf",
            &["createrepo_c", "dnf", "rpmbuild", "root"],
            dnf,
        ),
        trial_needing(
            "repositories: apt-ftparchive and apt",
            &["apt-ftparchive", "apt-get", "dpkg-deb"],
            apt,
        ),
    ]
}

/// Two versions of the sample package in `<scratch>/repository`; gives the newer one.
fn two_versions(scratch: &Scratch, builder: &dyn Builder) -> PathBuf {
    std::fs::create_dir(scratch.join("repository")).unwrap();
    let mut last = PathBuf::new();
    for version in ["1.9.0", "1.50.2"] {
        let mut build = Build::sample();
        build.tree.identity.version = version.to_owned();
        let path = build.file(scratch, builder).unwrap();
        last = scratch.join("repository").join(path.file_name().unwrap());
        std::fs::rename(path, &last).unwrap();
    }
    last
}

const SHELL_SPEC: &str = "Name: shell-stand-in
Version: 1
Release: 1
Summary: what provides /bin/sh in an empty folder
License: MIT
BuildArch: noarch
Provides: /bin/sh
%description
%{summary}
%files
";

fn dnf() {
    let scratch = Scratch::new();
    two_versions(&scratch, &Rpm::unsigned());
    let spec = scratch.write("shell.spec", SHELL_SPEC);
    let define = format!("_topdir {}", scratch.join("rpmbuild").display());
    let rpms = format!("_rpmdir {}", scratch.join("repository").display());
    scratch
        .tool("rpmbuild", ["-bb", "--define", &define, "--define", &rpms])
        .arg(spec)
        .ok();
    scratch.tool("createrepo_c", ["-q", "repository"]).ok();
    let root = scratch.join("root");
    let from = format!(
        "--repofrompath=fleet,file://{}",
        scratch.join("repository").display()
    );
    let dnf = |words: &str| -> Run {
        scratch
            .tool("dnf", words.split(' '))
            .arg("-y")
            .arg(&from)
            .arg("--installroot")
            .arg(&root)
            .arg("--setopt=reposdir=/nonexistent")
            .arg("--setopt=tsflags=noscripts")
            .arg("--setopt=cachedir=/var/cache/dnf")
            .arg("--releasever=9")
            .arg("--forcearch=x86_64")
            .arg("--nogpgcheck")
            .env("LC_ALL", "C.UTF-8")
    };
    dnf("-q repoquery --provides fleet-osquery-1.50.2")
        .ok()
        .prints("fleet-osquery = 1.50.2-1")
        .prints("fleet-osquery(x86-64) = 1.50.2-1");
    dnf("install fleet-osquery-1.9.0").ok();
    dnf("upgrade fleet-osquery").ok();
    let installed = |version: &str| {
        let query = ["-q", "fleet-osquery", "--root"];
        let ran = scratch.tool("rpm", query).arg(&root).ok();
        ran.prints(&format!("fleet-osquery-{version}-1.x86_64"));
    };
    installed("1.50.2");
    let build = Build::sample();
    let entries = build.tree.entries.iter();
    let own = entries.filter(|e| e.path.starts_with("/opt/orbit"));
    assert_laid_down(&root, &own.cloned().collect::<Vec<_>>());
    dnf("downgrade fleet-osquery").ok();
    installed("1.9.0");
    dnf("remove fleet-osquery").ok();
    assert!(!root.join("opt/orbit").exists());
}

fn apt() {
    let scratch = Scratch::new();
    let newer = two_versions(&scratch, &Deb);
    let index = scratch
        .tool("apt-ftparchive", ["packages", "."])
        .within("repository")
        .ok();
    scratch.write("repository/Packages", index.text());
    let release = scratch
        .tool("apt-ftparchive", ["release", "."])
        .within("repository")
        .ok();
    scratch.write("repository/Release", release.text());
    let configuration = apt_configuration(&scratch);
    let apt = |program: &str, words: &str| -> Run {
        let run = scratch.tool(program, words.split(' ')).within("host");
        run.env("APT_CONFIG", &configuration).env("LC_ALL", "C")
    };
    apt("apt-get", "update").ok();
    let policy = apt("apt-cache", "policy fleet-osquery").ok();
    policy.prints("Candidate: 1.50.2").prints(" 1.9.0 ");
    apt("apt-get", "install --simulate -y fleet-osquery")
        .ok()
        .prints("Inst fleet-osquery (1.50.2 ")
        .prints("Conf fleet-osquery (1.50.2 ");
    // apt compares size and sha256 with the index.
    apt("apt-get", "download fleet-osquery").ok();
    let downloaded = scratch.join("host").join(newer.file_name().unwrap());
    assert!(std::fs::read(downloaded).unwrap() == std::fs::read(&newer).unwrap());
    let mut damaged = std::fs::read(&newer).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&newer, damaged).unwrap();
    std::fs::remove_file(scratch.join("host").join(newer.file_name().unwrap())).unwrap();
    let ran = apt("apt-get", "download fleet-osquery").run();
    assert_ne!(ran.code, Some(0));
    ran.says("Hash Sum mismatch");
}

/// A host of apt's own in the scratch folder, with the repository as its only source.
fn apt_configuration(scratch: &Scratch) -> PathBuf {
    let host = scratch.join("host");
    for folder in ["lists/partial", "cache/archives/partial", "dpkg", "etc"] {
        std::fs::create_dir_all(host.join(folder)).unwrap();
    }
    scratch.write("host/dpkg/status", "");
    let source = format!(
        "deb [trusted=yes] file:{} ./\n",
        scratch.join("repository").display()
    );
    scratch.write("host/etc/sources.list", source);
    let at = |path: &str| -> String { Path::new(&host).join(path).display().to_string() };
    let lines = [
        format!("Dir::State::lists \"{}\";", at("lists")),
        format!("Dir::State::status \"{}\";", at("dpkg/status")),
        format!("Dir::Cache \"{}\";", at("cache")),
        format!("Dir::Etc::sourcelist \"{}\";", at("etc/sources.list")),
        "Dir::Etc::sourceparts \"/nonexistent\";".to_owned(),
        "Dir::Etc::preferencesparts \"/nonexistent\";".to_owned(),
        "APT::Architecture \"amd64\";".to_owned(),
        "APT::Architectures { \"amd64\"; };".to_owned(),
        "APT::Sandbox::User \"root\";".to_owned(),
        "Debug::NoLocking \"true\";".to_owned(),
    ];
    scratch.write("host/apt.conf", lines.join("\n"))
}
