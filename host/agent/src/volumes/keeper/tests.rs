use super::*;

#[test]
fn the_size_of_a_directory_follows_no_links() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("volume");
    std::fs::create_dir_all(volume.join("deep")).unwrap();
    std::fs::write(directory.path().join("outside"), vec![0; 5000]).unwrap();
    std::fs::write(volume.join("a"), vec![0; 1000]).unwrap();
    std::fs::write(volume.join("deep/b"), vec![0; 24]).unwrap();
    std::os::unix::fs::symlink(directory.path(), volume.join("up")).unwrap();
    std::os::unix::fs::symlink("../outside", volume.join("out")).unwrap();
    assert_eq!(size_bytes(&volume), 1024);
    assert_eq!(size_bytes(&directory.path().join("none")), 0);
}
