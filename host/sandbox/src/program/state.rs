//! What the host keeps per instance.

use crate::container::{EndLongTurns, MemoryAccount, Turn};
use crate::limits::RESOURCES_MAX;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

/// The store's data. One type for modules and components: the context of WASI 0.1 contains that of 0.2.
pub(crate) struct State {
    pub(crate) wasi: WasiP1Ctx,
    http: WasiHttpCtx,
    hooks: RefuseOutgoing,
    memory: MemoryAccount,
}

impl State {
    pub(crate) fn new(builder: &mut WasiCtxBuilder, memory: MemoryAccount) -> Self {
        let mut wasi = builder.build_p1();
        wasi.ctx().table.set_max_capacity(RESOURCES_MAX);
        Self { wasi, http: WasiHttpCtx::new(), hooks: RefuseOutgoing, memory }
    }

    /// For looking things up in a linker.
    pub(crate) fn empty() -> Self {
        Self::new(&mut WasiCtxBuilder::new(), MemoryAccount::unlimited())
    }

    /// A store in which one instance is to live, with `fuel` to burn, in turns that `turn` watches.
    pub(crate) fn into_store(self, engine: &Engine, fuel: u64, turn: &Arc<Turn>) -> wasmtime::Result<Store<Self>> {
        let host_call_bytes_max = self.memory.host_call_bytes_max();
        let mut store = Store::new(engine, self);
        store.limiter(|state| -> &mut dyn ResourceLimiter { &mut state.memory });
        store.call_hook_async(EndLongTurns::new(turn));
        store.set_hostcall_fuel(host_call_bytes_max);
        store.set_max_component_handles(RESOURCES_MAX);
        store.set_fuel(fuel)?;
        store.fuel_async_yield_interval(Some(crate::FUEL_YIELD_INTERVAL))?;
        Ok(store)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let table: &mut ResourceTable = self.wasi.ctx().table;
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.http }
    }
}

/// Outgoing requests need the pod's network, which does not reach into the sandbox yet.
struct RefuseOutgoing;

/// The answer to a request and the rest of its connection, as wasmtime wants them.
type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>), HttpError>;

impl WasiHttpHooks for RefuseOutgoing {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(HttpError::HttpRequestDenied) })
    }
}
