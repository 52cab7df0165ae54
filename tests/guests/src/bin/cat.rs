//! Copies standard input to standard output.

fn main() -> std::io::Result<()> {
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::stdout().lock()).map(|_bytes| ())
}
