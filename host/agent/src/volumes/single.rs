//! Single files that are mounted: collected by the directory they appear in, and put there by links or copies.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use coracle_host_sandbox::Mount;
use k8s_openapi::api::core::v1::{Volume, VolumeMount};

use super::{MountError, Mounted, PodSpace};

/// Bytes of a volume's part that is copied: more than any ConfigMap or Secret has.
const COPY_BYTES_MAX: u64 = 16 << 20;

enum Source {
    /// What was read of a volume that the agent writes.
    Copy(Vec<u8>),
    /// A file that the guest may write to, or that others do.
    Link(Dir, PathBuf),
}

struct Single {
    volume: String,
    guest_path: String,
    name: String,
    source: Source,
    read_only: bool,
}

/// The single files of one container.
#[derive(Default)]
pub(super) struct SingleFiles {
    by_parent: BTreeMap<String, Vec<Single>>,
    /// Whole directories of volumes that the agent writes: guest path, and files below it.
    copies: Vec<(String, BTreeMap<PathBuf, Vec<u8>>)>,
}

impl SingleFiles {
    /// A part of a volume as it is now: a file, or a directory with all it has.
    pub(super) fn copy(&mut self, volume: &Volume, mount: &VolumeMount, from: &Dir, path: &Path) -> io::Result<()> {
        if from.metadata(path)?.is_dir() {
            let (mut files, mut left) = (BTreeMap::new(), COPY_BYTES_MAX);
            read_all(&from.open_dir(path)?, Path::new(""), &mut files, &mut left)?;
            self.copies.push((mount.mount_path.clone(), files));
            return Ok(());
        }
        self.add(volume, mount, Source::Copy(from.read(path)?), true);
        Ok(())
    }

    /// A file of a volume that others may write to.
    pub(super) fn link(&mut self, volume: &Volume, mount: &VolumeMount, from: Dir, path: PathBuf, read_only: bool) {
        self.add(volume, mount, Source::Link(from, path), read_only);
    }

    fn add(&mut self, volume: &Volume, mount: &VolumeMount, source: Source, read_only: bool) {
        let guest_path = mount.mount_path.trim_end_matches('/').to_owned();
        let (parent, name) = guest_path.rsplit_once('/').unwrap_or(("", &guest_path));
        let parent = if parent.is_empty() { "/" } else { parent };
        let single = Single {
            volume: volume.name.clone(),
            guest_path: guest_path.clone(),
            name: name.to_owned(),
            source,
            read_only,
        };
        self.by_parent.entry(parent.to_owned()).or_default().push(single);
    }

    /// Makes the directories in which the files appear and adds them to the mounts. Blocks on the disk, shortly.
    ///
    /// # Errors
    /// A directory is mounted there already, or a link cannot be made.
    pub(super) fn mount(self, space: &PodSpace, container: &str, mounted: &mut Mounted) -> Result<(), MountError> {
        if self.by_parent.is_empty() && self.copies.is_empty() {
            return Ok(());
        }
        let make = |volume: &str, path: &Path| {
            let failed = |source| MountError::Make { volume: volume.to_owned(), source };
            match std::fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
            std::fs::create_dir_all(path).map_err(failed)
        };
        for (index, (guest_path, files)) in self.copies.into_iter().enumerate() {
            let host_path = space.files(container, true).join(format!("copy-{index}"));
            make(&guest_path, &host_path)?;
            for (path, contents) in files {
                let target = host_path.join(path);
                let parent = target.parent().map_or(Ok(()), std::fs::create_dir_all);
                let written = parent.and_then(|()| std::fs::write(&target, contents));
                written.map_err(|source| MountError::Make { volume: guest_path.clone(), source })?;
            }
            mounted.mounts.push(Mount { host_path, guest_path, read_only: true });
        }
        for (index, (parent, files)) in self.by_parent.into_iter().enumerate() {
            if let (Some(first), true) = (files.first(), mounted.mounts.iter().any(|mount| mount.guest_path == parent))
            {
                let problem = format!("{parent} is the mount of another volume");
                return Err(first.refused(problem));
            }
            let copied = files.iter().all(|file| matches!(file.source, Source::Copy(_)));
            let host_path = space.files(container, copied).join(format!("file-{index}"));
            make(&parent, &host_path)?;
            let read_only = files.iter().all(|file| file.read_only);
            for file in &files {
                file.put(&host_path)?;
            }
            mounted.mounts.push(Mount { host_path, guest_path: parent, read_only });
        }
        Ok(())
    }
}

impl Single {
    fn refused(&self, problem: String) -> MountError {
        MountError::File { path: self.guest_path.clone(), volume: self.volume.clone(), problem }
    }

    fn put(&self, directory: &Path) -> Result<(), MountError> {
        let put = match &self.source {
            Source::Copy(contents) => std::fs::write(directory.join(&self.name), contents),
            Source::Link(from, path) => Dir::open_ambient_dir(directory, ambient_authority())
                .and_then(|into| from.hard_link(path, &into, &self.name)),
        };
        put.map_err(|error| match error.kind() {
            io::ErrorKind::CrossesDevices => self
                .refused("it is on another file system than the host's data directory; mount its directory".to_owned()),
            _ => self.refused(error.to_string()),
        })
    }
}

fn read_all(from: &Dir, at: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>, left: &mut u64) -> io::Result<()> {
    for entry in from.entries()? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with("..") {
            continue;
        }
        let metadata = from.metadata(&name)?;
        if metadata.is_dir() {
            read_all(&from.open_dir(&name)?, &at.join(&name), files, left)?;
        } else {
            *left = left.checked_sub(metadata.len()).ok_or(io::ErrorKind::FileTooLarge)?;
            files.insert(at.join(&name), from.read(&name)?);
        }
    }
    Ok(())
}
