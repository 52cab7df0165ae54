//! A WASI preview 1 module: counts down from its first argument, one line a second, and ends with the exit code that its
//! second argument names.

use std::time::Duration;
use std::{env, process, thread};

fn main() {
    let mut arguments = env::args().skip(1).map(|argument| argument.parse::<u32>());
    let from = arguments.next().and_then(Result::ok).unwrap_or(3);
    let code = arguments.next().and_then(Result::ok).and_then(|code| i32::try_from(code).ok()).unwrap_or(0);
    for left in (1..=from).rev() {
        println!("{left}");
        thread::sleep(Duration::from_secs(1));
    }
    println!("lift-off");
    process::exit(code);
}
