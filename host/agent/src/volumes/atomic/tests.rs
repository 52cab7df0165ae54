use super::*;

fn files(list: &[(&str, &str)]) -> Files {
    let file = |text: &str| File { contents: text.as_bytes().to_vec(), mode: 0o644 };
    list.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn all_files_change_at_one_rename_and_old_states_go() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("volume");
    write(&volume, &files(&[("a", "1"), ("deep/b", "1")]), "one").unwrap();
    assert_eq!(std::fs::read_to_string(volume.join("a")).unwrap(), "1");
    assert_eq!(std::fs::read_to_string(volume.join("deep/b")).unwrap(), "1");
    let before = std::fs::File::open(volume.join("a")).unwrap();
    write(&volume, &files(&[("deep/b", "2"), ("c", "2")]), "two").unwrap();
    assert_eq!(names(&volume), ["..data", "..two", "c", "deep"]);
    assert_eq!(std::fs::read_to_string(volume.join("deep/b")).unwrap(), "2");
    assert_eq!(std::fs::read_link(volume.join("..data")).unwrap(), Path::new("..two"));
    assert_eq!(std::io::read_to_string(before).unwrap(), "1", "who holds the file keeps it");
}

#[test]
fn a_path_that_leads_out_is_refused_and_nothing_changes() {
    let directory = tempfile::tempdir().unwrap();
    let volume = directory.path().join("volume");
    write(&volume, &files(&[("a", "1")]), "one").unwrap();
    for path in ["../a", "/etc/a", "x/../../a", "..data/a"] {
        let refused = write(&volume, &files(&[("a", "2"), (path, "2")]), "two").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{path}");
    }
    assert_eq!(names(&volume), ["..data", "..one", "a"]);
    assert_eq!(std::fs::read_to_string(volume.join("a")).unwrap(), "1");
    assert_eq!(names(directory.path()), ["volume"]);
}

#[cfg(unix)]
#[test]
fn modes_are_set_and_the_owner_can_always_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let mut wanted = files(&[("key", "x"), ("group", "x")]);
    wanted.get_mut("key").unwrap().mode = 0o600;
    wanted.get_mut("group").unwrap().mode = 0o040;
    write(directory.path(), &wanted, "one").unwrap();
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("key"), mode("group")), (0o600, 0o440));
}
