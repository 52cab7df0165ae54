//! Burns processor time for ever, or for as many rounds as its first argument names.

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse::<u64>().ok()).unwrap_or(u64::MAX);
    let mut state = 1u64;
    for round in 0..rounds {
        state = std::hint::black_box(state.wrapping_mul(6364136223846793005).wrapping_add(round));
    }
    println!("{state}");
}
