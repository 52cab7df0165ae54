//! Who may depend on whom. A new dependency between components is the weightiest change there is, so each one is listed
//! here, and anything that is not listed is a defect.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What each crate may use of ours. A crate that is missing here may not exist.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "coracle",
        &[
            "coracle-control-api",
            "coracle-control-apiserver",
            "coracle-control-controllers",
            "coracle-control-scheduler",
            "coracle-control-store",
            "coracle-host-agent",
            "coracle-host-image",
            "coracle-host-network",
            "coracle-host-sandbox",
        ],
    ),
    ("coracle-control-api", &[]),
    ("coracle-control-apiserver", &["coracle-control-api", "coracle-control-store"]),
    ("coracle-control-controllers", &["coracle-control-api"]),
    ("coracle-control-scheduler", &["coracle-control-api"]),
    ("coracle-control-store", &[]),
    (
        "coracle-host-agent",
        &["coracle-control-api", "coracle-host-image", "coracle-host-network", "coracle-host-sandbox"],
    ),
    ("coracle-host-image", &[]),
    ("coracle-host-network", &[]),
    ("coracle-host-sandbox", &["coracle-host-network"]),
    ("coracle-tests-fixtures", &[]),
];

/// What only tests may use besides. The scheduler and the controllers are tested against the real API server; the arrows
/// of the code that ships are not loosened by that.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    ("coracle", &["coracle-tests-fixtures"]),
    ("coracle-control-controllers", &["coracle-control-apiserver", "coracle-control-store"]),
    ("coracle-control-scheduler", &["coracle-control-apiserver", "coracle-control-store"]),
    ("coracle-host-agent", &["coracle-control-apiserver", "coracle-control-store", "coracle-tests-fixtures"]),
    ("coracle-host-sandbox", &["coracle-tests-fixtures"]),
];

/// What must be nowhere in the tree under a crate, and why.
const ABSENT: &[(&str, &[&str], &str)] = &[
    (
        "coracle-control-api",
        // Not `uuid`: the grammar under the rules of custom resources brings it, without its random versions.
        &["tokio", "kube", "rand", "getrandom", "openraft", "wasmtime"],
        "the objects are pure: no task, no client, no randomness",
    ),
    ("coracle-control-apiserver", &["wasmtime", "cranelift-codegen"], "control never sees wasmtime"),
    (
        "coracle-control-controllers",
        &["wasmtime", "openraft", "redb", "axum"],
        "controllers see the API and nothing else",
    ),
    (
        "coracle-control-scheduler",
        &["wasmtime", "openraft", "redb", "axum"],
        "the scheduler sees the API and nothing else",
    ),
    ("coracle-control-store", &["wasmtime", "k8s-openapi", "kube", "axum"], "the store knows no kinds and no HTTP"),
    ("coracle-host-agent", &["openraft", "redb"], "a host sees of control only the API"),
    ("coracle-host-image", &["wasmtime", "k8s-openapi", "kube", "openraft"], "the image store knows nothing of ours"),
    ("coracle-host-network", &["wasmtime", "k8s-openapi", "kube", "openraft"], "the network knows nothing of ours"),
    ("coracle-host-sandbox", &["k8s-openapi", "kube", "openraft"], "a sandbox knows no Kubernetes"),
];

/// One crate of the workspace as its manifest declares it.
struct Declared {
    name: String,
    folder: String,
    uses: BTreeSet<String>,
    uses_in_tests: BTreeSet<String>,
}

fn cargo(arguments: &[&str]) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo).current_dir(root).args(arguments).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn workspace() -> Vec<Declared> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version=1", "--offline"])).unwrap();
    let root = Path::new(metadata["workspace_root"].as_str().unwrap());
    let crates = metadata["packages"].as_array().unwrap().iter();
    crates
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let ours = |wanted: fn(Option<&str>) -> bool| {
                let dependencies = package["dependencies"].as_array().unwrap().iter();
                let ours = dependencies
                    .filter(|dependency| wanted(dependency["kind"].as_str()) && dependency["path"].is_string());
                ours.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
            };
            Declared {
                name: package["name"].as_str().unwrap().to_owned(),
                folder: manifest.parent().unwrap().strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                uses: ours(|kind| kind != Some("dev")),
                uses_in_tests: ours(|kind| kind == Some("dev")),
            }
        })
        .collect()
}

fn row<'a>(table: &[(&str, &'a [&'a str])], name: &str) -> BTreeSet<&'a str> {
    table.iter().filter(|(from, _)| *from == name).flat_map(|(_, to)| to.iter().copied()).collect()
}

#[test]
fn crates_use_of_ours_only_what_is_listed() {
    let known: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut defects = Vec::new();
    for declared in workspace() {
        if !known.contains_key(declared.name.as_str()) {
            defects.push(format!("{} has no row in ARROWS", declared.name));
        }
        let (shipped, tested) = (row(ARROWS, &declared.name), row(TEST_ARROWS, &declared.name));
        let new = declared.uses.iter().filter(|used| !shipped.contains(used.as_str()));
        defects.extend(new.map(|used| format!("{} -> {used}", declared.name)));
        let new = declared
            .uses_in_tests
            .iter()
            .filter(|used| !shipped.contains(used.as_str()) && !tested.contains(used.as_str()));
        defects.extend(new.map(|used| format!("tests of {} -> {used}", declared.name)));
    }
    assert!(defects.is_empty(), "arrows that DESIGN does not allow: {defects:#?}");
}

#[test]
fn what_must_be_absent_is_absent_from_the_whole_tree() {
    let mut defects = Vec::new();
    for (name, absent, why) in ABSENT {
        let tree =
            cargo(&["tree", "--offline", "--locked", "--package", name, "--edges", "normal", "--prefix", "none"]);
        let present: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(present.contains(name), "{name} is not in its own tree");
        defects.extend(
            absent.iter().filter(|used| present.contains(*used)).map(|used| format!("{name} has {used}: {why}")),
        );
    }
    assert!(defects.is_empty(), "{defects:#?}");
}

#[test]
fn a_crate_is_called_by_its_path() {
    for declared in workspace() {
        let path = declared.folder.replace(['/', '\\'], "-");
        let expected = if path.is_empty() { "coracle".to_owned() } else { format!("coracle-{path}") };
        assert_eq!(declared.name, expected, "in {}", declared.folder);
    }
}
