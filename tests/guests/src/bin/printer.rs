//! Shows and does what its surroundings allow: `args`, `env`, `read PATH`, `write PATH TEXT`, `list PATH`, `stderr TEXT`.

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
        ["stderr", text] => eprintln!("{text}"),
        _ => arguments.iter().for_each(|argument| println!("{argument}")),
    }
    Ok(())
}
