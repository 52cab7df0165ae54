//! What guests can call.

use crate::program::State;
use std::collections::HashSet;
use wasmtime::component::{HasData, Linker as ComponentLinker, ResourceTable};
use wasmtime::{Engine, Linker as ModuleLinker, Result, Store};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi::{I32Exit, p1};
use wasmtime_wasi_io::bindings::wasi::io;

const P1: &str = "wasi_snapshot_preview1";

struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

/// WASI 0.1. `proc_exit` is ours: the stock one takes codes of 126 and more for an error.
pub(super) fn for_modules(engine: &Engine) -> Result<ModuleLinker<State>> {
    let mut linker = ModuleLinker::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi)?;
    linker.allow_shadowing(true);
    linker
        .func_wrap(P1, "proc_exit", |code: i32| -> Result<()> { Err(wasmtime::Error::from(I32Exit(code & 0xff))) })?;
    Ok(linker)
}

/// Everything in `linker`, as `module::name`.
pub(super) fn functions(engine: &Engine, linker: &ModuleLinker<State>) -> HashSet<String> {
    let mut store = Store::new(engine, State::empty());
    linker.iter(&mut store).map(|(module, name, _)| format!("{module}::{name}")).collect()
}

/// WASI 0.2, interface by interface, so that nothing comes in unseen.
pub(super) fn for_components(engine: &Engine) -> Result<ComponentLinker<State>> {
    let mut linker = ComponentLinker::new(engine);
    add_io_and_clocks(&mut linker)?;
    add_cli(&mut linker)?;
    add_sockets(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(linker)
}

fn add_io_and_clocks(l: &mut ComponentLinker<State>) -> Result<()> {
    io::error::add_to_linker::<State, HasIo>(l, |state| state.ctx().table)?;
    io::poll::add_to_linker::<State, HasIo>(l, |state| state.ctx().table)?;
    io::streams::add_to_linker::<State, HasIo>(l, |state| state.ctx().table)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    random::random::add_to_linker::<State, WasiRandom>(l, State::random)?;
    random::insecure::add_to_linker::<State, WasiRandom>(l, State::random)?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(l, State::random)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)
}

fn add_cli(l: &mut ComponentLinker<State>) -> Result<()> {
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)
}

/// Sockets are linked because a Rust guest imports them whether it uses them or not. No instance is allowed TCP, UDP or
/// name lookup, and the stock implementation asks that before it makes a kernel socket.
fn add_sockets(l: &mut ComponentLinker<State>) -> Result<()> {
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<State, WasiSockets>(l, &options, State::sockets)?;
    sockets::instance_network::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::tcp::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::udp::add_to_linker::<State, WasiSockets>(l, State::sockets)?;
    sockets::udp_create_socket::add_to_linker::<State, WasiSockets>(l, State::sockets)
}
