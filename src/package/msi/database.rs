//! Tables become the streams of a Windows Installer database.
//!
//! The crate `msi` writes them into memory: string pool, rows in the order of their keys,
//! `_Tables`, `_Columns`, `_Validation`, summary information. Its file is not the one that
//! goes out: rewriting streams leaves chains that some readers refuse, so every stream is
//! taken out here and written once elsewhere. Both codepages are 1252: with 65001 msiexec
//! does not open the file. So all text is ASCII, and what is not is refused.
//! Document: Windows Installer, "Summary Information Stream Property Set".

use std::io::{Cursor, Read};
use std::time::{Duration, SystemTime};

use msi::{CodePage, Insert, LanguageId, Package, PackageType, Value};
use uuid::Uuid;

use crate::install::Identity;
use crate::package::BuildError;

use super::schema::{Cell, Column, Table, Tables, Type};
use super::unfit;

/// "Page count": Windows Installer 5.0 at least. Arm64 needs it.
const SCHEMA: i32 = 500;
/// "Word count": long file names, compressed source.
const COMPRESSED: i32 = 2;
/// "Security": read-only recommended.
const READ_ONLY: i32 = 2;
/// Language 1033.
const ENGLISH: &str = "en-US";

/// CLSID of an installer package's root storage, as bytes in the file:
/// {000C1084-0000-0000-C000-000000000046}.
pub const CLASS: [u8; 16] = [
    0x84, 0x10, 0x0c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46,
];

/// A stream of the database: its name as it stands in the compound file, and its bytes.
pub type Stream = (String, Vec<u8>);

/// What the summary information says.
pub struct Summary<'a> {
    /// Who and what.
    pub identity: &'a Identity,
    /// `x64` or `Arm64`.
    pub template: &'a str,
    /// Unique for every file.
    pub package_code: Uuid,
    /// Seconds since 1970.
    pub epoch: u64,
}

/// The database's streams.
pub fn streams(tables: &Tables, summary: &Summary<'_>) -> Result<Vec<Stream>, BuildError> {
    for table in tables.iter() {
        check(table)?;
    }
    check_text("the summary information", &summary.identity.vendor)?;
    check_text("the summary information", &summary.identity.display_name)?;
    check_text("the summary information", &summary.identity.summary)?;
    let file = write(tables, summary).map_err(|error| {
        // The text was checked: what is left is a fault of ours.
        unfit(format!("its own tables: {error}"))
    })?;
    take_apart(file).map_err(|error| unfit(format!("its own tables: {error}")))
}

fn check(table: &Table) -> Result<(), BuildError> {
    for row in &table.rows {
        for (column, cell) in table.columns.iter().zip(row) {
            if let Cell::Text(text) = cell {
                let key = match &row[0] {
                    Cell::Text(key) => key.as_str(),
                    Cell::Number(_) | Cell::Null => "a row",
                };
                let place = format!("{key} ({}.{})", table.name, column.name);
                check_text(&place, text)?;
                check_len(&place, column, text)?;
            }
        }
    }
    Ok(())
}

/// The text itself is not shown: it may be a secret.
fn check_text(place: &str, text: &str) -> Result<(), BuildError> {
    match text.chars().find(|&c| !matches!(c, ' '..='~')) {
        Some(c) => Err(unfit(format!(
            "the character U+{:04X} in {place}: its texts are ASCII",
            u32::from(c)
        ))),
        None => Ok(()),
    }
}

fn check_len(place: &str, column: &Column, text: &str) -> Result<(), BuildError> {
    match column.holds {
        Type::Text(limit) if limit > 0 && text.len() > limit => Err(unfit(format!(
            "{} characters in {place}; {limit} is the most",
            text.len()
        ))),
        _ => Ok(()),
    }
}

fn write(tables: &Tables, summary: &Summary<'_>) -> std::io::Result<Cursor<Vec<u8>>> {
    let mut package = Package::create(PackageType::Installer, Cursor::new(Vec::new()))?;
    package.set_database_codepage(CodePage::Windows1252);
    write_summary(package.summary_info_mut(), summary);
    for table in tables.iter() {
        let columns = table.columns.iter().map(to_column).collect();
        package.create_table(table.name, columns)?;
        let rows = table
            .rows
            .iter()
            .map(|row| row.iter().map(to_value).collect());
        package.insert_rows(Insert::into(table.name).rows(rows.collect()))?;
    }
    package.flush()?;
    package.into_inner()
}

fn write_summary(info: &mut msi::SummaryInfo, summary: &Summary<'_>) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(summary.epoch);
    info.set_codepage(CodePage::Windows1252);
    info.set_title("Installation Database");
    info.set_subject(summary.identity.display_name.as_str());
    info.set_author(summary.identity.vendor.as_str());
    info.set_keywords(&["Installer".to_owned()]);
    info.set_comments(summary.identity.summary.as_str());
    info.set_arch(summary.template);
    info.set_languages(&[LanguageId::from_tag(ENGLISH)]);
    info.set_uuid(summary.package_code);
    info.set_creation_time(time);
    info.set_last_save_time(time);
    info.set_page_count(SCHEMA);
    info.set_word_count(COMPRESSED);
    info.set_creating_application(concat!("fleetpack ", env!("CARGO_PKG_VERSION")));
    info.set_doc_security(READ_ONLY);
}

fn to_column(column: &Column) -> msi::Column {
    let mut built = msi::Column::build(column.name);
    if column.localizable {
        built = built.localizable();
    }
    if column.nullable {
        built = built.nullable();
    }
    if column.key {
        built = built.primary_key();
    }
    match column.holds {
        Type::Text(limit) => built.string(limit),
        Type::Short => built.int16(),
        Type::Long => built.int32(),
    }
}

fn to_value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Number(number) => Value::Int(*number),
        Cell::Text(text) => Value::Str(text.clone()),
    }
}

fn take_apart(file: Cursor<Vec<u8>>) -> std::io::Result<Vec<Stream>> {
    let mut compound = cfb::CompoundFile::open(file)?;
    let names: Vec<String> = compound
        .read_root_storage()
        .filter(cfb::Entry::is_stream)
        .map(|entry| entry.name().to_owned())
        .collect();
    let mut streams = Vec::new();
    for name in names {
        let mut bytes = Vec::new();
        compound
            .open_stream(format!("/{name}"))?
            .read_to_end(&mut bytes)?;
        streams.push((name, bytes));
    }
    Ok(streams)
}

/// The name in the compound file of a stream that is no table: two characters of
/// `0-9A-Za-z._` in one code unit from U+3800 on, a single one from U+4800 on.
pub fn stream_name(name: &str) -> String {
    let digit = |c: char| match c {
        '0'..='9' => Some(u32::from(c) - u32::from('0')),
        'A'..='Z' => Some(u32::from(c) - u32::from('A') + 10),
        'a'..='z' => Some(u32::from(c) - u32::from('a') + 36),
        '.' => Some(62),
        '_' => Some(63),
        _ => None,
    };
    let mut encoded = String::new();
    let mut characters = name.chars().peekable();
    while let Some(c) = characters.next() {
        let unit = match (digit(c), characters.peek().copied().and_then(digit)) {
            (Some(first), Some(second)) => {
                characters.next();
                char::from_u32(0x3800 + (second << 6) + first)
            }
            (Some(only), None) => char::from_u32(0x4800 + only),
            (None, _) => Some(c),
        };
        encoded.extend(unit);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    // The crate that reads and writes databases is the peer.
    #[test]
    fn stream_names() {
        for name in ["payload.cab", "config.cab", "a", "Binary.x_y", "o-dd"] {
            let mut package =
                Package::create(PackageType::Installer, Cursor::new(Vec::new())).unwrap();
            drop(package.write_stream(name).unwrap());
            let file = package.into_inner().unwrap();
            let compound = cfb::CompoundFile::open(file).unwrap();
            assert!(compound.exists(format!("/{}", stream_name(name))), "{name}");
        }
    }
}
