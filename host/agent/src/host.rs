//! What the machine says about itself: the only part of the agent that depends on the operating system.

use std::path::Path;

/// Assumed where the system does not tell.
const MEMORY_BYTES_ASSUMED: u64 = 1 << 30;

/// Processors that this process may use.
pub(crate) fn cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

/// Bytes of memory of the machine.
pub(crate) fn memory_bytes() -> u64 {
    total_memory().unwrap_or(MEMORY_BYTES_ASSUMED)
}

/// Bytes of the disk that holds `directory`; 0 when it cannot be told.
pub(crate) fn storage_bytes(directory: &Path) -> u64 {
    directory.ancestors().find(|path| path.exists()).and_then(disk_bytes).unwrap_or(0)
}

/// The name of the operating system in Go's words, as the label `kubernetes.io/os` has it.
pub(crate) fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The architecture in Go's words, as the label `kubernetes.io/arch` has it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The kernel's release, as `uname -r` prints it.
pub(crate) fn kernel_version() -> String {
    release().unwrap_or_else(|| "unknown".to_owned())
}

/// The distribution in words.
pub(crate) fn os_image() -> String {
    let named = std::fs::read_to_string("/etc/os-release").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    named.unwrap_or_else(|| os().to_owned())
}

/// A name that stays over restarts of the process, where the system has one.
pub(crate) fn machine_id() -> String {
    std::fs::read_to_string("/etc/machine-id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// A name that changes when the machine starts, where the system has one.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let limit = memory_limit().unwrap_or(u64::MAX);
    Some((kibibytes * 1024).min(limit))
}

/// The limit of the control group that this process is in, when it runs in a container itself.
#[cfg(target_os = "linux")]
fn memory_limit() -> Option<u64> {
    let version_2 = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let text = version_2.or_else(|_| std::fs::read_to_string("/sys/fs/cgroup/memory/memory.limit_in_bytes")).ok()?;
    text.trim().parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn total_memory() -> Option<u64> {
    None
}

#[cfg(unix)]
fn disk_bytes(directory: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(disk.f_blocks * disk.f_frsize)
}

#[cfg(not(unix))]
fn disk_bytes(_directory: &Path) -> Option<u64> {
    None
}

fn release() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned())
}
