//! Making instances of a container's program and running them under its meters.

use super::StartError;
use super::fuel::{InstanceFuel, YieldWaker};
use super::memory::MemoryAccount;
use super::meter::Meter;
use super::processor::clock::thread_time;
use super::turn::Turn;
use crate::engine::Shared as EngineShared;
use crate::limits::{ARGS_ENV_BYTES_MAX, RANDOM_BYTES_MAX};
use crate::output::SinkStdout;
use crate::program::{Program, State};
use crate::{ContainerConfig, Input, Mount, Output};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime::Store;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// What every instance of a container is made from.
pub(super) struct Template {
    pub(super) engine: Arc<EngineShared>,
    pub(super) program: Program,
    pub(super) meter: Arc<Meter>,
    pub(super) name: String,
    pub(super) stderr: Output,
    stdout: Output,
    args: Vec<String>,
    env: Vec<(String, String)>,
    mounts: Vec<Mount>,
    /// For the first instance; a second one finds it empty.
    stdin: std::sync::Mutex<Option<Input>>,
}

impl Template {
    /// Checks the configuration, so that a container that cannot work is not started.
    pub(super) fn new(
        engine: &Arc<EngineShared>,
        program: &Program,
        config: ContainerConfig,
        meter: Arc<Meter>,
    ) -> Result<Self, StartError> {
        let args = if config.args.is_empty() { vec![config.name.clone()] } else { config.args };
        check_strings(&args, &config.env)?;
        let template = Self {
            engine: Arc::clone(engine),
            program: program.clone(),
            meter,
            name: config.name,
            stderr: config.stderr,
            stdout: config.stdout,
            args,
            env: config.env,
            mounts: config.mounts,
            stdin: std::sync::Mutex::new(Some(config.stdin)),
        };
        template.mount(&mut WasiCtxBuilder::new())?;
        Ok(template)
    }

    /// A store for one instance. Opens the mounts anew, so that an instance sees what the paths name now.
    pub(super) fn store(&self, memory: MemoryAccount, fuel: u64, turn: &Arc<Turn>) -> wasmtime::Result<Store<State>> {
        let mut builder = WasiCtxBuilder::new();
        builder
            .args(&self.args)
            .envs(&self.env)
            .stdout(SinkStdout::from(&self.stdout))
            .stderr(SinkStdout::from(&self.stderr))
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        let stdin = self.stdin.lock().ok().and_then(|mut stdin| stdin.take());
        stdin.unwrap_or_else(Input::empty).connect(&mut builder);
        self.mount(&mut builder).map_err(wasmtime::Error::new)?;
        State::new(&mut builder, memory).into_store(&self.engine.wasmtime, fuel, turn)
    }

    fn mount(&self, builder: &mut WasiCtxBuilder) -> Result<(), StartError> {
        for mount in &self.mounts {
            let permissions = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            builder.preopened_dir(&mount.host_path, &mount.guest_path, permissions).map_err(|error| {
                StartError::Mount {
                    host_path: mount.host_path.clone(),
                    guest_path: mount.guest_path.clone(),
                    source: error.downcast::<io::Error>().unwrap_or_else(|error| io::Error::other(error.to_string())),
                }
            })?;
        }
        Ok(())
    }

    /// Puts `future`, which runs an instance to its end, under the container's meters.
    pub(super) fn meter(
        &self,
        granted: u64,
        turn: Arc<Turn>,
        future: impl Future<Output = Ended> + Send + 'static,
    ) -> Metered {
        self.meter.count_instance();
        Metered {
            future: Box::pin(future),
            meter: Arc::clone(&self.meter),
            fuel: InstanceFuel::new(granted),
            turn,
            waker: Arc::default(),
            throttled: None,
        }
    }
}

/// Arguments and environment reach the guest as C strings.
fn check_strings(args: &[String], env: &[(String, String)]) -> Result<(), StartError> {
    let mut size_bytes = 0_usize;
    for (index, arg) in args.iter().enumerate() {
        if arg.contains('\0') {
            return Err(StartError::NulByte { what: format!("argument {index}") });
        }
        size_bytes = size_bytes.saturating_add(arg.len() + 1);
    }
    for (name, value) in env {
        if name.contains('\0') || value.contains('\0') {
            return Err(StartError::NulByte { what: format!("environment variable `{}`", name.escape_default()) });
        }
        size_bytes = size_bytes.saturating_add(name.len() + value.len() + 2);
    }
    if size_bytes > ARGS_ENV_BYTES_MAX {
        return Err(StartError::ArgumentsTooLong { size_bytes, size_bytes_max: ARGS_ENV_BYTES_MAX });
    }
    Ok(())
}

/// How an instance ended.
pub(super) struct Ended {
    pub(super) result: wasmtime::Result<()>,
    /// Fuel that was not burnt.
    pub(super) fuel_left: u64,
}

impl Ended {
    pub(super) fn new(store: &Store<State>, result: wasmtime::Result<()>) -> Self {
        Self { result, fuel_left: store.get_fuel().unwrap_or(0) }
    }
}

/// A running instance: polled only when the container has processor time, and measured at every poll. Dropping it ends
/// the instance.
pub(super) struct Metered {
    future: Pin<Box<dyn Future<Output = Ended> + Send>>,
    meter: Arc<Meter>,
    fuel: InstanceFuel,
    turn: Arc<Turn>,
    waker: Arc<YieldWaker>,
    throttled: Option<Throttled>,
}

struct Throttled {
    since: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Metered {
    /// Ready when the container has processor time.
    fn poll_admitted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(throttled) = &mut self.throttled {
                ready!(throttled.sleep.as_mut().poll(cx));
                self.meter.processor.add_throttled(throttled.since.elapsed());
                self.throttled = None;
            }
            match self.meter.processor.admit(Instant::now()) {
                Ok(()) => return Poll::Ready(()),
                Err(until) => {
                    let sleep = Box::pin(sleep_until(until));
                    self.throttled = Some(Throttled { since: Instant::now(), sleep });
                }
            }
        }
    }
}

impl Future for Metered {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        ready!(self.poll_admitted(cx));
        let this = &mut *self;
        let waker = this.waker.arm(cx.waker());
        this.turn.begin();
        let before = thread_time();
        let polled = this.future.as_mut().poll(&mut Context::from_waker(&waker));
        this.meter.processor.debit(thread_time().saturating_sub(before));
        match &polled {
            Poll::Ready(ended) => this.fuel.settle(&this.meter.fuel, ended.fuel_left),
            Poll::Pending if this.waker.was_woken() && !this.turn.ended_in_host() => {
                this.fuel.count_yield(&this.meter.fuel)
            }
            Poll::Pending => {}
        }
        polled
    }
}
