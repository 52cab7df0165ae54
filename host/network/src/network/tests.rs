use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::AddressBlock;

fn key(name: &str) -> PodKey {
    PodKey { namespace: "default".into(), name: name.into(), uid: format!("uid-{name}") }
}

fn network() -> Network {
    Network::new(NetworkConfig { backlog_max: 2, ..NetworkConfig::default() })
}

#[tokio::test]
async fn two_pods_talk() {
    let network = network();
    let (server, client) = (network.attach(&key("server")).unwrap(), network.attach(&key("client")).unwrap());
    let mut listener = server.listen(80).unwrap();
    let mut dialled = client.dial(listener.address()).await.unwrap();
    let mut accepted = listener.accept().await;
    assert_eq!(accepted.peer_address().ip(), client.ip());
    assert_eq!(dialled.peer_address(), SocketAddr::new(server.ip(), 80));
    assert_eq!(network.pod_at(client.ip()), Some(key("client")));
    dialled.write_all(b"ping").await.unwrap();
    let mut read = [0; 4];
    accepted.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ping");
}

#[tokio::test]
async fn the_loopback_address_is_the_pod_itself() {
    let pod = network().attach(&key("pod")).unwrap();
    let mut listener = pod.listen(0).unwrap();
    assert!(listener.address().port() >= EPHEMERAL_FIRST);
    let dialled = pod.dial(SocketAddr::from(([127, 0, 0, 1], listener.address().port()))).await.unwrap();
    assert_eq!(dialled.peer_address(), listener.address());
    assert!(listener.try_accept().is_some());
}

#[tokio::test]
async fn dialling_nobody_says_which_nobody() {
    let network = network();
    let pod = network.attach(&key("pod")).unwrap();
    let refused = network.dial(SocketAddr::new(pod.ip(), 80)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let nowhere = network.dial("100.64.9.9:80".parse().unwrap()).await.unwrap_err();
    assert_eq!(nowhere.kind(), io::ErrorKind::HostUnreachable);
    drop(pod.listen(80).unwrap());
    assert_eq!(network.dial(SocketAddr::new(pod.ip(), 80)).await.unwrap_err(), refused);
}

#[tokio::test]
async fn a_full_backlog_makes_dialling_wait_and_then_time_out() {
    let dial_timeout = Duration::from_millis(20);
    let network = Network::new(NetworkConfig { backlog_max: 2, dial_timeout, ..NetworkConfig::default() });
    let pod = network.attach(&key("pod")).unwrap();
    let mut listener = pod.listen(80).unwrap();
    let _first = network.dial(listener.address()).await.unwrap();
    let _second = network.dial(listener.address()).await.unwrap();
    let error = network.dial(listener.address()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    listener.accept().await;
    network.dial(listener.address()).await.unwrap();
}

#[tokio::test]
async fn a_dropped_listener_cuts_what_it_did_not_accept() {
    let network = network();
    let pod = network.attach(&key("pod")).unwrap();
    let listener = pod.listen(80).unwrap();
    let mut dialled = network.dial(listener.address()).await.unwrap();
    drop(listener);
    assert_eq!(dialled.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_port_is_listened_on_once() {
    let pod = network().attach(&key("pod")).unwrap();
    let listener = pod.listen(80).unwrap();
    let address = listener.address();
    assert_eq!(pod.listen(80).unwrap_err(), ListenError::InUse { address });
    drop(listener);
    pod.listen(80).unwrap();
}

#[test]
fn an_address_lives_as_long_as_its_last_holder() {
    let block = AddressBlock::new([100, 64, 0, 0].into(), 30).unwrap();
    let network =
        Network::new(NetworkConfig { blocks: vec![block], address_rest: Duration::ZERO, ..NetworkConfig::default() });
    let pod = network.attach(&key("a")).unwrap();
    let listener = pod.listen(80).unwrap();
    drop(pod);
    assert_eq!(network.attach(&key("b")).unwrap_err(), AttachError::Exhausted { taken: 1 });
    drop(listener);
    network.attach(&key("b")).unwrap();
}

#[tokio::test]
async fn readiness_of_a_listener_takes_nothing() {
    let network = network();
    let pod = network.attach(&key("pod")).unwrap();
    let mut listener = pod.listen(80).unwrap();
    assert!(poll_fn(|context| listener.poll_acceptable(context)).now_or_never().is_none());
    let dialled = network.dial(listener.address()).await.unwrap();
    poll_fn(|context| listener.poll_acceptable(context)).await;
    poll_fn(|context| listener.poll_acceptable(context)).await;
    let accepted = listener.try_accept().unwrap();
    assert_eq!(accepted.peer_address(), dialled.local_address());
}
