//! Folders that cannot be written and disks that are full.

use libtest_mimic::Trial;

use super::ground::{ADD, Ground};
use crate::harness::mount::Mount;
use crate::harness::{trial, trial_needing};

/// The trials.
pub fn trials() -> Vec<Trial> {
    let mounts = &["root", "mount", "umount"];
    vec![
        trial("bad_input/output_folder_missing", missing_folder),
        trial_needing(
            "bad_input/output_folder_read_only",
            mounts,
            read_only_output,
        ),
        trial_needing(
            "bad_input/repository_read_only",
            mounts,
            read_only_repository,
        ),
        trial_needing("bad_input/disk_full_while_packaging", mounts, full_output),
        trial_needing("bad_input/disk_full_while_compressing", mounts, full_spool),
        trial_needing("bad_input/disk_full_while_adding", mounts, full_repository),
    ]
}

fn missing_folder() {
    let ground = Ground::new();
    ground.write("file", "");
    let mut record = ground.record();
    for outfile in ["nowhere/agent.deb", "file/agent.deb"] {
        record.refused(outfile, &ground.package(&["--outfile", outfile]));
    }
    std::fs::create_dir(ground.join("agent.deb")).unwrap();
    let run = ground.package(&["--outfile", "agent.deb"]);
    record.refused("a folder of that name", &run);
    record.compare("output_folder_missing");
}

fn read_only_output() {
    let ground = Ground::new();
    std::fs::create_dir(ground.join("out")).unwrap();
    let mount = Mount::read_only(ground.join("out"));
    let mut record = ground.record();
    record.refused("package", &ground.package(&["--outfile", "out/agent.deb"]));
    record.compare("output_folder_read_only");
    drop(mount);
}

fn read_only_repository() {
    let ground = Ground::new();
    let mount = Mount::read_only(ground.join("updates"));
    let mut record = ground.record();
    record.refused("timestamp", &ground.updates(&["timestamp"]));
    record.refused("add", &ground.add(&[]));
    record.compare("repository_read_only");
    drop(mount);
    ground.add(&[]).ok();
}

fn full_output() {
    let ground = Ground::new();
    grow_orbit(&ground);
    let mount = Mount::tmpfs(ground.join("out"), "1m");
    let mut record = ground.record();
    let run = ground.package(&["--outfile", "out/agent.deb", "--compression", "none"]);
    record.refused("package", &run);
    record.compare("disk_full_while_packaging");
    drop(mount);
}

/// The folder for temporary files is full before the package is compressed.
fn full_spool() {
    let ground = Ground::new();
    grow_orbit(&ground);
    let mount = Mount::tmpfs(ground.join("temporary"), "1m");
    std::fs::create_dir(ground.join("out")).unwrap();
    let mut record = ground.record();
    let run = ground.package(&["--outfile", "out/agent.deb"]);
    record.refused("package", &run.env("TMPDIR", ground.join("temporary")));
    record.compare("disk_full_while_compressing");
    for folder in ["out", "temporary"] {
        let left = std::fs::read_dir(ground.join(folder)).unwrap().count();
        assert_eq!(left, 0, "something is left in {folder}");
    }
    drop(mount);
}

fn full_repository() {
    let ground = Ground::new();
    let mount = Mount::tmpfs(ground.join("small"), "4m");
    ground.copy(&ground.join("updates"), "small/updates");
    ground.write("orbit", vec![b'x'; 6 << 20]);
    let mut record = ground.record();
    record.refused("add", &ground.updates_in("small/updates", &ADD));
    record.compare("disk_full_while_adding");
    // What was there before still is a repository.
    let run = ground.package_from(&["--update-url", "small/updates/repository"]);
    run.arg("--disable-updates").ok();
    drop(mount);
}

/// Publishes an orbit of 4 MiB that does not compress.
fn grow_orbit(ground: &Ground) {
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(4 << 20)
    .collect();
    ground.write("orbit", bytes);
    ground.add(&["-t", "stable"]).ok();
}
