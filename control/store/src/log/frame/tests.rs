//! A frame counts only where it was written, and only whole.

use super::{ALIGNMENT, HEADER_BYTES, Seed, find_header_above, parse, seal};

const SEED: Seed = Seed { segment: 4, salt: 99 };

fn frame(body: &[u8], offset: u64) -> Vec<u8> {
    let mut buffer = vec![0; HEADER_BYTES];
    buffer.extend_from_slice(body);
    seal(&mut buffer, SEED, offset, 12);
    buffer
}

#[test]
fn a_frame_is_read_back_and_ends_at_a_multiple_of_the_alignment() {
    for length in 0..40 {
        let body = vec![7; length];
        let bytes = frame(&body, 0);
        let read = parse(&bytes, SEED, 0).expect("intact");
        assert_eq!((read.number, read.body, read.end), (12, body.as_slice(), bytes.len()));
        assert!(bytes.len().is_multiple_of(ALIGNMENT));
    }
}

#[test]
fn a_frame_of_another_place_or_segment_is_none() {
    let mut bytes = vec![0; 64];
    bytes.extend(frame(b"body", 64));
    assert!(parse(&bytes, SEED, 64).is_some());
    let mut moved = vec![0; 72];
    moved.extend_from_slice(&bytes[64..]);
    assert!(parse(&moved, SEED, 72).is_none());
    assert!(parse(&bytes, Seed { salt: 98, ..SEED }, 64).is_none());
    assert!(parse(&bytes, Seed { segment: 5, ..SEED }, 64).is_none());
}

#[test]
fn a_frame_with_any_bit_flipped_or_cut_off_is_none() {
    let bytes = frame(b"some body", 0);
    let padding = HEADER_BYTES + 9;
    for byte in 0..padding {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[byte] ^= 1 << bit;
            assert!(parse(&damaged, SEED, 0).is_none(), "byte {byte}, bit {bit}");
        }
    }
    for length in 0..bytes.len() {
        assert!(parse(&bytes[..length], SEED, 0).is_none(), "{length} bytes");
    }
}

#[test]
fn a_header_is_found_behind_damage_when_its_number_is_higher() {
    let mut bytes = vec![0x5A; 640];
    let header = frame(b"this body is lost", 320);
    bytes[320..320 + HEADER_BYTES].copy_from_slice(&header[..HEADER_BYTES]);
    assert_eq!(find_header_above(&bytes, SEED, 64, 11), Some(12));
    assert_eq!(find_header_above(&bytes, SEED, 64, 12), None);
    assert_eq!(find_header_above(&bytes, SEED, 328, 11), None);
}
