//! `coracle up` as a process: what it prints, how it ends, what it leaves.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use coracle_tests_fixtures as guests;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, PostParams};
use serde_json::json;

use super::harness::{client_of, container, eventually, is_ready, pod};

/// A `coracle up` that has said it is ready.
struct Up {
    child: Child,
    kubeconfig: PathBuf,
}

impl Up {
    fn start(data: &Path) -> Self {
        let mut child = up(data).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let kubeconfig = line.split("KUBECONFIG=").nth(1).and_then(|rest| rest.split(' ').next());
        let kubeconfig =
            PathBuf::from(kubeconfig.unwrap_or_else(|| panic!("not the line of a ready cluster: {line:?}")));
        assert!(line.contains("https://127.0.0.1:") && line.trim_end().ends_with("ms"), "{line}");
        Self { child, kubeconfig }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Asks it to stop and expects it to end well, with nothing more said.
    fn stop(mut self) {
        self.signal("TERM");
        let mut rest = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert_eq!(rest, "");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

fn up(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.args(["up", "--api", "127.0.0.1:0", "--data-dir"]).arg(data);
    command
}

/// Runs to the end, and expects exit code 1 and one line that says all of `words`.
fn fails_with_one_line(command: &mut Command, words: &[&str]) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert_eq!(stdout, b"", "nothing was ready");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = Up::start(&data);
    let client = client_of(&first.kubeconfig).await;
    let kept: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "kept"}, "data": {"a": "b"}})).unwrap();
    let kept =
        Api::<ConfigMap>::default_namespaced(client.clone()).create(&PostParams::default(), &kept).await.unwrap();
    let server = pod(
        "server",
        guests::SPIN,
        json!({"resources": {"limits": {"cpu": "10m"}}}),
        json!({"restartPolicy": "Always"}),
    );
    let pods: Api<Pod> = Api::default_namespaced(client);
    pods.create(&PostParams::default(), &server).await.unwrap();
    eventually(|| async { pods.get("server").await.unwrap() }, is_ready).await;
    first.stop();

    let second = Up::start(&data);
    let client = client_of(&second.kubeconfig).await;
    let found = Api::<ConfigMap>::default_namespaced(client.clone()).get("kept").await.unwrap();
    assert_eq!(found, kept, "resource version included");
    let pods: Api<Pod> = Api::default_namespaced(client);
    let running = eventually(
        || async { pods.get("server").await.unwrap() },
        |pod| is_ready(pod) && container(pod)["restartCount"] == 1,
    )
    .await;
    assert_eq!(running.metadata.name.as_deref(), Some("server"));
    second.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_cluster_has_lost_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Up::start(directory.path());
    let client = client_of(&first.kubeconfig).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    for index in 0..50 {
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": format!("map-{index}")}})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    first.child.kill().unwrap();
    first.child.wait().unwrap();

    let second = Up::start(directory.path());
    let maps: Api<ConfigMap> = Api::default_namespaced(client_of(&second.kubeconfig).await);
    for index in 0..50 {
        maps.get(&format!("map-{index}")).await.unwrap();
    }
    second.stop();
}

#[test]
fn the_kubeconfig_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let up = Up::start(directory.path());
    assert_eq!(up.kubeconfig, directory.path().join("kubeconfig"));
    assert_eq!(std::fs::metadata(&up.kubeconfig).unwrap().permissions().mode() & 0o777, 0o600);
    up.stop();
}

#[test]
fn an_interrupt_ends_it_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let mut up = Up::start(directory.path());
    up.signal("INT");
    assert_eq!(up.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let first = Up::start(directory.path());
    fails_with_one_line(&mut up(directory.path()), &["in use", directory.path().to_str().unwrap()]);
    first.stop();
}

#[test]
fn a_port_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_coracle"));
    command.args(["up", "--api", &address, "--data-dir"]).arg(directory.path());
    fails_with_one_line(&mut command, &[&address, "in use"]);
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let data = file.path().join("data");
    fails_with_one_line(&mut up(&data), &[data.to_str().unwrap()]);
}

#[test]
fn flags_that_do_not_parse_end_with_2() {
    for arguments in [&["up", "--no-such-flag"][..], &["up", "--api", "nowhere"], &["no-such-command"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_coracle")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
