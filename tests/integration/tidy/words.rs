//! Words and calls that do not belong in the code, each with what to write instead.

use super::{Source, check, sources};

/// A word, and what to write instead. Pieces are joined when the test runs, so that this file is not its own defect.
type Banned = (&'static [&'static str], &'static str);

/// Nowhere in Rust that ships.
const CALLS: &[Banned] = &[
    (&["tokio::", "spawn("], "spawn it on a JoinSet that the owner holds"),
    (&["unbounded", "_channel"], "every queue has a bound: tokio::sync::mpsc::channel"),
    (&["std::process::", "exit("], "return an ExitCode from main, so that everything is dropped in order"),
    (&["todo", "!("], "write it, or leave it out"),
    (&["unimplemented", "!("], "write it, or leave it out"),
    (&["dbg", "!("], "use tracing"),
    (&["Box", "::leak("], "give it an owner"),
    (&["lazy", "_static"], "use std::sync::LazyLock"),
];

/// Nowhere in Rust at all.
const EVERYWHERE: &[Banned] = &[
    (&["#[", "ignore"], "a test runs or does not exist"),
    (&["#[", "should_panic"], "return an error and check it"),
    (&["mod ", "utils"], "name the module for what is in it"),
    (&["mod ", "util "], "name the module for what is in it"),
    (&["mod ", "util;"], "name the module for what is in it"),
    (&["mod ", "common"], "name the module for what is in it"),
    (&["mod ", "helper"], "name the module for what is in it"),
    (&["mod ", "manager"], "name the module for what it does"),
    (&["mod ", "misc"], "name the module for what is in it"),
];

/// Endings of type names that say nothing.
const TYPE_ENDINGS: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils"];

/// Nowhere in any file: paths and hosts of somebody's machine.
const MACHINES: &[Banned] = &[
    (&["/ro", "ot/"], "paths are relative, or given by the user"),
    (&["/wo", "rk/main"], "paths are relative, or given by the user"),
    (&["/wo", "rk/shared"], "paths are relative, or given by the user"),
];

/// Code that is pure: the time is an argument, there is no chance in it, and nothing waits.
const PURE: &[&str] = &[
    "control/api/src/",
    "control/scheduler/src/cache",
    "control/scheduler/src/node.rs",
    "control/scheduler/src/plan",
    "control/scheduler/src/plugins",
    "control/scheduler/src/pod",
    "control/scheduler/src/resources",
    "control/scheduler/src/snapshot",
    "host/agent/src/life",
    "control/controllers/src/cron_job/plan",
    "control/controllers/src/daemon_set/nodes",
    "control/controllers/src/daemon_set/plan",
    "control/controllers/src/deployment/",
    "control/controllers/src/disruption/plan",
    "control/controllers/src/endpoints/",
    "control/controllers/src/job/",
    "control/controllers/src/node_lifecycle/plan",
    "control/controllers/src/owner_garbage/graph",
    "control/controllers/src/owner_garbage/plan",
    "control/controllers/src/replica_set/plan",
    "control/controllers/src/stateful_set/plan",
];

/// What pure code does not say.
const IMPURE: &[Banned] = &[
    (&["Timestamp::", "now("], "take the time as an argument"),
    (&["Zoned::", "now("], "take the time as an argument"),
    (&["SystemTime::", "now("], "take the time as an argument"),
    (&["Instant::", "now("], "take the time as an argument"),
    (&["tok", "io::"], "leave waiting to the driver"),
    (&["std::", "fs::"], "leave files to the caller"),
    (&["std::", "env::"], "take it as an argument"),
    (&["ra", "nd::"], "take what is random as an argument"),
];

fn find(sources: &[Source], wanted: impl Fn(&Source) -> bool, banned: &[Banned]) -> Vec<String> {
    let mut defects = Vec::new();
    for source in sources.iter().filter(|source| wanted(source)) {
        for (pieces, instead) in banned {
            let word = pieces.concat();
            let lines = source.text.lines().enumerate().filter(|(_, line)| code_of(line).contains(&word));
            defects.extend(lines.map(|(number, _)| format!("{}:{}: {word} ({instead})", source.path, number + 1)));
        }
    }
    defects
}

/// The line without its comment. A `//` within a string ends it too early, which only hides what follows.
fn code_of(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}

#[test]
fn banned_calls_are_not_made() {
    let sources = sources();
    check("calls that have a better form", &find(&sources, |source| source.is_rust() && !source.is_test(), CALLS));
    check("words that have a better form", &find(&sources, Source::is_rust, EVERYWHERE));
}

#[test]
fn types_are_named_for_what_they_are() {
    let mut defects = Vec::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        for (number, line) in source.text.lines().enumerate() {
            let words: Vec<&str> = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
            let declared =
                words.windows(2).filter(|pair| matches!(pair[0], "struct" | "enum" | "trait")).map(|pair| pair[1]);
            let empty = declared.filter(|name| TYPE_ENDINGS.iter().any(|ending| name.ends_with(ending)));
            defects.extend(
                empty
                    .filter(|_| !code_of(line).is_empty())
                    .map(|name| format!("{}:{}: {name}", source.path, number + 1)),
            );
        }
    }
    check("types whose names say nothing", &defects);
}

#[test]
fn pure_code_has_no_clock_no_chance_and_no_waiting() {
    let pure = |source: &Source| {
        source.is_rust() && !source.is_test() && PURE.iter().any(|path| source.path.starts_with(path))
    };
    check("pure code", &find(&sources(), pure, IMPURE));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let sources = sources();
    let texts = sources.iter().filter(|source| !source.path.ends_with(".lock"));
    let mut defects = Vec::new();
    for source in texts {
        for (pieces, instead) in MACHINES {
            let word = pieces.concat();
            let lines = source.text.lines().enumerate().filter(|(_, line)| line.contains(&word));
            defects.extend(lines.map(|(number, _)| format!("{}:{}: {word} ({instead})", source.path, number + 1)));
        }
    }
    check("places of one machine", &defects);
}
