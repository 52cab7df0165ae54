//! Directories of the machine itself: only below what the host was told to share, and of the type that is asked for.

use std::fs::{FileType, Metadata};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// The directory or file of a hostPath volume, made where its type says so. Links are followed before anything is decided,
/// so that none leads out of what is shared. Blocks on the disk, shortly.
///
/// # Errors
/// Why the pod does not get it, in kubelet's words where it has some.
pub(crate) fn resolve(source: &HostPathVolumeSource, shared: &[PathBuf]) -> Result<PathBuf, String> {
    let path = Path::new(&source.path);
    if shared.is_empty() {
        return Err(format!("hostPath {}: this host shares none of its directories (--allow-host-path)", source.path));
    }
    let plain = |component: Component<'_>| matches!(component, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) {
        return Err(format!("hostPath {}: the path must be absolute and have no \"..\"", source.path));
    }
    let kind = source.type_.as_deref().unwrap_or_default();
    if matches!(kind, "DirectoryOrCreate" | "FileOrCreate") {
        create(path, kind, shared)?;
    }
    let found = std::fs::canonicalize(path).map_err(|error| {
        let wanted = wanted(kind);
        match error.kind() {
            std::io::ErrorKind::NotFound if !kind.is_empty() => {
                format!("hostPath type check failed: {} is not a {wanted}", source.path)
            }
            _ => format!("hostPath {}: {error}", source.path),
        }
    })?;
    if !is_shared(&found, shared) {
        return Err(refusal(&source.path, shared));
    }
    let metadata = std::fs::metadata(&found).map_err(|error| format!("hostPath {}: {error}", source.path))?;
    if !is_of_type(&metadata, kind) {
        return Err(format!("hostPath type check failed: {} is not a {}", source.path, wanted(kind)));
    }
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(format!("hostPath {}: only directories and files can be given to a sandbox", source.path));
    }
    Ok(found)
}

fn refusal(path: &str, shared: &[PathBuf]) -> String {
    let shared: Vec<_> = shared.iter().map(|path| path.display().to_string()).collect();
    format!("hostPath {path}: this host shares only {} (--allow-host-path)", shared.join(", "))
}

fn is_shared(path: &Path, shared: &[PathBuf]) -> bool {
    shared.iter().any(|root| std::fs::canonicalize(root).is_ok_and(|root| path.starts_with(root)))
}

/// Makes what is not there, after its nearest parent that is was found to be shared.
fn create(path: &Path, kind: &str, shared: &[PathBuf]) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("/"));
    let parent = std::fs::canonicalize(parent).map_err(|error| format!("hostPath {}: {error}", path.display()))?;
    if !is_shared(&parent, shared) {
        return Err(refusal(&path.display().to_string(), shared));
    }
    let made = if kind == "DirectoryOrCreate" {
        std::fs::create_dir_all(path)
    } else {
        std::fs::OpenOptions::new().write(true).create_new(true).open(path).map(|_| ())
    };
    made.map_err(|error| format!("hostPath {}: {error}", path.display()))
}

fn wanted(kind: &str) -> &'static str {
    match kind {
        "DirectoryOrCreate" | "Directory" => "directory",
        "FileOrCreate" | "File" => "file",
        "Socket" => "socket",
        "CharDevice" => "character device",
        "BlockDevice" => "block device",
        _ => "path",
    }
}

fn is_of_type(metadata: &Metadata, kind: &str) -> bool {
    match kind {
        "DirectoryOrCreate" | "Directory" => metadata.is_dir(),
        "FileOrCreate" | "File" => metadata.is_file(),
        "Socket" | "CharDevice" | "BlockDevice" => is_special(metadata.file_type(), kind),
        _ => true,
    }
}

#[cfg(unix)]
fn is_special(file: FileType, kind: &str) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    match kind {
        "Socket" => file.is_socket(),
        "CharDevice" => file.is_char_device(),
        _ => file.is_block_device(),
    }
}

#[cfg(not(unix))]
fn is_special(_file: FileType, _kind: &str) -> bool {
    false
}

#[cfg(test)]
mod tests;
