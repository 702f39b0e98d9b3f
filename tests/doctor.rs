//! `fleetpack doctor`: seeded faults by name; each is named, and no other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libtest_mimic::Trial;

use crate::errors::hint_fault;
use crate::harness::agent::{orbit, osqueryd, publish};
use crate::harness::faults::FaultServer;
use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::server::{Server, free_port};
use crate::harness::{Scratch, trial, trial_needing};

const TOOLS: &[&str] = &["nginx", "faketime", "dpkg-deb", "openssl", "tar"];
const SECRET: &str = "made-up-for-this-test-alone";
/// Not a secret that lasts.
const SHORT: &str = "made-up";

/// A fault: its names, and how it comes about.
type Case = (&'static str, &'static [&'static str], fn(&Scratch) -> Run);

const CASES: &[Case] = &[
    ("healthy_folder", &[], |s| folder(s, &[&deb(s, URL)])),
    ("healthy_server", &[], |s| server(s, "")),
    ("healthy_without_memory", &[], |s| {
        std::fs::remove_file(s.join("tuf/keys/state.json")).unwrap();
        folder(s, &[&deb(s, URL)])
    }),
    ("healthy_with_a_private_authority", &[], |s| {
        let (run, certificate) = private_authority(s);
        run.arg("--update-tls-certificate").arg(certificate)
    }),
    ("healthy_with_the_installers_authority", &[], |s| {
        let (server, certificate) = FaultServer::tls(&s.join("tuf/repository"), s);
        let package = packaged(s, &server.url, SECRET, "installer.deb");
        package
            .arg("--update-tls-certificate")
            .arg(certificate)
            .ok();
        let run = address(s, &server.url).arg("installer.deb");
        std::mem::forget(server);
        run
    }),
    ("healthy_with_any_certificate", &[], |s| {
        private_authority(s).0.arg("--insecure")
    }),
    ("expires_soon", &["expires-soon"], |s| {
        folder(s, &[]).at("+10d")
    }),
    ("expired", &["expired"], |s| folder(s, &[]).at("+15d")),
    ("private_key_in_folder", &["private-key"], |s| {
        s.copy(
            &s.join("tuf/keys/targets.json"),
            "tuf/repository/targets-key.json",
        );
        folder(s, &[])
    }),
    ("missing_file", &["missing-file"], |s| {
        std::fs::remove_file(s.join(format!("tuf/repository/{ORBIT}"))).unwrap();
        folder(s, &[])
    }),
    ("wrong_length", &["wrong-length"], |s| {
        s.write(&format!("tuf/repository/{ORBIT}"), "cut off");
        folder(s, &[])
    }),
    ("missing_file_on_a_server", &["missing-file"], |s| {
        let run = server(s, "");
        std::fs::remove_file(s.join(format!("tuf/repository/{ORBIT}"))).unwrap();
        run
    }),
    ("missing_file_that_nobody_follows", &[], |s| {
        let server = serve(s, "");
        std::fs::remove_file(s.join(format!("tuf/repository/{ORBIT}"))).unwrap();
        let run = address(s, &server.url);
        keep(server);
        run
    }),
    ("missing_file_is_403", &["missing-file"], |s| {
        server(
            s,
            "location = /targets/orbit/linux/stable/orbit { return 403; }",
        )
    }),
    ("missing_file_by_its_digest", &["missing-file"], |s| {
        updates(s, "consistent-snapshot on");
        let run = server(s, "");
        let folder = s.join("tuf/repository/targets/orbit/linux/stable");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "orbit" {
                std::fs::remove_file(path).unwrap();
            }
        }
        run
    }),
    ("wrong_length_on_a_server", &["wrong-length"], |s| {
        let run = server(s, "");
        s.write(&format!("tuf/repository/{ORBIT}"), "cut off");
        run
    }),
    (
        "missing_file_in_a_published_folder",
        &["missing-file"],
        |s| {
            let installer = deb(s, URL);
            std::fs::remove_file(s.join(format!("tuf/repository/{ORBIT}"))).unwrap();
            address(s, "tuf/repository").arg(installer)
        },
    ),
    ("missing_root", &["missing-root"], |s| {
        updates(s, "rotate timestamp");
        std::fs::remove_file(s.join("tuf/repository/1.root.json")).unwrap();
        folder(s, &[])
    }),
    ("foreign_root", &["foreign-root"], |s| {
        let installer = deb(s, URL);
        std::fs::rename(s.join("tuf"), s.join("former")).unwrap();
        fill(s);
        folder(s, &[&installer])
    }),
    ("foreign_installer_alone", &["foreign-root"], |s| {
        let server = serve(s, "");
        let installer = deb(s, &server.url);
        std::fs::rename(s.join("tuf"), s.join("former")).unwrap();
        fill(s);
        let run = doctor(s)
            .arg("--update-url")
            .arg(&server.url)
            .arg(installer);
        keep(server);
        run
    }),
    ("foreign_installer_first", &["foreign-root"], |s| {
        let server = serve(s, "");
        packaged(s, &server.url, SECRET, "foreign.deb").ok();
        std::fs::rename(s.join("tuf"), s.join("former")).unwrap();
        fill(s);
        let run = doctor(s).arg("--update-url").arg(&server.url);
        let run = run.arg("foreign.deb").arg(deb(s, &server.url));
        keep(server);
        run
    }),
    ("untrusted_by_its_own_installer", &["untrusted"], |s| {
        let server = serve(s, "");
        let installer = deb(s, &server.url);
        spoil(s);
        let run = doctor(s)
            .arg("--update-url")
            .arg(&server.url)
            .arg(installer);
        keep(server);
        run
    }),
    (
        "untrusted_and_wrong_mode",
        &["untrusted", "wrong-mode"],
        |s| {
            let installer = changed(s, |tree| {
                mode(&tree.join("opt/orbit/updates-metadata.json"), 0o644)
            });
            spoil(s);
            folder(s, &[&installer])
        },
    ),
    (
        "untrusted_and_private_key",
        &["private-key", "untrusted"],
        |s| {
            let keys = s.join("tuf/keys/targets.json");
            s.copy(&keys, "tuf/repository/targets-key.json");
            spoil(s);
            folder(s, &[])
        },
    ),
    (
        "untrusted_and_keys_published",
        &["private-key-published", "untrusted"],
        |s| {
            spoil(s);
            let server = Server::nginx(s, &s.join("tuf"));
            let run = address(s, &format!("{}/repository", server.url));
            keep(server);
            run
        },
    ),
    ("missing_channel", &["missing-channel"], |s| {
        let installer = deb(s, URL);
        updates(s, "remove orbit/linux/stable/orbit");
        folder(s, &[&installer])
    }),
    ("stale_program", &["stale-program"], |s| {
        let installer = changed(s, |tree| {
            let program = tree.join("opt/orbit/bin/orbit/linux/stable/orbit");
            std::fs::write(program, "another program").unwrap();
        });
        folder(s, &[&installer])
    }),
    ("archive_differs", &["stale-program"], |s| {
        let installer = desktop(s, |folder| {
            std::fs::write(folder.join("desktop.tar.gz"), "another").unwrap();
        });
        folder(s, &[&installer])
    }),
    ("sha512_differs", &["stale-sha512"], |s| {
        let installer = desktop(s, |folder| {
            std::fs::write(folder.join(DIGEST), "0".repeat(128)).unwrap();
        });
        folder(s, &[&installer])
    }),
    ("sha512_differs_without_archive", &["stale-sha512"], |s| {
        let installer = desktop(s, |folder| {
            std::fs::remove_file(folder.join("desktop.tar.gz")).unwrap();
            std::fs::write(folder.join(DIGEST), "0".repeat(128)).unwrap();
        });
        folder(s, &[&installer])
    }),
    ("sha512_is_none", &["stale-sha512"], |s| {
        let installer = desktop(s, |folder| {
            std::fs::write(folder.join(DIGEST), "none").unwrap();
        });
        folder(s, &[&installer])
    }),
    ("sha512_missing", &["stale-sha512"], |s| {
        let installer = desktop(s, |folder| {
            std::fs::remove_file(folder.join("desktop.tar.gz")).unwrap();
            std::fs::remove_file(folder.join(DIGEST)).unwrap();
        });
        folder(s, &[&installer])
    }),
    ("sha512_missing_beside_its_archive", &[], |s| {
        let installer = desktop(s, |folder| {
            std::fs::remove_file(folder.join(DIGEST)).unwrap();
        });
        folder(s, &[&installer])
    }),
    ("metadata_readable_on_hosts", &["wrong-mode"], |s| {
        let installer = changed(s, |tree| {
            mode(&tree.join("opt/orbit/tuf-metadata.json"), 0o640)
        });
        folder(s, &[&installer])
    }),
    ("key_readable_on_hosts", &["wrong-mode"], |s| {
        let installer = changed(s, |tree| {
            let key = tree.join("opt/orbit/update_client.key");
            std::fs::write(&key, "a key").unwrap();
            mode(&key, 0o644);
        });
        folder(s, &[&installer])
    }),
    ("settings_writable_on_hosts", &["wrong-mode"], |s| {
        let installer = changed(s, |tree| mode(&tree.join("etc/default/orbit"), 0o620));
        folder(s, &[&installer])
    }),
    ("program_cannot_be_started", &["wrong-mode"], |s| {
        let installer = changed(s, |tree| {
            mode(&tree.join("opt/orbit/bin/orbit/linux/stable/orbit"), 0o644)
        });
        folder(s, &[&installer])
    }),
    ("folder_writable_on_hosts", &["wrong-mode"], |s| {
        let installer = changed(s, |tree| mode(&tree.join("opt/orbit/bin"), 0o777));
        folder(s, &[&installer])
    }),
    ("target_not_readable", &["wrong-mode"], |s| {
        mode(&s.join(format!("tuf/repository/{ORBIT}")), 0o640);
        folder(s, &[])
    }),
    ("folder_not_readable", &["wrong-mode"], |s| {
        mode(&s.join("tuf/repository/targets"), 0o750);
        folder(s, &[])
    }),
    ("key_file_readable", &["wrong-mode"], |s| {
        mode(&s.join("tuf/keys/timestamp.json"), 0o644);
        folder(s, &[])
    }),
    ("secret_readable_on_hosts", &["secret-readable"], |s| {
        let installer = changed(s, |tree| mode(&tree.join("etc/default/orbit"), 0o644));
        folder(s, &[&installer])
    }),
    ("no_secret", &["no-secret"], |s| {
        let installer = changed(s, |tree| {
            edit(tree, |line| !line.starts_with("ORBIT_ENROLL_SECRET"))
        });
        folder(s, &[&installer])
    }),
    ("no_trust_anchor", &["no-trust-anchor"], |s| {
        let installer = changed(s, |tree| {
            for name in ["updates-metadata.json", "tuf-metadata.json"] {
                let _ = std::fs::remove_file(tree.join("opt/orbit").join(name));
            }
        });
        folder(s, &[&installer])
    }),
    ("installer_readable", &["installer-readable"], |s| {
        let installer = deb(s, URL);
        mode(&s.join(&installer), 0o644);
        folder(s, &[&installer])
    }),
    ("short_secret", &["short-secret"], |s| {
        let installer = package(s, URL, SHORT);
        folder(s, &[&installer])
    }),
    ("local_repository", &["local-repository"], |s| {
        let words = "package --type deb --update-roots @root.json --update-url tuf/repository \
            --fleet-url https://fleet.example.com --outfile local.deb --enroll-secret";
        s.fleetpack(words.split_whitespace()).arg(SECRET).ok();
        folder(s, &["local.deb"])
    }),
    ("no_agent", &["no-agent"], |s| {
        s.write("other/DEBIAN/control", "Package: other\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: something else\n");
        s.tool("dpkg-deb", ["-b", "other", "other.deb"]).ok();
        folder(s, &["other.deb"])
    }),
    ("other_repository", &["other-repository"], |s| {
        let server = serve(s, "");
        let run = address(s, &server.url).arg(deb(s, URL));
        keep(server);
        run
    }),
    ("repository_older", &["repository-older"], |s| {
        s.tool("cp", ["-a", "tuf/repository", "older"]).ok();
        updates(s, "timestamp");
        let server = Server::nginx(s, &s.join("older"));
        let installer = deb(s, &server.url);
        let run = address(s, &server.url).arg(installer);
        keep(server);
        run
    }),
    ("missing_root_is_403", &["missing-root-not-404"], |s| {
        server(s, "location = /2.root.json { return 403; }")
    }),
    ("missing_root_is_403_made_404", &[], |s| {
        server(
            s,
            "location = /2.root.json { error_page 403 =404 /404; return 403; }",
        )
    }),
    ("compressed", &["content-encoding"], |s| {
        server(
            s,
            "gzip on; gzip_min_length 1; gzip_types application/octet-stream;",
        )
    }),
    ("timestamp_in_caches", &["timestamp-cached"], |s| {
        server(s, "add_header Cache-Control 'public, max-age=86400';")
    }),
    ("keys_published", &["private-key-published"], |s| {
        // The whole folder is published; all that one key file needs is to be there.
        for role in ["targets", "snapshot", "root"] {
            std::fs::remove_file(s.join(format!("tuf/keys/{role}.json"))).unwrap();
        }
        let server = Server::nginx(s, &s.join("tuf"));
        let url = format!("{}/repository", server.url);
        let run = address(s, &url).arg(deb(s, &url));
        keep(server);
        run
    }),
    ("clock", &["clock"], |s| {
        let server = serve(s, "");
        let installer = deb(s, &server.url);
        let run = address(s, &server.url).arg(installer).at("+2h");
        keep(server);
        run
    }),
    ("tls", &["tls"], |s| private_authority(s).0),
    ("unreachable", &["unreachable"], |s| {
        address(s, &format!("http://127.0.0.1:{}", free_port()))
    }),
    ("untrusted", &["untrusted"], |s| {
        spoil(s);
        folder(s, &[])
    }),
];

const URL: &str = "https://updates.example.com";
const ORBIT: &str = "targets/orbit/linux/stable/orbit";
const DIGEST: &str = "desktop.tar.gz.sha512";

/// The trials.
pub fn trials() -> Vec<Trial> {
    let faults = CASES.iter().map(|(name, expected, seed)| {
        trial_needing(&format!("doctor/{name}"), TOOLS, move || {
            let scratch = scratch();
            let ran = seed(&scratch).run();
            let report = conforms("doctor.json", ran.text());
            let found = report["found"].as_array().unwrap();
            let names: BTreeSet<_> = found
                .iter()
                .map(|one| one["name"].as_str().unwrap())
                .collect();
            let faults = found.iter().any(|one| one["kind"] == "fault");
            assert_eq!(names, expected.iter().copied().collect(), "{}", ran.text());
            assert_eq!(ran.code, Some(i32::from(faults)), "{}", ran.stderr);
            assert!(!format!("{}{}", ran.text(), ran.stderr).contains(SECRET));
            for hint in found.iter().filter_map(|one| one["hint"].as_str()) {
                assert_eq!(hint_fault(hint), None, "{hint}");
            }
            STARTED.with_borrow_mut(Vec::clear);
        })
    });
    faults
        .chain([
            trial("doctor/for_people", for_people),
            trial("doctor/bad_input", bad_input),
            trial("doctor/around_and_inside", around_and_inside),
            trial("doctor/installers_of_one_name", installers_of_one_name),
        ])
        .collect()
}

thread_local! {
    /// Servers of the running trial.
    static STARTED: std::cell::RefCell<Vec<Server>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn keep(server: Server) {
    STARTED.with_borrow_mut(|started| started.push(server));
}

/// A repository to spoil, copied from one that is made once.
fn scratch() -> Scratch {
    static WHOLE: OnceLock<Scratch> = OnceLock::new();
    let whole = WHOLE.get_or_init(|| {
        let scratch = Scratch::new();
        scratch.write_program("programs/orbit", orbit("1.2.3"));
        scratch.write_program("programs/osqueryd", osqueryd("1.2.3"));
        fill(&scratch);
        scratch
    });
    let scratch = Scratch::new();
    for name in ["tuf", "programs", "root.json"] {
        let from = whole.join(name);
        scratch
            .tool("cp", ["-a".as_ref(), from.as_os_str(), ".".as_ref()])
            .ok();
    }
    scratch
}

fn fill(scratch: &Scratch) {
    let (orbit, osqueryd) = (
        scratch.join("programs/orbit"),
        scratch.join("programs/osqueryd"),
    );
    publish(
        scratch,
        "1.2.3",
        &[("orbit", &orbit), ("osqueryd", &osqueryd)],
    );
}

fn updates(scratch: &Scratch, words: &str) {
    let roles = ["root", "targets", "snapshot", "timestamp"];
    let words = ["updates"].into_iter().chain(words.split_whitespace());
    let run = scratch.fleetpack(words).arg("--path").arg("tuf");
    let set =
        |run: Run, role: &str| run.env(&format!("FLEET_{}_PASSPHRASE", role.to_uppercase()), role);
    roles.into_iter().fold(run, set).ok();
}

fn doctor(scratch: &Scratch) -> Run {
    scratch.fleetpack(["doctor", "--json"])
}

fn folder(scratch: &Scratch, installers: &[&str]) -> Run {
    let run = doctor(scratch).arg("--path").arg("tuf");
    installers.iter().fold(run, Run::arg)
}

fn address(scratch: &Scratch, url: &str) -> Run {
    doctor(scratch)
        .arg("--update-roots")
        .arg("@root.json")
        .arg("--update-url")
        .arg(url)
}

fn serve(scratch: &Scratch, settings: &str) -> Server {
    let root = scratch.join("tuf/repository");
    Server::nginx_with(scratch, &format!("root {}; {settings}", root.display()))
}

/// Examines a server with these settings, and an installer for it.
fn server(scratch: &Scratch, settings: &str) -> Run {
    let server = serve(scratch, settings);
    let installer = deb(scratch, &server.url);
    let run = address(scratch, &server.url).arg(installer);
    keep(server);
    run
}

fn deb(scratch: &Scratch, url: &str) -> String {
    package(scratch, url, SECRET)
}

fn package(scratch: &Scratch, url: &str, secret: &str) -> String {
    packaged(scratch, url, secret, "installer.deb").ok();
    "installer.deb".to_owned()
}

fn packaged(scratch: &Scratch, url: &str, secret: &str, file: &str) -> Run {
    let words = "package --type deb --update-roots @root.json --update-url tuf/repository \
        --fleet-url https://fleet.example.com --agent-update-url";
    let run = scratch.fleetpack(words.split_whitespace()).arg(url);
    let run = run.arg("--enroll-secret").arg(secret);
    run.arg("--outfile").arg(file)
}

/// Examines a server whose certificate no public authority signed; answers that as well.
fn private_authority(scratch: &Scratch) -> (Run, PathBuf) {
    let (server, certificate) = FaultServer::tls(&scratch.join("tuf/repository"), scratch);
    let run = address(scratch, &server.url).arg(deb(scratch, &server.url));
    // It ends with the process.
    std::mem::forget(server);
    (run, certificate)
}

/// No client accepts it any more.
fn spoil(scratch: &Scratch) {
    scratch.write(
        "tuf/repository/timestamp.json",
        r#"{"signatures":[],"signed":{}}"#,
    );
}

/// An installer with Fleet Desktop, whose folder is changed.
fn desktop(scratch: &Scratch, change: fn(&Path)) -> String {
    scratch.write_program("unpacked/fleet-desktop/fleet-desktop", "#!/bin/sh\n");
    let words = "-C unpacked -czf desktop.tar.gz fleet-desktop";
    scratch.tool("tar", words.split(' ')).ok();
    let archive = scratch.join("desktop.tar.gz");
    publish(scratch, "1.2.3", &[("desktop", &archive)]);
    let run = packaged(scratch, URL, SECRET, "installer.deb");
    run.arg("--fleet-desktop").ok();
    rebuilt(scratch, |tree| {
        change(&tree.join("opt/orbit/bin/desktop/linux/stable"))
    })
}

/// An installer taken apart, changed and put together again.
fn changed(scratch: &Scratch, change: fn(&Path)) -> String {
    deb(scratch, URL);
    rebuilt(scratch, change)
}

fn rebuilt(scratch: &Scratch, change: impl Fn(&Path)) -> String {
    scratch
        .tool("dpkg-deb", ["-R", "installer.deb", "tree"])
        .ok();
    change(&scratch.join("tree"));
    std::fs::remove_file(scratch.join("tree/DEBIAN/md5sums")).unwrap();
    scratch.tool("dpkg-deb", ["-b", "tree", "changed.deb"]).ok();
    mode(&scratch.join("changed.deb"), 0o600);
    "changed.deb".to_owned()
}

fn edit(tree: &Path, keep: fn(&str) -> bool) {
    let path = tree.join("etc/default/orbit");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<_> = text.lines().filter(|line| keep(line)).collect();
    std::fs::write(path, kept.join("\n") + "\n").unwrap();
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn for_people() {
    let scratch = scratch();
    let run = scratch.fleetpack(["doctor", "--path", "tuf"]);
    run.ok().prints("nothing found that will go wrong");
    std::fs::remove_file(scratch.join(format!("tuf/repository/{ORBIT}"))).unwrap();
    let ran = scratch.fleetpack(["doctor", "--path", "tuf"]).fails(1);
    ran.prints("fault missing-file: ")
        .prints("  hint: ")
        .says("has 1 fault");
}

/// The folder around what is published, and what is published itself, in place of each other:
/// no hint leads to a lost key or to a key in the open.
fn around_and_inside() {
    let scratch = scratch();
    let list = |scratch: &Scratch| {
        let found = scratch.tool("find", ["tuf", "-name", "*.json"]).ok();
        let mut found: Vec<_> = found.text().lines().map(str::to_owned).collect();
        found.sort();
        found
    };
    let before = list(&scratch);
    let roots = ["--update-roots", "@root.json"];
    for (words, hint) in [
        ("doctor --update-url tuf", "--update-url tuf/repository"),
        (
            "package --type deb --update-url tuf",
            "--update-url tuf/repository",
        ),
        ("updates verify tuf", "--path tuf"),
        ("updates status tuf", "--path tuf"),
    ] {
        let ran = scratch.fleetpack(words.split(' ').chain(roots)).fails(2);
        ran.says("tuf holds no timestamp.json")
            .says(&format!("hint: {hint}\n"))
            .never_says("private key");
        assert_eq!(ran.text(), "", "{words}");
    }
    for words in [
        "doctor",
        "updates status",
        "updates init",
        "updates timestamp",
    ] {
        let ran = scratch.fleetpack(words.split(' '));
        let ran = ran.arg("--path").arg("tuf/repository").fails(1);
        ran.says("hint: --path tuf\n").never_says("updates init");
    }
    for path in ["tuf/repository/targets", "tuf/repository/new"] {
        let ran = scratch.fleetpack(["updates", "init", "--path", path]);
        ran.fails(1).says("what a repository publishes");
    }
    let keys = [
        "updates",
        "init",
        "--path",
        "other",
        "--keys",
        "tuf/repository/k",
    ];
    scratch
        .fleetpack(keys)
        .fails(1)
        .says("what a repository publishes");
    assert_eq!(list(&scratch), before);
}

/// Teams' installers have one name, in folders of their own.
fn installers_of_one_name() {
    let scratch = scratch();
    for team in ["sales", "workshop"] {
        std::fs::create_dir(scratch.join(team)).unwrap();
        packaged(&scratch, URL, SHORT, &format!("{team}/installer.deb")).ok();
    }
    let both = ["sales/installer.deb", "workshop/installer.deb"];
    let ran = folder(&scratch, &both).ok();
    let report = conforms("doctor.json", ran.text());
    assert_eq!(report["installers"], serde_json::json!(both));
    let found = report["found"].as_array().unwrap().iter();
    let about: Vec<_> = found.map(|one| one["about"].as_str().unwrap()).collect();
    assert_eq!(about, both);
    let people = scratch.fleetpack(["doctor", "--path", "tuf"].iter().chain(&both));
    people.ok().prints("short-secret: workshop/installer.deb: ");
}

fn bad_input() {
    let scratch = scratch();
    scratch.write("cut.deb", "!<arch>\ndebian-binary   ");
    scratch.write("nothing.deb", "");
    for (arguments, sentence) in [
        (
            &["--path", "tuf", "absent.deb"][..],
            "cannot open absent.deb",
        ),
        (&["--path", "tuf", "cut.deb"], "cannot read cut.deb as deb"),
        (
            &["--path", "tuf", "nothing.deb"],
            "nothing.deb is no deb, rpm, pkg.tar.zst, pkg or msi",
        ),
        (&["--path", "programs"], "programs"),
        (
            &["--update-url", "https://updates.example.com"],
            "needs --update-roots",
        ),
    ] {
        let run = scratch.fleetpack(["doctor"].iter().chain(arguments)).run();
        assert_ne!(run.code, Some(0), "{arguments:?}");
        run.says(sentence);
    }
}
