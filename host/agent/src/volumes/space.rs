//! Where volumes are: on the disk, and in memory for what must not reach a disk.

use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Volume;

/// The file that names the data directory to which a space in memory belongs.
const OWNER: &str = ".data-directory";

/// The two places for the volumes of a host's pods.
///
/// In memory is a directory of this user's alone on a file system of the kernel that has no disk beneath it
/// (`/dev/shm` on Linux; what it holds may be swapped, as with upstream). Where there is none, secrets are on the disk
/// under the data directory, readable by this user only, and the agent says so once in its log.
#[derive(Debug)]
pub(crate) struct Space {
    disk: PathBuf,
    memory: Option<PathBuf>,
}

impl Space {
    /// Blocks on the disk, shortly.
    pub(crate) fn open(data_dir: &Path, memory: Option<PathBuf>) -> Self {
        let memory = memory.or_else(|| default_memory(data_dir));
        let memory = memory.and_then(|path| match make_private(&path).and_then(|()| own(&path, data_dir)) {
            Ok(()) => Some(path),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a directory in memory cannot be used");
                None
            }
        });
        if memory.is_none() {
            tracing::warn!("no file system in memory is at hand: volumes with secrets and tokens are kept on the disk");
        }
        Self { disk: data_dir.to_owned(), memory }
    }

    /// The directories of all pods that there are.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let roots = std::iter::once(self.disk.join("pods")).chain(self.memory.clone());
        let entries = roots.flat_map(|root| std::fs::read_dir(root).into_iter().flatten().flatten());
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    /// Where the volumes of one pod are.
    pub(crate) fn pod(&self, uid: &str) -> PodSpace {
        let plain =
            |character: char| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' };
        let name: String = uid.chars().map(plain).collect();
        PodSpace { disk: self.disk.join("pods").join(&name), memory: self.memory.as_ref().map(|root| root.join(&name)) }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            // Only an empty one goes: pods that go on with the next process keep theirs.
            if std::fs::read_dir(memory).is_ok_and(|mut entries| entries.all(|entry| is_owner(entry.as_ref().ok()))) {
                let _kept = std::fs::remove_file(memory.join(OWNER)).and_then(|()| std::fs::remove_dir(memory));
            }
        }
    }
}

/// Where the volumes of one pod are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodSpace {
    disk: PathBuf,
    memory: Option<PathBuf>,
}

impl PodSpace {
    /// The directory of a volume that lives on this host's own storage.
    pub(crate) fn volume(&self, volume: &Volume) -> PathBuf {
        let root = if in_memory(volume) { self.memory.as_ref().unwrap_or(&self.disk) } else { &self.disk };
        root.join("volumes").join(&volume.name)
    }

    /// The directory for single files that are mounted into a container: copies of what may be secret, or links to files
    /// on the disk.
    pub(crate) fn files(&self, container: &str, copies: bool) -> PathBuf {
        let root = if copies { self.memory.as_ref().unwrap_or(&self.disk) } else { &self.disk };
        root.join("files").join(container)
    }

    /// The root directory of a container.
    pub(crate) fn root(&self, container: &str) -> PathBuf {
        self.disk.join("roots").join(container)
    }

    /// Whether this is one of the pod's directories.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.disk == path || self.memory.as_deref() == Some(path)
    }

    /// Removes what is empty of the pod's place in memory.
    pub(crate) fn remove_empty(&self) {
        for path in self.memory.iter().flat_map(|root| [root.join("volumes"), root.clone()]) {
            let _kept = std::fs::remove_dir(path);
        }
    }

    /// Removes everything that the pod has. Blocks on the disk.
    ///
    /// # Errors
    /// The disk; what is not there is no error.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let remove = |path: &Path| match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        };
        let memory = self.memory.as_deref().map_or(Ok(()), remove);
        remove(&self.disk).and(memory)
    }
}

/// What upstream keeps in memory: secrets, tokens, and what asks for it.
fn in_memory(volume: &Volume) -> bool {
    let empty_dir = volume.empty_dir.as_ref();
    volume.secret.is_some()
        || volume.projected.is_some()
        || volume.downward_api.is_some()
        || empty_dir.is_some_and(|empty| empty.medium.as_deref() == Some("Memory"))
}

fn is_owner(entry: Option<&std::fs::DirEntry>) -> bool {
    entry.is_some_and(|entry| entry.file_name() == OWNER)
}

/// Notes whose space it is, and removes those of data directories that are gone: their host was killed, and nobody else
/// would ever let go of the memory.
fn own(path: &Path, data_dir: &Path) -> io::Result<()> {
    let data_dir = std::path::absolute(data_dir)?;
    std::fs::write(path.join(OWNER), data_dir.as_os_str().as_encoded_bytes())?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let Some((prefix, _)) = name.rsplit_once('-').filter(|(prefix, _)| prefix.starts_with("coracle-")) else {
        return Ok(());
    };
    for entry in std::fs::read_dir(parent)?.flatten() {
        let of_ours =
            entry.file_name().to_str().and_then(|name| name.rsplit_once('-')).is_some_and(|(of, _)| of == prefix);
        let owner = std::fs::read_to_string(entry.path().join(OWNER));
        if of_ours && owner.is_ok_and(|owner| !Path::new(&owner).exists()) {
            let _next_time = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// A name of our own for this data directory below the file system in memory.
#[cfg(target_os = "linux")]
fn default_memory(data_dir: &Path) -> Option<PathBuf> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let root = Path::new("/dev/shm");
    let kind = rustix::fs::statfs(root).ok()?.f_type;
    if u64::try_from(kind).ok()? != TMPFS_MAGIC {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    std::path::absolute(data_dir).ok()?.hash(&mut hasher);
    Some(root.join(format!("coracle-{}-{:016x}", rustix::process::geteuid().as_raw(), hasher.finish())))
}

#[cfg(not(target_os = "linux"))]
fn default_memory(_data_dir: &Path) -> Option<PathBuf> {
    None
}

/// A directory that nobody else can enter. One that is there already must be such a one: others may write beside it.
#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let found = std::fs::symlink_metadata(path)?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a directory of this user's alone"))
}

#[cfg(not(unix))]
fn make_private(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(test)]
mod tests;
