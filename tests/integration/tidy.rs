//! The house rules that no lint checks, each as a test that names the place and what to do instead.

mod functions;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of the longest file that may exist.
const FILE_LINES_MAX: usize = 1000;
/// Lines of the longest function that may exist, from `fn` to the closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of an essay at the head of a library.
const ESSAY_LINES_MIN: usize = 6;

/// A text file of the repository.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether only tests, benches, or guest programs are in the file.
    fn is_test(&self) -> bool {
        let test_file =
            self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/");
        test_file || self.path.contains("benches/")
    }
}

/// Every text file, without what is built or fetched.
fn sources() -> Vec<Source> {
    const TEXT: [&str; 11] = ["rs", "toml", "md", "yaml", "yml", "py", "sh", "wit", "json", "txt", "lock"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.to_owned()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let skipped = name == "target" || name == "node_modules" || (name.starts_with('.') && name != ".ci");
                folders.extend((!skipped).then_some(path));
                continue;
            }
            let is_text = path.extension().is_some_and(|extension| TEXT.iter().any(|known| extension == *known));
            if is_text
                || path.parent().and_then(Path::file_name).is_some_and(|folder| folder == ".ci")
                || name == "Makefile"
            {
                sources.push(Source { text: fs::read_to_string(&path).unwrap(), path: relative(&path, root) });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn relative(path: &Path, root: &Path) -> String {
    let parts: PathBuf = path.strip_prefix(root).unwrap().to_owned();
    parts.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn check(rule: &str, defects: &[String]) {
    assert!(defects.is_empty(), "{rule}\n  {}", defects.join("\n  "));
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long = sources().into_iter().filter(Source::is_rust).map(|source| (source.text.lines().count(), source.path));
    let defects: Vec<_> =
        long.filter(|(lines, _)| *lines > FILE_LINES_MAX).map(|(lines, path)| format!("{path}: {lines}")).collect();
    check("split these files by topic", &defects);
}

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut defects = Vec::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        let long = functions::lengths(&source.text).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
        defects.extend(long.map(|function| {
            format!("{}:{}: {} has {} lines", source.path, function.line, function.name, function.lines)
        }));
    }
    check("give parts of these functions a name of their own", &defects);
}

#[test]
fn modules_are_files_with_a_name() {
    let sources = sources();
    let nameless: Vec<_> =
        sources.iter().map(|source| source.path.clone()).filter(|path| path.ends_with("/mod.rs")).collect();
    check("use foo.rs and foo/ instead of mod.rs", &nameless);
}

#[test]
fn every_library_opens_with_an_essay() {
    let mut defects = Vec::new();
    for source in sources().iter().filter(|source| source.path.ends_with("src/lib.rs")) {
        if source.path.starts_with("tests/") || source.path.starts_with("examples/") {
            continue;
        }
        let essay = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        if essay < ESSAY_LINES_MIN {
            defects.push(format!("{}: {essay} lines", source.path));
        }
    }
    check("say at the head of the library what it is, what always holds, and what was refused", &defects);
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let mut defects = Vec::new();
    for source in sources().iter().filter(|source| source.path.ends_with("Cargo.toml")) {
        let outside = ["guest-sdk/", "examples/", "tests/guests/"].iter().any(|folder| source.path.starts_with(folder));
        if !outside && !source.text.contains("[lints]\nworkspace = true") {
            defects.push(source.path.clone());
        }
    }
    check("add `[lints] workspace = true`", &defects);
}

#[test]
fn what_others_build_on_is_documented_throughout() {
    let sources = sources();
    for folder in ["control/api", "guest-sdk", "host/sandbox"] {
        let says = |file: &str, words: &str| {
            let path = format!("{folder}/{file}");
            sources.iter().any(|source| source.path == path && source.text.contains(words))
        };
        let denied = says("src/lib.rs", "#![deny(missing_docs)]") || says("Cargo.toml", "missing_docs = \"deny\"");
        assert!(denied, "{folder}: add #![deny(missing_docs)]");
    }
}

#[test]
fn locked_packages_come_from_one_public_registry() {
    const REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let mut defects = Vec::new();
    for source in sources().iter().filter(|source| source.path.ends_with("Cargo.lock")) {
        let foreign = source.text.lines().filter(|line| line.starts_with("source = ") && *line != REGISTRY);
        defects.extend(foreign.map(|line| format!("{}: {line}", source.path)));
    }
    check("depend on released packages of crates.io", &defects);
}
