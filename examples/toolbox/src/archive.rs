//! `tar`, as far as `kubectl cp` and people need it: create, extract and list, from and to files and streams.

use std::fs::{self, File};
use std::io::{self, Read, Write};

use tar::{Archive, Builder, EntryType, Header};

use crate::{at, say, usage};

const USAGE: &str = "tar c|x|t [m] [p] [v] [f FILE] [-C DIR] [PATH]...";

#[derive(Default)]
struct Options {
    mode: Option<char>,
    file: Option<String>,
    directory: Option<String>,
    verbose: bool,
    strip: usize,
    paths: Vec<String>,
}

pub(crate) fn tar(arguments: &[String]) -> io::Result<bool> {
    let options = parse(arguments)?;
    let file = options.file.as_deref().filter(|file| *file != "-");
    match options.mode {
        Some('c') => {
            let out: Box<dyn Write> = match file {
                Some(path) => Box::new(File::create(path).map_err(at(path))?),
                None => Box::new(io::stdout().lock()),
            };
            create(&options, out)
        }
        Some(mode) => {
            let input: Box<dyn Read> = match file {
                Some(path) => Box::new(File::open(path).map_err(at(path))?),
                None => Box::new(io::stdin().lock()),
            };
            read(&options, input, mode == 'x')
        }
        None => usage(USAGE),
    }
}

/// The first word may have its letters without a dash, as in `tar cf -`.
fn parse(arguments: &[String]) -> io::Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    let mut first = true;
    while let Some(argument) = rest.next() {
        let letters = match argument.strip_prefix('-') {
            Some(long) if long.starts_with('-') => {
                match long.split_once('=') {
                    Some(("-strip-components", count)) => options.strip = count.parse().unwrap_or(0),
                    Some(("-directory", path)) => options.directory = Some(path.to_owned()),
                    // What is about owners and permissions has no meaning here.
                    _ => {}
                }
                continue;
            }
            Some("") => None,
            Some(letters) => Some(letters),
            None if first => Some(argument.as_str()),
            None => None,
        };
        first = false;
        let Some(letters) = letters else {
            options.paths.push(argument.clone());
            continue;
        };
        for letter in letters.chars() {
            match letter {
                'c' | 'x' | 't' => options.mode = Some(letter),
                'f' => options.file = rest.next().cloned(),
                'C' => options.directory = rest.next().cloned(),
                'v' => options.verbose = true,
                'm' | 'p' | 'o' | 'k' => {}
                _ => return usage(USAGE),
            }
        }
    }
    Ok(options)
}

fn create(options: &Options, out: Box<dyn Write>) -> io::Result<bool> {
    let mut builder = Builder::new(out);
    for path in &options.paths {
        let from = match &options.directory {
            Some(directory) if !path.starts_with('/') => format!("{}/{path}", directory.trim_end_matches('/')),
            _ => path.clone(),
        };
        let name = path.trim_start_matches('/').trim_end_matches('/');
        add(&mut builder, from.trim_end_matches('/'), if name.is_empty() { "." } else { name }, options.verbose)?;
    }
    builder.into_inner()?.flush()?;
    Ok(true)
}

fn add(builder: &mut Builder<Box<dyn Write>>, path: &str, name: &str, verbose: bool) -> io::Result<()> {
    if verbose {
        eprintln!("{name}");
    }
    // Links are followed, so that the files of a volume whose links are swapped arrive as files.
    let metadata = fs::metadata(path).map_err(at(path))?;
    let mut header = Header::new_gnu();
    if metadata.is_dir() {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        builder.append_data(&mut header, format!("{name}/"), io::empty())?;
        for entry in fs::read_dir(path).map_err(at(path))? {
            let child = entry?.file_name().to_string_lossy().into_owned();
            if !child.starts_with("..") {
                add(builder, &format!("{path}/{child}"), &format!("{name}/{child}"), verbose)?;
            }
        }
        return Ok(());
    }
    header.set_mode(0o644);
    header.set_size(metadata.len());
    let seconds = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    header.set_mtime(seconds.map_or(0, |time| time.as_secs()));
    builder.append_data(&mut header, name, File::open(path).map_err(at(path))?.take(metadata.len()))
}

fn read(options: &Options, input: Box<dyn Read>, extract: bool) -> io::Result<bool> {
    let root = options.directory.as_deref().unwrap_or("/").trim_end_matches('/').to_owned();
    let mut archive = Archive::new(input);
    let mut all = true;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path}: leads out of the archive")));
        }
        if !extract || options.verbose {
            say(&path)?;
        }
        let Some(parts) = parts.get(options.strip..).filter(|parts| extract && !parts.is_empty()) else { continue };
        let target = format!("{root}/{}", parts.join("/"));
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&target).map_err(at(&target))?,
            EntryType::Regular | EntryType::Continuous => {
                if let Some((parent, _)) = target.rsplit_once('/').filter(|(parent, _)| !parent.is_empty()) {
                    fs::create_dir_all(parent).map_err(at(parent))?;
                }
                io::copy(&mut entry, &mut File::create(&target).map_err(at(&target))?).map_err(at(&target))?;
            }
            _ => {
                eprintln!("tar: {path}: links and devices are left out");
                all = false;
            }
        }
    }
    // Whoever writes the archive may still be writing the padding after its end.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(all)
}
