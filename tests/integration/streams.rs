//! exec, cp and port-forward with the real kubectl, in a pod that has volumes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use coracle_tests_fixtures as guests;

use super::harness::TestCluster;
use super::kubectl::Kubectl;

fn manifest() -> String {
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{colour: green}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, labels: {{app: web}}}}
spec:
  containers:
  - name: main
    image: file://{sleep}
    volumeMounts:
    - {{name: settings, mountPath: /etc/settings}}
    - {{name: scratch, mountPath: /data}}
  - name: server
    image: file://{http}
    readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
  volumes:
  - {{name: settings, configMap: {{name: settings}}}}
  - {{name: scratch, emptyDir: {{}}}}
"#,
        sleep = guests::SLEEP,
        http = guests::HTTP_HELLO,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_run_files_are_copied_and_ports_are_forwarded() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    kubectl.apply(&manifest());
    kubectl.run(&["wait", "--for=condition=Ready", "pod/web", "--timeout=120s"]);
    let exec = |words: &[&str]| kubectl.run(&[&["exec", "web", "-c", "main", "--"], words].concat());
    assert_eq!(exec(&["cat", "/etc/settings/colour"]), "green");
    let token = exec(&["ls", "/var/run/secrets/kubernetes.io/serviceaccount"]);
    assert_eq!(token, "ca.crt\nnamespace\ntoken\n");
    assert!(exec(&["env"]).contains("HOSTNAME=web\n"));
    let fed = kubectl.feed(&["exec", "-i", "web", "-c", "main", "--", "wc", "-c"], "12345");
    assert_eq!(String::from_utf8_lossy(&fed.stdout), "5\n", "{fed:?}");
    let shell = kubectl.feed(&["exec", "web", "-c", "main", "--", "bash"], "");
    let text = String::from_utf8_lossy(&shell.stderr).into_owned();
    assert!(text.contains("the tools: [ cat cp") && text.contains("exit code 127"), "{text}");
    assert_eq!(shell.status.code(), Some(127));

    let directory = tempfile::tempdir().unwrap();
    let (there, back) = (directory.path().join("there"), directory.path().join("back"));
    std::fs::create_dir_all(there.join("deep")).unwrap();
    std::fs::write(there.join("deep/note"), "kept").unwrap();
    kubectl.run(&["cp", "-c", "main", there.to_str().unwrap(), "web:/data/copied"]);
    assert_eq!(exec(&["cat", "/data/copied/deep/note"]), "kept");
    kubectl.run(&["cp", "-c", "main", "web:/data/copied", back.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(back.join("deep/note")).unwrap(), "kept");

    let mut forward = kubectl.command(["port-forward", "pod/web", ":8080"]);
    let mut forward = forward.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    // kubectl prints a line for every connection, and ends when nobody reads it.
    let mut printed = BufReader::new(forward.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    forward.kill().unwrap();
    forward.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello over http"), "{answer}");
    cluster.stop().await;
}
