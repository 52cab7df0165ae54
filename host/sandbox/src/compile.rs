//! From a `.wasm` file to machine code.

#[cfg(test)]
mod tests;

use crate::artifact;
use crate::engine::Shared;
use crate::inspect::{NotWasm, Outline, ProgramKind, inspect, is_interface_0_2};
use crate::limits::NAMES_IN_MESSAGE_MAX;
use wasmtime::Module;
use wasmtime::component::Component;

/// Why a file cannot become a program. Every text is for the person who built the file.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It does not start as WebAssembly does.
    #[error("not a WebAssembly file: {0}")]
    NotWasm(NotWasm),
    /// It is larger than [`EngineConfig::module_bytes_max`](crate::EngineConfig::module_bytes_max).
    #[error("the file has {size_bytes} bytes; at most {size_bytes_max} are allowed")]
    TooLarge {
        /// Its size.
        size_bytes: u64,
        /// The bound.
        size_bytes_max: u64,
    },
    /// A core module that is no program.
    #[error("the module has no export `_start`{}", no_start_hint(*library))]
    NoStart {
        /// It exports `_initialize`, which a library does.
        library: bool,
    },
    /// A component that is no program.
    #[error(
        "the component exports neither `wasi:cli/run` nor `wasi:http/incoming-handler`, so there is nothing to start; \
         its exports are: {}",
        listed(exports)
    )]
    NoEntry {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// A program for a WASI that this host does not run.
    #[error("the component exports `{export}`, but this host runs WASI 0.1 and 0.2")]
    OtherWasiVersion {
        /// The export that says so.
        export: String,
    },
    /// It needs what this host does not have.
    #[error("the program imports {}, which this host does not provide", listed(names))]
    MissingImports {
        /// All that are missing, not just the first.
        names: Vec<String>,
    },
    /// It needs something from an interface that this host has, but not as it needs it.
    #[error("the program does not fit this host's interfaces: {message}")]
    Unsuitable {
        /// Which import, and what is wrong with it.
        message: String,
    },
    /// It starts as WebAssembly does, but breaks its rules or this host's bounds.
    #[error("the program cannot be compiled: {message}")]
    Invalid {
        /// The rule, in the compiler's words.
        message: String,
    },
}

fn no_start_hint(library: bool) -> &'static str {
    if library { ": it is a library (it exports `_initialize`), build it as a command" } else { ": nothing to start" }
}

/// Names in backquotes, and how many more there are.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = names.iter().take(NAMES_IN_MESSAGE_MAX).map(|name| format!("`{name}`")).collect();
    let hidden = names.len().saturating_sub(NAMES_IN_MESSAGE_MAX);
    match hidden {
        0 => shown.join(", "),
        _ => format!("{} and {hidden} more", shown.join(", ")),
    }
}

/// The interfaces of WASI 0.2 that the linker holds. A test asks the linker about each.
pub(crate) const INTERFACES: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Compiles `wasm` to an artifact. Uses every core for as long as it takes: seconds for megabytes.
pub(crate) fn compile(shared: &Shared, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let size_bytes = u64::try_from(wasm.len()).unwrap_or(u64::MAX);
    let size_bytes_max = shared.config.module_bytes_max;
    if size_bytes > size_bytes_max {
        return Err(CompileError::TooLarge { size_bytes, size_bytes_max });
    }
    let outline = inspect(wasm)?;
    let names = missing_imports(shared, &outline);
    if !names.is_empty() {
        return Err(CompileError::MissingImports { names });
    }
    let image = match outline.kind {
        ProgramKind::Module => compile_module(shared, wasm),
        ProgramKind::Command | ProgramKind::HttpHandler => compile_component(shared, wasm),
    };
    image.map(|image| artifact::seal(image, outline.kind))
}

/// Compiled, and linked once for trial, so that what cannot be loaded is found out here and not at every start.
fn compile_module(shared: &Shared, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let module = Module::from_binary(&shared.wasmtime, wasm).map_err(|error| invalid(&error))?;
    shared.module_linker.instantiate_pre(&module).map_err(|error| unsuitable(&error))?;
    module.serialize().map_err(|error| invalid(&error))
}

fn compile_component(shared: &Shared, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let component = Component::from_binary(&shared.wasmtime, wasm).map_err(|error| invalid(&error))?;
    shared.component_linker.instantiate_pre(&component).map_err(|error| unsuitable(&error))?;
    component.serialize().map_err(|error| invalid(&error))
}

fn invalid(error: &wasmtime::Error) -> CompileError {
    CompileError::Invalid { message: one_line(error) }
}

fn unsuitable(error: &wasmtime::Error) -> CompileError {
    CompileError::Unsuitable { message: one_line(error) }
}

/// Every import that the linkers do not hold, not just the first.
fn missing_imports(shared: &Shared, outline: &Outline) -> Vec<String> {
    let provided = |name: &String| match outline.kind {
        ProgramKind::Module => shared.module_functions.contains(name),
        ProgramKind::Command | ProgramKind::HttpHandler => {
            INTERFACES.iter().any(|interface| is_interface_0_2(name, interface))
        }
    };
    outline.imports.iter().filter(|name| !provided(name)).cloned().collect()
}

/// The chain of causes, outermost first, on one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ").replace('\n', " ")
}
