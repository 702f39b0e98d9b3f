use super::*;
use crate::install::{AdminScript, Arch, Customer, Identity, Lifecycle, Os, Service};

fn tree(lifecycle: Lifecycle) -> Tree {
    let text = |text: &str| text.to_owned();
    Tree {
        os: Os::Linux,
        identity: Identity {
            name: text("fleet-osquery"),
            display_name: text("Fleet osquery"),
            identifier: text("com.fleetdm.orbit"),
            version: text("1.2.3"),
            arch: Arch::Amd64,
            vendor: text("Vendor"),
            maintainer: text("Vendor <vendor@example.com>"),
            homepage: text("https://example.com"),
            summary: text("summary"),
            description: text("description"),
            license: text("MIT"),
        },
        entries: Vec::new(),
        service: Some(Service {
            name: text("orbit.service"),
            program: text("/opt/orbit/bin/orbit/orbit"),
            start: true,
        }),
        settings: Vec::new(),
        properties: Vec::new(),
        lifecycle,
        leftovers: Vec::new(),
        windows: None,
    }
}

fn administrators(event: Event, body: &str) -> Lifecycle {
    let script = AdminScript {
        name: "own.sh".to_owned(),
        body: Customer::new(body),
    };
    Lifecycle {
        admin: BTreeMap::from([(event, script)]),
        ..Lifecycle::default()
    }
}

fn named<'a>(scripts: &'a [Script], name: &str) -> &'a str {
    &scripts.iter().find(|(n, _)| *n == name).unwrap().1
}

#[test]
fn every_format_has_its_scripts() {
    let tree = tree(Lifecycle::default());
    let names = |scripts: Result<Vec<Script>, BuildError>| -> Vec<&str> {
        scripts.unwrap().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(
        names(deb(&tree)),
        ["preinst", "postinst", "prerm", "postrm"]
    );
    assert_eq!(
        names(rpm(&tree)),
        ["pre", "post", "preun", "postun", "posttrans"]
    );
    assert_eq!(names(arch(&tree)), [".INSTALL"]);
}

#[test]
fn a_body_becomes_a_function_of_its_event() {
    let mut lifecycle = Lifecycle::default();
    lifecycle
        .bodies
        .insert(Event::BeforeRemove, "    echo going\n".to_owned());
    let scripts = deb(&tree(lifecycle)).unwrap();
    assert!(named(&scripts, "prerm").contains("before_remove() {\n    echo going\n}\n"));
    assert!(!named(&scripts, "postinst").contains("going"));
}

#[test]
fn an_administrators_script_runs_in_its_own_step() {
    let lifecycle = administrators(Event::AfterInstall, "#!/usr/bin/env python3\nprint('x')\n");
    let scripts = deb(&tree(lifecycle)).unwrap();
    let postinst = named(&scripts, "postinst");
    assert!(postinst.contains("administrators_script 'own.sh' '/usr/bin/env' 'python3' << "));
    assert!(postinst.contains("\nprint('x')\nEND_OF"));
    assert!(postinst.contains("        after_install\n        after_install_administrator\n"));
    assert!(!named(&scripts, "preinst").contains("administrator"));
}

#[test]
fn a_script_without_interpreter_is_refused() {
    for (name, body) in [("no line", "echo"), ("empty", ""), ("NUL", "#!/bin/sh\n\0")] {
        let tree = tree(administrators(Event::BeforeRemove, body));
        let error = rpm(&tree).map_err(|error| error.to_string());
        assert!(
            error
                .as_ref()
                .is_err_and(|e| e.starts_with("rpm cannot carry the script own.sh: ")),
            "{name}: {error:?}"
        );
    }
}
