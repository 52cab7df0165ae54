//! Tools that look at files and change them.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use crate::{at, flags, reason, say, usage};

/// What a path has below it. The root and the directories above the mounts are not real: they show the way to the mounts.
fn names(path: &str) -> io::Result<BTreeSet<String>> {
    let below = mounts_below(path);
    match fs::read_dir(path) {
        Ok(entries) => {
            let mut names = below;
            for entry in entries {
                names.insert(entry?.file_name().to_string_lossy().into_owned());
            }
            Ok(names)
        }
        Err(_) if !below.is_empty() => Ok(below),
        Err(error) => Err(at(path)(error)),
    }
}

/// The next part of the path of every mount below a directory.
fn mounts_below(path: &str) -> BTreeSet<String> {
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let mounts = wasip2::filesystem::preopens::get_directories().into_iter().map(|(_, path)| path);
    let next = mounts.filter_map(|mount| {
        let rest = mount.strip_prefix(&prefix)?.split('/').next()?.to_owned();
        (!rest.is_empty()).then_some(rest)
    });
    next.collect()
}

pub(crate) fn ls(arguments: &[String]) -> io::Result<bool> {
    let (asked, operands) = flags(arguments, "1aAldhRt")?;
    let operands = if operands.is_empty() { vec!["/"] } else { operands };
    let (long, hidden) = (asked.contains(&'l'), asked.contains(&'a') || asked.contains(&'A'));
    let mut all = true;
    for (index, path) in operands.iter().enumerate() {
        let is_directory = fs::metadata(path).map_or(!mounts_below(path).is_empty(), |metadata| metadata.is_dir());
        if !is_directory || asked.contains(&'d') {
            match fs::symlink_metadata(path) {
                Ok(_) => show(path, path, long)?,
                Err(error) => {
                    eprintln!("ls: {path}: {}", reason(&error));
                    all = false;
                }
            }
            continue;
        }
        if operands.len() > 1 {
            say(&format!("{}{path}:", if index > 0 { "\n" } else { "" }))?;
        }
        match names(path) {
            Ok(names) => {
                for name in names.iter().filter(|name| hidden || !name.starts_with('.')) {
                    show(&format!("{}/{name}", path.trim_end_matches('/')), name, long)?;
                }
            }
            Err(error) => {
                eprintln!("ls: {error}");
                all = false;
            }
        }
    }
    Ok(all)
}

fn show(path: &str, name: &str, long: bool) -> io::Result<()> {
    if !long {
        return say(name).map(|_| ());
    }
    let (kind, size) = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => ('l', metadata.len()),
        Ok(metadata) if metadata.is_dir() => ('d', metadata.len()),
        Ok(metadata) => ('-', metadata.len()),
        Err(_) => ('d', 0),
    };
    let target = if kind == 'l' { fs::read_link(path).ok() } else { None };
    let target = target.map_or_else(String::new, |target| format!(" -> {}", target.display()));
    say(&format!("{kind} {size:>10} {name}{target}")).map(|_| ())
}

pub(crate) fn find(arguments: &[String]) -> io::Result<bool> {
    let root = arguments.first().map_or("/", String::as_str);
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        say(&path)?;
        let is_directory = fs::symlink_metadata(&path).map_or(!mounts_below(&path).is_empty(), |found| found.is_dir());
        if is_directory {
            let below = names(&path)?;
            open.extend(below.into_iter().rev().map(|name| format!("{}/{name}", path.trim_end_matches('/'))));
        }
    }
    Ok(true)
}

pub(crate) fn mkdir(arguments: &[String]) -> io::Result<bool> {
    let (asked, operands) = flags(arguments, "p")?;
    for path in operands {
        let made = if asked.contains(&'p') { fs::create_dir_all(path) } else { fs::create_dir(path) };
        made.map_err(at(path))?;
    }
    Ok(true)
}

pub(crate) fn rm(arguments: &[String]) -> io::Result<bool> {
    let (asked, operands) = flags(arguments, "rRf")?;
    let (deep, force) = (asked.contains(&'r') || asked.contains(&'R'), asked.contains(&'f'));
    for path in operands {
        let removed = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() && deep => fs::remove_dir_all(path),
            Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if force && error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(at(path))?,
        }
    }
    Ok(true)
}

/// Where something lands: in a directory it keeps its name.
fn target(from: &str, to: &str) -> String {
    let name = from.trim_end_matches('/').rsplit('/').next().unwrap_or(from);
    if Path::new(to).is_dir() { format!("{}/{name}", to.trim_end_matches('/')) } else { to.to_owned() }
}

pub(crate) fn cp(arguments: &[String]) -> io::Result<bool> {
    let (asked, operands) = flags(arguments, "raRpf")?;
    let Some((to, from)) = operands.split_last().filter(|(_, from)| !from.is_empty()) else {
        return usage("cp [-r] FROM... TO");
    };
    for from in from {
        copy(from, &target(from, to), asked.iter().any(|letter| "raR".contains(*letter)))?;
    }
    Ok(true)
}

fn copy(from: &str, to: &str, deep: bool) -> io::Result<()> {
    if fs::metadata(from).map_err(at(from))?.is_dir() {
        if !deep {
            return Err(at(from)(io::ErrorKind::IsADirectory.into()));
        }
        let names = names(from)?;
        fs::create_dir_all(to).map_err(at(to))?;
        return names.iter().try_for_each(|name| copy(&format!("{from}/{name}"), &format!("{to}/{name}"), deep));
    }
    fs::copy(from, to).map(|_| ()).map_err(at(to))
}

pub(crate) fn mv(arguments: &[String]) -> io::Result<bool> {
    let (_, operands) = flags(arguments, "f")?;
    let Some((to, from)) = operands.split_last().filter(|(_, from)| !from.is_empty()) else {
        return usage("mv FROM... TO");
    };
    for from in from {
        fs::rename(from, target(from, to)).map_err(at(from))?;
    }
    Ok(true)
}

pub(crate) fn touch(arguments: &[String]) -> io::Result<bool> {
    for path in arguments {
        OpenOptions::new().create(true).append(true).open(path).map_err(at(path))?;
    }
    Ok(true)
}

pub(crate) fn bracket(arguments: &[String]) -> io::Result<bool> {
    match arguments.split_last() {
        Some((last, rest)) if last == "]" => test(rest),
        _ => usage("[ EXPRESSION ]"),
    }
}

pub(crate) fn test(arguments: &[String]) -> io::Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_directory =
        |path: &str| fs::metadata(path).map_or(!mounts_below(path).is_empty(), |metadata| metadata.is_dir());
    Ok(match words[..] {
        [] => false,
        ["!", ..] => !test(&arguments[1..])?,
        ["-e", path] => fs::metadata(path).is_ok() || is_directory(path),
        ["-d", path] => is_directory(path),
        ["-f", path] => fs::metadata(path).is_ok_and(|metadata| metadata.is_file()),
        ["-s", path] => fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0),
        ["-h" | "-L", path] => fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()),
        ["-r" | "-w" | "-x", path] => fs::metadata(path).is_ok(),
        ["-n", text] | [text] => !text.is_empty(),
        ["-z", text] => text.is_empty(),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        _ => return usage("test EXPRESSION"),
    })
}
