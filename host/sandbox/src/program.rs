//! Compiled code, mapped and linked: what instances are made of.

mod state;

pub(crate) use state::State;

use crate::compile::one_line;
use crate::engine::Shared;
use crate::{ProgramKind, artifact};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::Component;
use wasmtime::{InstancePre, Module};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// Why compiled code cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the compiled program {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file was not written by [`Engine::compile`](crate::Engine::compile), or is cut.
    #[error("{} is not a compiled program of this host, or not a whole one", path.display())]
    NotAnArtifact {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by an engine with another key.
    #[error("the compiled program {} does not fit this host: {message}", path.display())]
    Incompatible {
        /// The file.
        path: PathBuf,
        /// What differs.
        message: String,
    },
    /// An import has the right name and the wrong shape.
    #[error("the program cannot be linked: {message}")]
    Link {
        /// Which import, and what is wrong with it.
        message: String,
    },
}

/// A program that is ready to start, any number of times. Cheap to clone. The code stays mapped as long as a clone or an
/// instance lives; the file may be deleted.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    entry: Entry,
    imports: Vec<String>,
    footprint_bytes: u64,
}

/// What is called, with everything resolved that can be resolved before there is an instance.
pub(crate) enum Entry {
    Module(InstancePre<State>),
    Command(CommandPre<State>),
    HttpHandler(ProxyPre<State>),
}

impl Program {
    /// What kind of program it is.
    #[must_use]
    pub fn kind(&self) -> ProgramKind {
        match self.inner.entry {
            Entry::Module(_) => ProgramKind::Module,
            Entry::Command(_) => ProgramKind::Command,
            Entry::HttpHandler(_) => ProgramKind::HttpHandler,
        }
    }

    /// What it asks the host for, sorted: interfaces such as `wasi:filesystem/types@0.2.6` of a component,
    /// `wasi_snapshot_preview1::fd_write` of a module. This is the program's permission list.
    #[must_use]
    pub fn imports(&self) -> &[String] {
        &self.inner.imports
    }

    /// Bytes of memory that an instance takes when it is made, as far as it can be known before.
    #[must_use]
    pub fn memory_bytes_initial(&self) -> u64 {
        self.inner.footprint_bytes
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.inner.entry
    }

    pub(crate) fn load(shared: &Shared, path: &Path) -> Result<Self, LoadError> {
        let kind = artifact::read_kind(path)
            .map_err(|source| LoadError::Read { path: path.to_owned(), source })?
            .ok_or_else(|| LoadError::NotAnArtifact { path: path.to_owned() })?;
        let inner = match kind {
            ProgramKind::Module => load_module(shared, path)?,
            ProgramKind::Command | ProgramKind::HttpHandler => load_component(shared, path, kind)?,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Program").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

fn load_module(shared: &Shared, path: &Path) -> Result<Inner, LoadError> {
    #[expect(unsafe_code, reason = "compiled code can only be mapped, not checked")]
    // SAFETY: `read_kind` found this crate's trailer behind a whole image, so `Engine::compile` wrote the file; the caller
    // of `Engine::load` promises that it has not changed since and that only this user can write it. The image carries
    // the settings it was compiled with, and wasmtime refuses it if they are not this engine's.
    let module = unsafe { Module::deserialize_file(&shared.wasmtime, path) };
    let module = module.map_err(|error| incompatible(path, &error))?;
    let mut imports: Vec<String> =
        module.imports().map(|import| format!("{}::{}", import.module(), import.name())).collect();
    imports.sort();
    imports.dedup();
    let required = module.resources_required();
    let entry = Entry::Module(shared.module_linker.instantiate_pre(&module).map_err(|error| link(&error))?);
    Ok(Inner { entry, imports, footprint_bytes: footprint(required.num_memories, required.max_initial_memory_size) })
}

fn load_component(shared: &Shared, path: &Path, kind: ProgramKind) -> Result<Inner, LoadError> {
    #[expect(unsafe_code, reason = "compiled code can only be mapped, not checked")]
    // SAFETY: as in `load_module`.
    let component = unsafe { Component::deserialize_file(&shared.wasmtime, path) };
    let component = component.map_err(|error| incompatible(path, &error))?;
    let mut imports: Vec<String> =
        component.component_type().imports(&shared.wasmtime).map(|(name, _)| name.to_owned()).collect();
    imports.sort();
    let footprint_bytes = component
        .resources_required()
        .map_or(0, |required| footprint(required.num_memories, required.max_initial_memory_size));
    let linked = shared.component_linker.instantiate_pre(&component).map_err(|error| link(&error))?;
    let entry = match kind {
        ProgramKind::HttpHandler => ProxyPre::new(linked).map(Entry::HttpHandler),
        ProgramKind::Command | ProgramKind::Module => CommandPre::new(linked).map(Entry::Command),
    };
    Ok(Inner { entry: entry.map_err(|error| link(&error))?, imports, footprint_bytes })
}

fn incompatible(path: &Path, error: &wasmtime::Error) -> LoadError {
    LoadError::Incompatible { path: path.to_owned(), message: one_line(error) }
}

fn link(error: &wasmtime::Error) -> LoadError {
    LoadError::Link { message: one_line(error) }
}

/// An upper bound: the largest memory's initial size for each.
fn footprint(memories: u32, pages_max: Option<u64>) -> u64 {
    u64::from(memories).saturating_mul(pages_max.unwrap_or(0)).saturating_mul(64 << 10)
}
