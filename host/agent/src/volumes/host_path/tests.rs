use super::*;

fn ask(path: &Path, kind: &str, shared: &[&Path]) -> Result<PathBuf, String> {
    let shared: Vec<_> = shared.iter().map(|path| path.to_path_buf()).collect();
    let type_ = (!kind.is_empty()).then(|| kind.to_owned());
    resolve(&HostPathVolumeSource { path: path.display().to_string(), type_ }, &shared)
}

#[test]
fn nothing_is_shared_unless_the_host_says_so() {
    let directory = tempfile::tempdir().unwrap();
    assert!(ask(directory.path(), "", &[]).unwrap_err().contains("--allow-host-path"));
    let other = tempfile::tempdir().unwrap();
    assert!(ask(directory.path(), "", &[other.path()]).unwrap_err().contains("shares only"));
    assert!(ask(directory.path(), "", &[directory.path()]).is_ok());
}

#[test]
fn no_link_and_no_dots_lead_out_of_what_is_shared() {
    let shared = tempfile::tempdir().unwrap();
    let secret = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(secret.path(), shared.path().join("link")).unwrap();
    let refused = ask(&shared.path().join("link"), "", &[shared.path()]).unwrap_err();
    assert!(refused.contains("shares only"), "{refused}");
    let made = ask(&shared.path().join("link/new"), "DirectoryOrCreate", &[shared.path()]).unwrap_err();
    assert!(made.contains("shares only"), "{made}");
    assert!(!secret.path().join("new").exists());
    let dots = shared.path().join("..").join(secret.path().file_name().unwrap());
    assert!(ask(&dots, "", &[shared.path()]).unwrap_err().contains("\"..\""));
}

#[test]
fn the_type_is_checked_or_made() {
    let shared = tempfile::tempdir().unwrap();
    let at = |name: &str| shared.path().join(name);
    let ask = |name: &str, kind: &str| ask(&at(name), kind, &[shared.path()]);
    std::fs::write(at("file"), "x").unwrap();
    let text = ask("file", "Directory").unwrap_err();
    assert_eq!(text, format!("hostPath type check failed: {} is not a directory", at("file").display()));
    assert!(ask("none", "File").unwrap_err().ends_with("is not a file"));
    assert!(ask("file", "Socket").unwrap_err().ends_with("is not a socket"));
    assert!(ask("file", "File").is_ok() && ask("file", "").is_ok());
    assert!(ask("a/b", "DirectoryOrCreate").is_ok() && at("a/b").is_dir());
    assert!(ask("a/f", "FileOrCreate").is_ok() && at("a/f").is_file());
    assert!(ask("x/y/f", "FileOrCreate").is_err(), "upstream makes no parents of a file");
}
