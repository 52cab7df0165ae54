//! Puts the built examples into the binary, so that `coracle demo` needs nothing but itself. A binary that was built
//! before the examples still works; its demo says how to get them.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folder under `examples`, and the program that cargo makes of it.
const EXAMPLES: &[(&str, &str)] = &[("hello-http", "hello_http.wasm"), ("word-count", "word-count.wasm")];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = out.ancestors().nth(4).expect("OUT_DIR lies below the target directory");
    let mut source = String::from("const EXAMPLES: &[Example] = &[\n");
    for (name, file) in EXAMPLES {
        let manifest = Path::new("examples").join(name).join("pod.yaml");
        println!("cargo::rerun-if-changed={}", manifest.display());
        let bytes = find(target, file);
        let manifest = fs::canonicalize(&manifest).expect("every example has a pod.yaml");
        source.push_str(&format!(
            "    Example {{ name: {name:?}, program: {bytes}, manifest: include_str!({manifest:?}) }},\n"
        ));
    }
    source.push_str("];\n");
    fs::write(out.join("examples.rs"), source).expect("OUT_DIR can be written");
    let toolbox = find(target, "toolbox.wasm");
    let source = format!(
        "/// What `exec` finds in every container; `None` in a binary that was built before the examples.\n\
         const TOOLBOX: Option<&[u8]> = {toolbox};\n"
    );
    fs::write(out.join("toolbox.rs"), source).expect("OUT_DIR can be written");
}

/// A built program as an expression of type `Option<&[u8]>`.
fn find(target: &Path, file: &str) -> String {
    let program = [target, target.parent().unwrap_or(target)]
        .iter()
        .map(|base| base.join(TARGET).join("release").join(file))
        .find(|path| path.is_file());
    // Watching a path that is not there yet makes cargo look again as soon as it is.
    let watched = program.clone().unwrap_or_else(|| target.join(TARGET).join("release").join(file));
    println!("cargo::rerun-if-changed={}", watched.display());
    match &program {
        Some(path) => format!("Some(include_bytes!({:?}))", fs::canonicalize(path).expect("it is a file")),
        None => "None".to_owned(),
    }
}
