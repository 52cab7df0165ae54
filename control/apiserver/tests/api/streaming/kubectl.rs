//! The same with every kubectl that is installed: each version speaks another mixture of protocols.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{Served, with_pod};

/// The one on the path, and those of one minor version that other tools bring along.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/lib/google-cloud-sdk/bin".into()]);
    let mut found = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "kubectl" || name.starts_with("kubectl.1.") {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        eprintln!("SKIPPED: no kubectl is installed");
    }
    found.sort();
    found
}

fn kubeconfig(served: &Served, directory: &Path) -> PathBuf {
    let authority = directory.join("ca.pem");
    std::fs::write(&authority, served.pki.authority_pem()).unwrap();
    let path = directory.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: 'https://{}', \
         certificate-authority: '{}'}}\nusers:\n- name: u\n  user: {{token: t}}\ncontexts:\n- name: c\n  context: \
         {{cluster: c, user: u}}\n",
        served.address,
        authority.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn command(program: &Path, kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", kubeconfig.parent().unwrap()).env("KUBECONFIG", kubeconfig).args(arguments);
    command
}

fn run(program: &Path, kubeconfig: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = command(program, kubeconfig, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_are_run_with_input_output_and_exit_code() {
    let (served, _host) = with_pod().await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&served, directory.path());
    tokio::task::spawn_blocking(move || {
        for program in programs() {
            let Output { status, stdout, stderr } = run(&program, &kubeconfig, &["exec", "p", "--", "exit", "3"], b"");
            let errors = String::from_utf8_lossy(&stderr);
            assert_eq!((status.code(), &*stdout), (Some(3), &b"out"[..]), "{}: {errors}", program.display());
            assert!(errors.starts_with("err"), "{}: {errors}", program.display());
            let input = vec![b'x'; 1_000_000];
            let Output { status, stdout, stderr } =
                run(&program, &kubeconfig, &["exec", "-i", "p", "--", "cat"], &input);
            assert!(status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&stderr));
            assert!(stdout == input, "{}: {} bytes came back", program.display(), stdout.len());
        }
        drop(directory);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_are_forwarded() {
    let (served, _host) = with_pod().await;
    served
        .api
        .merge("/api/v1/namespaces/default/pods/p/status", serde_json::json!({"status": {"phase": "Running"}}))
        .await
        .check(200);
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&served, directory.path());
    for program in programs() {
        let command = command(&program, &kubeconfig, &["port-forward", "pod/p", ":80"]);
        let mut child =
            tokio::process::Command::from(command).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
        // Forwarding from 127.0.0.1:34567 -> 80
        let port = line.split_once("127.0.0.1:").unwrap().1.split_once(' ').unwrap().0.parse::<u16>().unwrap();
        for round in 0..3 {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(b"GET /\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
            read.unwrap_or_else(|_| panic!("{}, round {round}: no end after {answer:?}", program.display())).unwrap();
            assert_eq!(answer, "80:GET /\r\n\r\n", "{}", program.display());
        }
        child.kill().await.unwrap();
    }
}
