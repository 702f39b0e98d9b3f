//! msi: the tables of a Windows Installer database and the cabinets inside it.
//!
//! Files get their paths from the Directory table, their contents from the cabinets that the
//! Media table names, and are held against `MsiFileHash`. Contents in cabinets beside the
//! database are not looked for: such files have no digest.
//! Documents: Microsoft's "Database Tables" and "Custom Action Types".

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::cabinet::Cabinet;
use super::collect::{Collector, MAX_PATH, Second};
use super::stream::Budget;
use super::tables::{Database, Value, summary};
use super::{Found, Identity, Kind, Package, Payload, ReadError};
use crate::package::{Compression, Format};

const SUMMARY: &str = "\u{5}SummaryInformation";
const MAX_DEPTH: usize = 64;

/// A row of the File table, put together with what belongs to it.
struct Row {
    path: String,
    len: u64,
    sequence: i32,
    /// MsiFileHash: MD5 as four little-endian numbers.
    md5: Option<[u8; 16]>,
    found: Option<Found>,
}

/// Reads the whole file.
pub(super) fn read(
    file: &File,
    len: u64,
    budget: &Budget,
    mut collector: Collector<'_>,
) -> Result<Package, ReadError> {
    if len < 512 {
        return Err(ReadError::foreign(
            Format::Msi,
            "it is shorter than a compound file",
        ));
    }
    let mut database = Database::open(file)?;
    let summary = match database.has(SUMMARY) {
        true => summary(database.stream(SUMMARY)?)?,
        false => {
            return Err(ReadError::foreign(
                Format::Msi,
                "it has no summary information",
            ));
        }
    };
    let folders = folders(&mut database)?;
    let components = components(&mut database, &folders)?;
    let mut rows = files(&mut database, &components)?;
    let mut files = created(&mut database, &folders)?;
    let base = strip_base(&mut rows, &mut files);
    let payload = contents(&mut database, &mut rows, budget, &mut collector)?;
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by(|a, b| (a.sequence, &a.path).cmp(&(b.sequence, &b.path)));
    files.extend(rows.into_iter().map(|row| match row.found {
        Some(found) => found,
        None => plain(row.path, Kind::File, row.len),
    }));
    let properties = pairs(&mut database, "Property", ["Property", "Value"])?;
    let signed = database.has("\u{5}DigitalSignature");
    Ok(Package {
        format: Format::Msi,
        identity: identity(&properties, &summary)?,
        files,
        base,
        scripts: actions(&mut database)?,
        metadata: metadata(&mut database, &summary, properties)?,
        signature: signed.then(|| "Authenticode".to_owned()),
        payload,
    })
}

fn plain(path: String, kind: Kind, len: u64) -> Found {
    Found {
        path,
        kind,
        mode: None,
        owner: None,
        len,
        sha256: None,
    }
}

/// The long name of `short|long`, on the target's side of `target:source`.
fn long_name(name: &str) -> &str {
    let target = name.split(':').next().unwrap_or(name);
    target.split_once('|').map_or(target, |(_, long)| long)
}

/// Paths of directories by key. Those below the folders that Windows itself knows begin with
/// that folder's key.
fn folders(database: &mut Database<'_>) -> Result<BTreeMap<String, String>, ReadError> {
    const PART: &str = "the table Directory";
    let rows = database.rows("Directory")?;
    let rows = rows.select(["Directory", "Directory_Parent", "DefaultDir"])?;
    let by_key: BTreeMap<&str, (&str, &str)> = rows
        .iter()
        .map(|[key, parent, name]| (key.text(), (parent.text(), long_name(name.text()))))
        .collect();
    let mut folders = BTreeMap::new();
    let mut room = 64usize << 20;
    for &key in by_key.keys() {
        let mut words = Vec::new();
        let mut at = key;
        while at != "TARGETDIR" {
            let Some(&(parent, name)) = by_key.get(at) else {
                return Err(ReadError::damaged(PART, format!("it has no {at}")));
            };
            match (parent, name) {
                // A root of its own, or a folder that Windows fills in.
                ("", _) => words.push(at),
                ("TARGETDIR", _) if at.ends_with("Folder") => words.push(at),
                (_, ".") => {}
                (_, name) => words.push(name),
            }
            if parent.is_empty() {
                break;
            }
            if words.len() > MAX_DEPTH || parent == at {
                return Err(ReadError::damaged(PART, format!("{key} is inside itself")));
            }
            at = parent;
        }
        words.reverse();
        let path = words.join("/");
        check_path(&path, PART)?;
        room = room
            .checked_sub(path.len())
            .ok_or_else(|| ReadError::too_large(PART, "64 MiB of names"))?;
        folders.insert(key.to_owned(), path);
    }
    Ok(folders)
}

fn check_path(path: &str, part: &str) -> Result<(), ReadError> {
    let climbs = path.split(['/', '\\']).any(|word| word == "..");
    match climbs || path.contains('\\') || path.len() > MAX_PATH {
        false => Ok(()),
        true => Err(ReadError::damaged(
            part,
            format!("{path:?} is no path to install"),
        )),
    }
}

/// Paths of components' directories by component.
fn components(
    database: &mut Database<'_>,
    folders: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ReadError> {
    let rows = database.rows("Component")?;
    let rows = rows.select(["Component", "Directory_"])?;
    let components = rows.into_iter().map(|[component, directory]| {
        let folder = folders.get(directory.text()).ok_or_else(|| {
            let why = format!("{} has no directory", component.text());
            ReadError::damaged("the table Component", why)
        })?;
        Ok((component.text().to_owned(), folder.clone()))
    });
    components.collect()
}

fn files(
    database: &mut Database<'_>,
    components: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Row>, ReadError> {
    const PART: &str = "the table File";
    let hashes = hashes(database)?;
    let rows = database.rows("File")?;
    let mut files = BTreeMap::new();
    for row in rows.select(["File", "Component_", "FileName", "FileSize", "Sequence"])? {
        let [key, component, name, size, sequence] = row;
        let key = key.text();
        let folder = components.get(component.text());
        let folder =
            folder.ok_or_else(|| ReadError::damaged(PART, format!("{key} has no component")))?;
        let path = format!("{folder}/{}", long_name(name.text()));
        check_path(&path, PART)?;
        let len = u64::try_from(size.number())
            .map_err(|_| ReadError::damaged(PART, format!("{key} has a negative size")))?;
        let row = Row {
            path: path.trim_start_matches('/').to_owned(),
            len,
            sequence: sequence.number(),
            md5: hashes.get(key).copied(),
            found: None,
        };
        files.insert(key.to_owned(), row);
    }
    Ok(files)
}

fn hashes(database: &mut Database<'_>) -> Result<BTreeMap<String, [u8; 16]>, ReadError> {
    let rows = database.rows("MsiFileHash")?;
    let names = ["File_", "HashPart1", "HashPart2", "HashPart3", "HashPart4"];
    let hashes = rows.select(names)?.into_iter().map(|[file, parts @ ..]| {
        let mut md5 = [0; 16];
        for (word, part) in md5.chunks_exact_mut(4).zip(parts) {
            // Of the numbers only -2^31 cannot be stored: it is null's bit pattern.
            let number = match part {
                Value::Integer(number) => number,
                _ => i32::MIN,
            };
            word.copy_from_slice(&number.to_le_bytes());
        }
        (file.text().to_owned(), md5)
    });
    Ok(hashes.collect())
}

/// Directories that are made even when empty.
fn created(
    database: &mut Database<'_>,
    folders: &BTreeMap<String, String>,
) -> Result<Vec<Found>, ReadError> {
    let rows = database.rows("CreateFolder")?;
    let mut paths = Vec::new();
    for [directory] in rows.select(["Directory_"])? {
        let path = folders.get(directory.text()).ok_or_else(|| {
            let why = format!("{} is no directory", directory.text());
            ReadError::damaged("the table CreateFolder", why)
        })?;
        paths.push(path.clone());
    }
    paths.sort();
    paths.dedup();
    Ok(paths
        .into_iter()
        .map(|path| plain(path, Kind::Directory, 0))
        .collect())
}

/// Walks the cabinets inside the database and fills in the rows' contents.
fn contents(
    database: &mut Database<'_>,
    rows: &mut BTreeMap<String, Row>,
    budget: &Budget,
    collector: &mut Collector<'_>,
) -> Result<Payload, ReadError> {
    let media = database.rows("Media")?;
    let media = media.select(["Cabinet"])?;
    let cabinets = media.len();
    let inside = media
        .iter()
        .filter_map(|[cabinet]| cabinet.text().strip_prefix('#'));
    let inside: Vec<String> = inside.map(str::to_owned).collect();
    let mut payload = Payload {
        compression: Compression::None,
        parts: 0,
    };
    for name in &inside {
        let mut cabinet = Cabinet::open(database.stream(name)?, name)?;
        payload.parts += cabinet.folders();
        if cabinet.is_compressed() {
            payload.compression = Compression::Gzip;
        }
        let members = cabinet.members().to_vec();
        cabinet.walk(budget, &mut |group, from| {
            let keys: Vec<&str> = group.iter().map(|&at| members[at].name.as_str()).collect();
            one(&keys, from, rows, name, collector)
        })?;
    }
    let embedded_alone = !inside.is_empty() && inside.len() == cabinets;
    match rows.values().find(|row| row.found.is_none()) {
        Some(row) if embedded_alone => Err(ReadError::damaged(
            "the table File",
            format!("{} is in no cabinet", row.path),
        )),
        _ => Ok(payload),
    }
}

/// A range of bytes that is one file or several.
fn one(
    keys: &[&str],
    from: &mut dyn Read,
    rows: &mut BTreeMap<String, Row>,
    part: &str,
    collector: &mut Collector<'_>,
) -> Result<(), ReadError> {
    let mut first: Option<(super::collect::Contents, Found)> = None;
    for &key in keys {
        let row = rows
            .get_mut(key)
            .filter(|row| row.found.is_none())
            .ok_or_else(|| {
                ReadError::damaged(
                    part,
                    format!("{key} is not in the table File, or comes twice"),
                )
            })?;
        let (seen, found) = match &first {
            Some((seen, found)) => (*seen, found.clone()),
            None => {
                let found = plain(row.path.clone(), Kind::File, row.len);
                let seen = collector.file(found, from, Second::Md5)?;
                let found = collector.files.pop();
                let found = found.ok_or_else(|| ReadError::truncated(part))?;
                first.insert((seen, found)).clone()
            }
        };
        let differs = |what| ReadError::Mismatch {
            path: row.path.clone(),
            list: "the database",
            what,
        };
        if seen.len != row.len {
            return Err(differs("size"));
        }
        if row.md5.is_some_and(|md5| seen.len > 0 && md5 != seen.md5) {
            return Err(differs("digest"));
        }
        row.found = Some(Found {
            path: row.path.clone(),
            ..found
        });
    }
    Ok(())
}

/// Makes paths relative to the folder right below one that Windows knows, when everything is
/// in it.
fn strip_base(rows: &mut BTreeMap<String, Row>, folders: &mut Vec<Found>) -> Option<String> {
    let paths = || {
        let files = rows.values().map(|row| row.path.as_str());
        files.chain(folders.iter().map(|folder| folder.path.as_str()))
    };
    let first = paths().min()?;
    let mut slashes = first.match_indices('/').map(|(at, _)| at);
    slashes.next()?;
    let base = first[..slashes.next().unwrap_or(first.len())].to_owned();
    let rest = |path: &str| {
        let rest = path.strip_prefix(&base)?;
        let inside = rest.is_empty() || rest.starts_with('/');
        inside.then(|| rest.trim_start_matches('/').to_owned())
    };
    if !paths().all(|path| rest(path).is_some()) {
        return None;
    }
    for row in rows.values_mut() {
        row.path = rest(&row.path).unwrap_or_default();
    }
    for folder in folders.iter_mut() {
        folder.path = rest(&folder.path).unwrap_or_default();
    }
    folders.retain(|folder| !folder.path.is_empty());
    Some(base)
}

fn pairs(
    database: &mut Database<'_>,
    table: &str,
    columns: [&str; 2],
) -> Result<Vec<(String, String)>, ReadError> {
    let rows = database.rows(table)?;
    let rows = rows.select(columns)?.into_iter();
    let mut room = 16usize << 20;
    rows.map(|[key, value]| {
        // Rows may all refer to one long text.
        room = room
            .checked_sub(key.text().len() + value.text().len())
            .ok_or_else(|| ReadError::too_large(format!("the table {table}"), "16 MiB"))?;
        Ok((key.text().to_owned(), value.text().to_owned()))
    })
    .collect()
}

fn identity(
    properties: &[(String, String)],
    summary: &BTreeMap<u32, String>,
) -> Result<Identity, ReadError> {
    let property = |name: &str| {
        let property = properties.iter().find(|(property, _)| property == name);
        property
            .map(|(_, value)| value.clone())
            .ok_or_else(|| ReadError::damaged("the table Property", format!("it has no {name}")))
    };
    // PID_TEMPLATE: `x64;1033`.
    let template = summary.get(&7).map(String::as_str).unwrap_or_default();
    Ok(Identity {
        name: property("ProductName")?,
        version: property("ProductVersion")?,
        arch: template.split(';').next().unwrap_or_default().to_owned(),
    })
}

/// Custom actions, each with its type and what it runs.
fn actions(database: &mut Database<'_>) -> Result<Vec<(String, String)>, ReadError> {
    let rows = database.rows("CustomAction")?;
    let mut room = 16usize << 20;
    let mut actions = Vec::new();
    for [name, kind, source, target] in rows.select(["Action", "Type", "Source", "Target"])? {
        room = room
            .checked_sub(name.text().len() + source.text().len() + target.text().len())
            .ok_or_else(|| ReadError::too_large("the table CustomAction", "16 MiB"))?;
        let text = format!(
            "type {}, {}: {}",
            kind.number(),
            source.text(),
            target.text()
        );
        actions.push((name.text().to_owned(), text));
    }
    Ok(actions)
}

fn metadata(
    database: &mut Database<'_>,
    summary: &BTreeMap<u32, String>,
    properties: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, ReadError> {
    let names = [
        (2, "Title"),
        (3, "Subject"),
        (4, "Author"),
        (5, "Keywords"),
        (6, "Comments"),
        (7, "Template"),
        (9, "Package code"),
        (14, "Schema"),
        (15, "Word count"),
        (18, "Application"),
    ];
    let known = names.into_iter().filter_map(|(id, name)| {
        let value = summary.get(&id)?;
        Some((name.to_owned(), value.clone()))
    });
    let mut metadata: Vec<(String, String)> = known.collect();
    metadata.extend(properties);
    for [key, name, value] in database
        .rows("Registry")?
        .select(["Key", "Name", "Value"])?
    {
        let name = format!("Registry {}\\{}", key.text(), name.text());
        metadata.push((name, value.text().to_owned()));
        if metadata.len() > 65_536 {
            return Err(ReadError::too_large("the table Registry", "65536 rows"));
        }
    }
    for (name, columns) in [
        ("ServiceInstall", ["Name", "StartType"]),
        ("Upgrade", ["UpgradeCode", "VersionMin"]),
    ] {
        let rows = database.rows(name)?;
        let rows = rows.select(columns)?.into_iter();
        metadata.extend(rows.map(|[key, value]| {
            let value = match value {
                Value::Integer(number) => number.to_string(),
                value => value.text().to_owned(),
            };
            (format!("{name} {}", key.text()), value)
        }));
    }
    let shield = pairs(database, "MsiLockPermissionsEx", ["LockObject", "SDDLText"])?;
    metadata.extend(
        shield
            .into_iter()
            .map(|(object, text)| (format!("Permissions {object}"), text)),
    );
    Ok(metadata)
}
