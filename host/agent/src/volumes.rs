//! The directories that a container sees.
//!
//! For now: `emptyDir`, on the disk of the host under `DATA_DIR/pods/{uid}/volumes/{name}`. The token volume that the API
//! server adds to every pod is left out. Everything else is refused by name, so that no program runs without a
//! directory that it was promised.

use std::path::{Path, PathBuf};

use coracle_host_sandbox::Mount;
use k8s_openapi::api::core::v1::{Container, Pod, Volume, VolumeMount};

/// What the API server calls the token volume that it adds.
const TOKEN_VOLUME_PREFIX: &str = "kube-api-access-";

/// Why a container cannot see what it was promised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("volume \"{volume}\" is of type {kind}, which this host does not support yet")]
    Unsupported { volume: String, kind: &'static str },
    #[error("volume \"{0}\" is not one of the pod's volumes")]
    Unknown(String),
    #[error("{what} of the mount of volume \"{volume}\" is not supported yet")]
    Option { volume: String, what: &'static str },
    #[error("volume device \"{0}\": block devices are not supported")]
    Device(String),
    #[error("cannot make the directory of volume \"{volume}\"")]
    Make { volume: String, source: std::io::Error },
}

/// Where the volumes of a pod are.
pub(crate) fn pod_directory(data_dir: &Path, uid: &str) -> PathBuf {
    let plain = |character: char| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' };
    data_dir.join("pods").join(uid.chars().map(plain).collect::<String>())
}

/// The mounts of a container, made where they are not there yet. Blocks on the disk, shortly.
///
/// # Errors
/// A volume or an option that is not supported, or the disk.
pub(crate) fn mounts(pod: &Pod, container: &Container, directory: &Path) -> Result<Vec<Mount>, MountError> {
    if let Some(device) = container.volume_devices.iter().flatten().next() {
        return Err(MountError::Device(device.name.clone()));
    }
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.iter().find(|volume| volume.name == mount.name);
        let volume = volume.ok_or_else(|| MountError::Unknown(mount.name.clone()))?;
        if volume.projected.is_some() && volume.name.starts_with(TOKEN_VOLUME_PREFIX) {
            continue;
        }
        mounts.push(make(volume, mount, directory)?);
    }
    Ok(mounts)
}

fn make(volume: &Volume, mount: &VolumeMount, directory: &Path) -> Result<Mount, MountError> {
    let option = |what| Err(MountError::Option { volume: volume.name.clone(), what });
    if volume.empty_dir.is_none() {
        return Err(MountError::Unsupported { volume: volume.name.clone(), kind: kind(volume) });
    }
    if mount.sub_path.as_deref().is_some_and(|path| !path.is_empty()) {
        return option("subPath");
    }
    if mount.sub_path_expr.as_deref().is_some_and(|path| !path.is_empty()) {
        return option("subPathExpr");
    }
    let host_path = directory.join("volumes").join(&volume.name);
    std::fs::create_dir_all(&host_path).map_err(|source| MountError::Make { volume: volume.name.clone(), source })?;
    Ok(Mount { host_path, guest_path: mount.mount_path.clone(), read_only: mount.read_only == Some(true) })
}

fn kind(volume: &Volume) -> &'static str {
    let kinds = [
        (volume.config_map.is_some(), "configMap"),
        (volume.secret.is_some(), "secret"),
        (volume.host_path.is_some(), "hostPath"),
        (volume.projected.is_some(), "projected"),
        (volume.downward_api.is_some(), "downwardAPI"),
        (volume.persistent_volume_claim.is_some(), "persistentVolumeClaim"),
        (volume.nfs.is_some(), "nfs"),
        (volume.csi.is_some(), "csi"),
        (volume.image.is_some(), "image"),
        (volume.ephemeral.is_some(), "ephemeral"),
    ];
    kinds.into_iter().find_map(|(is, name)| is.then_some(name)).unwrap_or("another kind")
}
