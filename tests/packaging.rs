//! What `packaging/` and `examples/pipelines` hold, run by those who run it: systemd, buildah,
//! and the shells of GitHub's and GitLab's runners, against an S3 service on loopback.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::container::Container;
use crate::harness::objects::Objects;
use crate::harness::scratch::Run;
use crate::harness::{Scratch, tools, trial_needing};
use crate::publish::{begin, with};

const PLACE: &str = "s3://example-updates/fleet";

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial_needing(
            "packaging/systemd",
            &[
                "root",
                "debootstrap",
                "systemd-nspawn",
                "unshare",
                "nsenter",
                "versitygw",
            ],
            systemd,
        ),
        trial_needing("packaging/valid", &["python-tuf", "shellcheck"], valid),
        trial_needing(
            "packaging/scripts_of_workflows",
            &["python-tuf", "shellcheck"],
            scripts_of_workflows,
        ),
        trial_needing(
            "packaging/github",
            &["python-tuf", "bash", "versitygw"],
            || {
                let secrets = r#"{"FLEET_TIMESTAMP_PASSPHRASE":"timestamp-pass-4"}"#;
                let workflow = [
                    "github",
                    "examples/pipelines/nightly-github.yml",
                    "timestamp",
                    secrets,
                ];
                pipeline(
                    &workflow,
                    &["--noprofile", "--norc", "-eo", "pipefail", "-c"],
                );
            },
        ),
        trial_needing(
            "packaging/gitlab",
            &["python-tuf", "bash", "versitygw"],
            || {
                let pipeline_file = [
                    "gitlab",
                    "examples/pipelines/nightly-gitlab.yml",
                    "timestamp",
                ];
                pipeline(&pipeline_file, &["-eo", "pipefail", "-c"]);
            },
        ),
        trial_needing("packaging/installers", &["bash", "sha256sum"], installers),
        trial_needing(
            "packaging/container",
            &["root", "buildah", "debootstrap", "unshare", "strip"],
            container,
        ),
    ]
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

// A published repository, and a folder `keys` with the timestamp key that knows it.
fn published(scratch: &Scratch) -> Objects {
    let service = Objects::s3_with(scratch, "example-updates");
    begin(scratch);
    with(scratch, &service, ["publish", PLACE, "--path", "repo"]).ok();
    let key = scratch.read("repo/keys/timestamp.json");
    scratch.write("keys/timestamp.json", key);
    let first = [
        "timestamp",
        "--path",
        PLACE,
        "--keys",
        "keys",
        "--trust-current",
    ];
    with(scratch, &service, first).ok();
    service
}

fn timestamp_version(scratch: &Scratch, service: &Objects) -> u64 {
    let url = format!(
        "{}/example-updates/fleet/timestamp.json",
        service.endpoint()
    );
    let ran = service.curl(scratch, "GET", &url, "").ok();
    let document: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    document["signed"]["version"].as_u64().unwrap()
}

fn valid() {
    let scratch = Scratch::new();
    let check = tools::python().with_file_name("check-jsonschema");
    for (schema, file) in [
        ("github-actions", "packaging/github-action/action.yml"),
        ("github-workflows", "examples/pipelines/nightly-github.yml"),
        ("github-workflows", ".github/workflows/release.yml"),
        ("gitlab-ci", "packaging/gitlab/fleetpack.gitlab-ci.yml"),
        ("gitlab-ci", "examples/pipelines/nightly-gitlab.yml"),
        (
            "github-workflows",
            "examples/pipelines/installers-github.yml",
        ),
        ("gitlab-ci", "examples/pipelines/installers-gitlab.yml"),
    ] {
        let path = project().join(file);
        let schema = format!("vendor.{schema}");
        let args = ["--builtin-schema", &schema, path.to_str().unwrap()];
        scratch.program(&check, args).ok();
        // The schema looks at this file at all.
        let text = std::fs::read_to_string(&path).unwrap();
        let wrong = text
            .replace("runs:", "walks:")
            .replace("script:", "steps: 1\n  scripts:");
        let wrong = wrong
            .replace("jobs:", "chores:")
            .replace("extends:", "rules: x\n  extend:")
            .replace("artifacts:", "artefacts: 1\n  rules: x");
        let wrong = scratch.write("wrong.yml", wrong);
        let args = ["--builtin-schema", &schema, wrong.to_str().unwrap()];
        scratch.program(&check, args).fails(1);
    }
    let script = script(
        &scratch,
        &[
            "gitlab",
            "examples/pipelines/nightly-gitlab.yml",
            "timestamp",
        ],
    )
    .0;
    // One variable is several words, and says so.
    let lint = ["--shell=sh", "--exclude=SC2086", "-"];
    scratch.tool("shellcheck", lint).input(script).ok();
    let secrets = r#"{"FLEET_TIMESTAMP_PASSPHRASE":""}"#;
    let workflow = [
        "github",
        "examples/pipelines/nightly-github.yml",
        "timestamp",
        secrets,
    ];
    let script = self::script(&scratch, &workflow).0;
    scratch
        .tool("shellcheck", ["--shell=bash", "-"])
        .input(script)
        .ok();
}

// GitHub runs them by bash; an expression in one is a word of ours, never what somebody wrote.
fn scripts_of_workflows() {
    let scratch = Scratch::new();
    for (file, least) in [
        (".github/workflows/release.yml", 6),
        ("packaging/github-action/action.yml", 1),
        ("examples/pipelines/nightly-github.yml", 0),
        ("examples/pipelines/installers-github.yml", 1),
    ] {
        let path = project().join(file);
        let listed = scratch.python("pipeline.py", ["runs", path.to_str().unwrap()]);
        let scripts: Vec<String> = serde_json::from_str(listed.ok().text()).unwrap();
        assert!(scripts.len() >= least, "{file}: {scripts:?}");
        for script in scripts {
            let lint = ["--shell=bash", "--enable=check-set-e-suppressed", "-"];
            scratch.tool("shellcheck", lint).input(script).ok();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for foreign in ["github.event", "github.head_ref", "github.ref_name"] {
            assert!(!text.contains(&format!("${{{{ {foreign}")), "{file}");
        }
    }
    // What a script of the workflow calls is there, and can be run.
    let text = std::fs::read_to_string(project().join(".github/workflows/release.yml")).unwrap();
    for called in [
        "packaging/release.sh dist ${{ matrix.step }}",
        "packaging/release.sh dist finish",
    ] {
        assert!(text.contains(called), "{called}");
    }
    let script = project().join("packaging/release.sh");
    let unknown = scratch.tool("sh", [script.to_str().unwrap(), "dist", "elsewhere"]);
    let unknown = unknown.env("SOURCE_DATE_EPOCH", "0").fails(2);
    unknown.says("release.sh knows no step elsewhere");
}

// A job's script and its variables.
fn script(scratch: &Scratch, pipeline: &[&str]) -> (String, Vec<(String, String)>) {
    // What a runner checks out.
    for folder in ["packaging", "examples"] {
        scratch.copy(&project().join(folder), folder);
    }
    let made = scratch.python("pipeline.py", pipeline).ok();
    let made: serde_json::Value = serde_json::from_str(made.text()).unwrap();
    let variables = made["environment"].as_object().unwrap().iter();
    let variables = variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().into()));
    (
        made["script"].as_str().unwrap().to_owned(),
        variables.collect(),
    )
}

// Where the runner's own folder is named, the scratch folder takes its place; all else is as
// it is written.
fn pipeline(pipeline: &[&str], shell: &[&str]) {
    let scratch = Scratch::new();
    let service = published(&scratch);
    let before = timestamp_version(&scratch, &service);
    let (script, variables) = script(&scratch, pipeline);
    let program = Path::new(env!("CARGO_BIN_EXE_fleetpack")).parent().unwrap();
    let run = |change: fn(&str, String) -> String| -> Run {
        let run = scratch
            .tool("bash", shell)
            .arg(&script)
            .envs(service.variables())
            .env("AWS_ENDPOINT_URL", service.endpoint())
            .env("FLEET_TIMESTAMP_PASSPHRASE", "timestamp-pass-4")
            .env("PATH", format!("{}:{}", program.display(), tools::PATH));
        variables.iter().fold(run, |run, (name, value)| {
            // The service has one region.
            let value = match name.as_str() {
                "AWS_REGION" => "us-east-1".to_owned(),
                name => change(name, value.clone()),
            };
            let keys = scratch.join("keys").display().to_string();
            run.env(name, value.replace("/var/lib/fleetpack/keys", &keys))
        })
    };
    run(|_, value| value).ok();
    assert_eq!(timestamp_version(&scratch, &service), before + 1);
    // What fails makes the job fail.
    let nowhere = run(|name, value| match name {
        "REPOSITORY" => "s3://nowhere/fleet".to_owned(),
        _ => value,
    });
    nowhere
        .fails(1)
        .says("error: s3://nowhere/fleet has no such bucket");
}

// What both pipelines for installers run, in a checkout with two teams.
fn installers() {
    let scratch = Scratch::new();
    scratch.fleetpack(["quickstart", "--dir", "q"]).ok();
    scratch.copy(&scratch.join("q/updates/repository/root.json"), "root.json");
    scratch.copy(&project().join("examples/pipelines"), "examples/pipelines");
    let kinds = ["deb", "rpm", "pkg", "msi", "pkg.tar.zst"];
    let teams = format!(
        "[defaults]\ntype = {kinds:?}\nupdate-url = \"q/updates/repository\"\n\
        agent-update-url = \"https://updates.example.com\"\nupdate-roots = \"@root.json\"\n\
        fleet-url = \"https://fleet.example.com\"\n\
        [[installer]]\nteam = \"sales\"\nenroll-secret-variable = \"SALES_SECRET\"\n\
        [[installer]]\nteam = \"workshop\"\nenroll-secret-variable = \"WORKSHOP_SECRET\"\n"
    );
    scratch.write("teams.toml", teams);
    for pipeline in ["installers-github.yml", "installers-gitlab.yml"] {
        let text = std::fs::read_to_string(project().join("examples/pipelines").join(pipeline));
        let text = text.unwrap();
        assert!(text.contains(" examples/pipelines/installers.sh\n"));
        assert!(text.contains("CACHE_KEY"));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_fleetpack")).parent().unwrap();
    // Each run on a runner with nothing in its home.
    let run = |home: &str, key: &str| {
        std::fs::create_dir(scratch.join(home)).unwrap();
        scratch
            .tool("sh", ["examples/pipelines/installers.sh"])
            .env("HOME", scratch.join(home))
            .env("TMPDIR", scratch.join(home))
            .env("PATH", format!("{}:{}", program.display(), tools::PATH))
            .env("SOURCE_DATE_EPOCH", "1714564800")
            .env("UPDATE_URL", "q/updates/repository")
            .env("CACHE_KEY", key)
            .env("SALES_SECRET", "made-up-for-sales-0001")
    };
    let whole = |home: &str, key: &str| {
        let ran = run(home, key)
            .env("WORKSHOP_SECRET", "made-up-for-workshop-1")
            .ok();
        let left = std::fs::read_dir(scratch.join(home)).unwrap().count();
        assert_eq!(left, 0, "the key is left in {home}");
        ran
    };
    let key = "0123456789abcdef0123456789abcdef";
    let not_made = "it was not made with this key for this name";
    let first = whole("first", key);
    let sums = scratch.text("out/SHA256SUMS");
    let mut made: Vec<_> = sums.lines().map(|line| &line[66..]).collect();
    made.retain(|name| kinds.iter().any(|kind| name.ends_with(&format!(".{kind}"))));
    assert_eq!(made.len(), 2 * kinds.len(), "{sums}");
    for name in made {
        first.says(&format!("Reading out/{name}"));
    }
    assert!(scratch.join(".cache/fleetpack").is_dir());
    whole("second", key).never_says(not_made);
    assert_eq!(scratch.text("out/SHA256SUMS"), sums);
    whole("third", "fedcba9876543210fedcba9876543210").says(not_made);
    assert_eq!(scratch.text("out/SHA256SUMS"), sums);
    // A team without a secret, and a cache without a key, make the job fail.
    run("fourth", key).fails(1).says("WORKSHOP_SECRET");
    run("fifth", "").fails(2).says("CACHE_KEY");
}

// The program, its units and a user, and two repositories: in a bucket, and in a folder.
fn prepare(scratch: &Scratch, container: &Container) {
    let host = |command: &str| container.ok(command);
    let program = container.put(Path::new(env!("CARGO_BIN_EXE_fleetpack")));
    let server = container.put(&tools::find("versitygw").unwrap());
    host(&format!(
        "install -m 755 {program} /usr/bin/fleetpack && chmod 755 {server}"
    ));
    // What the package's own script does with this file.
    let users = std::fs::read(project().join("packaging/own/sysusers.conf")).unwrap();
    container.write("/root/fleetpack.conf", users);
    host("systemd-sysusers /root/fleetpack.conf");
    for unit in ["fleetpack-timestamp.service", "fleetpack-timestamp.timer"] {
        let text = std::fs::read(project().join("packaging/systemd").join(unit)).unwrap();
        container.write(&format!("/etc/systemd/system/{unit}"), text);
    }
    verify(container);

    // The bucket lies in the container too: it has a network of its own.
    host("mkdir -p /srv/s3/example-updates /srv/meta /srv/fleet");
    host(&format!(
        "systemd-run --quiet {server} --port 127.0.0.1:9000 --access test-access \
         --secret test-secret-key --quiet posix --sidecar /srv/meta /srv/s3"
    ));
    container.wait_for("bash -c '< /dev/tcp/127.0.0.1/9000'");
    begin(scratch);
    let repository = scratch.tool("tar", ["-c", "repo"]).ok();
    container.write("/root/repo.tar", repository.stdout);
    host("cd /root && tar --no-same-owner -xf repo.tar && cp -r repo /srv/fleet/updates");
    host("rm -r /srv/fleet/updates/keys");
}

fn verify(container: &Container) {
    let verify = "systemd-analyze verify --man=no fleetpack-timestamp.service \
        fleetpack-timestamp.timer 2>&1";
    assert_eq!(container.ok(verify), "");
}

// The page's blocks of a kind after a heading, up to the next of the same rank.
fn of_page(heading: &str, kind: &str) -> Vec<String> {
    let page = std::fs::read_to_string(project().join("docs/guides/publish.md")).unwrap();
    let (_, part) = page.split_once(&format!("\n{heading}\n")).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let part = part.split("\n### ").next().unwrap();
    let begin = format!("```{kind}\n");
    part.split(&begin)
        .skip(1)
        .map(|block| block.split_once("```").unwrap().0.replace("sudo ", ""))
        .collect()
}

// The page's steps, word by word, as root; the service and the key are the test's own.
fn systemd() {
    let scratch = Scratch::new();
    let container = Container::boot();
    prepare(&scratch, &container);
    let host = |command: &str| container.ok(command);
    let steps = of_page("## By a timer", "bash");
    let [install, start] = &steps[..] else {
        panic!("{steps:?}")
    };
    let settings = of_page("## By a timer", "ini").concat();
    let settings = settings
        .replace("'four'", "'timestamp-pass-4'")
        .replace("eu-central-1", "us-east-1")
        + "AWS_ACCESS_KEY_ID=test-access\nAWS_SECRET_ACCESS_KEY=test-secret-key\n\
           AWS_ENDPOINT_URL=http://127.0.0.1:9000\n";
    assert!(settings.starts_with(&format!("FLEETPACK_REPOSITORY={PLACE}\n")));
    host(&format!("set -e; cd /root/repo/keys; {install}"));
    assert_eq!(
        host("stat -c '%a %U' /etc/fleetpack/timestamp.env"),
        "600 root"
    );
    container.write("/etc/fleetpack/timestamp.env", &settings);
    host(&format!(
        "set -a; . /etc/fleetpack/timestamp.env; cd /root; \
         fleetpack updates publish {PLACE} --path repo"
    ));
    let untrusted = container.run("systemctl start fleetpack-timestamp.service");
    assert_eq!(untrusted.code, Some(1), "{untrusted}");
    host("systemctl stop fleetpack-timestamp.service; systemctl reset-failed");
    let version = |file: &str| {
        let text = host(&format!("cat {file}"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["signed"]["version"].as_u64().unwrap()
    };
    let file = "/srv/s3/example-updates/fleet/timestamp.json";
    let before = version(file);
    let shown = container.run(&format!("set -e; {start}"));
    assert_eq!(shown.code, Some(0), "{shown}");
    let root = host("sha256sum /root/repo/repository/root.json");
    shown.says(&format!("sha256 {}", &root[..64]));
    shown.prints("fleetpack-timestamp.service");
    assert_eq!(version(file), before + 2);
    host("systemctl is-enabled --quiet fleetpack-timestamp.timer");
    in_a_folder(&container, &settings, start, version);
}

// Another host would begin with the page's steps; this one forgets what it trusted.
fn in_a_folder(container: &Container, settings: &str, start: &str, version: impl Fn(&str) -> u64) {
    let host = |command: &str| container.ok(command);
    let folder = "/srv/fleet/updates";
    host("rm /var/lib/fleetpack/keys/state.json /var/lib/fleetpack/keys/pinned-root.json");
    container.write(
        "/etc/fleetpack/timestamp.env",
        settings.replace(PLACE, folder),
    );
    let read_only = container.run("systemctl start fleetpack-timestamp.service");
    assert_eq!(read_only.code, Some(1), "{read_only}");
    host("systemctl stop fleetpack-timestamp.service; systemctl reset-failed");
    let steps = of_page("### For a folder", "bash").concat();
    host(&format!("set -e; {steps}"));
    verify(container);
    let file = format!("{folder}/repository/timestamp.json");
    let before = version(&file);
    host(&format!("set -e; {}", start.replace(PLACE, folder)));
    assert_eq!(version(&file), before + 2);
    // A release by root between two timestamps; a web server reads all of it.
    host(&format!(
        "set -a; FLEET_TARGETS_PASSPHRASE=targets-pass-2 FLEET_SNAPSHOT_PASSPHRASE=snapshot-pass-3; \
         . /etc/fleetpack/timestamp.env; cd /root; \
         fleetpack updates add --path {folder} --keys repo/keys --target /usr/bin/fleetpack \
         --name orbit --platform linux --version 2.0.0"
    ));
    host("systemctl start fleetpack-timestamp.service");
    assert_eq!(version(&file), before + 4);
    let hidden = format!("find {folder}/repository ! -perm -o=r -o -type d ! -perm -o=x");
    assert_eq!(host(&hidden), "");
}

// The images that the recipe begins with are stand-ins made of the tests' own Debian: `apt-get`
// writes down what it is asked for, and `cargo` brings the program that is tested here.
fn container() {
    let scratch = Scratch::new();
    scratch.copy(&project().join("packaging/container"), "recipe");
    let script = include_str!("packaging/container.sh");
    let ran = scratch
        .tool(
            "unshare",
            [
                "--mount",
                "--propagation=private",
                "bash",
                "-euc",
                script,
                "container",
            ],
        )
        .arg(crate::harness::container::root())
        .arg(project())
        .arg(env!("CARGO_BIN_EXE_fleetpack"))
        .ok();
    let line = |name: &str| {
        let mut lines = ran.text().lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| *key == name);
        found
            .unwrap_or_else(|| panic!("no {name}:\n{ran}"))
            .1
            .to_owned()
    };
    let about: serde_json::Value = serde_json::from_str(&line("about")).unwrap();
    let config = &about["OCIv1"]["config"];
    for (name, value) in [
        ("Entrypoint", serde_json::json!(["/usr/bin/fleetpack"])),
        ("User", "fleetpack".into()),
        ("WorkingDir", "/work".into()),
        ("Volumes", serde_json::json!({"/keys": {}})),
    ] {
        assert_eq!(config[name], value, "{name} in {config:#}");
    }
    assert_eq!(
        line("version"),
        format!("fleetpack {}", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(line("keys belong to"), "fleetpack 700");
    assert!(line("packages").contains("ca-certificates"), "{ran}");
}
