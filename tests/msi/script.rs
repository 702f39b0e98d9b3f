//! The PowerShell that a package carries or names: read by its grammar, every word known.

use fleetpack::install::{Content, Node, Tree};
use libtest_mimic::Trial;

use super::powershell::faults_of;
use super::sample::Sample;
use crate::harness::{golden, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("msi_script_is_powershell", script),
        trial("msi_inline_commands_are_powershell", inline),
        trial("msi_grammar_finds_faults", faults),
        trial("msi_manifest_names_the_packaged_program", manifest),
    ]
}

fn text_of(tree: &Tree, path: &str) -> String {
    match &tree.entry(path).unwrap().node {
        Node::File(Content::Customer(customer)) => {
            String::from_utf8(customer.bytes().to_vec()).unwrap()
        }
        other => panic!("{path}: {other:?}"),
    }
}

fn script() {
    let text = text_of(&Sample::new().tree(), "installer_utils.ps1");
    assert_eq!(faults_of(&text), Vec::<String>::new());
    assert!(text.is_ascii(), "read in the system's codepage");
    // Nothing is compiled on the host, and harmless paths end with 0.
    assert!(!text.contains("Add-Type"));
    assert!(text.trim_end().ends_with("exit 0"));
    golden("msi/installer_utils.ps1.golden", &text.replace('\r', ""));
}

fn inline() {
    let tree = Sample::new().tree();
    let mut seen = 0;
    for step in &tree.windows.unwrap().steps {
        if let Some(command) = step.arguments.strip_prefix("-Command \"") {
            let command = command.strip_suffix('"').unwrap();
            assert!(!command.contains(['"', '{', '}']), "{command}");
            let resolved = command.replace("[ORBITROOT]", r"C:\Program Files\Orbit\");
            assert_eq!(faults_of(&resolved), Vec::<String>::new(), "{resolved}");
            seen += 1;
        }
    }
    assert_eq!(seen, 1);
}

fn faults() {
    let cases = [
        ("an open block", "if ($true) {", "1:"),
        ("an open list", "foreach ($x in", "1:"),
        ("an open string", "'open", "1:"),
        ("an open array", "$a = @(1", "1:"),
        ("a command misspelt", "Remove-Itm x", "1:1 Remove-Itm"),
        (
            "a parameter misspelt",
            "Remove-Item -Recurs x",
            "1:13 -Recurs",
        ),
        ("another's parameter", "Out-Null -Force", "1:10 -Force"),
        ("a variable misspelt", "$a = 1\nWrite-Output $b", "2:14 $b"),
        (
            "a type that is not there",
            "[Text.Encodng]::UTF8",
            "Text.Encodng",
        ),
        ("a member misspelt", "'a'.Substr(1)", "Substr"),
        ("a newer operator", "Out-Null && Out-Null", "&&"),
    ];
    for (name, broken, wanted) in cases {
        let faults = faults_of(broken);
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{name}: {faults:?}"
        );
    }
    let fine = "function Go([string] $Name) { Write-Output $Name }\nGo 'x'";
    assert_eq!(faults_of(fine), Vec::<String>::new());
}

fn manifest() {
    for (sample, platform) in [
        (Sample::new(), "windows"),
        (Sample::arm64(), "windows-arm64"),
    ] {
        let text = text_of(&sample.tree(), "osquery.man");
        let program =
            format!(r#"="%ProgramFiles%\Orbit\bin\osqueryd\{platform}\stable\osqueryd.exe""#);
        assert_eq!(text.matches(&program).count(), 2, "{text}");
        assert!(text.contains("{F7740E18-3259-434F-9759-976319968900}"));
    }
}
