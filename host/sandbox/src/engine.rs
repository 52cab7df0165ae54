//! The machine under all containers of a process: compiler, instance pool and linkers.

mod linker;
mod pool;

use crate::container::{Container, StartError};
use crate::program::{LoadError, Program, State};
use crate::{CompileError, ContainerConfig, artifact, compile, limits};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bounds of an [`Engine`]. The defaults suit a host; [`EngineConfig::for_one_container`] suits `coracle run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// Containers at a time. Lowered to what the kernel's bound on memory mappings and the address space allow: ask
    /// [`Engine::containers_max`].
    pub containers_max: u32,
    /// Instances of HTTP handlers at a time, over all containers. Further requests wait.
    pub http_instances_max: u32,
    /// Bytes of the largest `.wasm` file that is compiled. The compiler takes some twenty times as much memory.
    pub module_bytes_max: u64,
}

impl Default for EngineConfig {
    /// 4,096 containers, 512 HTTP instances, files up to 128 MiB. The pool for that takes about 10 ms to make, 1.1 MB of
    /// memory and 21 TiB of address space.
    fn default() -> Self {
        Self { containers_max: 4096, http_instances_max: 512, module_bytes_max: 128 << 20 }
    }
}

impl EngineConfig {
    /// One container with at most 64 HTTP instances: made in under a millisecond.
    #[must_use]
    pub fn for_one_container() -> Self {
        Self { containers_max: 1, http_instances_max: 64, ..Self::default() }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A bound of the configuration is zero.
    #[error("{field} must be at least 1")]
    NoRoom {
        /// Which one.
        field: &'static str,
    },
    /// The machine refuses even the smallest engine.
    #[error("cannot set up the WebAssembly engine: {message}")]
    Setup {
        /// Why.
        message: String,
    },
}

/// Compiles, loads and starts programs. Cheap to clone; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// What programs and containers keep alive.
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) module_linker: wasmtime::Linker<State>,
    pub(crate) component_linker: wasmtime::component::Linker<State>,
    /// What `module_linker` holds, as `module::name`.
    pub(crate) module_functions: HashSet<String>,
    /// One permit per container.
    pub(crate) containers: Arc<Semaphore>,
    /// One permit per instance of an HTTP handler.
    pub(crate) http_instances: Arc<Semaphore>,
}

impl Engine {
    /// Sets up the engine. Takes milliseconds, see [`EngineConfig::default`].
    ///
    /// # Errors
    /// When a bound is zero, or the operating system refuses the memory even for the smallest pool.
    pub fn new(mut config: EngineConfig) -> Result<Self, EngineError> {
        for (field, value) in
            [("containers_max", config.containers_max), ("http_instances_max", config.http_instances_max)]
        {
            if value == 0 {
                return Err(EngineError::NoRoom { field });
            }
        }
        let setup = |error: wasmtime::Error| EngineError::Setup { message: compile::one_line(&error) };
        let wasmtime = pool::make_engine(&mut config).map_err(setup)?;
        let component_linker = linker::for_components(&wasmtime).map_err(setup)?;
        let module_linker = linker::for_modules(&wasmtime).map_err(setup)?;
        let module_functions = linker::functions(&wasmtime, &module_linker);
        Ok(Self {
            shared: Arc::new(Shared {
                containers: Arc::new(Semaphore::new(config.containers_max as usize)),
                http_instances: Arc::new(Semaphore::new(config.http_instances_max as usize)),
                config,
                wasmtime,
                module_linker,
                component_linker,
                module_functions,
            }),
        })
    }

    /// Containers that this engine runs at a time: what was configured, or what the machine allows.
    #[must_use]
    pub fn containers_max(&self) -> u32 {
        self.shared.config.containers_max
    }

    /// Names everything that compiled code depends on: file format, wasmtime version, settings, processor features.
    /// Artifacts are interchangeable between engines of one key. Characters: `a-z`, `0-9`, `-`.
    #[must_use]
    pub fn compatibility_key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.shared.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        artifact::FORMAT.hash(&mut hasher);
        format!("cranelift-{:016x}", hasher.finish())
    }

    /// Compiles a `.wasm` file to an artifact for [`Engine::load`].
    ///
    /// Blocks and uses all cores, about a second per 600 KB of code on two cores: call it from a blocking thread. What can
    /// be refused is refused before the compiler runs.
    ///
    /// # Errors
    /// Whatever is wrong with the file, in words for the person who built it.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        compile::compile(&self.shared, wasm)
    }

    /// Maps the artifact at `path` into memory and links it. Takes under a millisecond.
    ///
    /// # Assumptions
    /// The file was written by [`Engine::compile`] of an engine with the same key and has not changed since: it holds
    /// machine code that will be run. Keep artifacts where only this user can write, under a checksum.
    ///
    /// # Errors
    /// When the file is not an artifact, is not whole, or was made by another engine.
    pub fn load(&self, path: &Path) -> Result<Program, LoadError> {
        Program::load(&self.shared, path)
    }

    /// Starts a container. Returns at once; the program's first instruction runs on the tokio runtime.
    ///
    /// # Errors
    /// When the configuration cannot be met: no slot is free, a mount cannot be opened, a port is taken.
    ///
    /// # Panics
    /// When called outside of a tokio runtime.
    pub fn start(&self, program: &Program, config: ContainerConfig) -> Result<Container, StartError> {
        Container::start(&self.shared, program, config)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Engine").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

const _: () = assert!(limits::RESOURCES_MAX <= u32::MAX as usize);
