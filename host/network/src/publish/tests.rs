use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{NetworkConfig, PodKey, PodNetwork};

fn pod(config: NetworkConfig) -> (Network, PodNetwork) {
    let network = Network::new(config);
    let key = PodKey { namespace: "default".into(), name: "web".into(), uid: "1".into() };
    let pod = network.attach(&key).unwrap();
    (network, pod)
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

#[tokio::test]
async fn a_kernel_client_reaches_the_pod_with_half_close() {
    let (network, pod) = pod(NetworkConfig::default());
    let mut listener = pod.listen(80).unwrap();
    let port = network.publish(loopback(), listener.address()).await.unwrap();
    let mut client = TcpStream::connect(port.address()).await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut accepted = listener.accept().await;
    let mut question = String::new();
    accepted.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    let answer = vec![5; 300_000];
    let sent = answer.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        accepted.write_all(&sent).await.unwrap();
        accepted.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, answer);
    tasks.join_all().await;
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error_and_free_again_after_drop() {
    let (network, pod) = pod(NetworkConfig::default());
    let target = SocketAddr::new(pod.ip(), 80);
    let first = network.publish(loopback(), target).await.unwrap();
    let address = first.address();
    let error = network.publish(address, target).await.unwrap_err();
    assert!(matches!(error, PublishError::InUse { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("the host address {address} is already in use by another program or pod"));
    drop(first);
    // The accepting task is aborted by the drop and closes the port when it next runs.
    while network.publish(address, target).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_port_that_leads_nowhere_resets() {
    let (network, pod) = pod(NetworkConfig::default());
    let port = network.publish(loopback(), SocketAddr::new(pod.ip(), 80)).await.unwrap();
    let mut client = TcpStream::connect(port.address()).await.unwrap();
    let error = client.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_in_the_kernel() {
    let (network, pod) = pod(NetworkConfig { published_connections_max: 1, ..NetworkConfig::default() });
    let mut listener = pod.listen(80).unwrap();
    let port = network.publish(loopback(), listener.address()).await.unwrap();
    let first = TcpStream::connect(port.address()).await.unwrap();
    let second = TcpStream::connect(port.address()).await.unwrap();
    let accepted = listener.accept().await;
    assert!(listener.try_accept().is_none());
    drop((first, accepted));
    listener.accept().await;
    drop(second);
}
