//! rpm and several packages in one run: what another format costs, when all that is shared
//! was compressed for the first.

use std::path::Path;

use crate::deb::{cell, fleetpack, nfpm, package_of, unpack};
use crate::measure::{Contender, alternate};
use crate::{Bench, Row};

pub fn several(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("linux")?;
    let contenders = [
        packages(bench, &folder, "deb")?,
        packages(bench, &folder, "rpm")?,
        packages(bench, &folder, "deb,rpm")?,
        packages(bench, &folder, "pkg.tar.zst")?,
    ];
    let medians = alternate(&contenders, bench.rounds)?;
    let [deb, rpm, both, arch] = medians[..] else {
        return Err("a median is missing".into());
    };
    let row = |what: &str, ours, theirs, ratio: String, goal| Row {
        what: what.into(),
        ours: cell(ours),
        theirs: cell(theirs),
        ratio,
        goal,
    };
    Ok(vec![
        row(
            "rpm, cold, against our cold deb",
            rpm,
            deb,
            format!("{:.2} of the deb", rpm.seconds / deb.seconds),
            "",
        ),
        row(
            "deb and rpm in one run against the deb alone",
            both,
            deb,
            format!(
                "{:.2} of the deb, {:.2} of its CPU",
                both.seconds / deb.seconds,
                both.cpu / deb.cpu
            ),
            "1.15 at most",
        ),
        row(
            "pkg.tar.zst, cold, against our cold deb",
            arch,
            deb,
            format!("{:.2} of the deb", arch.seconds / deb.seconds),
            "",
        ),
        Row {
            what: "peak memory of a cold deb and rpm".into(),
            ours: format!("{:.0} MiB", both.peak),
            theirs: String::new(),
            ratio: String::new(),
            goal: "100 MB at most",
        },
    ])
}

/// Against nfpm, which packs a tree that is ready on disk.
pub fn rpm_against_nfpm(bench: &Bench) -> Result<Vec<Row>, String> {
    let folder = bench.fresh("rpm")?;
    unpack(&fleetpack(bench, &folder, "gzip", &[])?, &folder)?;
    let contenders = [
        packages(bench, &folder, "rpm")?,
        nfpm(bench, &folder, "rpm")?,
    ];
    let medians = alternate(&contenders, bench.rounds)?;
    let [ours, nfpm] = medians[..] else {
        return Err("a median is missing".into());
    };
    Ok(vec![Row {
        what: "rpm, cold, against `nfpm`".into(),
        ours: cell(ours),
        theirs: cell(nfpm),
        ratio: format!("{:.2} times faster", nfpm.seconds / ours.seconds),
        goal: "3 times",
    }])
}

/// Packages of the payload's repository under their own names.
fn packages(bench: &Bench, folder: &Path, types: &str) -> Result<Contender, String> {
    let out = folder.display().to_string();
    package_of(bench, folder, &["--type", types, "--outdir", &out])
}
