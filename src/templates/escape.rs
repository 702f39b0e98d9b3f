//! One escape for each grammar that a value may land in.
//!
//! Each function takes a value as it is meant and returns the text that the grammar's own
//! reader turns back into it, delimiters included where the name says so. What a grammar has
//! no text for is an [`EscapeError`]; it names the grammar and the fault, never the value,
//! which may be a secret.
//!
//! ```
//! use fleetpack::templates::escape::xml_text;
//!
//! assert_eq!(xml_text("a < b").as_deref(), Ok("a &lt; b"));
//! // XML has no way to write it (XML 1.0, 2.2).
//! assert!(xml_text("\0").is_err());
//! ```

/// A value that a grammar cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{grammar} cannot carry {what}")]
pub struct EscapeError {
    /// The grammar, in words.
    pub grammar: &'static str,
    /// What it has no text for.
    pub what: String,
}

fn refuse(grammar: &'static str, what: impl Into<String>) -> EscapeError {
    EscapeError {
        grammar,
        what: what.into(),
    }
}

fn character(c: char) -> String {
    match c {
        '\n' | '\r' => "a line break".to_owned(),
        '\0' => "a NUL character".to_owned(),
        '"' => "a double quote".to_owned(),
        c => format!("the character U+{:04X}", u32::from(c)),
    }
}

fn refuse_characters(
    grammar: &'static str,
    value: &str,
    bad: impl Fn(char) -> bool,
) -> Result<(), EscapeError> {
    match value.chars().find(|&c| bad(c)) {
        Some(c) => Err(refuse(grammar, character(c))),
        None => Ok(()),
    }
}

/// One word of a POSIX shell, in single quotes. POSIX.1-2024 XCU 2.2.2.
pub fn sh_single(value: &str) -> Result<String, EscapeError> {
    refuse_characters("a shell script", value, |c| c == '\0')?;
    Ok(format!("'{}'", value.replace('\'', r"'\''")))
}

/// The value of an assignment in a systemd `EnvironmentFile=`: bare when it is plain, else in
/// double quotes. systemd.exec(5). A shell that sources the file reads the same value.
pub fn systemd_env(value: &str) -> Result<String, EscapeError> {
    // systemd drops assignments with control characters (before 248) or reads them on the
    // next line; tab alone has always passed.
    refuse_characters("a systemd environment file", value, |c| {
        c.is_control() && c != '\t'
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if value.chars().all(plain) {
        return Ok(value.to_owned());
    }
    let mut quoted = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '`' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

/// Text or attribute value of XML 1.0 (2.2 Characters, 2.4 Character Data, 3.3.3).
pub fn xml_text(value: &str) -> Result<String, EscapeError> {
    refuse_characters("XML", value, |c| {
        (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
    })?;
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            // As references, readers do not normalise them (2.11, 3.3.3).
            '\t' | '\n' | '\r' => text.push_str(&format!("&#{};", u32::from(c))),
            c => text.push(c),
        }
    }
    Ok(text)
}

/// A line of Debian's control files and changelogs. deb822(5).
pub fn deb_line(value: &str) -> Result<String, EscapeError> {
    refuse_characters("a line of a Debian control file", value, char::is_control)?;
    Ok(value.to_owned())
}

/// Literal text inside Windows Installer's data type Formatted.
pub fn msi_formatted(value: &str) -> Result<String, EscapeError> {
    const GRAMMAR: &str = "a Windows Installer value";
    // A package's texts are in codepage 1252 at best, and mean the same everywhere as ASCII.
    refuse_characters(GRAMMAR, value, |c| !matches!(c, ' '..='~') || c == '"')?;
    if value.contains("[~]") {
        return Err(refuse(GRAMMAR, "the text `[~]`"));
    }
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '[' | ']' | '{' | '}' => text.extend(['[', '\\', c, ']']),
            c => text.push(c),
        }
    }
    Ok(text)
}

/// A string of PowerShell in single quotes. PowerShell language specification 2.3.5.2.
pub fn powershell_single(value: &str) -> Result<String, EscapeError> {
    refuse_characters("a PowerShell script", value, |c| c == '\0')?;
    let mut quoted = String::from("'");
    for c in value.chars() {
        // PowerShell takes typographic single quotes for the straight one.
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            quoted.push(c);
        }
        quoted.push(c);
    }
    quoted.push('\'');
    Ok(quoted)
}

/// Text of a unit file's setting, where `%` begins a specifier. systemd.unit(5), Specifiers.
pub fn systemd_unit(value: &str) -> Result<String, EscapeError> {
    const GRAMMAR: &str = "a systemd unit";
    refuse_characters(GRAMMAR, value, char::is_control)?;
    if value.ends_with('\\') {
        return Err(refuse(GRAMMAR, "a backslash at the end of a line"));
    }
    Ok(value.replace('%', "%%"))
}

/// A word that every grammar takes as it is: letters, digits, `_`, `-`, `.`.
pub fn word(value: &str) -> Result<String, EscapeError> {
    const GRAMMAR: &str = "a word";
    if value.is_empty() {
        return Err(refuse(GRAMMAR, "nothing"));
    }
    refuse_characters(GRAMMAR, value, |c| {
        !(c.is_ascii_alphanumeric() || "_-.".contains(c))
    })?;
    Ok(value.to_owned())
}

/// Text that is already in the target's grammar: a rendered part of a larger file. Line
/// breaks at its end are the surrounding template's business.
pub fn verbatim(value: &str) -> Result<String, EscapeError> {
    Ok(value.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Escape = fn(&str) -> Result<String, EscapeError>;

    fn accepts(escape: Escape, cases: &[(&str, &str, &str)]) {
        for (name, value, text) in cases {
            assert_eq!(escape(value).as_deref(), Ok(*text), "{name}");
        }
    }

    fn refuses(escape: Escape, cases: &[(&str, &str, &str)]) {
        for (name, value, sentence) in cases {
            let refused = escape(value).map_err(|error| error.to_string());
            assert_eq!(refused.as_deref(), Err(&(*sentence).to_owned()), "{name}");
        }
    }

    #[test]
    fn shell_words() {
        accepts(
            sh_single,
            &[
                ("empty", "", "''"),
                ("plain", "a b", "'a b'"),
                ("quote", "it's", r"'it'\''s'"),
                ("expansions", "$a `b` \\", r"'$a `b` \'"),
                ("line break", "a\nb", "'a\nb'"),
            ],
        );
        refuses(
            sh_single,
            &[("NUL", "a\0", "a shell script cannot carry a NUL character")],
        );
    }

    #[test]
    fn lines_of_control_files() {
        accepts(deb_line, &[("plain", "A <a@b>, c", "A <a@b>, c")]);
        let sentence = "a line of a Debian control file cannot carry a line break";
        refuses(deb_line, &[("line break", "a\nb", sentence)]);
    }

    #[test]
    fn environment_files() {
        accepts(
            systemd_env,
            &[
                ("empty", "", ""),
                (
                    "URL",
                    "https://a.example:8080/x?",
                    "\"https://a.example:8080/x?\"",
                ),
                ("plain", "https://a.example:8080", "https://a.example:8080"),
                ("space", "a b", "\"a b\""),
                ("hash", "#a", "\"#a\""),
                ("dollar", "$a", r#""\$a""#),
                ("quotes", "\"'`", r#""\"'\`""#),
                ("backslash", r"a\n", r#""a\\n""#),
                ("tab", "a\tb", "\"a\tb\""),
                ("letters beyond ASCII", "größe", "\"größe\""),
                ("trailing space", "a ", "\"a \""),
            ],
        );
        refuses(
            systemd_env,
            &[
                (
                    "line break",
                    "a\nb",
                    "a systemd environment file cannot carry a line break",
                ),
                (
                    "return",
                    "a\r",
                    "a systemd environment file cannot carry a line break",
                ),
                (
                    "escape",
                    "\u{1b}",
                    "a systemd environment file cannot carry the character U+001B",
                ),
                (
                    "C1",
                    "\u{85}",
                    "a systemd environment file cannot carry the character U+0085",
                ),
            ],
        );
    }

    #[test]
    fn xml() {
        accepts(
            xml_text,
            &[
                (
                    "markup",
                    "<a href=\"b\">&'</a>",
                    "&lt;a href=&quot;b&quot;&gt;&amp;&apos;&lt;/a&gt;",
                ),
                ("end of a CDATA section", "]]>", "]]&gt;"),
                ("white space", "a\r\n\tb", "a&#13;&#10;&#9;b"),
                ("beyond ASCII", "ü😀", "ü😀"),
            ],
        );
        refuses(
            xml_text,
            &[
                ("NUL", "\0", "XML cannot carry a NUL character"),
                ("bell", "\u{7}", "XML cannot carry the character U+0007"),
                (
                    "not a character",
                    "\u{ffff}",
                    "XML cannot carry the character U+FFFF",
                ),
            ],
        );
    }

    #[test]
    fn windows_installer() {
        accepts(
            msi_formatted,
            &[
                ("plain", "a b%$'", "a b%$'"),
                ("brackets", "[P]", r"[\[]P[\]]"),
                ("braces", "{x}", r"[\{]x[\}]"),
            ],
        );
        refuses(
            msi_formatted,
            &[
                (
                    "quote",
                    "a\"",
                    "a Windows Installer value cannot carry a double quote",
                ),
                (
                    "list",
                    "a[~]b",
                    "a Windows Installer value cannot carry the text `[~]`",
                ),
                (
                    "line break",
                    "a\n",
                    "a Windows Installer value cannot carry a line break",
                ),
            ],
        );
    }

    #[test]
    fn powershell() {
        accepts(
            powershell_single,
            &[
                ("plain", "a $b `c", "'a $b `c'"),
                ("quote", "it's", "'it''s'"),
                ("typographic", "\u{2019}", "'\u{2019}\u{2019}'"),
            ],
        );
        refuses(
            powershell_single,
            &[(
                "NUL",
                "\0",
                "a PowerShell script cannot carry a NUL character",
            )],
        );
    }

    #[test]
    fn units() {
        accepts(systemd_unit, &[("specifier", "100%n", "100%%n")]);
        refuses(
            systemd_unit,
            &[
                (
                    "line break",
                    "a\nb",
                    "a systemd unit cannot carry a line break",
                ),
                (
                    "continued",
                    "a\\",
                    "a systemd unit cannot carry a backslash at the end of a line",
                ),
            ],
        );
    }

    #[test]
    fn words() {
        accepts(word, &[("version", "1.2.3-rc_1", "1.2.3-rc_1")]);
        refuses(
            word,
            &[
                ("empty", "", "a word cannot carry nothing"),
                ("space", "a b", "a word cannot carry the character U+0020"),
            ],
        );
    }
}
