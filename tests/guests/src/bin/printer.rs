//! Shows and does what its surroundings allow: `args`, `env`, `read PATH`, `write PATH TEXT`, `list PATH`, `link FROM TO`,
//! `race PATH ROUNDS` (reads it that often), `stderr TEXT`.

use std::{env, fs, io};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().skip(1).map(String::as_str).collect::<Vec<_>>()[..] {
        ["env"] => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        ["read", path] => println!("{}", fs::read_to_string(path)?),
        ["write", path, text] => fs::write(path, text)?,
        ["list", path] => {
            for entry in fs::read_dir(path)? {
                println!("{}", entry?.file_name().to_string_lossy());
            }
        }
        ["link", from, to] => fs::hard_link(from, to)?,
        ["race", path, rounds] => {
            let read = (0..rounds.parse().unwrap_or(1)).filter_map(|_round| fs::read_to_string(path).ok());
            let (kept, escaped): (Vec<_>, Vec<_>) = read.partition(|text| text == "inside");
            println!("{} kept, {} escaped", kept.len().min(1), escaped.len());
        }
        ["stderr", text] => eprintln!("{text}"),
        _ => arguments.iter().for_each(|argument| println!("{argument}")),
    }
    Ok(())
}
