//! A look at a file before anything expensive is done with it: what is it, what does it need, what does it offer?
//!
//! Only the outline is read: section headers, imports and exports. Whether the code is valid is the compiler's to say.

#[cfg(test)]
mod tests;

use crate::CompileError;
use std::fmt;
use wasmparser::{Encoding, Parser, Payload};

/// What kind of program a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProgramKind {
    /// A core module for WASI 0.1: it exports `_start`.
    Module,
    /// A WASI 0.2 component that exports `wasi:cli/run`: it runs to its end.
    Command,
    /// A WASI 0.2 component that exports `wasi:http/incoming-handler`: it is served.
    HttpHandler,
}

impl fmt::Display for ProgramKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Module => "WASI 0.1 module",
            Self::Command => "WASI 0.2 command",
            Self::HttpHandler => "HTTP handler",
        })
    }
}

/// What a file is that is not WebAssembly, judged by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotWasm {
    /// No bytes at all.
    Empty,
    /// WebAssembly in its text form.
    WasmText,
    /// A name of something else, such as "an ELF executable".
    Known(&'static str),
    /// Readable text of no known kind.
    Text,
    /// The first four bytes, of no known kind.
    Unknown([u8; 4]),
}

impl fmt::Display for NotWasm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(formatter, "the file is empty"),
            Self::WasmText => {
                write!(formatter, "it is WebAssembly text: turn it into the binary form first (`wasm-tools parse`)")
            }
            Self::Known(what) => write!(formatter, "it looks like {what}"),
            Self::Text => write!(formatter, "it looks like text"),
            Self::Unknown([a, b, c, d]) => {
                write!(formatter, "it starts with {a:02x} {b:02x} {c:02x} {d:02x} instead of 00 61 73 6d")
            }
        }
    }
}

/// First bytes of what people load by mistake. The longest match is not needed: no entry is a prefix of another.
const MAGICS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF executable: build the program for wasm32-wasip1 or wasm32-wasip2"),
    (b"MZ", "a Windows executable: build the program for wasm32-wasip1 or wasm32-wasip2"),
    (b"\xcf\xfa\xed\xfe", "a macOS executable: build the program for wasm32-wasip1 or wasm32-wasip2"),
    (b"\xca\xfe\xba\xbe", "a macOS executable or a Java class"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"!<arch>", "an archive of object files"),
    (b"#!", "a script"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
];

impl NotWasm {
    fn from_bytes(bytes: &[u8]) -> Self {
        let head = &bytes[..bytes.len().min(512)];
        if head.is_empty() {
            return Self::Empty;
        }
        if let Some((_, what)) = MAGICS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Self::Known(what);
        }
        if bytes.get(257..262) == Some(b"ustar") {
            return Self::Known("a tar archive");
        }
        if let Some(text) = readable(head) {
            let start = text.trim_start();
            let is_wat = start.starts_with("(module") || start.starts_with("(component") || start.starts_with(";;");
            return if is_wat { Self::WasmText } else { Self::Text };
        }
        let mut first = [0; 4];
        for (to, from) in first.iter_mut().zip(head) {
            *to = *from;
        }
        Self::Unknown(first)
    }
}

/// The bytes as text, if that is what they are. The last character may have been cut off.
fn readable(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    text.chars().all(|c| !c.is_control() || c.is_whitespace()).then_some(text)
}

/// What a program needs and offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) kind: ProgramKind,
    /// Interfaces by name for a component, `module::name` for a core module; sorted, each once.
    pub(crate) imports: Vec<String>,
}

#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
}

/// Reads the outline of `bytes`.
pub(crate) fn inspect(bytes: &[u8]) -> Result<Outline, CompileError> {
    if !bytes.starts_with(b"\0asm") {
        return Err(CompileError::NotWasm(NotWasm::from_bytes(bytes)));
    }
    let (encoding, mut names) =
        read_names(bytes).map_err(|error| CompileError::Invalid { message: error.to_string() })?;
    names.imports.sort();
    names.imports.dedup();
    let kind = match encoding {
        Encoding::Module => module_kind(&names)?,
        Encoding::Component => component_kind(&names)?,
    };
    Ok(Outline { kind, imports: names.imports })
}

/// The names at the outermost level. Nested modules and components are passed over.
fn read_names(bytes: &[u8]) -> Result<(Encoding, Names), wasmparser::BinaryReaderError> {
    let mut names = Names::default();
    let mut outermost = Encoding::Module;
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::Version { encoding, .. } if depth == 0 => outermost = encoding,
            _ if depth > 0 => {}
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    names.imports.push(format!("{}::{}", import.module, import.name));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    names.exports.push(export?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    names.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((outermost, names))
}

fn module_kind(names: &Names) -> Result<ProgramKind, CompileError> {
    if names.exports.iter().any(|name| name == "_start") {
        return Ok(ProgramKind::Module);
    }
    Err(CompileError::NoStart { library: names.exports.iter().any(|name| name == "_initialize") })
}

/// A component that is both a command and a handler is a handler: the command would end where a server is wanted.
fn component_kind(names: &Names) -> Result<ProgramKind, CompileError> {
    let exports = |interface: &str| names.exports.iter().any(|name| is_interface_0_2(name, interface));
    if exports("wasi:http/incoming-handler") {
        return Ok(ProgramKind::HttpHandler);
    }
    if exports("wasi:cli/run") {
        return Ok(ProgramKind::Command);
    }
    let newer = ["wasi:cli/run@", "wasi:http/handler@", "wasi:http/incoming-handler@"];
    if let Some(export) = names.exports.iter().find(|name| newer.iter().any(|prefix| name.starts_with(prefix))) {
        return Err(CompileError::OtherWasiVersion { export: export.clone() });
    }
    Err(CompileError::NoEntry { exports: names.exports.clone() })
}

/// Whether `name` is `interface` at a version 0.2.x.
pub(crate) fn is_interface_0_2(name: &str, interface: &str) -> bool {
    name.split_once('@').is_some_and(|(base, version)| base == interface && version.starts_with("0.2."))
}
