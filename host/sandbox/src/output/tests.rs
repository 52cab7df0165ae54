use super::{LogSink as _, SinkClosed, log_channel};
use bytes::Bytes;
use futures::FutureExt as _;

#[tokio::test]
async fn bytes_come_out_in_order_and_the_end_after_them() {
    let (writer, mut reader) = log_channel(100);
    writer.write(Bytes::from_static(b"one ")).unwrap();
    writer.write(Bytes::from_static(b"two")).unwrap();
    drop(writer);
    assert_eq!(reader.next().await.unwrap(), "one two");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn a_full_buffer_gives_no_permit_until_it_is_read() {
    let (writer, mut reader) = log_channel(4);
    assert_eq!(writer.permit(), Ok(4));
    writer.write(Bytes::from_static(b"abcd")).unwrap();
    assert_eq!(writer.permit(), Ok(0));
    let mut ready = Box::pin(writer.ready());
    assert!(ready.as_mut().now_or_never().is_none());
    reader.next().await.unwrap();
    ready.await;
    assert_eq!(writer.permit(), Ok(4));
}

#[tokio::test]
async fn several_writers_that_wait_are_all_woken() {
    let (writer, mut reader) = log_channel(1);
    writer.write(Bytes::from_static(b"a")).unwrap();
    let both = async { tokio::join!(writer.ready(), writer.ready()) };
    tokio::join!(both, reader.next());
}

#[tokio::test]
async fn without_a_reader_everything_fails_at_once() {
    let (writer, reader) = log_channel(1);
    writer.write(Bytes::from_static(b"a")).unwrap();
    let mut ready = Box::pin(writer.ready());
    assert!(ready.as_mut().now_or_never().is_none());
    drop(reader);
    ready.await;
    assert_eq!(writer.permit(), Err(SinkClosed));
    assert_eq!(writer.write(Bytes::new()), Err(SinkClosed));
}
