use super::{read_kind, seal};
use crate::ProgramKind;
use std::fs;

#[test]
fn a_sealed_image_says_its_kind_and_nothing_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("artifact");
    for kind in [ProgramKind::Module, ProgramKind::Command, ProgramKind::HttpHandler] {
        let sealed = seal(b"image".to_vec(), kind);
        fs::write(&path, &sealed).unwrap();
        assert_eq!(read_kind(&path).unwrap(), Some(kind));
        // No bit of the trailer is without meaning.
        for bit in 0..24 * 8 {
            let mut spoilt = sealed.clone();
            spoilt[5 + bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &spoilt).unwrap();
            assert_ne!(read_kind(&path).unwrap(), Some(kind), "bit {bit}");
        }
    }
}
