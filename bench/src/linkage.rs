//! The static program (musl) against the one that is measured elsewhere (glibc): the same code
//! with another C library and its allocator.

use std::path::Path;

use crate::deb::{cell, package_of};
use crate::measure::{Contender, alternate};
use crate::{Bench, Row};

pub fn static_against_glibc(bench: &Bench) -> Result<Vec<Row>, String> {
    let Ok(program) = std::env::var("FLEETPACK_STATIC") else {
        return Ok(vec![Row {
            what: "static program: not measured, FLEETPACK_STATIC names none".into(),
            ours: String::new(),
            theirs: String::new(),
            ratio: String::new(),
            goal: "",
        }]);
    };
    let folder = bench.fresh("linkage")?;
    let words: [(&str, &[&str]); 5] = [
        ("deb, cold", &["--type", "deb"]),
        ("rpm, cold", &["--type", "rpm"]),
        ("pkg.tar.zst, cold", &["--type", "pkg.tar.zst"]),
        ("deb and rpm in one run, cold", &["--type", "deb,rpm"]),
        (
            "deb without compression, cold",
            &["--type", "deb", "--compression", "none"],
        ),
    ];
    let mut contenders = Vec::new();
    for (_, words) in words {
        contenders.push(package(bench, &folder, words)?);
        let mut other = package(bench, &folder, words)?;
        other.command[0].clone_from(&program);
        contenders.push(other);
    }
    let medians = alternate(&contenders, bench.rounds)?;
    let rows = words.iter().zip(medians.chunks_exact(2));
    let rows = rows.map(|((what, _), pair)| Row {
        what: format!("{what}: static program, and the one for glibc"),
        ours: format!("{}, {:.0} MiB", cell(pair[1]), pair[1].peak),
        theirs: format!("{}, {:.0} MiB", cell(pair[0]), pair[0].peak),
        ratio: format!(
            "{:.2} of the time, {:.2} of the CPU",
            pair[1].seconds / pair[0].seconds,
            pair[1].cpu / pair[0].cpu
        ),
        goal: "1.1 at most",
    });
    Ok(rows.collect())
}

fn package(bench: &Bench, folder: &Path, words: &[&str]) -> Result<Contender, String> {
    let out = folder.display().to_string();
    let mut all = words.to_vec();
    all.extend(["--outdir", &out]);
    package_of(bench, folder, &all)
}
