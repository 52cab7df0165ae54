//! The `coracle` command: parse, then hand over to the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    coracle::cli::Arguments::parse().execute()
}
