use std::time::{Duration, SystemTime};

use super::ArtifactCache;
use crate::Digest;

#[test]
fn an_artefact_is_found_by_image_and_compiler() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ArtifactCache::open(directory.path(), 1 << 20).unwrap();
    let image = Digest::of(b"image");
    let path = cache.put(&image, "compiler 1", b"code").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"code");
    assert_eq!(cache.get(&image, "compiler 1"), Some(path));
    assert_eq!(cache.get(&image, "compiler 2"), None);
    assert_eq!(cache.get(&Digest::of(b"other"), "compiler 1"), None);
}

#[test]
fn a_damaged_artefact_is_never_handed_out() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ArtifactCache::open(directory.path(), 1 << 20).unwrap();
    let image = Digest::of(b"image");
    let path = cache.put(&image, "c", b"code").unwrap();
    std::fs::write(&path, b"c0de").unwrap();
    assert_eq!(cache.get(&image, "c"), None);
    assert!(!path.exists());
    let path = cache.put(&image, "c", b"code").unwrap();
    std::fs::remove_file(path.with_extension("sum")).unwrap();
    assert_eq!(cache.get(&image, "c"), None, "without its checksum nobody knows");
}

#[test]
fn past_the_bound_the_least_recently_used_goes() {
    let directory = tempfile::tempdir().unwrap();
    let cache = ArtifactCache::open(directory.path(), 250).unwrap();
    let images: Vec<Digest> = (0..3u8).map(|index| Digest::of(&[index])).collect();
    for (age, image) in [(30, images[0]), (20, images[1])] {
        let path = cache.put(&image, "c", &[0; 100]).unwrap();
        let used = SystemTime::now() - Duration::from_secs(age);
        std::fs::File::open(path).unwrap().set_modified(used).unwrap();
    }
    assert!(cache.get(&images[0], "c").is_some(), "used now");
    cache.put(&images[2], "c", &[0; 100]).unwrap();
    assert!(cache.get(&images[1], "c").is_none());
    assert!(cache.get(&images[0], "c").is_some() && cache.get(&images[2], "c").is_some());
}
