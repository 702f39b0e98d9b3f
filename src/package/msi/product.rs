//! What a finished package says of its product, read from its tables.
//!
//! For what is made of a package afterwards: management services ask for these codes.
//! Documents: Windows Installer, "Property Table", "Summary Property Descriptions".

use std::fs::File;
use std::io::{self, Seek};

use msi::{Package, Select};

/// The product of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// `ProductName`.
    pub name: String,
    /// `Manufacturer`.
    pub publisher: String,
    /// `ProductVersion`.
    pub version: String,
    /// `ProductCode`, in braces.
    pub code: String,
    /// `UpgradeCode`, in braces.
    pub upgrade_code: String,
    /// The package code, in braces.
    pub package_code: String,
    /// The processor: `x64` or `Arm64`.
    pub processor: String,
}

impl Product {
    /// Reads it; a file without one of the values is [`io::ErrorKind::InvalidData`].
    pub fn read(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        let mut package = Package::open(file)?;
        let summary = package.summary_info();
        let package_code = summary.uuid().map(super::braced);
        let processor = summary.arch().map(str::to_owned);
        let rows: Vec<(String, String)> = package
            .select_rows(Select::table("Property"))?
            .filter_map(|row| {
                let text = |name: &str| row[name].as_str().map(str::to_owned);
                Some((text("Property")?, text("Value")?))
            })
            .collect();
        let missing = |name: &str| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the package has no {name}"),
            )
        };
        let value = |name: &str| {
            let row = rows.iter().find(|(property, _)| property == name);
            row.map(|(_, value)| value.clone())
                .ok_or_else(|| missing(name))
        };
        Ok(Self {
            name: value("ProductName")?,
            publisher: value("Manufacturer")?,
            version: value("ProductVersion")?,
            code: value("ProductCode")?,
            upgrade_code: value("UpgradeCode")?,
            package_code: package_code.ok_or_else(|| missing("package code"))?,
            processor: processor.ok_or_else(|| missing("processor"))?,
        })
    }
}
