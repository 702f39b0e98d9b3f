//! What says where installers come from, judged by the programs that read such files.

use libtest_mimic::Trial;

use crate::harness::agent::{orbit, osqueryd, publish};
use crate::harness::{Scratch, trial_needing};

pub fn trials() -> Vec<Trial> {
    vec![trial_needing(
        "provenance: checksums, bill of materials, statement",
        &["python-tuf", "sha256sum"],
        files_beside,
    )]
}

fn files_beside() {
    let scratch = Scratch::new();
    let orbit = scratch.write_program("programs/orbit", orbit("1.2.3"));
    let osqueryd = scratch.write_program("programs/osqueryd", osqueryd("1.2.3"));
    let programs = [("orbit", &*orbit), ("osqueryd", &*osqueryd)];
    publish(&scratch, "1.2.3", &programs);
    std::fs::create_dir(scratch.join("out")).unwrap();
    let words = "package --type deb,rpm --update-roots @root.json --update-url tuf/repository \
        --agent-update-url https://updates.example.com --fleet-url https://fleet.example.com \
        --enroll-secret made-up-for-this-test --outdir out --checksums --sbom --statement";
    let make = || {
        let run = scratch.fleetpack(words.split_whitespace());
        run.env("SOURCE_DATE_EPOCH", "1714564800").ok();
        scratch.state("out")
    };
    make().unchanged(&make());

    let deb = "fleet-osquery_1.2.3_amd64.deb";
    let sums = scratch.tool("sha256sum", ["--check", "--strict", "SHA256SUMS"]);
    sums.within("out").ok().prints(&format!("{deb}: OK"));
    for installer in [deb, "fleet-osquery-1.2.3.x86_64.rpm"] {
        let (bill, statement) = (
            format!("out/{installer}.cdx.json"),
            format!("out/{installer}.intoto.json"),
        );
        let read = scratch.python("provenance.py", [&bill, &statement]).ok();
        for line in [
            "component orbit 1.2.3",
            "component osqueryd 1.2.3",
            &format!("subject {installer}"),
            "input root.json",
            "input timestamp.json",
            "input snapshot.json",
            "input targets.json",
            "input targets/orbit/linux/stable/orbit",
            "input targets/osqueryd/linux/stable/osqueryd",
        ] {
            read.prints(line);
        }
        for text in [scratch.text(&bill), scratch.text(&statement)] {
            assert!(
                !text.contains("made-up-for-this-test"),
                "the secret is in {text}"
            );
        }
        // The digest of the trust anchor in the statement is that of the published document.
        let root = scratch.tool("sha256sum", ["tuf/repository/root.json"]).ok();
        let digest = root.text().split(' ').next().unwrap().to_owned();
        assert!(scratch.text(&statement).contains(&digest), "{digest}");
    }
}
