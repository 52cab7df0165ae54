//! Programs that run to their end: modules and commands.

use super::instance::{Ended, Template};
use super::trap::{Ending, report_trap};
use crate::program::{Entry, State};
use crate::{ExitReport, limits};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;

/// Runs the one instance, until it ends or is to be stopped.
pub(super) async fn run(template: Template, mut stop: watch::Receiver<Option<Instant>>) -> ExitReport {
    let granted = template.meter.fuel.grant();
    let turn = Arc::default();
    let mut ending = match template.store(template.meter.memory.account(), granted, &turn) {
        Ok(store) => {
            let program = template.program.clone();
            let mut instance = template.meter(granted, turn, async move { call(program.entry(), store).await });
            tokio::select! {
                biased;
                deadline = stop_requested(&mut stop) => Ending::stopped(deadline <= Instant::now()),
                ended = &mut instance => Ending::of(ended.result),
            }
        }
        Err(error) => Ending::of(Err(error)),
    };
    report_trap(&template.stderr, &mut ending, None).await;
    let meter = Arc::clone(&template.meter);
    // The container's sinks end here, before whoever waits for it learns of the end.
    drop(template);
    ending.into_report(meter.usage())
}

/// When the container is to have ended by. Never returns if nobody asks.
pub(super) async fn stop_requested(stop: &mut watch::Receiver<Option<Instant>>) -> Instant {
    match stop.wait_for(Option::is_some).await.map(|deadline| *deadline) {
        Ok(Some(deadline)) => deadline,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Makes the instance and calls its entry point.
async fn call(entry: &Entry, mut store: Store<State>) -> Ended {
    let result = match entry {
        Entry::Module(module) => call_module(module, &mut store).await,
        Entry::Command(command) => call_command(command, &mut store).await,
        Entry::HttpHandler(_) => Ok(()),
    };
    Ended::new(&store, result)
}

async fn call_module(module: &wasmtime::InstancePre<State>, store: &mut Store<State>) -> wasmtime::Result<()> {
    let instance = module.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(&mut *store, ()).await
}

async fn call_command(
    command: &wasmtime_wasi::p2::bindings::CommandPre<State>,
    store: &mut Store<State>,
) -> wasmtime::Result<()> {
    let instance = command.instantiate_async(&mut *store).await?;
    match instance.wasi_cli_run().call_run(&mut *store).await? {
        Ok(()) => Ok(()),
        Err(()) => Err(I32Exit(1).into()),
    }
}

const _: () = assert!(limits::FUEL_YIELD_INTERVAL > 0);
