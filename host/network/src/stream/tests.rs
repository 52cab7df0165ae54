use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;

use futures::task::{ArcWake, waker};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn pair(buffer_bytes: usize) -> (Stream, Stream) {
    Stream::pair("100.64.0.1:32768".parse().unwrap(), "100.64.0.2:80".parse().unwrap(), buffer_bytes)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl ArcWake for Count {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (Arc::clone(&count), waker(count))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn half_close_lets_the_other_direction_go_on() {
    let (mut client, mut server) = pair(16);
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    assert_eq!(client.write_all(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn a_dropped_end_with_nothing_unread_ends_in_order() {
    let (mut client, mut server) = pair(16);
    server.write_all(b"bye").await.unwrap();
    drop(server);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"bye");
    assert_eq!(client.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_dropped_end_with_unread_bytes_resets_after_what_it_wrote() {
    let (mut client, mut server) = pair(16);
    client.write_all(b"never read").await.unwrap();
    server.write_all(b"bye").await.unwrap();
    drop(server);
    let mut read = [0; 3];
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"bye");
    assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(client.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_reset_cuts_both_directions_at_once() {
    let (mut client, mut server) = pair(16);
    server.write_all(b"lost").await.unwrap();
    server.reset();
    assert_eq!(client.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(client.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_reading_half_takes_and_forgets() {
    let (client, mut server) = pair(4);
    let (read, mut write) = client.into_split();
    drop(read);
    server.write_all(b"much more than the buffer holds").await.unwrap();
    write.write_all(b"ok").await.unwrap();
    let mut answer = [0; 2];
    server.read_exact(&mut answer).await.unwrap();
    drop(write);
    assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(server.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn the_writer_waits_for_room_and_is_woken_once() {
    let (client, server) = pair(4);
    let (_client_read, write) = client.into_split();
    let (read, _server_write) = server.into_split();
    let mut data = Bytes::from_static(b"abcdef");
    assert_eq!(write.try_write(&mut data).unwrap(), 4);
    assert_eq!(&data[..], b"ef");
    let (woken, waker) = Count::new();
    let mut context = Context::from_waker(&waker);
    assert!(write.poll_writable(&mut context).is_pending());
    assert!(write.poll_writable(&mut context).is_pending());
    assert_eq!(woken.get(), 0);
    assert_eq!(read.try_read(1).unwrap().unwrap(), &b"a"[..]);
    assert_eq!(read.try_read(1).unwrap().unwrap(), &b"b"[..]);
    assert_eq!(woken.get(), 1, "the second read finds nobody waiting");
    assert!(write.poll_writable(&mut context).is_ready());
    assert_eq!(write.room().unwrap(), 2);
}

#[test]
fn the_reader_is_woken_by_bytes_by_the_end_and_by_a_reset_only() {
    for (event, expected) in [(0, 1), (1, 1), (2, 1), (3, 0)] {
        let (client, mut server) = pair(4);
        let (woken, waker) = Count::new();
        let mut context = Context::from_waker(&waker);
        assert!(client.read.poll_readable(&mut context).is_pending());
        let mut byte = [0; 1];
        match event {
            0 => assert_eq!(server.write.try_write(&mut Bytes::from_static(b"x")).unwrap(), 1),
            1 => server.write.shutdown_now(),
            2 => server.reset(),
            _ => {
                let mut idle = Context::from_waker(Waker::noop());
                assert!(Pin::new(&mut server).poll_read(&mut idle, &mut ReadBuf::new(&mut byte)).is_pending());
            }
        }
        assert_eq!(woken.get(), expected, "event {event}");
    }
}

#[test]
fn a_larger_piece_passes_through_without_a_copy() {
    let (client, server) = pair(64 * 1024);
    let mut data = Bytes::from(vec![7; 8192]);
    let address = data.as_ptr();
    assert_eq!(client.write.try_write(&mut data).unwrap(), 8192);
    assert_eq!(server.read.try_read(usize::MAX).unwrap().unwrap().as_ptr(), address);
}

/// What a test does to the connection, both ends in one task.
#[derive(Debug, Clone)]
enum Step {
    Write { side: usize, bytes: usize },
    WriteWhole { side: usize, bytes: usize },
    Read { side: usize, bytes: usize },
    ReadWhole { side: usize, bytes: usize },
    Shutdown { side: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (side, bytes) = (0usize..2, 0usize..6000);
    prop_oneof![
        5 => (side.clone(), bytes.clone()).prop_map(|(side, bytes)| Step::Write { side, bytes }),
        5 => (side.clone(), bytes.clone()).prop_map(|(side, bytes)| Step::WriteWhole { side, bytes }),
        5 => (side.clone(), bytes.clone()).prop_map(|(side, bytes)| Step::Read { side, bytes }),
        5 => (side.clone(), bytes).prop_map(|(side, bytes)| Step::ReadWhole { side, bytes }),
        1 => side.prop_map(|side| Step::Shutdown { side }),
    ]
}

/// What one direction should hold: a queue of bytes with a bound, and whether it was finished.
#[derive(Default)]
struct Model {
    queue: VecDeque<u8>,
    finished: bool,
    next: u8,
}

impl Model {
    fn offer(&self, bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| self.next.wrapping_add(u8::try_from(index % 256).unwrap())).collect()
    }

    fn written(&mut self, data: &[u8]) {
        self.queue.extend(data);
        self.next = self.next.wrapping_add(u8::try_from(data.len() % 256).unwrap());
    }
}

fn write(ends: &mut [Stream; 2], model: &mut Model, side: usize, bytes: usize, whole: bool, capacity: usize) {
    let data = model.offer(bytes);
    let mut context = Context::from_waker(Waker::noop());
    let result = if whole {
        let mut piece = Bytes::from(data.clone());
        Poll::Ready(ends[side].write.try_write(&mut piece))
    } else {
        Pin::new(&mut ends[side]).poll_write(&mut context, &data)
    };
    let room = capacity - model.queue.len();
    match result {
        Poll::Ready(Ok(count)) => {
            assert!(!model.finished);
            assert_eq!(count, room.min(bytes));
            model.written(&data[..count]);
        }
        Poll::Ready(Err(error)) => {
            assert!(model.finished, "{error}");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
        Poll::Pending => assert!(room == 0 && bytes > 0),
    }
}

fn read(ends: &mut [Stream; 2], model: &mut Model, side: usize, bytes: usize, whole: bool) {
    let mut context = Context::from_waker(Waker::noop());
    let ready = !model.queue.is_empty() || model.finished;
    assert_eq!(ends[side].read.poll_readable(&mut context).is_ready(), ready);
    let got = if whole {
        ends[side].read.try_read(bytes).unwrap().map(|piece| piece.to_vec())
    } else {
        let mut space = vec![0; bytes];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut ends[side]).poll_read(&mut context, &mut buffer) {
            Poll::Ready(result) => {
                result.unwrap();
                Some(buffer.filled().to_vec())
            }
            Poll::Pending => None,
        }
    };
    let Some(got) = got else {
        assert!(!ready || bytes == 0);
        return;
    };
    assert!(got.len() <= bytes.max(1) && (!got.is_empty() || bytes == 0 || model.queue.is_empty()));
    let expected: Vec<u8> = model.queue.drain(..got.len()).collect();
    assert_eq!(got, expected);
}

proptest! {
    #[test]
    fn bytes_in_are_bytes_out_under_any_chunking(capacity in 1usize..9000, steps in prop::collection::vec(step(), 1..120)) {
        let (client, server) = pair(capacity);
        let mut ends = [client, server];
        // Model `i` is what endpoint `i` writes.
        let mut models = [Model::default(), Model::default()];
        for step in steps {
            match step {
                Step::Write { side, bytes } => write(&mut ends, &mut models[side], side, bytes, false, capacity),
                Step::WriteWhole { side, bytes } => write(&mut ends, &mut models[side], side, bytes, true, capacity),
                Step::Read { side, bytes } => read(&mut ends, &mut models[1 - side], side, bytes, false),
                Step::ReadWhole { side, bytes } => read(&mut ends, &mut models[1 - side], side, bytes, true),
                Step::Shutdown { side } => {
                    ends[side].write.shutdown_now();
                    models[side].finished = true;
                }
            }
        }
    }

    #[test]
    fn two_tasks_lose_nothing(capacity in 1usize..300, sizes in prop::collection::vec(1usize..700, 1..40), read_bytes in 1usize..500) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let (mut client, mut server) = pair(capacity);
            let sent: Vec<u8> = (0..sizes.iter().sum()).map(|index: usize| u8::try_from(index % 251).unwrap()).collect();
            let expected = sent.clone();
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move {
                let mut from = 0;
                for size in sizes {
                    client.write_all(&sent[from..from + size]).await.unwrap();
                    from += size;
                }
                client.shutdown().await.unwrap();
            });
            let mut received = Vec::new();
            let mut space = vec![0; read_bytes];
            loop {
                let count = server.read(&mut space).await.unwrap();
                if count == 0 {
                    break;
                }
                received.extend_from_slice(&space[..count]);
            }
            assert_eq!(received, expected);
            tasks.join_all().await;
        });
    }
}
