//! Who this store is: written once, when the directory is made, and checked ever after.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::log::{LogIdentity, random_u64};
use crate::vfs::{Vfs, read_small_file, write_whole_file};

const FORMAT: u32 = 1;

/// The file is some hundred bytes long.
const BYTES_MAX: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IdentityFile {
    format: u32,
    /// 32 hexadecimal digits.
    cluster_id: String,
    node_id: u64,
}

fn path(directory: &Path) -> PathBuf {
    directory.join("id.json")
}

/// Draws a new identity. Node ids are random, so that no two directories ever have the same one: a log that names `{n1}` as
/// its only voter would make any empty node called n1 elect itself.
pub(crate) fn draw() -> LogIdentity {
    let cluster = u128::from(random_u64()) << 64 | u128::from(random_u64());
    // 53 bits, so that the number survives every JSON reader; never 0.
    LogIdentity { cluster, node: (random_u64() >> 11).max(1) }
}

/// Reads the identity; none when the directory was never finished.
pub(crate) fn read(vfs: &dyn Vfs, directory: &Path) -> io::Result<Option<LogIdentity>> {
    let Some(json) = read_small_file(vfs, &path(directory), BYTES_MAX)? else { return Ok(None) };
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let file: IdentityFile = serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
    if file.format != FORMAT {
        return Err(invalid(format!("format {} is unknown", file.format)));
    }
    let cluster = u128::from_str_radix(&file.cluster_id, 16).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(LogIdentity { cluster, node: file.node_id }))
}

/// Writes the identity, durably.
pub(crate) fn write(vfs: &dyn Vfs, directory: &Path, identity: LogIdentity) -> io::Result<()> {
    let file =
        IdentityFile { format: FORMAT, cluster_id: format!("{:032x}", identity.cluster), node_id: identity.node };
    let mut json = serde_json::to_vec_pretty(&file)?;
    json.push(b'\n');
    write_whole_file(vfs, &path(directory), &json)
}
