//! File systems that cannot be written, or not for long: for root, modes forbid nothing.
//!
//! Tests that use them need `root`, `mount` and `umount`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; unmounted with its value.
pub struct Mount(PathBuf);

impl Mount {
    /// An empty file system in memory.
    pub fn tmpfs(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let options = format!("size={size},mode=755");
        Self::run(&["-t", "tmpfs", "-o", &options, "tmpfs"], &at);
        Self(at)
    }

    /// What the image of a file system holds.
    pub fn image(at: PathBuf, image: &Path) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        Self::run(&["-o", "loop", image.to_str().unwrap()], &at);
        Self(at)
    }

    /// A folder over itself, for reading only: root ignores modes but not this.
    pub fn read_only(at: PathBuf) -> Self {
        let place = at.to_str().unwrap().to_owned();
        Self::run(&["--bind", &place], &at);
        let mount = Self(at);
        Self::run(&["-o", "remount,bind,ro"], &mount.0);
        mount
    }

    fn run(args: &[&str], at: &Path) {
        let status = Command::new("mount").args(args).arg(at).status().unwrap();
        assert!(status.success(), "mount {args:?}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.0).status();
        assert!(status.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}
