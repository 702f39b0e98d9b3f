//! The manifest: a TOML document with defaults and one table per team.
//!
//! Keys are the flags of `package` without their dashes, and `team`; what they mean is decided
//! where flags are ([`super::entry`]). Here defaults and a team's own settings become one set,
//! each setting with its line, and keys that nobody knows are refused.
//!
//! ```text
//! [defaults]                  what all teams have in common
//! update-url = "…"
//!
//! [[installer]]               once per team
//! team = "sales"
//! ```

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a secret is, by keys that exclude each other and replace each other's default.
pub const SECRETS: [&str; 3] = [
    "enroll-secret-file",
    "enroll-secret-variable",
    "enroll-secret-command",
];

/// A setting's value, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string, number or truth value.
    One(String),
    /// A list of strings.
    List(Vec<String>),
}

/// A setting and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is set to.
    pub value: Value,
    /// Line of the manifest, from 1.
    pub line: usize,
}

/// By key.
pub type Settings = BTreeMap<String, Setting>;

/// One team's installers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Who they are for.
    pub team: String,
    /// Line of the team's name.
    pub line: usize,
    /// The team's settings over the defaults.
    pub settings: Settings,
}

/// A manifest that cannot be followed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct ManifestError {
    /// Line of the manifest, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// A shorthand.
pub fn wrong(line: usize, what: impl Into<String>) -> ManifestError {
    let what = what.into();
    ManifestError { line, what }
}

/// Reads the teams. `known` says whether a key may be set, or why not.
pub fn parse(
    text: &str,
    known: &dyn Fn(&str) -> Result<(), String>,
) -> Result<Vec<Table>, ManifestError> {
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(Lines(text).of(at), error.message())
    })?;
    let reader = Reader {
        lines: Lines(text),
        known,
    };
    reader.document(document.get_ref())
}

struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of(&self, at: usize) -> usize {
        let before = self.0.as_bytes().iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    fn begin<T>(&self, spanned: &Spanned<T>) -> usize {
        self.of(spanned.span().start)
    }
}

struct Reader<'a> {
    lines: Lines<'a>,
    known: &'a dyn Fn(&str) -> Result<(), String>,
}

impl Reader<'_> {
    fn document(&self, document: &DeTable<'_>) -> Result<Vec<Table>, ManifestError> {
        let mut defaults = Settings::new();
        let mut own = Vec::new();
        for (key, value) in document {
            let line = self.lines.begin(key);
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(table)) => defaults = self.settings(table)?,
                ("installer", DeValue::Array(tables)) => {
                    for table in tables {
                        own.push((self.lines.begin(table), self.installer(table)?));
                    }
                }
                ("defaults", _) => return Err(wrong(line, "`defaults` is a table: [defaults]")),
                ("installer", _) => {
                    let what = "`installer` is a table for each team: [[installer]]";
                    return Err(wrong(line, what));
                }
                (key, _) => {
                    let what = format!("`{key}` is neither [defaults] nor [[installer]]");
                    return Err(wrong(line, what));
                }
            }
        }
        if let Some(setting) = defaults.get("team") {
            return Err(wrong(setting.line, "`team` is for [[installer]]"));
        }
        if own.is_empty() {
            return Err(wrong(1, "there is no [[installer]]"));
        }
        let mut tables: Vec<Table> = Vec::new();
        for (line, settings) in own {
            let table = merge(&defaults, settings, line)?;
            if let Some(other) = tables.iter().find(|other| other.team == table.team) {
                let what = format!(
                    "the team `{}` is there already, in line {}",
                    table.team, other.line
                );
                return Err(wrong(table.line, what));
            }
            tables.push(table);
        }
        Ok(tables)
    }

    fn installer(&self, table: &Spanned<DeValue<'_>>) -> Result<Settings, ManifestError> {
        match table.get_ref() {
            DeValue::Table(table) => self.settings(table),
            _ => Err(wrong(
                self.lines.begin(table),
                "an installer is a table: [[installer]]",
            )),
        }
    }

    fn settings(&self, table: &DeTable<'_>) -> Result<Settings, ManifestError> {
        let mut settings = Settings::new();
        for (key, value) in table {
            let line = self.lines.begin(key);
            let key = key.get_ref().as_ref();
            if key != "team" {
                (self.known)(key).map_err(|what| wrong(line, what))?;
            }
            let value = value_of(value.get_ref()).ok_or_else(|| {
                wrong(
                    line,
                    format!("`{key}` is neither text, number, truth value nor a list of texts"),
                )
            })?;
            settings.insert(key.to_owned(), Setting { value, line });
        }
        let mut secrets = SECRETS.iter().filter(|key| settings.contains_key(**key));
        if let (Some(first), Some(second)) = (secrets.next(), secrets.next()) {
            let line = settings.get(*second).map_or(1, |setting| setting.line);
            return Err(wrong(
                line,
                format!("`{second}` and `{first}` exclude each other"),
            ));
        }
        Ok(settings)
    }
}

fn value_of(value: &DeValue<'_>) -> Option<Value> {
    let one = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()?
            .to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Array(values) => {
            let texts = values.iter().map(|value| match value.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            });
            return texts.collect::<Option<_>>().map(Value::List);
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    };
    Some(Value::One(one))
}

/// A team's own settings over the defaults; `{team}` in any text is the team's name.
fn merge(defaults: &Settings, mut own: Settings, line: usize) -> Result<Table, ManifestError> {
    let Some(setting) = own.remove("team") else {
        return Err(wrong(line, "this installer has no `team`"));
    };
    let Value::One(team) = setting.value else {
        return Err(wrong(setting.line, "`team` is a name"));
    };
    if !is_name(&team) {
        let what = format!("`{team}` is no team's name: letters, digits, `.`, `_` and `-`");
        return Err(wrong(setting.line, what));
    }
    let mut settings = defaults.clone();
    if SECRETS.iter().any(|key| own.contains_key(*key)) {
        settings.retain(|key, _| !SECRETS.contains(&key.as_str()));
    }
    settings.extend(own);
    for setting in settings.values_mut() {
        match &mut setting.value {
            Value::One(text) => *text = text.replace("{team}", &team),
            Value::List(texts) => texts
                .iter_mut()
                .for_each(|text| *text = text.replace("{team}", &team)),
        }
    }
    Ok(Table {
        team,
        line: setting.line,
        settings,
    })
}

/// It becomes a folder's name.
fn is_name(team: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !team.is_empty() && team.len() <= 100 && !team.starts_with('.') && team.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Table>, String> {
        let known = |key: &str| match key {
            "type"
            | "fleet-url"
            | "debug"
            | "cpu-quota"
            | "enroll-secret-file"
            | "enroll-secret-variable"
            | "enroll-secret-command" => Ok(()),
            _ => Err(format!("`{key}` is unknown")),
        };
        parse(text, &known).map_err(|error| error.to_string())
    }

    fn one(text: &str) -> Value {
        Value::One(text.to_owned())
    }

    #[test]
    fn settings_over_defaults() {
        let tables = read(
            "[defaults]\nfleet-url = 'https://{team}.example.com'\ndebug = true\n\
             enroll-secret-file = 'secrets/{team}'\n\
             [[installer]]\nteam = 'sales'\ntype = ['deb', 'rpm']\n\
             [[installer]]\nteam = 'ops'\ndebug = false\ncpu-quota = 0x1f\n\
             enroll-secret-variable = 'OPS'\n",
        );
        let [sales, ops] = &tables.unwrap()[..] else {
            panic!("not two")
        };
        assert_eq!((sales.team.as_str(), sales.line), ("sales", 6));
        let value = |table: &Table, key: &str| table.settings.get(key).map(|s| s.value.clone());
        assert_eq!(
            value(sales, "fleet-url"),
            Some(one("https://sales.example.com"))
        );
        assert_eq!(
            value(sales, "enroll-secret-file"),
            Some(one("secrets/sales"))
        );
        assert_eq!(
            value(sales, "type"),
            Some(Value::List(vec!["deb".into(), "rpm".into()]))
        );
        assert_eq!(value(ops, "debug"), Some(one("false")));
        assert_eq!(value(ops, "cpu-quota"), Some(one("31")));
        assert_eq!(value(ops, "enroll-secret-file"), None);
        assert_eq!(value(ops, "enroll-secret-variable"), Some(one("OPS")));
    }

    #[test]
    fn refused_with_the_line() {
        let cases = [
            ("", "line 1: there is no [[installer]]"),
            ("a = 1\n", "line 1: `a` is neither [defaults] nor"),
            ("\n[defaults]\nteam = 'x'\n", "line 3: `team` is for"),
            (
                "[installer]\nteam = 'x'\n",
                "line 1: `installer` is a table for each",
            ),
            ("[[installer]]\n", "line 1: this installer has no `team`"),
            (
                "[[installer]]\nteam = 'a b'\n",
                "line 2: `a b` is no team's name",
            ),
            (
                "[[installer]]\nteam = '..'\n",
                "line 2: `..` is no team's name",
            ),
            ("[[installer]]\nteam = ['a']\n", "line 2: `team` is a name"),
            (
                "[[installer]]\nteam = 'a'\n\nurl = ''\n",
                "line 4: `url` is unknown",
            ),
            (
                "[[installer]]\nteam = 'a'\n[[installer]]\nteam = 'a'\n",
                "line 4: the team `a` is there already, in line 2",
            ),
            (
                "[[installer]]\nteam = 'a'\ntype = { x = 1 }\n",
                "line 3: `type` is neither text",
            ),
            (
                "[[installer]]\nteam = 'a'\nenroll-secret-file = 'x'\nenroll-secret-variable = 'y'\n",
                "line 4: `enroll-secret-variable` and `enroll-secret-file` exclude each other",
            ),
            (
                "[[installer]]\nteam = 'a'\nteam = 'b'\n",
                "line 3: duplicate key",
            ),
            ("[[installer]\n", "line 1: "),
        ];
        for (text, expected) in cases {
            let said = read(text).unwrap_err();
            assert!(said.starts_with(expected), "{text}: {said}");
        }
    }
}
