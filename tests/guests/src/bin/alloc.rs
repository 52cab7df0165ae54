//! Takes a MiB after the other and touches it, without end or up to as many as its first argument names.

fn main() {
    let most = std::env::args().nth(1).and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
    let mut held = Vec::new();
    while held.len() < most {
        held.push(vec![1u8; 1 << 20]);
        std::hint::black_box(&held);
    }
    println!("{} MiB", held.len());
}
