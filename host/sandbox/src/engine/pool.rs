//! The pool of instance slots, and how large it can be on this machine.
//!
//! What bounds it without root is the number of memory mappings of a process (`vm.max_map_count`, 65,530 by default): a
//! slot takes two for its stack from the start and up to four more while it is in use. Past the bound `mmap` fails for
//! everybody in the process, the allocator included, so the pool stays well below. The address space is the other bound:
//! 4 GiB and a guard per memory, of 128 TiB on most machines but of 256 GiB on RISC-V with Sv39.

use super::EngineConfig;
use crate::limits::{MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// Mappings of one slot: two for the stack, four for a memory with a copy-on-write image.
const MAPPINGS_PER_SLOT: u32 = 6;
/// Mappings left to the rest of the process: compiled code, threads, the allocator.
const MAPPINGS_RESERVED: u32 = 16_384;
/// What Linux allows by default.
const MAPPINGS_MAX_DEFAULT: u32 = 65_530;
/// Parts that one component may bring at most. A Rust component has 3 core instances, 2 tables and 1 memory.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 64;
const TABLES_PER_COMPONENT_MAX: u32 = 64;
const MEMORIES_PER_COMPONENT_MAX: u32 = 16;

/// Makes the engine with the largest pool that the machine allows, up to what `config` asks for, and writes the
/// `containers_max` that it came to into `config`.
pub(super) fn make_engine(config: &mut EngineConfig) -> wasmtime::Result<Engine> {
    let slots_max = mappings_max().saturating_sub(MAPPINGS_RESERVED) / MAPPINGS_PER_SLOT;
    let mut containers_max = config.containers_max.min(slots_max.saturating_sub(config.http_instances_max).max(1));
    loop {
        let attempt = Engine::new(&settings(Some(containers_max + config.http_instances_max)));
        match attempt {
            Ok(engine) => {
                config.containers_max = containers_max;
                return Ok(engine);
            }
            // Too little address space. A quarter is tried until the pool is no larger than its HTTP part.
            Err(error) if containers_max > 1 => {
                tracing::debug!(containers_max, %error, "the instance pool does not fit: trying a smaller one");
                containers_max = (containers_max / 4).max(1);
                config.http_instances_max = (config.http_instances_max / 4).max(1);
            }
            Err(_) => return Engine::new(&settings(None)),
        }
    }
}

/// Settings that compiled code depends on must not depend on the size of the pool: artifacts are shared.
fn settings(slots: Option<u32>) -> Config {
    let mut config = Config::new();
    config.consume_fuel(true);
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    if let Some(slots) = slots {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    }
    config
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_stacks(slots)
        // A quarter more than one each, for composed components.
        .total_memories(slots + slots / 4 + MEMORIES_PER_COMPONENT_MAX)
        .total_core_instances(4 * slots + CORE_INSTANCES_PER_COMPONENT_MAX)
        .total_tables(3 * slots + TABLES_PER_COMPONENT_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_tables_per_component(TABLES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_PER_COMPONENT_MAX)
        .max_tables_per_module(16)
        .max_memories_per_module(MEMORIES_PER_COMPONENT_MAX);
    pool
}

/// The kernel's bound on mappings of one process.
#[cfg(target_os = "linux")]
fn mappings_max() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(MAPPINGS_MAX_DEFAULT)
}

/// Other systems have no such bound that could be read; Linux' is a sound size for them too.
#[cfg(not(target_os = "linux"))]
fn mappings_max() -> u32 {
    MAPPINGS_MAX_DEFAULT
}
