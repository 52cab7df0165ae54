//! Panics, a few named calls deep.

#[inline(never)]
fn the_function_that_panics(values: &[u32]) -> u32 {
    values[std::env::args().count() + 7]
}

fn main() {
    println!("{}", the_function_that_panics(&[1, 2, 3]));
}
