//! The commands, and what they find.

use std::path::Path;

use super::scene::{Disk, Scene};
use crate::harness::fixtures;
use crate::updates::elf;

/// The target that clients ask for.
pub const TARGET: &str = "orbit/linux/stable/orbit";

/// A command that writes.
#[derive(Clone)]
pub struct Case {
    pub name: &'static str,
    /// Makes what it finds.
    pub prepare: fn(&Scene),
    /// Its words; `%` is the scene's folder.
    pub command: &'static str,
    /// Its exit code when nothing goes wrong.
    pub code: u8,
    /// Repositories that clients look at, below the scene's folder.
    pub published: &'static [&'static str],
    /// Whether clients may fail between two renames.
    pub may_fail: bool,
    /// What is tried next after each kill in turn; the last ones of each kind clean up.
    pub next: &'static [&'static str],
    /// In the short run every so many steps are tried.
    pub stride: usize,
}

const REPOSITORY: &[&str] = &["repo/repository"];

/// Any command may be the next one.
const NEXT: &[&str] = &[
    "updates timestamp --path %repo",
    "updates status --path %repo",
    "updates promote --path %repo --component orbit --from stable --to beta",
    "updates prune --path %repo --grace 0",
    "updates rotate timestamp --path %repo",
    "updates keys list --path %repo",
    "updates publish %elsewhere --path %repo",
    "updates pending show --path %repo",
    "updates keys threshold timestamp 1 --path %repo",
    "updates verify --path %repo",
];

fn plain(name: &'static str, prepare: fn(&Scene), command: &'static str) -> Case {
    Case {
        name,
        prepare,
        command,
        code: 0,
        published: REPOSITORY,
        may_fail: true,
        next: NEXT,
        stride: 1,
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases = changes(repository, "", true);
    cases.extend(changes(consistent, "_consistent", false));
    cases.extend(keys());
    cases.extend(others());
    cases.extend(packages());
    cases
}

fn changes(prepare: fn(&Scene), suffix: &'static str, may_fail: bool) -> Vec<Case> {
    let cases = [
        (
            "add",
            "updates add --path %repo --target %new --name orbit --platform linux --version 2.0 -t stable",
        ),
        ("timestamp", "updates timestamp --path %repo"),
        (
            "promote",
            "updates promote --path %repo --component orbit --from edge --to stable",
        ),
        (
            "remove",
            "updates remove orbit/linux/edge/orbit --path %repo",
        ),
        ("prune", "updates prune --path %repo --grace 0"),
        ("rotate_root", "updates rotate root --path %repo"),
        ("rotate_targets", "updates rotate targets --path %repo"),
        ("rotate_snapshot", "updates rotate snapshot --path %repo"),
        ("rotate_timestamp", "updates rotate timestamp --path %repo"),
        (
            "compromised_targets",
            "updates rotate --compromised targets --path %repo",
        ),
        (
            "compromised_timestamp",
            "updates rotate --compromised timestamp --path %repo",
        ),
    ];
    let cases = cases.into_iter().map(|(name, command)| Case {
        // A new root beside what revoked keys signed is what a compromise asks for.
        may_fail: may_fail || name.starts_with("compromised"),
        ..plain(leaked(name, suffix), prepare, command)
    });
    cases.collect()
}

// Names of trials live as long as the program.
fn leaked(name: &str, suffix: &str) -> &'static str {
    Box::leak(format!("{name}{suffix}").into_boxed_str())
}

fn keys() -> Vec<Case> {
    vec![
        plain(
            "keys_add",
            repository,
            "updates keys add targets --new 1 --path %repo",
        ),
        plain(
            "keys_add_root",
            repository,
            "updates keys add root --new 2 --path %repo",
        ),
        plain(
            "keys_threshold",
            two_keys,
            "updates keys threshold targets 2 --path %repo",
        ),
        plain(
            "keys_revoke",
            two_keys,
            "updates keys revoke targets --path %repo ID",
        ),
        plain(
            "keys_passphrase",
            repository,
            "updates keys passphrase targets --path %repo",
        ),
        Case {
            may_fail: false,
            ..plain(
                "consistent_snapshot",
                repository,
                "updates consistent-snapshot on --path %repo",
            )
        },
    ]
}

fn others() -> Vec<Case> {
    vec![
        Case {
            published: &[],
            stride: 29,
            next: &["updates init --path %fresh"],
            ..plain("init", nothing, "updates init --path %fresh")
        },
        plain(
            "mirror",
            upstream,
            "updates mirror --path %repo --from %upstream --update-roots @%upstream/1.root.json --channel stable --component osqueryd --platform linux",
        ),
        Case {
            published: &["repo/repository", "dest"],
            next: &[
                "updates publish %dest --path %repo --lock-time 1s",
                "updates timestamp --path %repo",
            ],
            ..plain(
                "publish",
                published,
                "updates publish %dest --path %repo --lock-time 1s",
            )
        },
        Case {
            published: &["second/repository", "dest"],
            next: &[
                "updates pull %dest --path %second",
                "updates status --path %second",
            ],
            ..plain("pull", pulled, "updates pull %dest --path %second")
        },
        Case {
            code: 5,
            ..plain("held", away, "updates rotate timestamp --path %repo")
        },
        plain("pending_drop", held, "updates pending drop --path %repo"),
        plain(
            "payload",
            held,
            "updates payload root --path %repo --out %other-stick",
        ),
        plain(
            "sign",
            carried,
            "updates sign %stick --path %vault --allow-key ID",
        ),
        plain("attach", signed, "updates attach %stick --path %repo"),
    ]
}

fn packages() -> Vec<Case> {
    let types = [
        ("deb", "package --type=deb ARGS"),
        ("rpm", "package --type=rpm ARGS"),
        ("pkg", "package --type=pkg ARGS"),
        ("msi", "package --type=msi ARGS"),
        ("pacman", "package --type=pkg.tar.zst ARGS"),
    ];
    let package = types.map(|(name, command)| Case {
        published: &[],
        next: &["package --type=deb ARGS"],
        stride: 5,
        ..plain(leaked("package_", name), sample, command)
    });
    let mut cases = Vec::from(package);
    cases.push(Case {
        published: &[],
        stride: 151,
        next: &["quickstart --dir %qs"],
        ..plain("quickstart", nothing, "quickstart --dir %qs")
    });
    cases
}

fn nothing(_: &Scene) {}

fn copy(from: &Path, scene: &Scene, to: &str) {
    Disk::read(from, &Disk::default()).restore(&scene.path().join(to));
}

/// A repository in plain view of a client that remembers it.
fn repository(scene: &Scene) {
    copy(&fixtures().join("go-tuf/plaintext-keys"), scene, "repo");
    let here = scene.path();
    private(&here.join("repo/keys"));
    std::fs::copy(
        here.join("repo/repository/1.root.json"),
        here.join("anchor.json"),
    )
    .unwrap();
    std::fs::write(here.join("old"), [elf(62).as_slice(), b"old"].concat()).unwrap();
    std::fs::write(here.join("new"), [elf(62).as_slice(), b"new"].concat()).unwrap();
    let add = "updates add --path %repo --name orbit --platform linux";
    scene
        .run(&format!("{add} --target %old --version 1.0 -t stable"))
        .unwrap();
    scene
        .run(&format!("{add} --target %new --version 1.9 -t edge"))
        .unwrap();
    // Nobody's: for prune.
    std::fs::create_dir_all(here.join("repo/repository/targets/no/body")).unwrap();
    std::fs::write(
        here.join("repo/repository/targets/no/body/here"),
        "nobody's",
    )
    .unwrap();
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

// As fleetpack writes them.
fn private(keys: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for key in std::fs::read_dir(keys).unwrap() {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(key.unwrap().path(), mode).unwrap();
    }
}

fn consistent(scene: &Scene) {
    repository(scene);
    scene
        .run("updates consistent-snapshot on --path %repo")
        .unwrap();
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

fn two_keys(scene: &Scene) {
    repository(scene);
    scene
        .run("updates keys add targets --new 1 --path %repo")
        .unwrap();
    let root = std::fs::read(scene.path().join("repo/repository/root.json")).unwrap();
    let root: serde_json::Value = serde_json::from_slice(&root).unwrap();
    let id = root["signed"]["roles"]["targets"]["keyids"][0].as_str();
    std::fs::write(scene.path().join("ID"), id.unwrap()).unwrap();
    scene
        .client("repo/repository", Some("client-0"), TARGET)
        .unwrap();
}

fn upstream(scene: &Scene) {
    repository(scene);
    copy(
        &fixtures().join("go-tuf/fleetctl-style/repository"),
        scene,
        "upstream",
    );
}

fn published(scene: &Scene) {
    repository(scene);
    std::fs::create_dir(scene.path().join("dest")).unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    scene.run("updates add --path %repo --target %new --name orbit --platform linux --version 2.0 -t stable").unwrap();
}

fn pulled(scene: &Scene) {
    repository(scene);
    std::fs::create_dir(scene.path().join("dest")).unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    copy(&scene.path().join("repo"), scene, "second");
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
    scene
        .run("updates promote --path %repo --component orbit --from edge --to stable")
        .unwrap();
    scene
        .run("updates publish %dest --path %repo --lock-time 1s")
        .unwrap();
}

/// The root key is in `vault`.
fn away(scene: &Scene) {
    repository(scene);
    let here = scene.path();
    std::fs::create_dir_all(here.join("vault/keys")).unwrap();
    for file in ["root.json", "pinned-root.json"] {
        let from = here.join("repo/keys").join(file);
        std::fs::copy(from, here.join("vault/keys").join(file)).unwrap();
    }
    std::fs::remove_file(here.join("repo/keys/root.json")).unwrap();
}

fn held(scene: &Scene) {
    away(scene);
    let failure = scene
        .run("updates rotate timestamp --path %repo")
        .unwrap_err();
    assert_eq!(failure.code, 5, "{failure:?}");
}

fn carried(scene: &Scene) {
    held(scene);
    scene
        .run("updates payload root --path %repo --out %stick")
        .unwrap();
    let refused = scene.run("updates sign %stick --path %vault").unwrap_err();
    let id = refused.text.rsplit(' ').next().unwrap();
    std::fs::write(scene.path().join("ID"), id).unwrap();
}

fn signed(scene: &Scene) {
    carried(scene);
    scene
        .run("updates sign %stick --path %vault --allow-key ID")
        .unwrap();
}

/// A repository with the sample agent for every platform.
fn sample(scene: &Scene) {
    scene.run("quickstart --dir %qs").unwrap();
    std::fs::remove_dir_all(scene.path().join("qs/installers")).unwrap();
    std::fs::create_dir(scene.path().join("out")).unwrap();
}
