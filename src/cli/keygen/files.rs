//! Files that come into being whole, with their mode, and replace nothing.
//!
//! A file is written under another name, its *draft*, reaches the disk, and is then given its own by a link, which fails if the name is
//! taken. Whatever happens meanwhile, under its name there is nothing or all of it; and a draft that stays behind is found.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Failure;

/// The mode of a file that its owner alone may read.
pub(super) const KEY: u32 = 0o600;

/// The mode of a file that all may read.
pub(super) const CERTIFICATE: u32 = 0o644;

/// Makes `file`, with this mode and text. Fails if there is one.
pub(super) fn create(file: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let failed = |file: &Path, error: io::Error| Failure::Failed(format!("{}: {error}", file.display()));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let draft = file.with_file_name(format!(".{name}{DRAFT}"));
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft);
    let mut opened = opened.map_err(|error| failed(&draft, error))?;
    let written = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
    let written = written.and_then(|()| fs::hard_link(&draft, file)).map_err(|error| failed(file, error));
    fs::remove_file(&draft).map_err(|error| {
        Failure::Failed(format!("{} may hold a key and cannot be removed ({error}): remove it", draft.display()))
    })?;
    written
}

/// The drafts in a folder: of somebody who writes, or was cut off.
pub(super) fn drafts(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let is_draft = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.') && name.ends_with(DRAFT)
    };
    Ok(paths.into_iter().filter(is_draft).collect())
}

const DRAFT: &str = ".new";
