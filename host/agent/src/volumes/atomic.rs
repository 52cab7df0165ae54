//! A directory whose files all change at one moment.
//!
//! As upstream's atomic writer does it: the files are in a directory of their own, `..data` is a symbolic link to it, and
//! what a program opens is a link through `..data`. Renaming another link over `..data` changes everything at once; a
//! program that holds an open file goes on with the old contents, one that opens by path gets the new ones. Programs that
//! watch for the change of `..data` work as they do elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

/// The link that is swapped, and its successor before it is.
const DATA: &str = "..data";
const DATA_NEXT: &str = "..data_tmp";

/// A file to be: contents and permissions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct File {
    pub(crate) contents: Vec<u8>,
    /// The low nine bits of a mode. The owner can always read, since the owner is this process.
    pub(crate) mode: u32,
}

/// Files by their path below the volume; a path has no `..` and does not begin with a slash.
pub(crate) type Files = BTreeMap<String, File>;

/// Makes the directory show exactly these files. `version` names this state of it; two states have different versions.
/// Blocks on the disk.
///
/// # Errors
/// A path that leads out of the directory, or the disk. What was visible before is still visible then.
pub(crate) fn write(directory: &Path, files: &Files, version: &str) -> io::Result<()> {
    make_directory(directory)?;
    let version = format!("..{version}");
    let next = directory.join(&version);
    make_directory(&next)?;
    if let Err(error) = fill(&next, files) {
        let _best_effort = std::fs::remove_dir_all(&next);
        return Err(error);
    }
    link(&version, &directory.join(DATA_NEXT))?;
    std::fs::rename(directory.join(DATA_NEXT), directory.join(DATA))?;
    let names: BTreeSet<&str> = files.keys().filter_map(|path| path.split('/').next()).collect();
    for name in &names {
        let path = directory.join(name);
        if std::fs::symlink_metadata(&path).is_err() {
            link(&format!("{DATA}/{name}"), &path)?;
        }
    }
    sweep(directory, &names, &version)
}

/// Removes the links to files that are gone, and the former states.
fn sweep(directory: &Path, names: &BTreeSet<&str>, version: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == DATA || name == version || names.contains(&*name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn fill(directory: &Path, files: &Files) -> io::Result<()> {
    for (path, file) in files {
        let relative = Path::new(path);
        if !relative.components().all(|component| matches!(component, Component::Normal(_))) || path.starts_with("..") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the path {path:?} leads out of the volume"),
            ));
        }
        let target = directory.join(relative);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&target, &file.contents)?;
        set_mode(&target, (file.mode & 0o777) | 0o400)?;
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

/// A link at `path`, in place of one that a crash has left.
#[cfg(unix)]
fn link(target: &str, path: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(target, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            std::os::unix::fs::symlink(target, path)
        }
        result => result,
    }
}

#[cfg(not(unix))]
fn link(_target: &str, _path: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "symbolic links are needed for this volume"))
}

#[cfg(test)]
mod tests;
