use super::*;

#[test]
fn a_second_opening_finds_everything_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pki");
    let first = Pki::open_or_create(&path, &["edge.example".to_owned()]).unwrap();
    let second = Pki::open_or_create(&path, &["edge.example".to_owned()]).unwrap();
    assert_eq!(first.authority_pem, second.authority_pem);
    assert_eq!(first.server.certificate_pem, second.server.certificate_pem);
    assert_eq!(first.admin.key_pem, second.admin.key_pem);
    assert_eq!(first.service_account_key_pem, second.service_account_key_pem);
    second.server_config().unwrap();
}

#[test]
fn a_new_name_is_a_new_server_certificate_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let first = Pki::open_or_create(directory.path(), &[]).unwrap();
    let second = Pki::open_or_create(directory.path(), &["192.0.2.7".to_owned()]).unwrap();
    assert_ne!(first.server.certificate_pem, second.server.certificate_pem);
    assert_eq!(first.authority_pem, second.authority_pem);
    assert_eq!(first.admin.certificate_pem, second.admin.certificate_pem);
    let third = Pki::open_or_create(directory.path(), &["192.0.2.7".to_owned()]).unwrap();
    assert_eq!(second.server.certificate_pem, third.server.certificate_pem);
}

#[test]
fn a_lost_key_is_replaced_with_its_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let first = Pki::open_or_create(directory.path(), &[]).unwrap();
    std::fs::remove_file(directory.path().join("admin.key")).unwrap();
    let second = Pki::open_or_create(directory.path(), &[]).unwrap();
    assert_ne!(first.admin.certificate_pem, second.admin.certificate_pem);
    std::fs::write(directory.path().join("ca.key"), "nonsense").unwrap();
    assert!(matches!(Pki::open_or_create(directory.path(), &[]), Err(OpenPkiError::Content { .. })));
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pki");
    Pki::open_or_create(&path, &[]).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
