use super::*;

#[test]
fn memory_of_hosts_whose_data_is_gone_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for name in ["data-1", "data-2", "data-3"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let killed = Space::open(&at("data-1"), Some(at("coracle-7-1")));
    let kept = Space::open(&at("data-2"), Some(at("coracle-7-2")));
    for space in [&killed, &kept] {
        std::fs::create_dir_all(space.memory.as_ref().unwrap().join("uid/volumes/token")).unwrap();
    }
    assert_eq!(kept.directories(), [at("coracle-7-2").join("uid")]);
    std::mem::drop((killed, kept));
    assert!(at("coracle-7-1").exists() && at("coracle-7-2").exists(), "what pods have stays");
    std::fs::remove_dir(at("data-1")).unwrap();
    let next = Space::open(&at("data-3"), Some(at("coracle-7-3")));
    assert!(!at("coracle-7-1").exists() && at("coracle-7-2").exists());
    drop(next);
    assert!(!at("coracle-7-3").exists(), "an empty one goes");
}
