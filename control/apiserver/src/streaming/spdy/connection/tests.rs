use tokio::io::DuplexStream;
use tokio::task::JoinSet;

use super::*;

/// A client that counts what it has room for.
struct Client {
    io: DuplexStream,
    reader: FrameReader,
    writer: FrameWriter,
}

impl Client {
    async fn send(&mut self, frame: Outgoing) {
        let mut out = Vec::new();
        self.writer.write(&mut out, frame).unwrap();
        self.io.write_all(&out).await.unwrap();
    }

    async fn open(&mut self, stream: u32) {
        let mut out = Vec::new();
        self.writer.open(&mut out, stream, &vec![("streamtype".to_owned(), "data".to_owned())]);
        self.io.write_all(&out).await.unwrap();
    }

    async fn next(&mut self) -> Option<Incoming> {
        loop {
            if let Some(frame) = self.reader.next().unwrap() {
                return Some(frame);
            }
            if self.io.read_buf(self.reader.buffer()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// Bytes of data until nothing comes any more.
    async fn drain(&mut self) -> usize {
        let mut total = 0;
        while let Ok(Some(frame)) = tokio::time::timeout(std::time::Duration::from_millis(300), self.next()).await {
            if let Incoming::Data { data, .. } = frame {
                total += data.len();
            }
        }
        total
    }
}

fn start(tasks: &mut JoinSet<()>) -> (Client, mpsc::Receiver<SpdyStream>) {
    let (io, server) = tokio::io::duplex(16 * 1024);
    let (opened, streams) = mpsc::channel(4);
    let (reader, writer) = tokio::io::split(server);
    tasks.spawn(run(reader, writer, opened));
    (Client { io, reader: FrameReader::new(), writer: FrameWriter::new().unwrap() }, streams)
}

#[tokio::test]
async fn a_stream_carries_both_directions_and_ends_one_by_one() {
    let mut tasks = JoinSet::new();
    let (mut client, mut streams) = start(&mut tasks);
    client.open(1).await;
    let mut stream = streams.recv().await.unwrap();
    assert_eq!((stream.id, stream.header("streamtype")), (1, "data"));
    assert_eq!(client.next().await, Some(Incoming::Headers { stream: 1, fin: false }));
    client.send(Outgoing::Data { stream: 1, data: Bytes::from_static(b"ping"), fin: true }).await;
    assert!(matches!(stream.input.next().await, Some(Piece::Data(data)) if data == "ping"));
    assert!(matches!(stream.input.next().await, Some(Piece::End)));
    assert!(stream.input.next().await.is_none());
    stream.output.send(Bytes::from_static(b"pong")).await.unwrap();
    stream.output.finish().await.unwrap();
    assert_eq!(client.next().await, Some(Incoming::Data { stream: 1, data: Bytes::from_static(b"pong"), fin: false }));
    assert_eq!(client.next().await, Some(Incoming::Data { stream: 1, data: Bytes::new(), fin: true }));
    client.send(Outgoing::Ping(1)).await;
    assert_eq!(client.next().await, Some(Incoming::Ping(1)));
    drop(client);
    tasks.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_window_binds_once_the_client_has_shown_one() {
    let mut tasks = JoinSet::new();
    let (mut client, mut streams) = start(&mut tasks);
    client.send(Outgoing::WindowUpdate { stream: 1, delta: 0 }).await;
    client.open(1).await;
    let mut stream = streams.recv().await.unwrap();
    tasks.spawn(async move { stream.output.send(Bytes::from(vec![1; 200_000])).await.unwrap() });
    assert_eq!(client.drain().await, 65_536);
    client.send(Outgoing::WindowUpdate { stream: 1, delta: 10_000 }).await;
    assert_eq!(client.drain().await, 10_000);
    client.send(Outgoing::WindowUpdate { stream: 1, delta: 1_000_000 }).await;
    assert_eq!(client.drain().await, 200_000 - 75_536);
}

#[tokio::test]
async fn a_client_without_windows_gets_everything_and_is_told_of_room() {
    let mut tasks = JoinSet::new();
    let (mut client, mut streams) = start(&mut tasks);
    client.open(1).await;
    let mut stream = streams.recv().await.unwrap();
    stream.output.shared.take(1, 10).await.unwrap();
    tasks.spawn(async move {
        stream.output.send(Bytes::from(vec![1; 200_000])).await.unwrap();
        while stream.input.next().await.is_some() {}
    });
    assert_eq!(client.drain().await, 200_000);
    for _ in 0..2 {
        client.send(Outgoing::Data { stream: 1, data: Bytes::from(vec![0; 32 * 1024]), fin: false }).await;
    }
    assert_eq!(client.next().await, Some(Incoming::WindowUpdate { stream: 1, delta: 32 * 1024 }));
    assert_eq!(client.next().await, Some(Incoming::WindowUpdate { stream: 0, delta: 32 * 1024 }));
}

#[tokio::test]
async fn streams_that_may_not_be_are_reset() {
    let mut tasks = JoinSet::new();
    let (mut client, mut streams) = start(&mut tasks);
    client.open(3).await;
    let stream = streams.recv().await.unwrap();
    client.next().await;
    for id in [2, 3, 1] {
        client.open(id).await;
        assert_eq!(client.next().await, Some(Incoming::Reset { stream: id }));
    }
    drop(stream);
    assert_eq!(client.next().await, Some(Incoming::Reset { stream: 3 }));
    client.send(Outgoing::Reset { stream: 3, reason: CANCEL }).await;
    client.io.write_all(&[0x80, 9, 0, 0, 0, 0, 0, 0]).await.unwrap();
    assert_eq!(client.next().await, Some(Incoming::GoAway));
    assert_eq!(client.next().await, None);
}
