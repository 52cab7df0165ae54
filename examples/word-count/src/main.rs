//! Runs to completion: counts the words of its arguments, or of standard input when there are none, and prints the most
//! frequent ones. `TOP` says how many.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Read};

fn main() -> io::Result<()> {
    let mut text = env::args().skip(1).collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        io::stdin().read_to_string(&mut text)?;
    }
    let top = env::var("TOP").ok().and_then(|top| top.parse().ok()).unwrap_or(5);
    let mut counts = BTreeMap::<String, usize>::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let words: usize = counts.values().sum();
    println!("{words} words, {} of them different", counts.len());
    let mut frequent: Vec<_> = counts.into_iter().collect();
    // By count, then by the alphabet: the same text always prints the same lines.
    frequent.sort_by(|(a_word, a_count), (b_word, b_count)| b_count.cmp(a_count).then(a_word.cmp(b_word)));
    for (word, count) in frequent.into_iter().take(top) {
        println!("{count:>4} {word}");
    }
    Ok(())
}
