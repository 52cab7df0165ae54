use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8], step: usize) -> Result<Vec<Incoming>, SpdyError> {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for chunk in bytes.chunks(step) {
        reader.buffer().extend_from_slice(chunk);
        while let Some(frame) = reader.next()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn text(frames: &[Incoming]) -> Vec<u8> {
    let data = frames.iter().filter_map(|frame| match frame {
        Incoming::Data { data, .. } => Some(data.to_vec()),
        _ => None,
    });
    data.flatten().collect()
}

#[test]
fn a_stream_is_opened_with_its_headers() {
    let mut writer = FrameWriter::new().unwrap();
    let mut bytes = Vec::new();
    let headers = vec![("streamtype".to_owned(), "error".to_owned())];
    writer.open(&mut bytes, 1, &headers);
    assert_eq!(read(&bytes, 7).unwrap(), [Incoming::Open { stream: 1, headers, fin: false }]);
}

#[test]
fn a_long_frame_of_data_comes_in_pieces_and_only_the_last_ends_the_stream() {
    let data = Bytes::from(vec![5; 3 * PIECE_BYTES_MAX + 1]);
    let mut bytes = Vec::new();
    FrameWriter::new().unwrap().write(&mut bytes, Outgoing::Data { stream: 3, data: data.clone(), fin: true }).unwrap();
    let frames = read(&bytes, usize::MAX).unwrap();
    let ends: Vec<bool> = frames.iter().map(|frame| matches!(frame, Incoming::Data { fin: true, .. })).collect();
    assert_eq!(ends, [false, false, false, true]);
    assert_eq!(text(&frames), data);
    let mut bytes = Vec::new();
    let end = Outgoing::Data { stream: 3, data: Bytes::new(), fin: true };
    FrameWriter::new().unwrap().write(&mut bytes, end).unwrap();
    assert_eq!(read(&bytes, 1).unwrap(), [Incoming::Data { stream: 3, data: Bytes::new(), fin: true }]);
}

#[test]
fn what_is_not_spdy_is_refused() {
    assert_eq!(read(&[0x80, 2, 0, 1, 0, 0, 0, 0], 99), Err(SpdyError::Version));
    assert_eq!(read(&[0x80, 3, 0, 1, 0, 1, 0, 1], 99), Err(SpdyError::TooLarge));
    assert_eq!(read(&[0x80, 3, 0, 6, 0, 0, 0, 1, 9], 99), Err(SpdyError::Malformed));
    assert_eq!(read(&[0x80, 3, 0, 5, 0, 0, 0, 0], 99), Ok(vec![Incoming::Other]));
}

#[test]
fn the_small_frames_are_understood() {
    let mut writer = FrameWriter::new().unwrap();
    let mut bytes = Vec::new();
    for frame in [
        Outgoing::Accept { stream: 1 },
        Outgoing::Reset { stream: 1, reason: CANCEL },
        Outgoing::Ping(7),
        Outgoing::GoAway { last: 1 },
        Outgoing::WindowUpdate { stream: 5, delta: 100 },
    ] {
        writer.write(&mut bytes, frame).unwrap();
    }
    bytes.extend([0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 9]);
    assert_eq!(
        read(&bytes, 3).unwrap(),
        [
            Incoming::Headers { stream: 1, fin: false },
            Incoming::Reset { stream: 1 },
            Incoming::Ping(7),
            Incoming::GoAway,
            Incoming::WindowUpdate { stream: 5, delta: 100 },
            Incoming::InitialWindow(9),
        ]
    );
}

proptest! {
    #[test]
    fn no_bytes_harm_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..4000), step in 1usize..100) {
        let _ = read(&bytes, step);
    }

    #[test]
    fn bytes_after_a_good_head_do_no_harm(kind in 0u8..12, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut frame = vec![0x80, 3, 0, kind, 0, 0, 0, u8::try_from(bytes.len()).unwrap()];
        frame.extend(bytes);
        let _ = read(&frame, 16);
    }

    #[test]
    fn data_survives_any_cut(pieces in prop::collection::vec((1u32..4, prop::collection::vec(any::<u8>(), 0..90)), 0..20), step in 1usize..40) {
        let mut writer = FrameWriter::new().unwrap();
        let mut bytes = Vec::new();
        for (stream, data) in &pieces {
            writer.write(&mut bytes, Outgoing::Data { stream: *stream, data: data.clone().into(), fin: false }).unwrap();
        }
        let frames = read(&bytes, step).unwrap();
        prop_assert_eq!(text(&frames), pieces.iter().flat_map(|(_, data)| data.clone()).collect::<Vec<_>>());
    }
}
