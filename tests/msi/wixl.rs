//! The same content through wixl, another maker of such packages: table by table, what the
//! two do not have in common is in a golden, with everything else equal.
//!
//! The source for wixl is made from the tables as msitools print them, so that identifiers
//! agree. What wixl does not know at all (several strings in a registry value, permissions,
//! the Environment table, two cabinets, versions of programs) is among the differences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use libtest_mimic::Trial;

use super::sample::Sample;
use crate::harness::{Scratch, golden, trial_needing};

pub fn trials() -> Vec<Trial> {
    let tools = &["wixl", "msidump", "msidiff", "msiextract"];
    vec![trial_needing(
        "msi_differs_from_wixls_as_listed",
        tools,
        like_wixl,
    )]
}

/// Rows by table.
type Tables = BTreeMap<String, Vec<Vec<String>>>;

/// What msidump writes: two rows of columns and their types, then the table's own.
fn dumped(scratch: &Scratch, msi: &Path, folder: &str) -> Tables {
    std::fs::create_dir(scratch.join(folder)).unwrap();
    let run = scratch.tool("msidump", ["-t"]).arg(msi).within(folder);
    run.ok();
    let mut tables = Tables::new();
    for entry in std::fs::read_dir(scratch.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|e| e == "idt") && !name.starts_with('_') {
            let text = std::fs::read_to_string(&path).unwrap().replace('\r', "");
            let row = |line: &str| line.split('\t').map(String::from).collect();
            let lines = text.lines().enumerate().filter(|(number, _)| *number != 2);
            tables.insert(name, lines.map(|(_, line)| row(line)).collect());
        }
    }
    tables
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn long(name: &str) -> &str {
    name.rsplit('|').next().unwrap()
}

struct Source<'a> {
    ours: &'a Tables,
    text: String,
}

impl Source<'_> {
    fn rows(&self, table: &str) -> Vec<Vec<String>> {
        let rows = self.ours.get(table).into_iter().flatten();
        rows.skip(2).cloned().collect()
    }

    fn value(&self, property: &str) -> String {
        let rows = self.rows("Property");
        let found = rows.iter().find(|row| row[0] == property);
        found.unwrap()[1].clone()
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{line}");
    }

    fn write(mut self) -> String {
        self.line("<Wix xmlns=\"http://schemas.microsoft.com/wix/2006/wi\">");
        let product = format!(
            "<Product Id=\"{}\" Name=\"{}\" Language=\"1033\" Version=\"{}\" \
             Manufacturer=\"{}\" UpgradeCode=\"{}\">\
             <Package InstallerVersion=\"500\" Compressed=\"yes\" InstallScope=\"perMachine\" />\
             <Media Id=\"1\" Cabinet=\"payload.cab\" EmbedCab=\"yes\" />",
            self.value("ProductCode"),
            self.value("ProductName"),
            self.value("ProductVersion"),
            self.value("Manufacturer"),
            self.value("UpgradeCode"),
        );
        self.line(&product);
        self.properties();
        self.line("<Directory Id=\"TARGETDIR\" Name=\"SourceDir\">");
        self.folders("TARGETDIR", "");
        self.line("</Directory><Feature Id=\"Main\" Level=\"1\" Display=\"hidden\">");
        for row in self.rows("Component") {
            self.line(&format!("<ComponentRef Id=\"{}\" />", row[0]));
        }
        self.line("</Feature>");
        self.actions();
        self.line("</Product></Wix>");
        self.text
    }

    fn properties(&mut self) {
        const OWN: [&str; 8] = [
            "ALLUSERS",
            "Manufacturer",
            "ProductCode",
            "ProductLanguage",
            "ProductName",
            "ProductVersion",
            "SecureCustomProperties",
            "UpgradeCode",
        ];
        let secure = self.value("SecureCustomProperties");
        for row in self.rows("Property") {
            if !OWN.contains(&row[0].as_str()) {
                let safe = match secure.split(';').any(|name| name == row[0]) {
                    true => " Secure=\"yes\"",
                    false => "",
                };
                let (id, value) = (&row[0], xml(&row[1]));
                self.line(&format!("<Property Id=\"{id}\" Value=\"{value}\"{safe} />"));
            }
        }
        for row in self.rows("LaunchCondition") {
            let (condition, message) = (xml(&row[0]), xml(&row[1]));
            self.line(&format!(
                "<Condition Message=\"{message}\">{condition}</Condition>"
            ));
        }
        for row in self.rows("Upgrade") {
            self.line(&format!(
                "<Upgrade Id=\"{}\"><UpgradeVersion Minimum=\"{}\" IncludeMinimum=\"yes\" \
                 MigrateFeatures=\"yes\" Property=\"{}\" /></Upgrade>",
                row[0], row[1], row[6]
            ));
        }
    }

    fn folders(&mut self, id: &str, path: &str) {
        for component in self.rows("Component").iter().filter(|row| row[2] == id) {
            self.component(component, path);
        }
        for row in self.rows("Directory").iter().filter(|row| row[1] == id) {
            // msiextract leaves the standard folder out.
            let (name, below) = match row[2].as_str() {
                "." => (String::new(), path.to_owned()),
                name => {
                    let name = long(name);
                    (format!(" Name=\"{name}\""), format!("{path}{name}/"))
                }
            };
            self.line(&format!("<Directory Id=\"{}\"{name}>", row[0]));
            self.folders(&row[0], &below);
            self.line("</Directory>");
        }
    }

    fn component(&mut self, row: &[String], path: &str) {
        self.line(&format!(
            "<Component Id=\"{}\" Guid=\"{}\" Win64=\"yes\">",
            row[0], row[1]
        ));
        if self
            .rows("CreateFolder")
            .iter()
            .any(|folder| folder[1] == row[0])
        {
            self.line("<CreateFolder />");
        }
        for file in self.rows("File").iter().filter(|file| file[1] == row[0]) {
            self.line(&format!(
                "<File Id=\"{}\" Source=\"{path}{}\" KeyPath=\"yes\" />",
                file[0],
                long(&file[2])
            ));
        }
        if self
            .rows("ServiceInstall")
            .iter()
            .any(|service| service[11] == row[0])
        {
            self.line(
                "<ServiceInstall Id=\"S_service\" Name=\"Fleet osquery\" \
                 DisplayName=\"Fleet osquery\" Type=\"ownProcess\" Start=\"auto\" \
                 ErrorControl=\"ignore\" Account=\"LocalSystem\" Interactive=\"no\" />\
                 <ServiceControl Id=\"S_control\" Name=\"Fleet osquery\" Start=\"install\" \
                 Stop=\"both\" Remove=\"uninstall\" Wait=\"yes\" />",
            );
        }
        self.line("</Component>");
    }

    fn actions(&mut self) {
        let mut custom = BTreeSet::new();
        for row in self
            .rows("CustomAction")
            .iter()
            .filter(|row| row[0].starts_with("CA_"))
        {
            let (by, kind) = match row[2].as_str() {
                "ORBITROOT" => ("Directory", "check"),
                _ if row[1] == "11314" => ("Property", "check"),
                _ => ("Property", "ignore"),
            };
            custom.insert(row[0].clone());
            self.line(&format!(
                "<CustomAction Id=\"{}\" {by}=\"{}\" ExeCommand=\"{}\" Execute=\"deferred\" \
                 Impersonate=\"no\" Return=\"{kind}\" />",
                row[0],
                row[2],
                xml(&row[3])
            ));
        }
        self.line("<InstallExecuteSequence><RemoveExistingProducts After=\"InstallValidate\" />");
        for row in self.rows("InstallExecuteSequence") {
            if custom.contains(&row[0]) {
                self.line(&format!(
                    "<Custom Action=\"{}\" Sequence=\"{}\">{}</Custom>",
                    row[0],
                    row[2],
                    xml(&row[1])
                ));
            }
        }
        self.line("</InstallExecuteSequence>");
    }
}

fn like_wixl() {
    let scratch = Scratch::new();
    let ours = Sample::new().build(&scratch, "ours.msi");
    let tables = dumped(&scratch, &ours, "ours");
    let args = ["-C".as_ref(), scratch.path(), ours.as_path()];
    scratch.tool("msiextract", args).ok();
    let source = Source {
        ours: &tables,
        text: String::new(),
    };
    scratch.write("peer.wxs", source.write());
    scratch
        .tool("wixl", ["-a", "x64", "-o", "peer.msi", "peer.wxs"])
        .ok();
    let peer = dumped(&scratch, &scratch.join("peer.msi"), "peer");
    let mut text = String::new();
    let names: BTreeSet<&String> = tables.keys().chain(peer.keys()).collect();
    for name in names {
        let of = |tables: &Tables| -> BTreeSet<String> {
            let rows = tables.get(name).cloned().unwrap_or_default();
            rows.iter().map(|row| row.join("\t")).collect()
        };
        let (one, other) = (of(&tables), of(&peer));
        let same = one.intersection(&other).count();
        let _ = writeln!(text, "[{name}] {same} rows are the same");
        for (sign, rows) in [("-", one.difference(&other)), ("+", other.difference(&one))] {
            for row in rows {
                let _ = writeln!(text, "{sign} {row}");
            }
        }
    }
    golden("msi/unlike-wixl.golden", &text);
    scratch
        .tool("msidiff", ["ours.msi", "peer.msi"])
        .run()
        .prints("ServiceInstall");
}
