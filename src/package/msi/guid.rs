//! Identifiers that are derived, never drawn: the same input gives the same GUID everywhere.
//!
//! Name-based UUIDs (RFC 9562 5.5, version 5) below one namespace per purpose. Windows
//! Installer writes them in braces and upper case.

use uuid::Uuid;

/// Namespace of all identifiers that this program derives.
const NAMESPACE: Uuid = Uuid::from_u128(0x7c1f_6c53_0f0e_5b0a_9d4e_3b8f_64a2_51d7);

/// What an identifier is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A component: processor and install path in lower case.
    Component,
    /// A product: everything that is installed.
    Product,
    /// A package: everything that is in the file.
    Package,
    /// A row key: install path in lower case.
    Key,
}

/// The identifier of `name` for `purpose`.
pub fn derive(purpose: Purpose, name: &[u8]) -> Uuid {
    let word: &[u8] = match purpose {
        Purpose::Component => b"component",
        Purpose::Product => b"product",
        Purpose::Package => b"package",
        Purpose::Key => b"key",
    };
    Uuid::new_v5(&Uuid::new_v5(&NAMESPACE, word), name)
}

/// `{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}`.
pub fn braced(id: Uuid) -> String {
    let mut buffer = Uuid::encode_buffer();
    id.braced().encode_upper(&mut buffer).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_windows_installer_wants() {
        assert_eq!(
            braced(Uuid::from_u128(0xa)),
            "{00000000-0000-0000-0000-00000000000A}"
        );
    }

    // These are in installed products: a change would orphan their components.
    #[test]
    fn never_change() {
        let component = derive(Purpose::Component, b"x64|orbit/bin/orbit/orbit.exe");
        assert_eq!(
            braced(component),
            "{6F519F8C-336D-563B-994D-B510765823A8}",
            "component"
        );
        assert_ne!(
            component,
            derive(Purpose::Key, b"x64|orbit/bin/orbit/orbit.exe")
        );
    }
}
