use std::fs;

use serde_json::{Value, json};

use super::*;

struct Fixture {
    directory: tempfile::TempDir,
    space: PodSpace,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let space = Space::open(directory.path(), Some(directory.path().join("memory"))).pod("u1");
        Self { directory, space }
    }

    /// The mounts of a container with these volumes and mounts.
    fn mount(&self, volumes: &Value, mounts: &Value) -> Result<Mounted, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": { "volumes": volumes, "containers": [{ "name": "c", "volumeMounts": mounts }] },
        }))
        .unwrap();
        let env = [("POD".to_owned(), "web-0".to_owned())];
        let mounting = Mounting {
            pod: &pod,
            container: &pod.spec.as_ref().unwrap().containers[0],
            space: &self.space,
            host_paths: &[self.directory.path().join("shared")],
            env: &env,
        };
        mounting.mounts().map_err(|error| crate::runtime::chain(&error))
    }

    fn volume(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join("pods/u1/volumes").join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

fn scratch() -> Value {
    json!([{ "name": "v", "emptyDir": {} }])
}

#[test]
fn a_part_of_a_volume_is_made_and_named_by_an_open_directory() {
    let fixture = Fixture::new();
    let mount = json!([{ "name": "v", "mountPath": "/logs", "subPathExpr": "$(POD)/logs" }]);
    let mounted = fixture.mount(&scratch(), &mount).unwrap();
    assert!(fixture.volume("v").join("web-0/logs").is_dir());
    fs::write(mounted.mounts[0].host_path.join("a"), "x").unwrap();
    assert_eq!(fs::read_to_string(fixture.volume("v").join("web-0/logs/a")).unwrap(), "x");
    // Whoever moves the directory away and puts a link in its place changes nothing for the container.
    fs::rename(fixture.volume("v").join("web-0"), fixture.volume("v").join("moved")).unwrap();
    std::os::unix::fs::symlink("/etc", fixture.volume("v").join("web-0")).unwrap();
    assert_eq!(fs::read_to_string(mounted.mounts[0].host_path.join("a")).unwrap(), "x");
    let missing = json!([{ "name": "v", "mountPath": "/logs", "subPathExpr": "$(NO)/x" }]);
    assert!(fixture.mount(&scratch(), &missing).unwrap_err().contains("missing value for variable \"NO\""));
}

#[test]
fn no_sub_path_leads_out_of_its_volume() {
    let fixture = Fixture::new();
    let volume = fixture.volume("v");
    let secret = fixture.directory.path().join("secret");
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("key"), "s").unwrap();
    std::os::unix::fs::symlink(&secret, volume.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../secret", volume.join("relative")).unwrap();
    std::os::unix::fs::symlink("/proc/self/root", volume.join("proc")).unwrap();
    for path in
        ["absolute", "relative", "relative/key", "absolute/new", "proc", "proc/etc", "../v2", "x/../../v2", "/etc"]
    {
        let refused = fixture.mount(&scratch(), &json!([{ "name": "v", "mountPath": "/x", "subPath": path }]));
        assert!(refused.is_err(), "{path}: {refused:?}");
    }
    assert!(!secret.join("new").exists());
}

#[test]
fn a_single_file_appears_in_a_directory_of_its_own() {
    let fixture = Fixture::new();
    fs::write(fixture.volume("v").join("app.conf"), "1").unwrap();
    fs::write(fixture.volume("v").join("other"), "2").unwrap();
    let mount = json!([{ "name": "v", "mountPath": "/etc/app/app.conf", "subPath": "app.conf" }]);
    let mounted = fixture.mount(&scratch(), &mount).unwrap();
    let [mount, root] = mounted.mounts.as_slice() else { panic!("{mounted:?}") };
    assert_eq!(root.guest_path, "/");
    assert_eq!((mount.guest_path.as_str(), mount.read_only), ("/etc/app", false));
    assert_eq!(fs::read_dir(&mount.host_path).unwrap().count(), 1);
    fs::write(mount.host_path.join("app.conf"), "written by the guest").unwrap();
    assert_eq!(fs::read_to_string(fixture.volume("v").join("app.conf")).unwrap(), "written by the guest");
    let twice = json!([
        { "name": "v", "mountPath": "/etc/app" }, { "name": "v", "mountPath": "/etc/app/x", "subPath": "app.conf" },
    ]);
    let refused = fixture.mount(&scratch(), &twice).unwrap_err();
    assert!(refused.contains("/etc/app is the mount of another volume"), "{refused}");
}

#[test]
fn a_part_of_a_rendered_volume_is_what_it_was_at_the_start() {
    let fixture = Fixture::new();
    let files = |text: &str| {
        let file = || atomic::File { contents: text.as_bytes().to_vec(), mode: 0o644 };
        atomic::Files::from([("a".to_owned(), file()), ("deep/b".to_owned(), file())])
    };
    let directory = fixture.volume("v");
    atomic::write(&directory, &files("1"), "one").unwrap();
    let mounts = json!([
        { "name": "v", "mountPath": "/whole" },
        { "name": "v", "mountPath": "/one/a", "subPath": "a" },
        { "name": "v", "mountPath": "/deep", "subPath": "deep" },
    ]);
    let mounted = fixture.mount(&json!([{ "name": "v", "configMap": { "name": "m" } }]), &mounts).unwrap();
    atomic::write(&directory, &files("2"), "two").unwrap();
    let read = |guest: &str, name: &str| {
        let mount = mounted.mounts.iter().find(|mount| mount.guest_path == guest).unwrap();
        assert!(mount.read_only, "{mount:?}");
        fs::read_to_string(mount.host_path.join(name)).unwrap()
    };
    assert_eq!((read("/whole", "a"), read("/one", "a"), read("/deep", "b")), ("2".into(), "1".into(), "1".into()));
}

#[test]
fn what_is_not_supported_is_named() {
    let fixture = Fixture::new();
    let claim = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "data" } }]);
    let refused = fixture.mount(&claim, &json!([{ "name": "v", "mountPath": "/x" }])).unwrap_err();
    assert_eq!(refused, "volume \"v\" is of type persistentVolumeClaim, which this host does not support yet");
    let unknown = fixture.mount(&scratch(), &json!([{ "name": "w", "mountPath": "/x" }])).unwrap_err();
    assert_eq!(unknown, "volume \"w\" is not one of the pod's volumes");
}

#[test]
fn every_start_has_a_fresh_root() {
    let fixture = Fixture::new();
    let root = || fixture.mount(&json!([]), &json!([])).unwrap().mounts[0].host_path.clone();
    fs::write(root().join("tmp/left"), "x").unwrap();
    let fresh = root();
    assert_eq!(fs::read_dir(fresh.join("tmp")).unwrap().count(), 0);
    assert!(fresh.join("dev").is_dir());
}
