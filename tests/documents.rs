//! Documents that a change of the code can make untrue.

use std::path::Path;

use libtest_mimic::Trial;

use crate::harness::trial;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        trial("documents/dependencies_have_reasons", dependencies),
        trial("documents/links_lead_somewhere", links),
    ]
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every dependency in `Cargo.toml` has its line, and every line its dependency.
fn dependencies() {
    let manifest = include_str!("../Cargo.toml");
    let page = include_str!("../docs/dependencies.md");
    let mut declared: Vec<_> = manifest
        .lines()
        .scan(false, |within, line| {
            if line.starts_with('[') {
                *within = line.ends_with("dependencies]");
            }
            Some((*within, line))
        })
        .filter_map(|(within, line)| Some(line.split_once(" = ")?.0).filter(|_| within))
        .collect();
    let mut explained: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|names| names.split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    declared.sort_unstable();
    explained.sort_unstable();
    assert_eq!(declared, explained);
    assert!(declared.len() > 20, "the manifest is read");
}

/// Relative links in every page name a file.
fn links() {
    let mut pages = vec!["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .into_iter()
        .map(|name| project().join(name))
        .collect::<Vec<_>>();
    for folder in ["docs", "docs/adr", "docs/guides"] {
        let names = std::fs::read_dir(project().join(folder)).unwrap();
        pages.extend(names.map(|name| name.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    let mut seen = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{} links to {target}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 0, "no link was read");
}
