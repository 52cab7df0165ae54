//! Connections that a client keeps open to a pod: exec, attach and port-forward. Watches over WebSocket are carried here as well.
//!
//! A client asks for an upgrade and speaks one of two protocols from then on: messages with a channel byte over WebSocket,
//! or SPDY/3.1, directly or inside the messages of a WebSocket. Each is ended here. Towards the host there is one
//! protocol, that of `coracle_control_api::remote_command`, so that hosts know of no client.
//!
//! - `upgrade`: what a request asks for, the answer 101, and the tasks that live on after it.
//! - `host`: one streamed call to a host's agent, as frames, or as a byte stream to a port of a pod.
//! - `websocket`, `spdy`: the two protocols, each with the sessions that it carries.
//! - `exec`: the session of exec and attach, whatever the protocol. `port_forward`: one forwarded connection. `watch`: events
//!   as messages.
//!
//! **Invariants**
//! - Nothing is read from one side that the other has no room for; all queues between them are bounded here.
//! - A session is a task of [`upgrade::Sessions`]; it ends when either side does, and when the server goes down.
//! - Whatever a client sends ends its own connection at worst.

mod exec;
mod host;
mod port_forward;
mod spdy;
mod upgrade;
mod watch;
mod websocket;

use std::time::Duration;

pub(crate) use exec::serve as serve_exec;
pub(crate) use host::open_port;
pub(crate) use port_forward::{Target, serve as serve_port_forward};
pub(crate) use upgrade::{Sessions, is_upgrade, pass_through};
pub(crate) use watch::{Framing, serve as serve_watch, wants_messages};

/// Chunks of at most 64 KiB that wait between a client's connection and a host.
const QUEUE_CHUNKS: usize = 8;
/// A session on which nothing is sent for so long sends a sign of life, by which a client that is gone is found out.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long the rest of a protocol's opening may take after the upgrade, as upstream.
const OPENING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to hang up after a session has ended.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);
