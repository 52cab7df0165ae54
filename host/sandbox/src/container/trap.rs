//! From what wasmtime says to how a container ended.

#[cfg(test)]
mod tests;

use super::memory::OutOfMemory;
use crate::compile::one_line;
use crate::exit::{CODE_FUEL, CODE_KILLED, CODE_TERMINATED, CODE_TRAP};
use crate::limits::{TRAP_REPORT_BYTES_MAX, TRAP_REPORT_TIMEOUT};
use crate::{ExitReason, ExitReport, Output, Usage};
use bytes::Bytes;
use std::fmt::Write as _;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// The end of an instance, and of a container if it is the container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: i32,
    pub(super) reason: ExitReason,
    pub(super) message: Option<String>,
    /// Where the guest was, one frame per line.
    backtrace: Option<String>,
    /// Out of memory although the instance would fit if it were alone.
    pub(super) crowded: bool,
}

impl Ending {
    fn plain(code: i32, reason: ExitReason, message: Option<String>) -> Self {
        Self { code, reason, message, backtrace: None, crowded: false }
    }

    /// Ended from outside, `at_once` or after having been asked.
    pub(super) fn stopped(at_once: bool) -> Self {
        Self::plain(if at_once { CODE_KILLED } else { CODE_TERMINATED }, ExitReason::Stopped, None)
    }

    /// A server that finished what it was at.
    pub(super) fn drained() -> Self {
        Self::plain(0, ExitReason::Stopped, None)
    }

    /// A server whose time ran out.
    pub(super) fn killed() -> Self {
        Self::stopped(true)
    }

    pub(super) fn fuel_exhausted() -> Self {
        let message = "the lifetime budget of fuel is spent".to_owned();
        Self::plain(CODE_FUEL, ExitReason::FuelExhausted, Some(message))
    }

    /// Reads the outcome of an instance.
    pub(super) fn of(result: wasmtime::Result<()>) -> Self {
        let Err(error) = result else {
            return Self::plain(0, ExitReason::Completed, None);
        };
        if let Some(I32Exit(code)) = error.downcast_ref() {
            let reason = if *code == 0 { ExitReason::Completed } else { ExitReason::Error };
            return Self::plain(*code, reason, None);
        }
        let mut ending = Self::of_failure(&error);
        ending.backtrace = error.downcast_ref::<WasmBacktrace>().and_then(backtrace_text);
        ending
    }

    fn of_failure(error: &wasmtime::Error) -> Self {
        if let Some(oom) = error.downcast_ref::<OutOfMemory>() {
            let ending = Self::plain(CODE_KILLED, ExitReason::OomKilled, Some(oom.to_string()));
            return Self { crowded: !oom.alone, ..ending };
        }
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            let message = format!("the host has no room for another instance: {}", one_line(error));
            return Self::plain(CODE_NOT_STARTED, ExitReason::Error, Some(message));
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Self::fuel_exhausted(),
            Some(trap) => Self::plain(CODE_TRAP, ExitReason::Trap, Some(trap_text(*trap))),
            None => Self::plain(CODE_TRAP, ExitReason::Trap, Some(cause_text(error))),
        }
    }

    /// The report. The backtrace is not a part of it: it was printed.
    pub(super) fn into_report(self, usage: Usage) -> ExitReport {
        ExitReport { code: self.code, reason: self.reason, message: self.message, usage }
    }

    fn text(&self) -> Option<String> {
        let message = self.message.clone()?;
        Some(match &self.backtrace {
            Some(backtrace) => format!("{message}\nWasm backtrace, innermost call first:\n{backtrace}"),
            None => message,
        })
    }
}

/// What `kubectl` shows when a container could not be started.
const CODE_NOT_STARTED: i32 = 128;

/// wasmtime's words, with what they mean to a person where that is not plain.
fn trap_text(trap: Trap) -> String {
    let hint = match trap {
        Trap::UnreachableCodeReached => " (the program aborted, as after a panic)",
        Trap::StackOverflow => " (recursion too deep)",
        _ => "",
    };
    format!("{trap}{hint}")
}

/// The chain of causes without the backtrace that wasmtime puts into it.
fn cause_text(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error
        .chain()
        .map(ToString::to_string)
        .filter(|cause| !cause.starts_with("error while executing at wasm backtrace"))
        .collect();
    causes.join(": ")
}

/// The frames with readable names, cut to [`TRAP_REPORT_BYTES_MAX`].
fn backtrace_text(backtrace: &WasmBacktrace) -> Option<String> {
    let mut text = String::new();
    for (index, frame) in backtrace.frames().iter().enumerate() {
        if text.len() > TRAP_REPORT_BYTES_MAX {
            let _ = write!(text, "  ... and {} more frames", backtrace.frames().len() - index);
            break;
        }
        write_frame(&mut text, index, frame);
    }
    text.truncate(text.trim_end().len());
    (!text.is_empty()).then_some(text)
}

fn write_frame(text: &mut String, index: usize, frame: &FrameInfo) {
    let _ = write!(text, "{index:4}: ");
    if frame.symbols().is_empty() {
        let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
        let _ = writeln!(text, "{name}");
        return;
    }
    for (depth, symbol) in frame.symbols().iter().enumerate() {
        let indent = if depth == 0 { "" } else { "      " };
        let name = symbol.name().or(frame.func_name()).map_or_else(|| "unknown".to_owned(), demangled);
        let _ = writeln!(text, "{indent}{name}");
        if let (Some(file), Some(line)) = (symbol.file(), symbol.line()) {
            let _ = writeln!(text, "          at {file}:{line}");
        }
    }
}

/// Rust names without their hash; others as they are.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Prints why the guest ended to its standard error, `context` first, if that is news to the program's author. A sink that
/// stays full loses it.
pub(super) async fn report_trap(stderr: &Output, ending: &mut Ending, context: Option<&str>) {
    let Some(text) = ending.text() else {
        return;
    };
    let prefix = context.map(|context| format!("{context}: ")).unwrap_or_default();
    let line = Bytes::from(format!("{prefix}{text}\n"));
    let sent = tokio::time::timeout(TRAP_REPORT_TIMEOUT, send(stderr, line)).await;
    if sent.is_err() {
        tracing::debug!("a container's stderr stayed full, so the report of its trap is lost");
    }
}

async fn send(output: &Output, mut bytes: Bytes) {
    while !bytes.is_empty() {
        match output.sink.permit() {
            Err(_closed) => return,
            Ok(0) => output.sink.ready().await,
            Ok(permit) => {
                let chunk = bytes.split_to(permit.min(bytes.len()));
                if output.sink.write(chunk).is_err() {
                    return;
                }
            }
        }
    }
}
