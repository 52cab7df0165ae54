//! One Wasm container: compiled code in, a running, limited and observable program out.
//!
//! A sandbox stands where a container runtime stands elsewhere. It knows nothing of pods, images or Kubernetes: it is
//! given compiled code and a [`ContainerConfig`], and gives back a [`Container`] that ends with one [`ExitReport`].
//! What a guest does wrong is never an error of the host: it is an [`ExitReason`].
//!
//! # Who shares the processor, and how
//!
//! Guests run on the threads of the tokio runtime, as futures. Four mechanisms share the work:
//!
//! - *Fuel* makes a guest interruptible. Compiled code counts what it executes, and after every
//!   [`FUEL_YIELD_INTERVAL`] units (30 to 130 microseconds) the guest's future returns to the scheduler. So a spinning
//!   guest never holds a thread, and dropping its future ends it at the next yield. No epochs: they would cost more and
//!   could do no more. Fuel burnt is the same on every run and every machine, so it is also the unit of lifetime
//!   budgets: [`Limits::fuel`] is exact to the unit.
//! - *Turns* end in the host when they last: fuel counts what a guest executes, not what the host does for it, so every
//!   return from the host looks at the clock and gives the thread up after [`limits::TURN_MAX`].
//! - *Processor time* is what [`Limits::cpu_millis`] limits, since fuel is no clock. The time of the thread is read
//!   around every poll of a guest's future and debited from the container's token bucket (period 100 ms). A container
//!   that runs dry sleeps until the next period; a debt is carried over. All instances of a container draw on one bucket.
//! - *tokio* decides who is next among those who may run.
//!
//! # Memory
//!
//! Every linear memory and every table of every instance of a container draws on one budget
//! ([`Limits::memory_bytes`]). What the host holds for a guest is bounded by constants: see [`limits`]. The pool from
//! which instances come has a fixed number of slots, chosen so that the process stays far below the kernel's bound on
//! memory mappings; admission past it is refused ([`StartError::AtCapacity`]) because an allocation that fails for lack
//! of mappings would abort the process and every pod in it.
//!
//! # What a guest can reach
//!
//! The linker holds the interfaces of WASI 0.2 one by one: clocks, random, stdio, environment, the directories of
//! [`ContainerConfig::mounts`]; for HTTP handlers the request. Sockets link and every operation on them is denied
//! before a kernel socket exists; outgoing HTTP is answered with an error. A program that imports anything else is
//! refused before it is compiled, with every missing import named.
//!
//! # Kinds of program
//!
//! | kind | runs | exit code |
//! |---|---|---|
//! | [`ProgramKind::Module`]: a core module for WASI 0.1 | `_start` | as the guest gave it, 0 to 255 |
//! | [`ProgramKind::Command`]: a WASI 0.2 component | `wasi:cli/run` | 0 or 1: `wasi:cli/exit` carries no more |
//! | [`ProgramKind::HttpHandler`]: `wasi:http/incoming-handler` | one fresh instance per request | when stopped or out of budget |
//!
//! # Refused alternatives
//!
//! WASI 0.1 modules are not wrapped into components, although that would leave one code path: the adapter reduces exit
//! codes to 0 and 1. Instances are not taken from the on-demand allocator: it halves the requests per second. Standard
//! output is not tokio's pipe: that costs a task per stream.
//!
//! # Architecture invariants
//!
//! - The crate knows no image, no pod and no API object.
//! - No guest can make it panic, and no guest holds a thread longer than one fuel interval, [`limits::TURN_MAX`] and one host call together.
//! - `unsafe` occurs once, in `program.rs`, where compiled code is mapped.

#![deny(missing_docs)]

pub mod limits;

mod artifact;
mod compile;
mod config;
mod container;
mod engine;
mod exit;
mod inspect;
mod output;
mod program;
mod stdin;

pub use compile::CompileError;
pub use config::{ContainerConfig, HttpLimits, Limits, Mount};
pub use container::{Container, StartError};
pub use engine::{Engine, EngineConfig, EngineError};
pub use exit::{ExitReason, ExitReport, Usage};
pub use inspect::{NotWasm, ProgramKind};
pub use limits::FUEL_YIELD_INTERVAL;
pub use output::{LogReader, LogSink, LogWriter, Output, SinkClosed, log_channel};
pub use program::{LoadError, Program};
pub use stdin::Input;
