//! The directories that a container sees.
//!
//! - `render`: what is in a configMap, secret, downwardAPI or projected volume, as a pure function; `atomic` writes it so
//!   that all files change at one moment; `keeper` sets a pod's volumes up before its first container starts and follows
//!   what they show for as long as the pod lives.
//! - `space`: where volumes are, on the disk or in memory. `host_path`: directories of the machine.
//! - This file: from the mounts of a container to the directories that are opened for its guest.
//!
//! A guest is confined by the sandbox: every path that it names is resolved one component at a time below the directory
//! it was given. What the agent itself resolves on behalf of a pod (a `subPath`) goes through the same library, because a
//! running container may be changing the links at that moment.
//!
//! # Differences from a mount of the kernel
//!
//! An image has no files beside its program, so the root directory is empty but for `/tmp` and `/dev`. WASI knows
//! directories only. A single file that is mounted (by `subPath` or as a hostPath) is therefore put into a
//! directory of its own that the guest sees as the file's parent; what else the parent has elsewhere is not there.
//! Volumes that the agent writes are always read-only, as upstream has them. `recursiveReadOnly` holds for every
//! read-only mount: the permission is the whole directory's.

mod atomic;
mod host_path;
mod keeper;
mod render;
mod single;
mod space;

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use coracle_host_sandbox::Mount;
use k8s_openapi::api::core::v1::{Container, Pod, Volume, VolumeMount};

use crate::environment;
use single::SingleFiles;

pub(crate) use keeper::{Keeper, KeeperConfig};
pub(crate) use space::{PodSpace, Space};

/// Why a container cannot see what it was promised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("volume \"{volume}\" is of type {kind}, which this host does not support yet")]
    Unsupported { volume: String, kind: &'static str },
    #[error("volume \"{0}\" is not one of the pod's volumes")]
    Unknown(String),
    #[error("volume device \"{0}\": block devices are not supported")]
    Device(String),
    #[error("cannot make the directory of volume \"{volume}\"")]
    Make { volume: String, source: io::Error },
    #[error("{0}")]
    HostPath(String),
    #[error("failed to expand subPath for volumeMount \"{volume}\": missing value for variable \"{variable}\"")]
    Expand { volume: String, variable: String },
    #[error("failed to prepare subPath for volumeMount \"{volume}\" of container \"{container}\"")]
    SubPath { volume: String, container: String, source: io::Error },
    #[error("the file {path} cannot be mounted from volume \"{volume}\": {problem}")]
    File { path: String, volume: String, problem: String },
}

/// What a container is given.
#[derive(Debug, Default)]
pub(crate) struct Mounted {
    pub(crate) mounts: Vec<Mount>,
    /// Directories that some of the mounts name through this process; they must be held while the container runs.
    pub(crate) handles: Vec<Arc<File>>,
    /// The file into which the container writes its last words: the directory that it must lie in, and the path below that.
    pub(crate) last_words: Option<(PathBuf, PathBuf)>,
}

/// Where last words are written when nobody says otherwise.
const LAST_WORDS_DEFAULT: &str = "/dev/termination-log";

/// What mounting needs to know.
#[derive(Debug)]
pub(crate) struct Mounting<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    pub(crate) space: &'a PodSpace,
    /// Directories of the machine that pods may have.
    pub(crate) host_paths: &'a [PathBuf],
    /// The container's environment, for `subPathExpr`.
    pub(crate) env: &'a [(String, String)],
}

impl Mounting<'_> {
    /// The mounts of the container, made where they are not there yet. Blocks on the disk, shortly.
    ///
    /// # Errors
    /// A volume or an option that is not supported, or the disk.
    pub(crate) fn mounts(&self) -> Result<Mounted, MountError> {
        if let Some(device) = self.container.volume_devices.iter().flatten().next() {
            return Err(MountError::Device(device.name.clone()));
        }
        let volumes = self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
        let mut mounted = Mounted::default();
        let mut files = SingleFiles::default();
        for mount in self.container.volume_mounts.iter().flatten() {
            let volume = volumes.iter().find(|volume| volume.name == mount.name);
            let volume = volume.ok_or_else(|| MountError::Unknown(mount.name.clone()))?;
            self.mount(volume, mount, &mut mounted, &mut files)?;
        }
        files.mount(self.space, &self.container.name, &mut mounted)?;
        self.mount_root(&mut mounted)?;
        Ok(mounted)
    }

    /// Gives the container a root directory of its own, fresh at every start, with a `/tmp` and the directory of its last
    /// words. What is mounted lies over it: a guest takes the longest path that fits.
    fn mount_root(&self, mounted: &mut Mounted) -> Result<(), MountError> {
        if mounted.mounts.iter().any(|mount| mount.guest_path == "/") {
            return Ok(());
        }
        let failed = |source| MountError::Make { volume: "root directory".to_owned(), source };
        let host_path = self.space.root(&self.container.name);
        match std::fs::remove_dir_all(&host_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::create_dir_all(host_path.join("tmp")).map_err(failed)?;
        let words = self.container.termination_message_path.as_deref().unwrap_or(LAST_WORDS_DEFAULT);
        let words = PathBuf::from(words.trim_start_matches('/'));
        // The root is fresh, so that there is no link of a guest on the way.
        let plain = words.components().all(|component| matches!(component, Component::Normal(_)));
        if let Some(parent) = words.parent().filter(|_| plain) {
            std::fs::create_dir_all(host_path.join(parent)).map_err(failed)?;
            mounted.last_words = Some((host_path.clone(), words));
        }
        let security = self.container.security_context.as_ref();
        let read_only = security.and_then(|security| security.read_only_root_filesystem) == Some(true);
        mounted.mounts.push(Mount { host_path, guest_path: "/".to_owned(), read_only });
        Ok(())
    }

    fn mount(
        &self,
        volume: &Volume,
        mount: &VolumeMount,
        mounted: &mut Mounted,
        files: &mut SingleFiles,
    ) -> Result<(), MountError> {
        let rendered = render::is_rendered(volume);
        let host_path = self.directory(volume)?;
        let read_only = rendered || mount.read_only == Some(true);
        let sub_path = self.sub_path(mount)?;
        let guest_path = match mount.mount_path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        if sub_path.is_none() && !host_path.is_file() {
            mounted.mounts.push(Mount { host_path, guest_path, read_only });
            return Ok(());
        }
        let failed = |source| MountError::SubPath {
            volume: volume.name.clone(),
            container: self.container.name.clone(),
            source,
        };
        let (root, path) = match sub_path {
            Some(path) => (host_path, path),
            None => split(&host_path).map_err(failed)?,
        };
        let directory = Dir::open_ambient_dir(&root, ambient_authority()).map_err(failed)?;
        if rendered {
            // The states of such a volume come and go; a part of it is the part that there was at the start.
            return files.copy(volume, mount, &directory, &path).map_err(failed);
        }
        if !directory.exists(&path) {
            directory.create_dir_all(&path).map_err(failed)?;
        }
        if directory.metadata(&path).map_err(failed)?.is_dir() {
            let handle = Arc::new(directory.open_dir(&path).map_err(failed)?.into_std_file());
            let host_path = handle_path(&handle, &root, &path).map_err(failed)?;
            mounted.mounts.push(Mount { host_path, guest_path, read_only });
            mounted.handles.push(handle);
            return Ok(());
        }
        files.link(volume, mount, directory, path, read_only);
        Ok(())
    }

    /// Where the volume is on this host.
    fn directory(&self, volume: &Volume) -> Result<PathBuf, MountError> {
        if let Some(source) = &volume.host_path {
            return host_path::resolve(source, self.host_paths).map_err(MountError::HostPath);
        }
        if volume.empty_dir.is_none() && !render::is_rendered(volume) {
            return Err(MountError::Unsupported { volume: volume.name.clone(), kind: kind(volume) });
        }
        let path = self.space.volume(volume);
        std::fs::create_dir_all(&path).map_err(|source| MountError::Make { volume: volume.name.clone(), source })?;
        Ok(path)
    }

    /// The part of the volume that is mounted, without what it is a part of; `None` for all of it.
    fn sub_path(&self, mount: &VolumeMount) -> Result<Option<PathBuf>, MountError> {
        let plain = mount.sub_path.as_deref().filter(|path| !path.is_empty());
        let Some(expression) = mount.sub_path_expr.as_deref().filter(|path| !path.is_empty()) else {
            return Ok(plain.map(PathBuf::from));
        };
        let missing = std::cell::RefCell::new(None);
        let expanded = environment::expand(expression, |name| {
            let found = self.env.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
            if found.is_none() {
                missing.borrow_mut().get_or_insert_with(|| name.to_owned());
            }
            found
        });
        match missing.into_inner() {
            Some(variable) => Err(MountError::Expand { volume: mount.name.clone(), variable }),
            None => Ok(Some(PathBuf::from(expanded))),
        }
    }
}

/// Removes what the agent has written of a pod's volumes: it is written anew when the pod is taken up again. Blocks on
/// the disk, shortly.
pub(crate) fn remove_rendered(pod: &Pod, space: &PodSpace) {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    for volume in volumes.iter().filter(|volume| render::is_rendered(volume)) {
        if let Err(error) = std::fs::remove_dir_all(space.volume(volume))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(volume = volume.name, %error, "a volume could not be removed");
        }
    }
    space.remove_empty();
}

/// A file's directory and its name.
fn split(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), PathBuf::from(name))),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")),
    }
}

/// A path that names an open directory, whatever happens to the links that led to it.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere the path has to be looked at")]
fn handle_path(handle: &File, _root: &Path, _path: &Path) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    Ok(PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())))
}

/// Where no path names an open directory: the path after all links, if it has not left the volume by now.
#[cfg(not(target_os = "linux"))]
fn handle_path(_handle: &File, root: &Path, path: &Path) -> io::Result<PathBuf> {
    let (root, found) = (std::fs::canonicalize(root)?, std::fs::canonicalize(root.join(path))?);
    if found.starts_with(root) { Ok(found) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn kind(volume: &Volume) -> &'static str {
    let kinds = [
        (volume.persistent_volume_claim.is_some(), "persistentVolumeClaim"),
        (volume.nfs.is_some(), "nfs"),
        (volume.csi.is_some(), "csi"),
        (volume.image.is_some(), "image"),
        (volume.ephemeral.is_some(), "ephemeral"),
    ];
    kinds.into_iter().find_map(|(is, name)| is.then_some(name)).unwrap_or("another kind")
}

#[cfg(test)]
mod tests;
