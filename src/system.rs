//! What differs between operating systems: where things live, names, limits, signals. The only such module of the package.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The user's data directory for Coracle: `$XDG_DATA_HOME/coracle` or `~/.local/share/coracle` on Linux, and its
/// equivalents elsewhere.
///
/// # Errors
/// When neither the variable nor a home directory is known.
pub(crate) fn data() -> Result<PathBuf> {
    let base = dirs::data_dir().context("no home directory is known; name a directory with --data-dir DIR")?;
    Ok(base.join("coracle"))
}

/// The name of this machine as a node name: lower case, only what a DNS label may hold, or `coracle` when nothing of
/// it is left.
pub(crate) fn node_name() -> String {
    let host = hostname();
    let name: String = host
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' })
        .take(63)
        .collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    if name.is_empty() { crate::defaults::NODE_NAME.to_owned() } else { name }
}

/// The address at which others reach a server that is bound to `address`: where it is bound everywhere, that of the
/// interface by which this machine reaches the world, or the loopback address when it reaches none.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    // Addresses for documentation (RFC 5737, RFC 3849). Connecting a datagram socket sends nothing; it chooses a route.
    let (bind, beyond, nowhere): (&str, &str, IpAddr) = if address.is_ipv4() {
        ("0.0.0.0:0", "192.0.2.1:9", Ipv4Addr::LOCALHOST.into())
    } else {
        ("[::]:0", "[2001:db8::1]:9", Ipv6Addr::LOCALHOST.into())
    };
    let chosen = std::net::UdpSocket::bind(bind)
        .and_then(|socket| socket.connect(beyond).and_then(|()| socket.local_addr()))
        .map_or(nowhere, |local| local.ip());
    SocketAddr::new(chosen, address.port())
}

#[cfg(unix)]
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn hostname() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Makes a directory, and its parents, that only this user can read.
///
/// # Errors
/// A path that cannot be made.
pub(crate) fn make_private_directory(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("cannot make the data directory {}", path.display()))
}

/// Allows this process as many open files as the system lets it have: the open files of every guest are its own.
pub(crate) fn raise_open_files_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays what it was");
        }
    }
}

/// The signals that ask a process to stop: SIGINT and SIGTERM, or Ctrl-C where there are no signals. From
/// [`StopSignals::listen`] on none is missed.
#[derive(Debug)]
pub(crate) struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl StopSignals {
    /// Begins to listen.
    ///
    /// # Errors
    /// A system that does not let this process listen.
    pub(crate) fn listen() -> Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let listen = |kind| signal(kind).context("cannot listen for signals");
            Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Completes at the first signal since the last call.
    ///
    /// # Cancel safety
    /// A signal that nobody waited for is told to the next call.
    pub(crate) async fn received(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            // Both arms only wait for a signal: nothing is lost when the other one wins.
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can ask this process to stop in this way; other ways remain.
            std::future::pending::<()>().await;
        }
    }
}
