//! Takes the descriptions of types and fields out of the sources of the crate `k8s-openapi`, for `kubectl explain`.
//!
//! That crate has them in its code for the feature `schemars`. Compiling that code would cost minutes and megabytes for
//! texts alone, so the sources are read instead, and the texts go into the binary compressed. Where the sources are is
//! asked of cargo, which has unpacked them for the build.
//!
//! ```text
//! RECORD SEPARATOR type UNIT SEPARATOR text (GROUP SEPARATOR field UNIT SEPARATOR text)*
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The folder of the Kubernetes version whose types are served.
const VERSION: &str = "v1_34";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../Cargo.lock");
    let mut text = String::new();
    match find_sources() {
        Some(sources) => read_folder(&sources, &mut text),
        None => println!("cargo::warning=the sources of k8s-openapi are not found: `kubectl explain` will say little"),
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("descriptions.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).expect("memory can be written");
    fs::write(out, encoder.finish().expect("memory can be written")).expect("OUT_DIR can be written");
}

/// The folder with the types, from what cargo says of where packages are.
fn find_sources() -> Option<PathBuf> {
    let output = Command::new(env::var_os("CARGO")?)
        .args(["metadata", "--format-version=1", "--offline", "--filter-platform"])
        .arg(env::var_os("TARGET")?)
        .output()
        .ok()?;
    let metadata = String::from_utf8(output.stdout).ok()?;
    let manifests = metadata.split("\"manifest_path\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut folders = manifests.filter_map(|path| Path::new(&path.replace("\\\\", "\\")).parent().map(Path::to_owned));
    let named = |folder: &PathBuf| {
        folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("k8s-openapi"))
    };
    folders.find(named).map(|folder| folder.join("src").join(VERSION)).filter(|folder| folder.is_dir())
}

fn read_folder(folder: &Path, out: &mut String) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("it is a folder").filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_folder(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read_file(&fs::read_to_string(&path).expect("sources are text"), out);
        }
    }
}

/// A property is a quoted name at the depth of properties; a description belongs to what was named last.
fn read_file(source: &str, out: &mut String) {
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !line.contains("fn schema_name()") {
            continue;
        }
        let Some(name) = lines.next().and_then(|line| literal(line.trim_start())) else { continue };
        out.push_str(&format!("\x1e{name}\x1f"));
        // The function with the name ends first, the one with the schema next.
        let mut ends = 0;
        for line in lines.by_ref() {
            if line == "    }" {
                ends += 1;
                if ends == 2 {
                    break;
                }
                continue;
            }
            let inner = line.trim_start();
            let depth = line.len() - inner.len();
            if depth == 16
                && inner.ends_with('{')
                && let Some(field) = literal(inner)
            {
                out.push_str(&format!("\x1d{field}\x1f"));
            } else if let Some(text) = inner.strip_prefix("\"description\": ").and_then(literal) {
                out.push_str(&text);
            } else if let Some((_, rest)) = inner.split_once(".insert(\"description\".into(), ")
                && let Some(text) = literal(rest)
            {
                out.push_str(&text);
            }
        }
    }
}

/// The text of the string literal at the beginning.
fn literal(source: &str) -> Option<String> {
    let mut characters = source.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'u' => {
                    let digits: String = characters.by_ref().skip(1).take_while(|digit| *digit != '}').collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}
