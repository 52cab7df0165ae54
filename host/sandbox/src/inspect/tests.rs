use super::{NotWasm, inspect, is_interface_0_2};
use proptest::prelude::*;

#[test]
fn only_version_0_2_of_an_interface_is_meant() {
    assert!(is_interface_0_2("wasi:cli/run@0.2.0", "wasi:cli/run"));
    assert!(is_interface_0_2("wasi:cli/run@0.2.12", "wasi:cli/run"));
    for other in ["wasi:cli/run", "wasi:cli/run@0.3.0", "wasi:cli/run@0.20.0", "wasi:cli/runner@0.2.0"] {
        assert!(!is_interface_0_2(other, "wasi:cli/run"), "{other}");
    }
}

#[test]
fn text_may_be_cut_within_a_character() {
    let text = format!("{}ü", "x".repeat(511));
    assert_eq!(NotWasm::from_bytes(text.as_bytes()), NotWasm::Text);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(start in prop::sample::select(vec![&b""[..], b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"]), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = inspect(&[start, &rest[..]].concat());
    }
}
