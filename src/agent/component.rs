//! The three programs of fleetd and the names of their targets, as data.
//!
//! A target is called `<component>/<platform>/<channel>/<file>`; an archive's program lies
//! below the folder that it unpacks to, beside the archive.

use std::fmt;

use crate::install::{Arch, Os};

/// One of fleetd's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// Service and updater.
    Orbit,
    /// osquery's daemon.
    Osqueryd,
    /// Fleet Desktop.
    Desktop,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Orbit, Self::Osqueryd, Self::Desktop];

    /// The word in target names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Orbit => "orbit",
            Self::Osqueryd => "osqueryd",
            Self::Desktop => "desktop",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A system and processor that fleetd runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Platform {
    /// Linux on x86-64.
    Linux,
    /// Linux on AArch64.
    LinuxArm64,
    /// macOS, both processors in one binary.
    Macos,
    /// Windows on x86-64.
    Windows,
    /// Windows on AArch64.
    WindowsArm64,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Linux,
        Self::LinuxArm64,
        Self::Macos,
        Self::Windows,
        Self::WindowsArm64,
    ];

    /// The platform of an installer.
    pub fn of(os: Os, arch: Arch) -> Self {
        match (os, arch) {
            (Os::Linux, Arch::Arm64) => Self::LinuxArm64,
            (Os::Linux, _) => Self::Linux,
            (Os::Macos, _) => Self::Macos,
            (Os::Windows, Arch::Arm64) => Self::WindowsArm64,
            (Os::Windows, _) => Self::Windows,
        }
    }

    /// The word in target names, of all components but osqueryd on macOS.
    pub fn word(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::LinuxArm64 => "linux-arm64",
            Self::Macos => "macos",
            Self::Windows => "windows",
            Self::WindowsArm64 => "windows-arm64",
        }
    }
}

/// Where a component's target lies for a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which program.
    pub component: Component,
    /// The word for the platform in the target's name.
    pub platform: &'static str,
    /// The last part of the target's name.
    pub file: &'static str,
    /// The program's path below the unpacked archive; `None` when the target is the program.
    pub unpacked: Option<&'static str>,
}

impl Target {
    /// The target of a component on a platform.
    pub fn of(component: Component, platform: Platform) -> Self {
        use Component::{Desktop, Orbit, Osqueryd};
        use Platform::{Linux, LinuxArm64, Macos, Windows, WindowsArm64};
        let (platform_word, file, unpacked) = match (component, platform) {
            (Osqueryd, Macos) => (
                "macos-app",
                "osqueryd.app.tar.gz",
                Some("osquery.app/Contents/MacOS/osqueryd"),
            ),
            (Desktop, Macos) => (
                "macos",
                "desktop.app.tar.gz",
                Some("Fleet Desktop.app/Contents/MacOS/fleet-desktop"),
            ),
            (Desktop, Linux | LinuxArm64) => (
                platform.word(),
                "desktop.tar.gz",
                Some("fleet-desktop/fleet-desktop"),
            ),
            (Desktop, Windows | WindowsArm64) => (platform.word(), "fleet-desktop.exe", None),
            (Orbit, Windows | WindowsArm64) => (platform.word(), "orbit.exe", None),
            (Osqueryd, Windows | WindowsArm64) => (platform.word(), "osqueryd.exe", None),
            (Orbit, _) => (platform.word(), "orbit", None),
            (Osqueryd, _) => (platform.word(), "osqueryd", None),
        };
        Self {
            component,
            platform: platform_word,
            file,
            unpacked,
        }
    }

    /// The target's name in the repository.
    pub fn name(&self, channel: &str) -> String {
        format!("{}/{}", self.folder(channel), self.file)
    }

    /// The archive whose program lies at this path below `bin`, and its channel; `None` when
    /// it is not where an unpacked program lies.
    pub fn of_unpacked(path: &str) -> Option<(Self, &str)> {
        let mut words = path.splitn(4, '/');
        let (component, platform, channel) = (words.next()?, words.next()?, words.next()?);
        let inner = words.next()?;
        let targets = Component::ALL
            .into_iter()
            .flat_map(|component| Platform::ALL.map(|platform| Self::of(component, platform)));
        let mut targets = targets.filter(|target| {
            target.component.word() == component
                && target.platform == platform
                && target.unpacked == Some(inner)
        });
        targets.next().map(|target| (target, channel))
    }

    /// The target's name without its last part: the folder below `bin` on a host.
    pub fn folder(&self, channel: &str) -> String {
        format!("{}/{}/{channel}", self.component, self.platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use Component::{Desktop, Orbit, Osqueryd};
        let cases = [
            (Orbit, Platform::Linux, "orbit/linux/stable/orbit"),
            (
                Osqueryd,
                Platform::LinuxArm64,
                "osqueryd/linux-arm64/stable/osqueryd",
            ),
            (
                Desktop,
                Platform::Linux,
                "desktop/linux/stable/desktop.tar.gz",
            ),
            (Orbit, Platform::Macos, "orbit/macos/stable/orbit"),
            (
                Osqueryd,
                Platform::Macos,
                "osqueryd/macos-app/stable/osqueryd.app.tar.gz",
            ),
            (
                Desktop,
                Platform::Macos,
                "desktop/macos/stable/desktop.app.tar.gz",
            ),
            (Orbit, Platform::Windows, "orbit/windows/stable/orbit.exe"),
            (
                Osqueryd,
                Platform::WindowsArm64,
                "osqueryd/windows-arm64/stable/osqueryd.exe",
            ),
            (
                Desktop,
                Platform::Windows,
                "desktop/windows/stable/fleet-desktop.exe",
            ),
        ];
        for (component, platform, name) in cases {
            assert_eq!(Target::of(component, platform).name("stable"), name);
        }
    }

    #[test]
    fn unpacked_programs_are_known_by_where_they_lie() {
        for (path, name) in [
            (
                "desktop/linux/edge/fleet-desktop/fleet-desktop",
                Some("desktop/linux/edge/desktop.tar.gz"),
            ),
            (
                "osqueryd/macos-app/stable/osquery.app/Contents/MacOS/osqueryd",
                Some("osqueryd/macos-app/stable/osqueryd.app.tar.gz"),
            ),
            ("desktop/linux/edge/fleet-desktop/README", None),
            ("desktop/windows/edge/fleet-desktop/fleet-desktop", None),
            ("orbit/linux/stable/orbit", None),
            ("orbit", None),
        ] {
            let found = Target::of_unpacked(path).map(|(target, channel)| target.name(channel));
            assert_eq!(found.as_deref(), name, "{path}");
        }
    }
}
