//! What is refused before it runs, and in which words.

use crate::support::{engine, load_file, load_text, refusal};
use coracle_host_sandbox::{CompileError, Engine, EngineConfig, LoadError, NotWasm, ProgramKind};
use coracle_tests_fixtures as guests;

fn not_wasm(bytes: &[u8]) -> NotWasm {
    match engine().compile(bytes).unwrap_err() {
        CompileError::NotWasm(what) => what,
        other => panic!("taken for WebAssembly: {other}"),
    }
}

#[test]
fn what_is_not_webassembly_is_called_by_its_name() {
    assert_eq!(not_wasm(b""), NotWasm::Empty);
    assert!(matches!(not_wasm(b"\x7fELF\x02\x01\x01"), NotWasm::Known(what) if what.starts_with("an ELF executable")));
    assert_eq!(not_wasm(b"\x1f\x8b\x08\x00"), NotWasm::Known("a gzip archive"));
    assert_eq!(not_wasm(b"#!/bin/sh\necho"), NotWasm::Known("a script"));
    assert_eq!(not_wasm(b"  (module (func))"), NotWasm::WasmText);
    assert_eq!(not_wasm("grüße, welt".as_bytes()), NotWasm::Text);
    assert_eq!(not_wasm(&[1, 2, 3, 0xff, 5]), NotWasm::Unknown([1, 2, 3, 0xff]));
}

#[test]
fn a_message_about_a_foreign_file_says_what_it_looks_like() {
    let message = engine().compile(b"PK\x03\x04rest").unwrap_err().to_string();
    assert_eq!(message, "not a WebAssembly file: it looks like a zip archive");
}

#[test]
fn a_cut_or_spoilt_file_is_invalid() {
    let whole = std::fs::read(guests::HELLO_P1).unwrap();
    for bytes in [&whole[..4], &whole[..8], &whole[..whole.len() / 2], b"\0asm\x09\0\0\0"] {
        let error = engine().compile(bytes).unwrap_err();
        assert!(matches!(error, CompileError::Invalid { .. } | CompileError::NoStart { .. }), "{error}");
    }
}

#[test]
fn a_module_that_does_not_validate_is_invalid() {
    // `i32.add` with nothing on the stack; the text parser does not validate.
    let error = refusal(r#"(module (func (export "_start") i32.add drop))"#);
    assert!(matches!(error, CompileError::Invalid { .. }), "{error}");
}

#[test]
fn a_file_past_the_bound_is_refused_before_it_is_read() {
    let engine = Engine::new(EngineConfig { module_bytes_max: 10, ..EngineConfig::for_one_container() }).unwrap();
    let error = engine.compile(&[0; 11]).unwrap_err();
    assert_eq!(error.to_string(), "the file has 11 bytes; at most 10 are allowed");
}

#[test]
fn a_module_without_start_is_told_apart_from_a_library() {
    assert_eq!(refusal("(module)").to_string(), "the module has no export `_start`: nothing to start");
    let library = refusal(r#"(module (func (export "_initialize")))"#).to_string();
    assert!(library.contains("it is a library"), "{library}");
}

#[test]
fn every_missing_import_of_a_module_is_named() {
    let error = refusal(
        r#"(module
            (import "env" "one" (func))
            (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
            (import "env" "two" (func))
            (func (export "_start")))"#,
    );
    assert_eq!(error.to_string(), "the program imports `env::one`, `env::two`, which this host does not provide");
}

#[test]
fn every_missing_import_of_a_component_is_named() {
    let error = refusal(
        r#"(component
            (import "foo:bar/baz@1.0.0" (instance))
            (import "wasi:clocks/wall-clock@0.2.0" (instance))
            (import "wasi:nn/graph@0.2.0" (instance))
            (instance $run)
            (export "wasi:cli/run@0.2.0" (instance $run)))"#,
    );
    let expected = "the program imports `foo:bar/baz@1.0.0`, `wasi:nn/graph@0.2.0`, which this host does not provide";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_function_that_an_interface_does_not_have_is_named() {
    let error = refusal(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance (export "tomorrow" (func))))
            (instance $run)
            (export "wasi:cli/run@0.2.0" (instance $run)))"#,
    );
    assert!(matches!(&error, CompileError::Unsuitable { message } if message.contains("tomorrow")), "{error}");
}

#[test]
fn a_component_of_ten_thousand_instances_is_refused_when_it_is_compiled() {
    let instances = "(core instance (instantiate $m))".repeat(10_000);
    let error = refusal(&format!(
        r#"(component (core module $m) {instances} (instance $run) (export "wasi:cli/run@0.2.0" (instance $run)))"#
    ));
    assert!(matches!(&error, CompileError::Invalid { message } if message.contains("exceeds")), "{error}");
}

#[test]
fn a_component_with_nothing_to_start_shows_its_exports() {
    let error = refusal(r#"(component (instance $i) (export "acme:tool/api@1.0.0" (instance $i)))"#);
    assert!(matches!(&error, CompileError::NoEntry { exports } if *exports == ["acme:tool/api@1.0.0"]), "{error}");
    assert!(error.to_string().ends_with("its exports are: `acme:tool/api@1.0.0`"), "{error}");
}

#[test]
fn a_newer_wasi_is_called_by_its_name() {
    let error = refusal(r#"(component (instance $i) (export "wasi:cli/run@0.3.0" (instance $i)))"#);
    assert!(matches!(&error, CompileError::OtherWasiVersion { .. }), "{error}");
}

#[test]
fn programs_know_their_kind_and_their_imports() {
    let engine = engine();
    let module = load_file(&engine, guests::HELLO_P1);
    assert_eq!(module.kind(), ProgramKind::Module);
    assert!(module.imports().contains(&"wasi_snapshot_preview1::fd_write".to_owned()), "{:?}", module.imports());
    let command = load_file(&engine, guests::HELLO_P2);
    assert_eq!(command.kind(), ProgramKind::Command);
    assert!(command.imports().iter().any(|name| name.starts_with("wasi:cli/stdout@0.2.")), "{:?}", command.imports());
    let handler = load_file(&engine, guests::HTTP_HELLO);
    assert_eq!(handler.kind(), ProgramKind::HttpHandler);
    assert!(handler.imports().iter().any(|name| name.starts_with("wasi:http/types@0.2.")), "{:?}", handler.imports());
}

#[test]
fn one_artifact_serves_every_engine_of_the_same_key() {
    let small = Engine::new(EngineConfig::for_one_container()).unwrap();
    let large = Engine::new(EngineConfig::default()).unwrap();
    assert_eq!(small.compatibility_key(), large.compatibility_key());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("artifact");
    let wasm = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
    std::fs::write(&path, small.compile(&wasm).unwrap()).unwrap();
    assert_eq!(large.load(&path).unwrap().kind(), ProgramKind::Module);
}

#[test]
fn what_is_not_a_whole_artifact_is_not_loaded() {
    let engine = engine();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("artifact");
    let wasm = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
    let artifact = engine.compile(&wasm).unwrap();
    let longer = [&artifact[..], b"x"].concat();
    for spoilt in [&[][..], &artifact[..10], &artifact[..artifact.len() - 1], &artifact[1..], &longer, &wasm] {
        std::fs::write(&path, spoilt).unwrap();
        let error = engine.load(&path).unwrap_err();
        assert!(matches!(error, LoadError::NotAnArtifact { .. }), "{error}");
    }
    assert!(matches!(engine.load(&directory.path().join("absent")), Err(LoadError::Read { .. })));
}

#[test]
fn an_engine_without_room_is_refused() {
    let error = Engine::new(EngineConfig { containers_max: 0, ..EngineConfig::default() }).unwrap_err();
    assert_eq!(error.to_string(), "containers_max must be at least 1");
}

#[test]
fn the_text_form_of_a_module_can_be_run_by_tests() {
    assert_eq!(load_text(&engine(), r#"(module (func (export "_start")))"#).kind(), ProgramKind::Module);
}
