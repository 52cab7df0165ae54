use proptest::prelude::*;
use ring::digest::{SHA256, digest};

use super::*;

#[test]
fn the_dictionary_is_the_one_of_the_standard() {
    assert_eq!(DICTIONARY.len(), 1423);
    let digest: String = digest(&SHA256, &DICTIONARY).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02");
}

#[test]
fn a_block_that_inflates_without_end_is_refused() {
    let mut encoder = HeaderEncoder::new().unwrap();
    let block = encoder.encode(&vec![("a".to_owned(), "x".repeat(BLOCK_BYTES_MAX))]).unwrap();
    assert!(block.len() < 2000);
    assert_eq!(HeaderDecoder::new().decode(&block), Err(SpdyError::TooLarge));
}

proptest! {
    #[test]
    fn blocks_of_a_connection_come_back(blocks in prop::collection::vec(prop::collection::vec(("[a-z-]{0,20}", ".{0,60}"), 0..9), 1..6)) {
        let (mut encoder, mut decoder) = (HeaderEncoder::new().unwrap(), HeaderDecoder::new());
        for block in blocks {
            let encoded = encoder.encode(&block).unwrap();
            prop_assert_eq!(decoder.decode(&encoded), Ok(block));
        }
    }

    #[test]
    fn no_bytes_harm_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let mut decoder = HeaderDecoder::new();
        let _ = decoder.decode(&bytes);
        let _ = parse(&bytes);
    }
}
