//! How links are protected: the `security` of a topology, and what certificates ask of the servers' names.
//!
//! A certificate is for a DNS name, and the server's name is that name. DNS does not tell upper case from lower, and has no name
//! that ends with a hyphen; all else that a server may be called is one. What is in the folder of the keys is not known here.

use super::Security;
use super::json::{Errors, Field, path_of};
use super::reading::read_file;

/// The `security` of a topology.
pub(super) fn read_security(field: &Field<'_>, errors: &mut Errors) -> Option<Security> {
    let [keys] = field.keys(["keys"], "an object, like { \"keys\": \"keys\" }", errors)?;
    let keys = match keys {
        Some(field) => read_file(&field, FOLDER, errors),
        None => field.missing("keys", FOLDER, errors),
    };
    Some(Security { keys: keys? })
}

/// Each server must be able to have a certificate, and files of its own for it.
pub(super) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>, errors: &mut Errors) {
    let mut earlier: Vec<&str> = Vec::new();
    for name in names {
        let path = path_of("$.servers", name);
        if name.ends_with('-') {
            errors.add(
                &path,
                format_args!("no certificate can be for {name}"),
                "choose a name that does not end with \"-\"",
            );
        }
        if name.eq_ignore_ascii_case(AUTHORITY) {
            errors.add(&path, format_args!("{AUTHORITY}.pem is the authority's certificate"), "choose another name");
        }
        if let Some(other) = earlier.iter().find(|other| other.eq_ignore_ascii_case(name)) {
            let what = format_args!("certificates do not tell {name} from {other}");
            errors.add(&path, what, "choose names that differ in more than case");
        }
        earlier.push(name);
    }
}

/// What the files of the authority are called.
const AUTHORITY: &str = "ca";

const FOLDER: &str = "the folder of the servers' keys, which \"proxy-herd keygen\" makes";
