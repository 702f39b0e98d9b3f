//! The standard tables' columns, and rows for them as plain data.
//!
//! A column's type is written as Windows Installer writes it: `s72` text, `l` localizable
//! text, `i2`/`i4` a number, an upper-case letter where a value may be missing, `*` for a
//! primary key; length 0 is no limit. Tables are text here ([`Table::dump`]) and become a
//! database elsewhere. Document: Windows Installer, "Database Tables", "Column Definition
//! Format". Where a column would hold more than its documented length, 0 stands instead:
//! the length is not enforced when a package is installed.

use std::fmt::Write;

/// `Table: Column type, …`, one table a line.
const TABLES: &str = "\
AdminExecuteSequence: Action s72*, Condition S255, Sequence I2
AdminUISequence: Action s72*, Condition S255, Sequence I2
AdvtExecuteSequence: Action s72*, Condition S255, Sequence I2
AppSearch: Property s72*, Signature_ s72*
Component: Component s72*, ComponentId S38, Directory_ s72, Attributes i2, Condition S255, KeyPath S72
CreateFolder: Directory_ s72*, Component_ s72*
CustomAction: Action s72*, Type i2, Source S72, Target S0, ExtendedType I4
Directory: Directory s72*, Directory_Parent S72, DefaultDir l255
Environment: Environment s72*, Name l255, Value L255, Component_ s72
Feature: Feature s38*, Feature_Parent S38, Title L64, Description L255, Display I2, Level i2, Directory_ S72, Attributes i2
FeatureComponents: Feature_ s38*, Component_ s72*
File: File s72*, Component_ s72, FileName l255, FileSize i4, Version S72, Language S20, Attributes I2, Sequence i4
InstallExecuteSequence: Action s72*, Condition S255, Sequence I2
InstallUISequence: Action s72*, Condition S255, Sequence I2
LaunchCondition: Condition s255*, Description l255
Media: DiskId i2*, LastSequence i4, DiskPrompt L64, Cabinet S255, VolumeLabel S32, Source S72
MsiFileHash: File_ s72*, Options i2, HashPart1 i4, HashPart2 i4, HashPart3 i4, HashPart4 i4
MsiLockPermissionsEx: MsiLockPermissionsEx s72*, LockObject s72, Table s32, SDDLText s0, Condition S255
Property: Property s72*, Value l0
RegLocator: Signature_ s72*, Root i2, Key s255, Name S255, Type I2
Registry: Registry s72*, Root i2, Key l255, Name L255, Value L0, Component_ s72
RemoveRegistry: RemoveRegistry s72*, Root i2, Key l255, Name L255, Component_ s72
ServiceControl: ServiceControl s72*, Name l255, Event i2, Arguments L255, Wait I2, Component_ s72
ServiceInstall: ServiceInstall s72*, Name s255, DisplayName L255, ServiceType i4, StartType i4, ErrorControl i4, LoadOrderGroup S255, Dependencies S255, StartName S255, Password S255, Arguments S255, Component_ s72, Description L255
Signature: Signature s72*, FileName s255, MinVersion S20, MaxVersion S20, MinSize I4, MaxSize I4, MinDate I4, MaxDate I4, Languages S255
Upgrade: UpgradeCode s38*, VersionMin S20*, VersionMax S20*, Language S255*, Attributes i4*, Remove S255, ActionProperty s72
";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text of at most so many characters; 0 is no limit.
    Text(usize),
    /// 16 bits, signed.
    Short,
    /// 32 bits, signed.
    Long,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub holds: Type,
    /// Its text may be translated.
    pub localizable: bool,
    /// It may be empty.
    pub nullable: bool,
    /// It is part of the primary key.
    pub key: bool,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// No value.
    Null,
    /// A number.
    Number(i32),
    /// Text, never empty.
    Text(String),
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        match text.is_empty() {
            true => Self::Null,
            false => Self::Text(text),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<()> for Cell {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of cells; `()` is no value.
#[macro_export]
#[doc(hidden)]
macro_rules! msi_row {
    ($($cell:expr),+ $(,)?) => { vec![$($crate::package::msi::schema::Cell::from($cell)),+] };
}
pub use msi_row as row;

/// A table with its rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    fn all() -> Vec<Self> {
        TABLES.lines().filter_map(parse).collect()
    }

    /// Text of the table, as `msiinfo export` and its like show it: columns, types, rows in
    /// the order of their keys, values apart by tabs.
    pub fn dump(&self) -> String {
        let mut text = format!("[{}]\n", self.name);
        let names: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        let _ = writeln!(text, "{}", names.join("\t"));
        let mut rows: Vec<String> = self.rows.iter().map(|row| dump_row(row)).collect();
        rows.sort();
        for row in rows {
            let _ = writeln!(text, "{row}");
        }
        text
    }
}

/// The tables of one package.
#[derive(Clone, Debug)]
pub struct Tables(Vec<Table>);

impl Tables {
    /// All standard tables, without rows.
    pub fn new() -> Self {
        Self(Table::all())
    }

    /// Adds a row to a table of [`TABLES`].
    pub fn add(&mut self, table: &str, row: Vec<Cell>) {
        if let Some(table) = self.0.iter_mut().find(|there| there.name == table) {
            table.rows.push(row);
        }
    }

    /// The tables that have rows, and the few that must be there without.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.0
            .iter()
            .filter(|table| !table.rows.is_empty() || table.name == "Signature")
    }

    /// All tables as text.
    pub fn dump(&self) -> String {
        let tables: Vec<String> = self.iter().map(Table::dump).collect();
        tables.join("\n")
    }
}

fn dump_row(row: &[Cell]) -> String {
    let cells: Vec<String> = row
        .iter()
        .map(|cell| match cell {
            Cell::Null => String::new(),
            Cell::Number(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
        })
        .collect();
    cells.join("\t")
}

fn parse(line: &'static str) -> Option<Table> {
    let (name, columns) = line.split_once(": ")?;
    let columns = columns.split(", ").filter_map(|column| {
        let (name, shape) = column.split_once(' ')?;
        let (shape, key) = match shape.strip_suffix('*') {
            Some(shape) => (shape, true),
            None => (shape, false),
        };
        let (letter, size) = shape.split_at_checked(1)?;
        let size: usize = size.parse().ok()?;
        let holds = match (letter, size) {
            ("i" | "I", 2) => Type::Short,
            ("i" | "I", _) => Type::Long,
            _ => Type::Text(size),
        };
        Some(Column {
            name,
            holds,
            localizable: letter.eq_ignore_ascii_case("l"),
            nullable: letter.chars().all(|c| c.is_ascii_uppercase()),
            key,
        })
    });
    Some(Table {
        name,
        columns: columns.collect(),
        rows: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let tables = Table::all();
        assert_eq!(tables.len(), TABLES.lines().count());
        for table in &tables {
            let line = TABLES
                .lines()
                .find(|line| line.starts_with(&format!("{}:", table.name)));
            assert_eq!(
                Some(table.columns.len()),
                line.map(|line| line.matches(", ").count() + 1)
            );
            assert!(
                table.columns.iter().any(|column| column.key),
                "{}",
                table.name
            );
        }
    }

    #[test]
    fn a_column() {
        let tables = Table::all();
        let media = tables.iter().find(|table| table.name == "Media").unwrap();
        let prompt = &media.columns[2];
        assert_eq!((prompt.name, prompt.holds), ("DiskPrompt", Type::Text(64)));
        assert!(prompt.localizable && prompt.nullable && !prompt.key);
        assert_eq!(
            (media.columns[0].holds, media.columns[0].key),
            (Type::Short, true)
        );
    }

    #[test]
    fn dumped() {
        let table = Table {
            rows: vec![row!["b", "2"], row!["a", "1"]],
            ..Table::all()
                .into_iter()
                .find(|t| t.name == "Property")
                .unwrap()
        };
        assert_eq!(table.dump(), "[Property]\nProperty\tValue\na\t1\nb\t2\n");
    }
}
