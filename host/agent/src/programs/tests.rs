use std::path::Path;

use coracle_host_image::ImagePolicy;
use coracle_host_sandbox::{EngineConfig, ProgramKind};

use super::*;

const EMPTY: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

fn cache(directory: &Path) -> ProgramCache {
    let images = ImageStore::open(&directory.join("images"), ImagePolicy { allow_files: false }).unwrap();
    let artifacts = ArtifactCache::open(&directory.join("code"), 1 << 30).unwrap();
    ProgramCache::new(images, artifacts, Engine::new(EngineConfig::for_one_container()).unwrap())
}

/// The files of compiled code.
fn artifacts(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.join("code")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    // Beside the code lie the checksums.
    found.retain(|path| path.extension().is_some_and(|extension| extension == "code"));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_get_one_compilation_and_damage_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let programs = cache(directory.path());
    programs.images().load(&wat::parse_str(EMPTY).unwrap(), "empty:1").unwrap();
    let asked = (0..8).map(|_| programs.get("empty:1", PullPolicy::IfNotPresent));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.unwrap().1.kind(), ProgramKind::Module);
    }
    let kept = artifacts(directory.path());
    assert_eq!(kept.len(), 1, "{kept:?}");
    // As after a restart: code that is mapped must not be cut short under the program.
    drop(programs);
    std::fs::write(&kept[0], b"not what it was").unwrap();
    let next = cache(directory.path());
    next.get("empty:1", PullPolicy::Never).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_program_is_refused_again_without_compiling() {
    let directory = tempfile::tempdir().unwrap();
    let programs = cache(directory.path());
    programs.images().load(b"MZ", "windows:1").unwrap();
    for _ in 0..2 {
        let error = programs.get("windows:1", PullPolicy::IfNotPresent).await.unwrap_err();
        assert_eq!(error.to_string(), "image \"windows:1\" cannot be run");
        assert!(matches!(&error, ProgramError::Build { source, .. } if source.is_permanent()), "{error:?}");
    }
    assert_eq!(programs.shared.slots().by_digest.len(), 1);
    let error = programs.get("gone:1", PullPolicy::IfNotPresent).await.unwrap_err();
    assert!(matches!(error, ProgramError::Pull(PullError::NotFound(_))), "{error:?}");
}
