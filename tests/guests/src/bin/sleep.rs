//! Says that it is there and sleeps: for ever, or as many milliseconds as its first argument names.

use std::time::Duration;

fn main() {
    println!("sleeping");
    match std::env::args().nth(1).and_then(|millis| millis.parse().ok()) {
        Some(millis) => std::thread::sleep(Duration::from_millis(millis)),
        None => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
    }
    println!("awake");
}
