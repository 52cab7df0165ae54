use super::{INTERFACES, listed};
use crate::{Engine, EngineConfig};
use wasmtime::component::Component;

#[test]
fn the_linker_holds_every_interface_that_imports_are_checked_against() {
    let engine = Engine::new(EngineConfig::for_one_container()).unwrap();
    for interface in INTERFACES {
        for version in ["0.2.0", "0.2.6", "0.2.12"] {
            let text = format!(r#"(component (import "{interface}@{version}" (instance)))"#);
            let component = Component::new(&engine.shared.wasmtime, wat::parse_str(text).unwrap()).unwrap();
            let linked = engine.shared.component_linker.instantiate_pre(&component);
            assert!(linked.is_ok(), "{interface}@{version}: {:?}", linked.err());
        }
    }
}

#[test]
fn lists_of_names_are_bounded() {
    let names: Vec<String> = (0..23).map(|n| n.to_string()).collect();
    assert_eq!(listed(&[]), "none");
    assert_eq!(listed(&names[..2]), "`0`, `1`");
    assert!(listed(&names).ends_with("`19` and 3 more"), "{}", listed(&names));
}
