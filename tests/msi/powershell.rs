//! What a PowerShell script names, held against what Windows PowerShell 5.1 has.
//!
//! There is no PowerShell where these tests run: its grammar takes a script apart, and every
//! command, parameter, variable and type in it must be known. The tables hold what our scripts
//! use, copied from Microsoft's pages on each command; a misspelt word or one of a newer
//! PowerShell is not in them.

use std::collections::BTreeSet;

use tree_sitter::{Node, Parser, Tree};

/// Commands with their parameters.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "Get-ChildItem",
        &["Path", "LiteralPath", "Recurse", "Force"],
    ),
    ("Get-Item", &["Path", "LiteralPath", "Force"]),
    ("Get-ItemProperty", &["Path", "LiteralPath", "Name"]),
    ("Get-Process", &["Name", "Id"]),
    ("Get-Service", &["Name", "DisplayName"]),
    ("Join-Path", &["Path", "ChildPath"]),
    ("New-Object", &["TypeName", "ArgumentList"]),
    ("Out-Null", &[]),
    (
        "Remove-Item",
        &["Path", "LiteralPath", "Recurse", "Force", "Include"],
    ),
    ("Split-Path", &["Path", "Leaf", "Parent"]),
    ("Start-Sleep", &["Seconds", "Milliseconds"]),
    ("Stop-Process", &["Name", "Id", "InputObject", "Force"]),
    ("Stop-Service", &["Name", "InputObject", "Force", "NoWait"]),
    ("Wait-Process", &["Name", "Id", "InputObject", "Timeout"]),
    ("Where-Object", &["FilterScript", "Property", "Value"]),
    ("Write-Output", &["InputObject", "NoEnumerate"]),
];
/// Parameters of every command.
const COMMON: &[&str] = &["ErrorAction", "Verbose"];
/// Variables that are there without being assigned.
const AUTOMATIC: &[&str] = &[
    "_",
    "null",
    "true",
    "false",
    "PSScriptRoot",
    "Matches",
    "env:SystemRoot",
];
/// Types of the .NET Framework, and PowerShell's names for some.
const TYPES: &[&str] = &[
    "CmdletBinding",
    "StringComparison",
    "Text.Encoding",
    "Version",
    "string",
    "switch",
];
/// Members of their objects.
const MEMBERS: &[&str] = &[
    "Count",
    "Dispose",
    "Exception",
    "FileBuildPart",
    "FileMajorPart",
    "FileMinorPart",
    "GetBytes",
    "GetValue",
    "ImagePath",
    "Length",
    "Message",
    "OrdinalIgnoreCase",
    "PSPath",
    "Path",
    "SetSecurityDescriptorSddlForm",
    "StartsWith",
    "Substring",
    "UTF8",
    "VersionInfo",
    "WaitForStatus",
    "Write",
];

/// Where the grammar finds fault with a script, and what it names that is not known; none
/// when it is fine.
pub fn faults_of(script: &str) -> Vec<String> {
    let mut parser = Parser::new();
    let language = tree_sitter_powershell::LANGUAGE.into();
    parser.set_language(&language).unwrap();
    let tree = parser.parse(script, None).unwrap();
    let all = nodes(&tree);
    let reader = Reader {
        script,
        functions: texts(script, &all, "function_name"),
        assigned: assigned(script, &all),
    };
    let mut faults: Vec<String> = all.iter().filter_map(|node| reader.fault(*node)).collect();
    faults.sort();
    faults
}

fn nodes(tree: &Tree) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    let mut open = vec![tree.root_node()];
    while let Some(node) = open.pop() {
        open.extend(children(node));
        found.push(node);
    }
    found
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    (0..node.child_count() as u32)
        .filter_map(|n| node.child(n))
        .collect()
}

fn texts<'a>(script: &'a str, nodes: &[Node<'_>], kind: &str) -> BTreeSet<&'a str> {
    let of_kind = nodes.iter().filter(|node| node.kind() == kind);
    of_kind.map(|node| &script[node.byte_range()]).collect()
}

fn variable(text: &str) -> &str {
    text.trim_start_matches('$')
}

/// What is on the left of an assignment, a parameter, or runs through a list.
fn assigned<'a>(script: &'a str, all: &[Node<'_>]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for node in all {
        let own = match node.kind() {
            "left_assignment_expression" | "script_parameter" => nodes_below(*node),
            "foreach_statement" => children(*node),
            _ => continue,
        };
        let first = own.into_iter().find(|node| node.kind() == "variable");
        names.extend(first.map(|node| variable(&script[node.byte_range()])));
    }
    names
}

fn nodes_below(node: Node<'_>) -> Vec<Node<'_>> {
    let mut found = vec![node];
    let mut at = 0;
    while at < found.len() {
        let below = children(found[at]);
        found.extend(below);
        at += 1;
    }
    found
}

struct Reader<'a> {
    script: &'a str,
    functions: BTreeSet<&'a str>,
    assigned: BTreeSet<&'a str>,
}

impl Reader<'_> {
    fn fault(&self, node: Node<'_>) -> Option<String> {
        let text = &self.script[node.byte_range()];
        let at = node.start_position();
        let unknown = match node.kind() {
            _ if node.is_error() || node.is_missing() => true,
            "command_name" => !self.functions.contains(text) && !is_command(text),
            "command_parameter" => !self.is_parameter(node, text),
            "variable" => {
                let name = variable(text);
                !AUTOMATIC.contains(&name) && !self.assigned.contains(name)
            }
            "type_spec" => !TYPES.contains(&text),
            "member_name" => !MEMBERS.contains(&text),
            // `&&` and `||` came with PowerShell 7.
            "pipeline_chain_tail" => true,
            _ => false,
        };
        unknown.then(|| format!("{}:{} {text}", at.row + 1, at.column + 1))
    }

    fn is_parameter(&self, node: Node<'_>, text: &str) -> bool {
        let name = text.trim_start_matches('-').trim_end_matches(':');
        let mut above = node.parent();
        while let Some(parent) = above.filter(|parent| parent.kind() != "command") {
            above = parent.parent();
        }
        let command = above.and_then(|command| command.child(0));
        let command = command.map_or("", |command| &self.script[command.byte_range()]);
        let known = COMMANDS.iter().find(|(name, _)| *name == command);
        known.is_some_and(|(_, own)| own.contains(&name) || COMMON.contains(&name))
    }
}

fn is_command(name: &str) -> bool {
    COMMANDS.iter().any(|(known, _)| *known == name)
}
