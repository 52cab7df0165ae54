//! Tries every way to the network that std has, and says what came of each.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    show("connect", TcpStream::connect("127.0.0.1:80"));
    show("listen", TcpListener::bind("127.0.0.1:8080"));
    show("udp", UdpSocket::bind("127.0.0.1:5353"));
    show("lookup", "localhost:80".to_socket_addrs());
}

fn show<T>(what: &str, outcome: std::io::Result<T>) {
    match outcome {
        Ok(_) => println!("{what}: done"),
        Err(error) => println!("{what}: {:?}", error.kind()),
    }
}
