//! The agent's variables, read back from the grammar of each system.
//!
//! Linux: an environment file of systemd (systemd.exec(5), `EnvironmentFile=`). macOS: the
//! `EnvironmentVariables` of a launch daemon's property list (launchd.plist(5)). Windows: the
//! service's `Environment` value, `NAME=value` separated by `[~]`, where `[NAME]` is a
//! property (Windows Installer, "Formatted").

use std::collections::BTreeMap;

use roxmltree::{Document, ParsingOptions};

/// `NAME=value` lines, with quotes and backslashes taken off.
pub fn of_environment_file(text: &str) -> BTreeMap<String, String> {
    let joined = text.replace("\\\n", "");
    let lines = joined.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquote(value.trim())))
        .collect()
}

/// Outside quotes a backslash takes the next character as it is; in double quotes it does so
/// before `"`, `\`, `` ` `` and `$`; in single quotes it is itself.
fn unquote(value: &str) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, '\\') => plain.extend(characters.next()),
            (Some('"'), '\\') => match characters.peek() {
                Some('"' | '\\' | '`' | '$') => plain.extend(characters.next()),
                _ => plain.push('\\'),
            },
            _ => plain.push(character),
        }
    }
    plain
}

/// `EnvironmentVariables` of a property list; none when it is no such thing.
pub fn of_launch_daemon(text: &str) -> BTreeMap<String, String> {
    let options = ParsingOptions {
        allow_dtd: true,
        nodes_limit: 10_000,
        ..ParsingOptions::default()
    };
    let mut variables = BTreeMap::new();
    let Ok(document) = Document::parse_with_options(text, options) else {
        return variables;
    };
    let key = document
        .descendants()
        .find(|node| node.has_tag_name("key") && node.text() == Some("EnvironmentVariables"));
    let dictionary = key.and_then(|key| key.next_sibling_element());
    let children = dictionary.into_iter().flat_map(|node| node.children());
    for name in children.filter(|node| node.has_tag_name("key")) {
        let value = name.next_sibling_element().and_then(|node| node.text());
        let name = name.text().unwrap_or_default().to_owned();
        variables.insert(name, value.unwrap_or_default().to_owned());
    }
    variables
}

/// The service's variables, with properties filled in as they are when nobody sets any.
pub fn of_formatted(value: &str, properties: &BTreeMap<&str, &str>) -> BTreeMap<String, String> {
    let pairs = value.split("[~]").filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), fill_in(value, properties)))
        .collect()
}

fn fill_in(text: &str, properties: &BTreeMap<&str, &str>) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        // `[\x]` is the character itself, also when that is a bracket.
        if let Some(escaped) = after.strip_prefix('\\') {
            let mut characters = escaped.chars();
            plain.extend(characters.next());
            rest = characters.as_str();
            rest = rest.strip_prefix(']').unwrap_or(rest);
            continue;
        }
        let Some((name, after)) = after.split_once(']') else {
            plain.push('[');
            rest = after;
            continue;
        };
        match properties.get(name) {
            Some(value) => plain.push_str(value),
            None => plain.push_str(&format!("[{name}]")),
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_files() {
        for (line, value) in [
            ("A=plain", "plain"),
            ("A=\"two words\"", "two words"),
            ("A='it''s'", "its"),
            (r#"A="a\"b\\c\$d\n""#, r#"a"b\c$d\n"#),
            (r"A=a\ b", "a b"),
            ("A=x#y", "x#y"),
            ("  A = spaced  ", "spaced"),
            ("A=one\\\ntwo", "onetwo"),
            ("A='$x\\'", "$x\\"),
        ] {
            let variables = of_environment_file(line);
            assert_eq!(
                variables.get("A").map(String::as_str),
                Some(value),
                "{line}"
            );
        }
        assert_eq!(of_environment_file("# A=1\n; B=2\nnothing\n").len(), 0);
    }

    #[test]
    fn launch_daemons() {
        let text = "<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"x\" \"y\"><plist><dict>\
            <key>Label</key><string>l</string><key>EnvironmentVariables</key><dict>\
            <key>A</key><string>a&amp;b</string><key>B</key><string/></dict></dict></plist>";
        let variables = of_launch_daemon(text);
        let expected = [("A", "a&b"), ("B", "")];
        assert_eq!(
            variables,
            expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
        );
        assert_eq!(of_launch_daemon("<plist").len(), 0);
    }

    #[test]
    fn formatted() {
        let properties = BTreeMap::from([("FLEET_URL", "https://f.example")]);
        for (value, expected) in [
            ("A=[FLEET_URL]/x", "https://f.example/x"),
            ("A=[ORBITROOT].", "[ORBITROOT]."),
            (r"A=a[\[]b[\]]c", "a[b]c"),
            ("A=open[", "open["),
            ("A=", ""),
        ] {
            let variables = of_formatted(value, &properties);
            assert_eq!(variables["A"], expected, "{value}");
        }
        assert_eq!(of_formatted("A=1[~]B=2", &properties).len(), 2);
    }
}
