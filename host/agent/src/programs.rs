//! From an image's name to a program that is ready to start: resolve, compile once, keep.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coracle_host_image::{
    ArtifactCache, ArtifactError, Digest, Image, ImageStore, PullError, PullPolicy, ReadImageError,
};
use coracle_host_sandbox::{CompileError, Engine, LoadError, Program};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared as SharedFuture};
use tokio::sync::Semaphore;

/// Programs kept in memory. Running containers keep theirs alive beyond that.
const PROGRAMS_MAX: usize = 256;

/// Programs by image. Clones are the same cache.
///
/// # Guarantees
/// - A digest is compiled once at a time, however many ask, and the result is kept in memory and on disk.
/// - Compiling happens on blocking threads, as many at a time as there are processors.
/// - What can never be a program (not WebAssembly, a missing import) is refused at once the second time.
#[derive(Clone)]
pub struct ProgramCache {
    shared: Arc<Shared>,
}

struct Shared {
    images: ImageStore,
    artifacts: ArtifactCache,
    engine: Engine,
    compatibility_key: String,
    compiling: Semaphore,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_digest: HashMap<Digest, Slot>,
    uses: u64,
}

struct Slot {
    program: SharedFuture<BoxFuture<'static, Result<Program, Arc<BuildProgramError>>>>,
    used: u64,
}

/// Where a program's bytes are.
enum Source {
    Image(Image),
    /// Part of this binary.
    Builtin(&'static [u8]),
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The image is not there.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The image is there and is no program, or not now.
    #[error("image \"{image}\" cannot be run")]
    Build { image: String, source: Arc<BuildProgramError> },
}

/// Why an image did not become a program.
#[derive(Debug, thiserror::Error)]
pub enum BuildProgramError {
    #[error(transparent)]
    Read(#[from] ReadImageError),
    #[error(transparent)]
    Compile(#[from] CompileError),
    #[error("the compiled code cannot be kept")]
    Keep(#[from] ArtifactError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the compiler ended unexpectedly")]
    Aborted,
}

impl BuildProgramError {
    /// Whether the same image will fail the same way again.
    fn is_permanent(&self) -> bool {
        match self {
            Self::Compile(_) | Self::Load(LoadError::Link { .. }) => true,
            Self::Read(_) | Self::Keep(_) | Self::Load(_) | Self::Aborted => false,
        }
    }
}

impl fmt::Debug for ProgramCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.shared.slots().by_digest.len();
        formatter.debug_struct("ProgramCache").field("programs", &kept).finish_non_exhaustive()
    }
}

impl Shared {
    /// The map is whole after every statement, so poison means nothing.
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on disk already. Blocks.
    fn load(&self, digest: &Digest) -> Option<Program> {
        let path = self.artifacts.get(digest, &self.compatibility_key)?;
        match self.engine.load(&path) {
            Ok(program) => Some(program),
            Err(error) => {
                tracing::warn!(%digest, %error, "compiled code is not usable and is made anew");
                None
            }
        }
    }

    /// Compiles, keeps and loads. Blocks, for seconds with large programs.
    fn compile(&self, digest: &Digest, source: &Source) -> Result<Program, BuildProgramError> {
        let artifact = match source {
            Source::Image(image) => self.engine.compile(&image.read()?)?,
            Source::Builtin(wasm) => self.engine.compile(wasm)?,
        };
        let path = self.artifacts.put(digest, &self.compatibility_key, &artifact)?;
        Ok(self.engine.load(&path)?)
    }

    async fn build(self: Arc<Self>, digest: Digest, source: Source) -> Result<Program, Arc<BuildProgramError>> {
        let loader = Arc::clone(&self);
        let loaded = tokio::task::spawn_blocking(move || loader.load(&digest)).await;
        if let Ok(Some(program)) = loaded {
            return Ok(program);
        }
        let compiler = Arc::clone(&self);
        let _permit = self.compiling.acquire().await.map_err(|_closed| BuildProgramError::Aborted)?;
        let compiled = tokio::task::spawn_blocking(move || compiler.compile(&digest, &source)).await;
        compiled.map_err(|_panic| BuildProgramError::Aborted)?.map_err(Arc::new)
    }
}

impl ProgramCache {
    /// A cache over these, with nothing in memory.
    pub fn new(images: ImageStore, artifacts: ArtifactCache, engine: Engine) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let compatibility_key = engine.compatibility_key();
        let compiling = Semaphore::new(processors);
        let slots = Mutex::default();
        Self { shared: Arc::new(Shared { images, artifacts, engine, compatibility_key, compiling, slots }) }
    }

    /// The engine that the programs are for.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// The store that images come from.
    pub fn images(&self) -> &ImageStore {
        &self.shared.images
    }

    /// The image that a name stands for now, and its program.
    ///
    /// # Errors
    /// The image is not there, or it cannot be made into a program.
    ///
    /// # Cancel safety
    /// Cancel-safe: a compilation that has begun is finished for the next one who asks.
    pub async fn get(&self, image: &str, policy: PullPolicy) -> Result<(Image, Program), ProgramError> {
        let image = self.shared.images.resolve(image, policy).await?;
        let program = self.program(image.digest, || Source::Image(image.clone())).await;
        let program = program.map_err(|source| ProgramError::Build { image: image.reference.clone(), source })?;
        Ok((image, program))
    }

    /// The program of bytes that are part of this binary.
    ///
    /// # Errors
    /// They cannot be made into a program.
    ///
    /// # Cancel safety
    /// As [`get`](Self::get).
    pub(crate) async fn builtin(&self, wasm: &'static [u8]) -> Result<Program, Arc<BuildProgramError>> {
        self.program(Digest::of(wasm), || Source::Builtin(wasm)).await
    }

    async fn program(
        &self,
        digest: Digest,
        source: impl FnOnce() -> Source,
    ) -> Result<Program, Arc<BuildProgramError>> {
        let program = {
            let mut slots = self.shared.slots();
            slots.uses += 1;
            let used = slots.uses;
            let slot = slots.by_digest.entry(digest).or_insert_with(|| Slot {
                program: Arc::clone(&self.shared).build(digest, source()).boxed().shared(),
                used,
            });
            slot.used = used;
            let program = slot.program.clone();
            slots.shrink();
            program
        };
        let result = program.clone().await;
        if result.as_ref().is_err_and(|error| !error.is_permanent()) {
            let mut slots = self.shared.slots();
            if slots.by_digest.get(&digest).is_some_and(|slot| slot.program.ptr_eq(&program)) {
                slots.by_digest.remove(&digest);
            }
        }
        result
    }
}

impl Slots {
    fn shrink(&mut self) {
        if self.by_digest.len() <= PROGRAMS_MAX {
            return;
        }
        let oldest = self.by_digest.iter().min_by_key(|(_, slot)| slot.used).map(|(digest, _)| *digest);
        if let Some(digest) = oldest {
            self.by_digest.remove(&digest);
        }
    }
}

#[cfg(test)]
mod tests;
