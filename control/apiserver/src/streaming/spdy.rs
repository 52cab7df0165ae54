//! SPDY/3.1, the server's side of it that Kubernetes clients use: streams that the client opens, with headers that say what
//! they are, and data in both directions (draft-mbelshe-httpbis-spdy-00 and the 3.1 addition on flow control).
//!
//! Upstream's clients neither obey windows nor say anything of theirs. So a window binds what is sent here only once the
//! client has shown that it has one, and what a client sends is held back by not reading its connection.

mod connection;
mod exec;
mod frame;
mod header;
mod port_forward;

pub(super) use exec::{PROTOCOLS as EXEC_PROTOCOLS, run as run_exec};
pub(super) use port_forward::{PROTOCOLS as PORT_FORWARD_PROTOCOLS, run as run_port_forward};
