//! `fleetpack doctor`: seeded faults by name; each is named, and no other.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use libtest_mimic::Trial;

use crate::harness::agent::{orbit, osqueryd, publish};
use crate::harness::faults::FaultServer;
use crate::harness::schema::conforms;
use crate::harness::scratch::Run;
use crate::harness::server::{Server, free_port};
use crate::harness::{Scratch, trial, trial_needing};

const TOOLS: &[&str] = &["nginx", "faketime", "dpkg-deb", "openssl"];
const SECRET: &str = "made-up-for-this-test-alone";
/// Not a secret that lasts.
const SHORT: &str = "made-up";

/// A fault: its names, and how it comes about.
type Case = (&'static str, &'static [&'static str], fn(&Scratch) -> Run);

const CASES: &[Case] = &[
    ("healthy_folder", &[], |s| folder(s, &[&deb(s, URL)])),
    ("healthy_server", &[], |s| server(s, "")),
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
    ("tls", &["tls"], |s| {
        let (server, _) = FaultServer::tls(&s.join("tuf/repository"), s);
        let run = address(s, &server.url);
        // It ends with the process.
        std::mem::forget(server);
        run
    }),
    ("unreachable", &["unreachable"], |s| {
        address(s, &format!("http://127.0.0.1:{}", free_port()))
    }),
    ("untrusted", &["untrusted"], |s| {
        s.write(
            "tuf/repository/timestamp.json",
            r#"{"signatures":[],"signed":{}}"#,
        );
        folder(s, &[])
    }),
];

const URL: &str = "https://updates.example.com";
const ORBIT: &str = "targets/orbit/linux/stable/orbit";

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
            STARTED.with_borrow_mut(Vec::clear);
        })
    });
    faults
        .chain([
            trial("doctor/for_people", for_people),
            trial("doctor/bad_input", bad_input),
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
    let words = "package --type deb --update-roots @root.json --update-url tuf/repository \
        --fleet-url https://fleet.example.com --outfile installer.deb --agent-update-url";
    let run = scratch.fleetpack(words.split_whitespace()).arg(url);
    run.arg("--enroll-secret").arg(secret).ok();
    "installer.deb".to_owned()
}

/// An installer taken apart, changed and put together again.
fn changed(scratch: &Scratch, change: fn(&Path)) -> String {
    deb(scratch, URL);
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
