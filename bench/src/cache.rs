//! A second run that finds compressed programs in the cache, against copying a finished
//! package with `cp`.

use crate::deb::{cell, package_of};
use crate::measure::{Contender, alternate};
use crate::{Bench, Row};

pub fn against_copying(bench: &Bench) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (kind, goal) in [
        ("deb", "2 times and 20 ms at most"),
        ("rpm", "4 times and 20 ms at most"),
        ("pkg.tar.zst", ""),
    ] {
        let folder = bench.fresh("cache")?;
        let cache = folder.join("kept").display().to_string();
        let out = folder.join(format!("warm.{kind}"));
        let words = ["--type", kind, "--cache", &cache, "--outfile"];
        let word = out.display().to_string();
        let warm = package_of(bench, &folder, &[&words[..], &[&word]].concat())?;
        // The first run fills the cache and makes the package that `cp` copies.
        alternate(std::slice::from_ref(&warm), 0)?;
        let copied = folder.join("copied");
        let from = out.display().to_string();
        let to = copied.display().to_string();
        let copy = Contender::new("cp", &folder, &["cp", &from, &to]).output(copied);
        let medians = alternate(&[warm, copy], bench.rounds)?;
        let [warm, copy] = medians[..] else {
            return Err("a median is missing".into());
        };
        rows.push(Row {
            what: format!("{kind} with a warm cache against `cp` of a finished one"),
            ours: cell(warm),
            theirs: cell(copy),
            ratio: format!(
                "{:.1} times, {:.0} ms more than twice",
                warm.seconds / copy.seconds,
                (warm.seconds - 2.0 * copy.seconds) * 1000.0
            ),
            goal,
        });
    }
    Ok(rows)
}
