//! What a container sees around it.

use crate::support::{engine, load_file, run_file, strings};
use coracle_host_sandbox::{ContainerConfig, Mount, StartError};
use coracle_tests_fixtures as guests;
use std::fs;
use std::path::Path;

fn mount(host_path: &Path, guest_path: &str, read_only: bool) -> Vec<Mount> {
    vec![Mount { host_path: host_path.to_owned(), guest_path: guest_path.to_owned(), read_only }]
}

#[tokio::test]
async fn arguments_arrive_as_given() {
    let ran = run_file(guests::PRINTER, &["two words", "", "ü"], |_| {}).await;
    assert_eq!(ran.stdout, "program\ntwo words\n\nü\n");
}

#[tokio::test]
async fn without_arguments_the_name_is_the_first() {
    let ran = run_file(guests::PRINTER, &[], |config| config.args.clear()).await;
    assert_eq!(ran.stdout, "test\n");
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let env = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x=y\nz".to_owned())];
    let ran = run_file(guests::PRINTER, &["env"], |config| config.env = env).await;
    assert_eq!(ran.stdout, "A=1\nB=x=y\nz\n");
}

#[tokio::test]
async fn strings_that_c_cannot_hold_are_refused() {
    let engine = engine();
    let program = load_file(&engine, guests::HELLO_P1);
    let config = ContainerConfig { args: strings(["a", "b\0c"]), ..ContainerConfig::new("test") };
    let error = engine.start(&program, config).unwrap_err();
    assert_eq!(error.to_string(), "argument 1 contains a NUL byte");
    let config = ContainerConfig { args: vec!["x".repeat(3 << 20)], ..ContainerConfig::new("test") };
    assert!(matches!(engine.start(&program, config), Err(StartError::ArgumentsTooLong { .. })));
}

#[tokio::test]
async fn a_mounted_directory_can_be_read_and_written() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("in.txt"), "from the host").unwrap();
    let mounts = || mount(directory.path(), "/data", false);
    let read = run_file(guests::PRINTER, &["read", "/data/in.txt"], |config| config.mounts = mounts()).await;
    assert_eq!((read.stdout.as_str(), read.report.code), ("from the host\n", 0));
    let wrote = run_file(guests::PRINTER, &["write", "/data/out.txt", "from the guest"], |config| {
        config.mounts = mounts();
    });
    assert_eq!(wrote.await.report.code, 0);
    assert_eq!(fs::read_to_string(directory.path().join("out.txt")).unwrap(), "from the guest");
}

#[tokio::test]
async fn a_read_only_mount_cannot_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("in.txt"), "x").unwrap();
    for args in [["write", "/data/in.txt", "y"], ["write", "/data/new.txt", "y"]] {
        let ran =
            run_file(guests::PRINTER, &args, |config| config.mounts = mount(directory.path(), "/data", true)).await;
        assert_ne!(ran.report.code, 0, "{args:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(directory.path().join("in.txt")).unwrap(), "x");
}

#[tokio::test]
async fn no_path_leads_out_of_a_mount() {
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/proc/self/environ", inner.join("absolute")).unwrap();
    for path in ["/data/../secret", "/data/link", "/data/absolute", "/etc/passwd", "../secret"] {
        let ran =
            run_file(guests::PRINTER, &["read", path], |config| config.mounts = mount(&inner, "/data", false)).await;
        assert_ne!(ran.report.code, 0, "{path} can be read: {}", ran.stdout);
        assert_eq!(ran.stdout, "", "{path}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_changes_all_the_time_leads_nowhere_else() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    for (directory, text) in [(&inner.join("good"), "inside"), (&outer.path().join("evil"), "outside")] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("file"), text).unwrap();
    }
    let done = AtomicBool::new(false);
    let (link, next) = (inner.join("link"), inner.join("next"));
    let swap = || {
        for target in ["good", "../evil", "good", "/proc/self/cwd"].into_iter().cycle() {
            std::os::unix::fs::symlink(target, &next).unwrap();
            fs::rename(&next, &link).unwrap();
            if done.load(Ordering::Relaxed) {
                return;
            }
        }
    };
    let ran = std::thread::scope(|threads| {
        threads.spawn(swap);
        let args = ["race", "/data/link/file", "5000"];
        let run = run_file(guests::PRINTER, &args, |config| config.mounts = mount(&inner, "/data", false));
        let ran = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(run));
        done.store(true, Ordering::Relaxed);
        ran
    });
    assert_eq!(ran.stdout, "1 kept, 0 escaped\n", "{ran:?}");
}

#[tokio::test]
async fn a_hard_link_makes_nothing_writable_that_was_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let (secret, scratch) = (directory.path().join("secret"), directory.path().join("scratch"));
    fs::create_dir(&secret).unwrap();
    fs::create_dir(&scratch).unwrap();
    fs::write(secret.join("key"), "s").unwrap();
    let mounts =
        || [mount(&secret, "/secret", true), mount(&scratch, "/scratch", false)].into_iter().flatten().collect();
    for args in [["link", "/secret/key", "/scratch/key"], ["link", "/scratch/../secret/key", "/scratch/key"]] {
        let ran = run_file(guests::PRINTER, &args, |config| config.mounts = mounts()).await;
        assert_ne!(ran.report.code, 0, "{args:?}");
    }
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_mounted_proc_does_not_open_the_host() {
    for (link, file) in
        [("/proc/self/root", "etc/passwd"), ("/proc/self/cwd", "Cargo.toml"), ("/proc/1/root", "etc/hosts")]
    {
        let mounts = mount(Path::new("/proc"), "/proc", true);
        let path = format!("{link}/{file}");
        let ran = run_file(guests::PRINTER, &["read", &path], |config| config.mounts = mounts).await;
        assert_ne!(ran.report.code, 0, "{path} can be read: {}", ran.stdout);
    }
}

#[tokio::test]
async fn without_mounts_there_are_no_files() {
    let ran = run_file(guests::PRINTER, &["list", "/"], |_| {}).await;
    assert_ne!(ran.report.code, 0);
}

/// Kernel sockets of this process.
#[cfg(target_os = "linux")]
fn sockets() -> usize {
    let files = fs::read_dir("/proc/self/fd").unwrap();
    files
        .filter_map(|file| fs::read_link(file.unwrap().path()).ok())
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_network_of_the_host_is_out_of_reach() {
    let before = sockets();
    let ran = run_file(guests::CONNECT, &[], |_| {}).await;
    assert_eq!(ran.report.code, 0, "{ran:?}");
    let denied = "connect: PermissionDenied\nlisten: PermissionDenied\nudp: PermissionDenied\nlookup: Uncategorized\n";
    assert_eq!((ran.stdout.as_str(), sockets()), (denied, before));
}

#[tokio::test]
async fn a_mount_that_cannot_be_opened_prevents_the_start() {
    let engine = engine();
    let mounts = mount(Path::new("/nowhere/at/all"), "/data", false);
    let config = ContainerConfig { mounts, ..ContainerConfig::new("test") };
    let error = engine.start(&load_file(&engine, guests::HELLO_P1), config).unwrap_err();
    assert_eq!(error.to_string(), "cannot mount /nowhere/at/all at /data");
}
