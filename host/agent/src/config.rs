//! What an agent is told: who it is, where it keeps things, what it has to give, and every bound.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host;

/// The settings of an [`Agent`](crate::Agent).
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The name of the Node object, also the value of its `kubernetes.io/hostname` label.
    pub node_name: String,
    /// Where logs and volumes of pods are kept: `DATA_DIR/logs`, `DATA_DIR/pods`.
    pub data_dir: PathBuf,
    /// The machine's address, for `status.addresses` and `hostIP`. Default: 127.0.0.1.
    pub host_address: IpAddr,
    /// Where a container's hostPort is bound when it names no hostIP. Default: 127.0.0.1.
    pub host_port_address: IpAddr,
    /// What pods may use of the machine. Default: what the machine has.
    pub resources: HostResources,
    /// Further labels of the Node.
    pub labels: BTreeMap<String, String>,
    /// Directories of the machine that pods may mount with hostPath, whatever is below them included. Default: none.
    pub host_paths: Vec<PathBuf>,
    /// A directory on a file system in memory, for secrets and tokens. Default: one under `/dev/shm` where there is such.
    pub memory_dir: Option<PathBuf>,
    /// The program with the tools that `exec` finds in every container, as a WASI 0.2 component. Default: none.
    pub toolbox: Option<&'static [u8]>,
    /// Pods at a time; more are rejected with reason `OutOfpods`. Default: 10,000.
    pub pods_max: u32,
    /// Containers that are being started at a time; more wait. Default: 64.
    pub starts_max: usize,
    /// Time between two renewals of the Lease. Default: 10 seconds.
    pub lease_renew_period: Duration,
    /// How long the Lease holds. Default: 40 seconds.
    pub lease_duration: Duration,
    /// Time between two writes of an unchanged Node status. Default: 5 minutes.
    pub node_status_period: Duration,
    /// How long a status that only says that a pod is starting may be held back, since the next is likely to replace it.
    /// It never delays the status that says that the pod runs. Default: 25 ms.
    pub starting_status_delay: Duration,
    /// Bytes of one log file before it is rotated. Default: 10 MiB.
    pub log_file_bytes_max: u64,
    /// Log files kept for one run of a container, the current one included. Default: 5.
    pub log_files_max: usize,
    /// Events that wait to be written; more are dropped and counted. Default: 1,024.
    pub events_queued_max: usize,
}

/// What a machine has, and what of it pods may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResources {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of the disk under `data_dir`.
    pub storage_bytes: u64,
    /// Thousandths of a core kept for the host itself.
    pub cpu_millis_reserved: u64,
    /// Bytes of memory kept for the host itself.
    pub memory_bytes_reserved: u64,
}

impl AgentConfig {
    /// Settings with every default, for a node with this name.
    pub fn new(node_name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            node_name: node_name.into(),
            host_address: Ipv4Addr::LOCALHOST.into(),
            host_port_address: Ipv4Addr::LOCALHOST.into(),
            resources: HostResources::detect(&data_dir),
            data_dir,
            labels: BTreeMap::new(),
            host_paths: Vec::new(),
            memory_dir: None,
            toolbox: None,
            pods_max: 10_000,
            starts_max: 64,
            lease_renew_period: Duration::from_secs(10),
            lease_duration: Duration::from_secs(40),
            node_status_period: Duration::from_secs(300),
            starting_status_delay: Duration::from_millis(25),
            log_file_bytes_max: 10 << 20,
            log_files_max: 5,
            events_queued_max: 1024,
        }
    }
}

impl HostResources {
    /// What this machine has, with a tenth of the memory kept for the host. `directory` names the disk; it, or a parent
    /// of it, must exist for the disk to be measured.
    pub fn detect(directory: &Path) -> Self {
        let memory_bytes = host::memory_bytes();
        Self {
            cpu_millis: host::cpus() * 1000,
            memory_bytes,
            storage_bytes: host::storage_bytes(directory),
            cpu_millis_reserved: 0,
            memory_bytes_reserved: memory_bytes / 10,
        }
    }
}
