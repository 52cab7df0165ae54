//! The tools that `kubectl exec`, `kubectl cp` and `kubectl debug` find beside a container: one program with many names.
//!
//! What it is called as (`argv[0]`) says which tool it is. The tools do what their namesakes of POSIX do, with the options
//! that people and kubectl use. There is no shell: a sandbox has no processes to start.

mod archive;
mod fetch;
mod files;
mod text;

use std::io::{self, Write as _};
use std::process::ExitCode;

/// A tool: its arguments without its name in, whether it succeeded out.
type Tool = fn(&[String]) -> io::Result<bool>;

const TOOLS: &[(&str, Tool)] = &[
    ("[", files::bracket),
    ("cat", text::cat),
    ("cp", files::cp),
    ("date", text::date),
    ("echo", text::echo),
    ("env", text::env),
    ("false", |_| Ok(false)),
    ("find", files::find),
    ("grep", text::grep),
    ("head", text::head),
    ("hostname", text::hostname),
    ("ls", files::ls),
    ("mkdir", files::mkdir),
    ("mv", files::mv),
    ("printenv", text::printenv),
    ("pwd", |_| say("/")),
    ("rm", files::rm),
    ("sleep", text::sleep),
    ("tail", text::tail),
    ("tar", archive::tar),
    ("test", files::test),
    ("touch", files::touch),
    ("true", |_| Ok(true)),
    ("wc", text::wc),
    ("wget", fetch::wget),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let called = arguments.first().map_or("", String::as_str);
    let name = called.rsplit('/').next().unwrap_or(called);
    let Some((_, tool)) = TOOLS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<_> = TOOLS.iter().map(|(name, _)| *name).collect();
        eprintln!("{name}: no such tool; there are {}", names.join(" "));
        return ExitCode::from(127);
    };
    match tool(&arguments[1..]) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(line: &str) -> io::Result<bool> {
    writeln!(io::stdout(), "{line}")?;
    Ok(true)
}

/// An error with the path that it is about.
fn at(path: &str) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{path}: {}", reason(&error)))
}

/// The words that people know for the common errors.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "Is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "Not a directory".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "Read-only file system".to_owned(),
        _ => error.to_string(),
    }
}

fn usage<T>(text: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("usage: {text}")))
}

/// Splits single-letter flags (`-la`, `-l -a`) from the operands; `--` ends the flags.
fn flags<'a>(arguments: &'a [String], known: &str) -> io::Result<(Vec<char>, Vec<&'a str>)> {
    let (mut found, mut operands, mut open) = (Vec::new(), Vec::new(), true);
    for argument in arguments {
        match argument.strip_prefix('-') {
            Some("-") if open => open = false,
            Some(letters) if open && !letters.is_empty() => {
                for letter in letters.chars() {
                    if !known.contains(letter) {
                        return usage(&format!("unknown option -{letter}; known are {known:?}"));
                    }
                    found.push(letter);
                }
            }
            _ => operands.push(argument.as_str()),
        }
    }
    Ok((found, operands))
}
