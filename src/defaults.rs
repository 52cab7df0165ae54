//! Every default of the command line, in one place.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where the API is served when nothing is said: kube-apiserver's port, on the loopback address only.
pub(crate) const API_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);

/// The name of the node, and of the cluster, context and user in the kubeconfig.
pub(crate) const NODE_NAME: &str = "coracle";

/// How long a stopping cluster may take to end its containers and to write its last checkpoint.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// Compiled code kept on disk, in bytes; the least recently used goes first.
pub(crate) const ARTIFACT_CACHE_BYTES_MAX: u64 = 4 << 30;

/// The largest file that `image load` and `run` read, in bytes. The image store has a bound of its own; this one keeps
/// a mistaken path to a disk image from being read into memory.
pub(crate) const IMAGE_FILE_BYTES_MAX: u64 = 512 << 20;

/// What the log shows when `CORACLE_LOG` is not set. openraft warns of its own start-up races, which are settled by
/// themselves and tell a user nothing.
pub(crate) const LOG_FILTER: &str = "warn,openraft=error";

/// How long the demo waits for each of its steps.
pub(crate) const DEMO_STEP_TIMEOUT: Duration = Duration::from_secs(60);
