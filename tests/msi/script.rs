//! The PowerShell that a package carries or names, read by PowerShell's grammar.

use fleetpack::install::{Content, Node, Tree};
use libtest_mimic::Trial;

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

/// Where the grammar finds fault with a script; none when it is fine.
fn faults_of(script: &str) -> Vec<String> {
    let mut parser = tree_sitter::Parser::new();
    let language = tree_sitter_powershell::LANGUAGE.into();
    parser.set_language(&language).unwrap();
    let tree = parser.parse(script, None).unwrap();
    let mut faults = Vec::new();
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        if node.is_error() || node.is_missing() {
            let at = node.start_position();
            faults.push(format!("{}:{}", at.row + 1, at.column + 1));
        }
        nodes.extend((0..node.child_count() as u32).filter_map(|n| node.child(n)));
    }
    faults
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
    for broken in ["if ($a) {", "foreach ($x in", "'open", "$a = @(1"] {
        assert_ne!(faults_of(broken), Vec::<String>::new(), "{broken}");
    }
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
