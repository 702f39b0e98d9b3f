//! A tree as rows: everything but actions and their order.
//!
//! Documents: Windows Installer, the page of each table. The few numbers that are not words
//! of the documents are named constants with the documents' name for them.

use crate::compress::Digests;
use crate::install::{Access, Identity, Service, Tree, Windows};
use crate::package::BuildError;

use super::actions::{self, UPGRADE_DETECTED};
use super::guid::braced;
use super::layout::{File, Layout};
use super::schema::{Tables, row};
use super::{sequence, unfit};

/// Everything that the tables say besides the tree.
pub struct Facts<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Its Windows part.
    pub windows: &'a Windows,
    /// Its files in order.
    pub layout: &'a Layout<'a>,
    /// Digests of the files, in the layout's order, with MD5.
    pub digests: &'a [Digests],
    /// `a.b.c.d`.
    pub version: &'a str,
}

/// Names of the two cabinets.
pub const CABINETS: [&str; 2] = ["payload.cab", "config.cab"];

/// The only feature.
const FEATURE: &str = "Main";
/// msidbComponentAttributes64bit.
const COMPONENT_64BIT: i32 = 256;
/// msidbFileAttributesVital.
const FILE_VITAL: i32 = 512;
/// msidbRegistryRootLocalMachine.
const LOCAL_MACHINE: i32 = 2;
const MACHINE_VARIABLES: &str = r"SYSTEM\CurrentControlSet\Control\Session Manager\Environment";
/// SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, SERVICE_DEMAND_START, SERVICE_ERROR_IGNORE.
const OWN_PROCESS: i32 = 16;
const AUTO_START: i32 = 2;
const DEMAND_START: i32 = 3;
const ERROR_IGNORE: i32 = 0;
/// msidbServiceControlEvent: start (1) and stop (2) on installation; stop (32) and delete
/// (128) on removal.
const START_ON_INSTALL: i32 = 1;
const STOP_AND_DELETE: i32 = 2 + 32 + 128;
/// msidbUpgradeAttributesMigrateFeatures (1) and VersionMinInclusive (256): with minimum 0 and
/// no maximum, any version.
const ANY_VERSION: i32 = 257;

/// SYSTEM and Administrators in full, users read and execute; inherited by what is below.
const EVERYONE: &str = "O:SYG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
/// SYSTEM and Administrators alone.
const ADMIN_ONLY: &str = "O:SYG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)";

/// All tables, with every row but the product's own identity, which depends on them.
pub fn all(facts: &Facts<'_>) -> Result<Tables, BuildError> {
    let mut tables = Tables::new();
    properties(&mut tables, facts);
    folders_and_components(&mut tables, facts);
    files(&mut tables, facts)?;
    media(&mut tables, facts)?;
    permissions(&mut tables, facts);
    upgrade(&mut tables, facts);
    variables(&mut tables, facts);
    sequence::standard(&mut tables);
    let service = facts.tree.service.as_ref();
    if let Some(service) = service {
        add_service(&mut tables, facts, service)?;
    }
    actions::add(&mut tables, facts.windows, service.map(|s| s.name.as_str()))?;
    Ok(tables)
}

fn properties(tables: &mut Tables, facts: &Facts<'_>) {
    let Identity {
        display_name,
        vendor,
        homepage,
        ..
    } = &facts.tree.identity;
    let fixed = [
        ("ALLUSERS", "1"),
        ("ARPNOMODIFY", "1"),
        ("ARPNOREPAIR", "1"),
        ("ARPURLINFOABOUT", homepage),
        ("Manufacturer", vendor),
        ("ProductLanguage", "1033"),
        ("ProductName", display_name),
        ("ProductVersion", facts.version),
        // Programs that replace their own files on disk have a higher version than the
        // package: without `a` Windows keeps them, removes them with the old product, and
        // puts nothing in their place.
        ("REINSTALLMODE", "amus"),
    ];
    for (name, value) in fixed {
        tables.add("Property", row![name, value]);
    }
    tables.add(
        "Property",
        row!["UpgradeCode", braced(facts.windows.family)],
    );
    let mut secure = Vec::new();
    let mut hidden = Vec::new();
    for property in &facts.tree.properties {
        // The table has no empty values: such a property is not there until it is set.
        if !property.default.is_empty() {
            tables.add("Property", row![&property.name, &property.default]);
        }
        secure.push(property.name.as_str());
        if property.hidden {
            hidden.push(property.name.as_str());
        }
    }
    secure.push(UPGRADE_DETECTED);
    let steps = facts.windows.steps.iter().filter(|step| step.hidden);
    hidden.extend(steps.map(|step| step.name.as_str()));
    tables.add("Property", row!["SecureCustomProperties", secure.join(";")]);
    tables.add("Property", row!["MsiHiddenProperties", hidden.join(";")]);
}

fn folders_and_components(tables: &mut Tables, facts: &Facts<'_>) {
    tables.add("Directory", row!["TARGETDIR", (), "SourceDir"]);
    tables.add("Directory", row!["ProgramFiles64Folder", "TARGETDIR", "."]);
    for directory in &facts.layout.directories {
        tables.add(
            "Directory",
            row![&directory.id, &directory.parent, &directory.name],
        );
    }
    tables.add("Feature", row![FEATURE, (), (), (), 0, 1, (), 0]);
    for component in &facts.layout.components {
        tables.add(
            "Component",
            row![
                &component.id,
                &component.guid,
                &component.directory,
                COMPONENT_64BIT,
                (),
                component.file.as_ref()
            ],
        );
        tables.add("FeatureComponents", row![FEATURE, &component.id]);
        if component.file.is_none() {
            tables.add("CreateFolder", row![&component.directory, &component.id]);
        }
    }
}

fn files(tables: &mut Tables, facts: &Facts<'_>) -> Result<(), BuildError> {
    for (sequence, (file, digests)) in (1..).zip(facts.layout.files.iter().zip(facts.digests)) {
        let size = i32::try_from(file.content.len())
            .map_err(|_| unfit(format!("{}: it is too large", file.path)))?;
        let version = file.version.as_ref();
        tables.add(
            "File",
            row![
                &file.id,
                &file.component,
                &file.name,
                size,
                version.map(|version| &version.number),
                version.and_then(|version| version.language.as_ref()),
                FILE_VITAL,
                sequence
            ],
        );
        if version.is_none() {
            hash(tables, file, digests);
        }
    }
    Ok(())
}

/// MsiFileHash: MD5 as four little-endian numbers; of an empty file zeros.
fn hash(tables: &mut Tables, file: &File<'_>, digests: &Digests) {
    let md5 = match (file.content.is_empty(), digests.md5) {
        (true, _) => [0; 16],
        (false, Some(md5)) => md5,
        (false, None) => return,
    };
    let part = |at: usize| i32::from_le_bytes([md5[at], md5[at + 1], md5[at + 2], md5[at + 3]]);
    let parts = [part(0), part(4), part(8), part(12)];
    // The format has no bits for this number but those of "no value". Without the row, the
    // file is always written.
    if parts.contains(&i32::MIN) {
        return;
    }
    tables.add(
        "MsiFileHash",
        row![&file.id, 0, parts[0], parts[1], parts[2], parts[3]],
    );
}

fn media(tables: &mut Tables, facts: &Facts<'_>) -> Result<(), BuildError> {
    let count = |files: usize| {
        i32::from(
            u16::try_from(files)
                .unwrap_or(u16::MAX)
                .min(i16::MAX as u16),
        )
    };
    let files = facts.layout.files.len();
    if files > i16::MAX as usize {
        return Err(unfit(format!("{files} files; {} is the most", i16::MAX)));
    }
    let lasts = [facts.layout.shared, files];
    let mut first = 0;
    for (disk, (last, cabinet)) in (1..).zip(lasts.into_iter().zip(CABINETS)) {
        if last > first {
            tables.add(
                "Media",
                row![disk, count(last), (), format!("#{cabinet}"), (), ()],
            );
        }
        first = last;
    }
    Ok(())
}

fn permissions(tables: &mut Tables, facts: &Facts<'_>) {
    let sddl = |access| match access {
        Access::AdminOnly => ADMIN_ONLY,
        Access::Everyone => EVERYONE,
    };
    let folders = facts.layout.components.iter();
    let created = folders.filter(|component| component.file.is_none());
    for component in created {
        let key = format!("p{}", component.id);
        let folder = &component.directory;
        tables.add(
            "MsiLockPermissionsEx",
            row![key, folder, "CreateFolder", EVERYONE, ()],
        );
    }
    for file in &facts.layout.files {
        let key = format!("p{}", file.id);
        tables.add(
            "MsiLockPermissionsEx",
            row![key, &file.id, "File", sddl(file.access), ()],
        );
    }
}

fn upgrade(tables: &mut Tables, facts: &Facts<'_>) {
    tables.add(
        "Upgrade",
        row![
            braced(facts.windows.family),
            "0",
            (),
            (),
            ANY_VERSION,
            (),
            UPGRADE_DETECTED
        ],
    );
}

/// Variables that are deleted on installation: by a row of the Environment table, after which
/// Windows tells running programs, and by one of RemoveRegistry, as some implementations pass
/// over the former when it has no value.
fn variables(tables: &mut Tables, facts: &Facts<'_>) {
    for (number, name) in (1..).zip(&facts.windows.cleared_variables) {
        let key = format!("V_{number}");
        let root = &facts.layout.components[0].id;
        // `!` removes on installation, whatever the value; `*` is the machine's environment.
        tables.add("Environment", row![&key, format!("!*{name}"), (), root]);
        tables.add(
            "RemoveRegistry",
            row![key, LOCAL_MACHINE, MACHINE_VARIABLES, name, root],
        );
    }
}

fn add_service(
    tables: &mut Tables,
    facts: &Facts<'_>,
    service: &Service,
) -> Result<(), BuildError> {
    let Some(component) = facts.layout.component_of(&service.program) else {
        return Err(unfit(format!(
            "the service {}: its program {} is not among the files",
            service.name, service.program
        )));
    };
    let (start_type, event) = match service.start {
        true => (AUTO_START, START_ON_INSTALL + STOP_AND_DELETE),
        false => (DEMAND_START, STOP_AND_DELETE),
    };
    let none = ();
    tables.add(
        "ServiceInstall",
        row![
            "S_service",
            &service.name,
            &service.name,
            OWN_PROCESS,
            start_type,
            ERROR_IGNORE,
            none,
            none,
            "LocalSystem",
            none,
            none,
            component,
            &facts.tree.identity.summary
        ],
    );
    tables.add(
        "ServiceControl",
        row!["S_control", &service.name, event, none, 1, component],
    );
    let settings = &facts.tree.settings;
    if settings.is_empty() {
        return Ok(());
    }
    // `[~]` parts the strings of a REG_MULTI_SZ; none at either end replaces the old value.
    let variables: Vec<String> = settings
        .iter()
        .map(|setting| format!("{}={}", setting.name, setting.value))
        .collect();
    let text = match variables.as_slice() {
        [one] => format!("[~]{one}[~]"),
        more => more.join("[~]"),
    };
    let key = format!(r"SYSTEM\CurrentControlSet\Services\{}", service.name);
    tables.add(
        "Registry",
        row![
            "R_environment",
            LOCAL_MACHINE,
            key,
            "Environment",
            text,
            component
        ],
    );
    Ok(())
}

/// The product's own identity, once everything else is settled.
pub fn add_product_code(tables: &mut Tables, code: &str) {
    tables.add("Property", row!["ProductCode", code]);
}

/// A version in the form that Windows Installer compares: `a.b.c` or `a.b.c.d`, from that or
/// from `a.b.c-d`.
pub fn product_version(version: &str) -> Result<String, BuildError> {
    let refused = || {
        unfit(format!(
            "the version {version:?}: it must be a.b.c, a.b.c.d or a.b.c-d, with a and b at most \
             255 and c and d at most 65535"
        ))
    };
    let dotted = match version.split_once('-') {
        Some((three, fourth)) if three.matches('.').count() == 2 => format!("{three}.{fourth}"),
        Some(_) => return Err(refused()),
        None => version.to_owned(),
    };
    let fields: Vec<&str> = dotted.split('.').collect();
    if !(3..=4).contains(&fields.len()) {
        return Err(refused());
    }
    for (field, limit) in fields.iter().zip([255, 255, 65_535, 65_535]) {
        let digits = !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
        if !digits || field.parse::<u32>().map_or(true, |number| number > limit) {
            return Err(refused());
        }
    }
    Ok(dotted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let taken = [
            ("three fields", "1.2.3", "1.2.3"),
            ("four fields", "1.2.3.4", "1.2.3.4"),
            ("a revision", "1.2.3-4", "1.2.3.4"),
            ("the largest", "255.255.65535", "255.255.65535"),
        ];
        for (name, version, wanted) in taken {
            assert_eq!(
                product_version(version).ok().as_deref(),
                Some(wanted),
                "{name}"
            );
        }
        let refused = [
            ("empty", ""),
            ("two fields", "1.2"),
            ("five fields", "1.2.3.4.5"),
            ("major too large", "256.0.0"),
            ("minor too large", "1.256.0"),
            ("build too large", "1.0.65536"),
            ("a letter", "v1.2.3"),
            ("a word", "1.2.3-rc1"),
            ("a revision of two fields", "1.2-3"),
            ("a sign", "1.2.+3"),
            ("an empty field", "1..3"),
            ("beyond 32 bits", "99999999999.0.0"),
        ];
        for (name, version) in refused {
            let error = product_version(version).map_err(|error| error.to_string());
            assert!(
                error
                    .as_ref()
                    .is_err_and(|e| e.contains(&format!("{version:?}"))),
                "{name}: {error:?}"
            );
        }
    }
}
