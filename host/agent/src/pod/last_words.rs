//! The message of a container that has ended: what it wrote to its termination file, or the end of its log.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures::StreamExt as _;

use crate::life::Exit;
use crate::logs::{Log, ReadOptions, read};

/// Bytes of a termination file that are read, as upstream bounds them.
const FILE_BYTES_MAX: u64 = 4096;
/// Lines and bytes of a log that stand in for it, as upstream bounds them.
const LOG_LINES_MAX: u64 = 80;
const LOG_BYTES_MAX: usize = 2048;

/// Where the message of one run comes from.
pub(super) struct LastWords {
    /// The directory that the file must lie in, and the path below that.
    pub(super) file: Option<(PathBuf, PathBuf)>,
    /// The log, if it stands in for a file that says nothing.
    pub(super) log: Option<Arc<Log>>,
}

impl LastWords {
    /// The exit with its message. What the sandbox has to say about it comes first: the guest did not get to say it.
    pub(super) async fn add_to(self, exit: Exit) -> Exit {
        if exit.message.is_some() {
            return exit;
        }
        let Self { file, log } = self;
        let written = match file {
            Some((root, path)) => tokio::task::spawn_blocking(move || beginning(&root, &path)).await.ok().flatten(),
            None => None,
        };
        let message = match (written, log) {
            (Some(text), _) => Some(text),
            (None, Some(log)) if exit.code != 0 => end(log).await,
            (None, _) => None,
        };
        Exit { message, ..exit }
    }
}

/// The guest may have made links on the way: none leads out of its root.
fn beginning(root: &Path, path: &Path) -> Option<String> {
    let root = Dir::open_ambient_dir(root, ambient_authority()).ok()?;
    // Nobody waits for a pipe or a device here.
    if !root.metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    root.open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    (!text.is_empty()).then_some(text)
}

async fn end(log: Arc<Log>) -> Option<String> {
    let options = ReadOptions { tail_lines: Some(LOG_LINES_MAX), ..ReadOptions::default() };
    let mut pieces = read(log, options).boxed();
    let mut text = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        text.extend_from_slice(&piece);
        let surplus = text.len().saturating_sub(LOG_BYTES_MAX);
        text.drain(..surplus);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    (!text.is_empty()).then_some(text)
}
