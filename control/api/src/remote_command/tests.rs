use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn frames(decoder: &mut FrameDecoder) -> Result<Vec<Frame>, DecodeFrameError> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

fn only_status(frame: &[u8]) -> Value {
    let mut decoder = FrameDecoder::new();
    decoder.push(frame);
    let frames = frames(&mut decoder).unwrap();
    assert_eq!((frames.len(), frames[0].channel), (1, Channel::Error));
    serde_json::from_slice(&frames[0].payload).unwrap()
}

#[test]
fn long_data_goes_in_several_frames_and_no_data_in_none() {
    let data = vec![7; PAYLOAD_BYTES_MAX + 1];
    let encoded = encode(Channel::Stdout, &data);
    assert_eq!(encoded.len(), data.len() + 2 * HEADER_BYTES);
    let mut decoder = FrameDecoder::new();
    decoder.push(&encoded);
    let frames = frames(&mut decoder).unwrap();
    assert_eq!(frames.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>(), [PAYLOAD_BYTES_MAX, 1]);
    assert!(encode(Channel::Stdin, b"").is_empty());
}

#[test]
fn what_is_no_frame_is_refused() {
    let refused = |bytes: &[u8]| {
        let mut decoder = FrameDecoder::new();
        decoder.push(bytes);
        decoder.next_frame().unwrap_err()
    };
    assert_eq!(refused(&[9, 0, 0, 0, 0]), DecodeFrameError::UnknownChannel(9));
    assert_eq!(refused(&[0, 0, 1, 0, 1]), DecodeFrameError::TooLong(65_537));
    let mut decoder = FrameDecoder::new();
    decoder.push(&[0, 0, 0, 0, 2, 1]);
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.finish(), Err(DecodeFrameError::Truncated));
}

#[test]
fn a_close_names_its_channel() {
    let mut decoder = FrameDecoder::new();
    decoder.push(&encode_close(Channel::Stdin));
    assert_eq!(decoder.next_frame().unwrap().unwrap().closes(), Some(Channel::Stdin));
}

#[test]
fn an_exit_code_is_in_the_cause_that_clients_read() {
    let status = only_status(&exit_status(3));
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"][0]["reason"], "ExitCode");
    assert_eq!(status["details"]["causes"][0]["message"], "3");
    assert_eq!(only_status(&exit_status(0))["status"], "Success");
    assert_eq!(only_status(&failure_status("gone"))["message"], "gone");
    assert_eq!(only_status(&failure_status(&"x".repeat(PAYLOAD_BYTES_MAX)))["status"], "Failure");
}

#[test]
fn a_size_is_written_as_clients_write_it() {
    let size = TerminalSize { width: 80, height: 24 };
    assert_eq!(serde_json::to_string(&size).unwrap(), r#"{"Width":80,"Height":24}"#);
    assert_eq!(StreamOptions::parse("command=a+b&tty=1&stdin=0&stdout").unwrap().to_query(), {
        "command=a%20b&stdout=true&tty=true"
    });
}

proptest! {
    #[test]
    fn frames_survive_any_cut(pieces in prop::collection::vec((0u8..5, prop::collection::vec(any::<u8>(), 1..300)), 0..20),
                              step in 1usize..50) {
        let channel = |byte| Channel::from_byte(byte).unwrap();
        let bytes: Vec<u8> = pieces.iter().flat_map(|(byte, data)| encode(channel(*byte), data).to_vec()).collect();
        let mut decoder = FrameDecoder::new();
        let mut got = Vec::new();
        for chunk in bytes.chunks(step) {
            decoder.push(chunk);
            got.extend(frames(&mut decoder).unwrap().into_iter().map(|frame| (frame.channel as u8, frame.payload.to_vec())));
        }
        prop_assert_eq!(got, pieces);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn no_bytes_harm_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        let _ = frames(&mut decoder);
    }

    #[test]
    fn a_query_says_what_was_wanted(command in prop::collection::vec(".*", 0..5), flags in any::<[bool; 4]>()) {
        let [stdin, stdout, stderr, tty] = flags;
        let options = StreamOptions { command, stdin, stdout, stderr, tty };
        prop_assert_eq!(StreamOptions::parse(&options.to_query()), Ok(options));
    }
}
