use super::{ImagePolicy, ImageStore, LoadError, PullError, PullPolicy, ReadImageError};
use crate::Digest;

fn store(directory: &std::path::Path) -> ImageStore {
    ImageStore::open(directory, ImagePolicy { allow_files: true }).unwrap()
}

#[tokio::test]
async fn what_was_loaded_is_found_by_name_and_by_digest_also_by_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let record = store(directory.path()).load(b"program", "hello:1").unwrap();
    let other = store(directory.path());
    for name in ["hello:1".to_owned(), format!("hello@{}", record.digest), format!("hello:1@{}", record.digest)] {
        let image = other.resolve(&name, PullPolicy::IfNotPresent).await.unwrap();
        assert_eq!((image.digest, image.size_bytes), (Digest::of(b"program"), 7));
        assert_eq!(image.read().unwrap(), b"program");
    }
    assert_eq!(other.list().unwrap(), [record]);
}

#[tokio::test]
async fn a_name_that_is_not_there_says_how_to_load_it() {
    let directory = tempfile::tempdir().unwrap();
    let error = store(directory.path()).resolve("nobody/this", PullPolicy::Always).await.unwrap_err();
    assert!(matches!(error, PullError::NotFound(_)));
    assert!(error.to_string().contains("coracle image load FILE -t nobody/this:latest"), "{error}");
    let error = store(directory.path()).resolve("Nobody!", PullPolicy::Always).await.unwrap_err();
    assert_eq!(error.kubernetes_reason(), "InvalidImageName");
    let error = store(directory.path()).resolve("nobody/this", PullPolicy::Never).await.unwrap_err();
    assert_eq!(error.kubernetes_reason(), "ErrImageNeverPull");
}

#[tokio::test]
async fn a_name_moves_and_its_old_contents_go_with_the_last_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let old = store.load(b"old", "hello:1").unwrap();
    store.load(b"new", "hello:1").unwrap();
    store.load(b"new", "hello:2").unwrap();
    assert_eq!(store.resolve("hello:1", PullPolicy::Never).await.unwrap().read().unwrap(), b"new");
    store.remove("hello:1").unwrap();
    assert!(
        store.resolve(&format!("x@{}", old.digest), PullPolicy::Never).await.is_err(),
        "no name has the old contents"
    );
    assert_eq!(store.resolve("hello:2", PullPolicy::Never).await.unwrap().read().unwrap(), b"new");
    store.remove("hello:2").unwrap();
    assert!(store.list().unwrap().is_empty());
    assert!(store.remove("hello:2").is_err());
}

#[tokio::test]
async fn a_pinned_digest_must_agree() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path());
    let other = Digest::of(b"other");
    assert!(matches!(store.load(b"program", &format!("hello:1@{other}")), Err(LoadError::Pinned { .. })));
    store.load(b"program", "hello:1").unwrap();
    let error = store.resolve(&format!("hello:1@{other}"), PullPolicy::Never).await.unwrap_err();
    assert!(matches!(error, PullError::OtherDigest { .. }), "{error}");
}

#[tokio::test]
async fn files_are_images_only_where_they_are_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("program.wasm");
    std::fs::write(&file, b"program").unwrap();
    let name = format!("file://{}", file.display());
    let image = store(directory.path()).resolve(&name, PullPolicy::Always).await.unwrap();
    assert_eq!(image.read().unwrap(), b"program");
    std::fs::write(&file, b"changed").unwrap();
    assert!(matches!(image.read(), Err(ReadImageError::Changed { .. })));
    let closed = ImageStore::open(directory.path(), ImagePolicy { allow_files: false }).unwrap();
    assert!(matches!(closed.resolve(&name, PullPolicy::Always).await, Err(PullError::FileRefused { .. })));
    let relative = store(directory.path()).resolve("file://program.wasm", PullPolicy::Always).await;
    assert!(matches!(relative, Err(PullError::FileRefused { .. })));
}
