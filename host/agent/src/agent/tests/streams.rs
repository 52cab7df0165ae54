//! exec, attach and port-forward with real programs, in the frames that the API server sends.

use bytes::Bytes;
use coracle_control_api::remote_command::{Channel, FrameDecoder, StreamOptions, encode, encode_close};
use futures::StreamExt as _;

use super::wasm::WasmHost;
use super::*;
use crate::runtime::TOOLS;

/// What came back.
#[derive(Debug, Default)]
struct Said {
    code: u16,
    stdout: Vec<u8>,
    stderr: String,
    status: Value,
}

impl Said {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn exit_code(&self) -> i32 {
        match &self.status["status"] {
            status if *status == "Success" => 0,
            _ => self.status["details"]["causes"][0]["message"].as_str().unwrap().parse().unwrap(),
        }
    }
}

impl WasmHost {
    async fn running(&self, pod: &str, spec: &Value) {
        bind(&self.api, pod, spec);
        wait_for(&self.api, pod, |status| status["phase"] == "Running").await;
    }

    /// Posts these pieces and then keeps the request open, as a client that listens does.
    async fn post(&self, uri: &str, pieces: Vec<Bytes>) -> Said {
        self.send(uri, futures::stream::iter(pieces).chain(futures::stream::pending())).await
    }

    async fn send(&self, uri: &str, pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Said {
        let request = Request::post(uri).body(Body::from_stream(pieces.map(Ok::<_, std::io::Error>))).unwrap();
        let response = self.agent.router().oneshot(request).await.unwrap();
        let mut said = Said { code: response.status().as_u16(), ..Said::default() };
        let body = tokio::time::timeout(PATIENCE * 3, response.into_body().collect()).await.expect("it does not end");
        let bytes = body.unwrap().to_bytes();
        if said.code != 200 {
            said.stderr = String::from_utf8_lossy(&bytes).into_owned();
            return said;
        }
        let mut decoder = FrameDecoder::new();
        decoder.push(&bytes);
        while let Some(frame) = decoder.next_frame().unwrap() {
            match frame.channel {
                Channel::Stdin | Channel::Stdout => said.stdout.extend_from_slice(&frame.payload),
                Channel::Stderr => said.stderr.push_str(std::str::from_utf8(&frame.payload).unwrap()),
                Channel::Error => said.status = serde_json::from_slice(&frame.payload).unwrap(),
                Channel::Resize | Channel::Close => {}
            }
        }
        said
    }

    async fn exec(&self, pod: &str, command: &[&str], stdin: &[u8]) -> Said {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let options = StreamOptions { command, stdin: true, stdout: true, stderr: true, tty: false };
        let uri = format!("/exec/shop/{pod}/c?{}", options.to_query());
        self.post(&uri, vec![encode(Channel::Stdin, stdin), encode_close(Channel::Stdin)]).await
    }
}

fn with_scratch(image: &str) -> Value {
    json!({
        "containers": [{
            "name": "c", "image": image, "env": [{ "name": "COLOR", "value": "blue" }],
            "volumeMounts": [{ "name": "v", "mountPath": "/data" }],
        }],
        "volumes": [{ "name": "v", "emptyDir": {} }],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_run_in_the_surroundings_of_a_container() {
    let host = WasmHost::start().await;
    host.running("web", &with_scratch("sleep:1")).await;
    assert!(host.exec("web", &["env"], b"").await.text().contains("COLOR=blue\n"));
    let big: Vec<u8> = (0..300_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let copied = host.exec("web", &["cat"], &big).await;
    assert_eq!((copied.stdout.len(), copied.stdout == big, copied.exit_code()), (big.len(), true, 0));
    assert_eq!(host.exec("web", &["mkdir", "-p", "/data/a/b"], b"").await.exit_code(), 0);
    assert_eq!(host.exec("web", &["/bin/ls", "/"], b"").await.text(), "data\ndev\ntmp\n");
    assert_eq!(host.exec("web", &["touch", "/tmp/note"], b"").await.exit_code(), 0);
    assert_eq!(host.exec("web", &["ls", "/tmp"], b"").await.text(), "note\n", "all programs see one root");
    assert_eq!(host.exec("web", &["ls", "/data"], b"").await.text(), "a\n");
    assert_eq!(host.exec("web", &["test", "-d", "/data/a"], b"").await.exit_code(), 0);
    assert_eq!(host.exec("web", &["test", "-d", "/data/x"], b"").await.exit_code(), 1);
    assert_eq!(host.exec("web", &["wc", "-l"], b"1\n2\n").await.text(), "2\n");
    assert_eq!(host.exec("web", &["head", "-n", "1"], b"1\n2\n").await.text(), "1\n");
    let failed = host.exec("web", &["cat", "/etc/passwd"], b"").await;
    assert_eq!((failed.exit_code(), failed.text()), (1, ""), "{failed:?}");
    let shell = host.exec("web", &["bash"], b"").await;
    assert_eq!(shell.exit_code(), 127);
    assert!(shell.stderr.contains("own program, sleep, and the tools: [ cat cp"), "{}", shell.stderr);
    let nobody = host.post("/exec/shop/gone/c?command=ls", Vec::new()).await;
    assert_eq!((nobody.code, nobody.stderr.as_str()), (404, "pod \"gone\" does not exist"));
    let nobody = host.post("/exec/shop/web/x?command=ls", Vec::new()).await;
    assert_eq!((nobody.code, nobody.stderr.as_str()), (404, "container not found (\"x\")"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tool_that_the_host_names_is_in_the_toolbox() {
    let host = WasmHost::start().await;
    host.running("web", &with_scratch("http:1")).await;
    for tool in TOOLS {
        let said = host.exec("web", &[tool], b"").await;
        assert!(!said.stderr.contains("no such tool") && said.exit_code() != 127, "{tool}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_go_in_and_out_as_kubectl_cp_sends_them() {
    let host = WasmHost::start().await;
    host.running("web", &with_scratch("sleep:1")).await;
    host.exec("web", &["mkdir", "-p", "/data/in/deep", "/data/out"], b"").await;
    let write = host.exec("web", &["cp", "/data/no", "/data/in/x"], b"").await;
    assert_eq!(write.exit_code(), 1);
    std::fs::write(host.volume("web").join("in/deep/note"), vec![b'x'; 100_000]).unwrap();
    let archive = host.exec("web", &["tar", "cf", "-", "/data/in"], b"").await;
    assert_eq!(archive.exit_code(), 0, "{}", archive.stderr);
    let into = host.exec("web", &["tar", "-xmf", "-", "-C", "/data/out"], &archive.stdout).await;
    assert_eq!(into.exit_code(), 0, "{}", into.stderr);
    assert_eq!(std::fs::read(host.volume("web").join("out/data/in/deep/note")).unwrap(), vec![b'x'; 100_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_containers_own_program_runs_again_with_other_arguments() {
    let host = WasmHost::start().await;
    let mut spec = with_scratch("exit:1");
    spec["containers"][0]["image"] = "sleep:1".into();
    host.running("web", &spec).await;
    assert_eq!(host.exec("web", &["sleep", "5"], b"").await.text(), "sleeping\nawake\n", "its own program goes first");
    let terminal = host.post("/exec/shop/web/c?command=echo&command=hi&stdout=true&tty=true", Vec::new()).await;
    assert_eq!((terminal.text(), terminal.exit_code()), ("hi\n", 0));
    host.running("server", &with_scratch("http:1")).await;
    let server = host.exec("server", &["http"], b"").await;
    assert_eq!(server.exit_code(), 127);
    assert!(server.stderr.contains("cannot be run as a command"), "{}", server.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attaching_writes_to_a_container_and_reads_from_it() {
    let host = WasmHost::start().await;
    let mut spec = with_scratch("cat:1");
    spec["restartPolicy"] = "Never".into();
    spec["containers"][0]["stdin"] = true.into();
    spec["containers"][0]["stdinOnce"] = true.into();
    host.running("web", &spec).await;
    let pieces = vec![encode(Channel::Stdin, b"one\n"), encode(Channel::Stdin, b"two\n"), encode_close(Channel::Stdin)];
    let said = host.post("/attach/shop/web/c?stdin=true&stdout=true&stderr=true", pieces).await;
    assert_eq!((said.text(), said.exit_code()), ("one\ntwo\n", 0));
    wait_for(&host.api, "web", |status| status["phase"] == "Succeeded").await;
    let over = host.post("/attach/shop/web/c?stdout=true", Vec::new()).await;
    assert_eq!((over.code, over.stderr.as_str()), (404, "container not found (\"c\")"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_of_a_pod_is_reached_and_a_closed_one_is_told() {
    let host = WasmHost::start().await;
    host.running("web", &with_scratch("http:1")).await;
    let request = encode(Channel::Stdin, b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n");
    // The client hangs up once the pod has; a server may take an end of the input before its answer for a client that left.
    let hang_up = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        encode_close(Channel::Stdin)
    };
    let pieces = futures::stream::iter([request.clone()]).chain(futures::stream::once(hang_up));
    let said = host.send("/portForward/shop/web?port=8080", pieces).await;
    assert!(said.text().starts_with("HTTP/1.1 200 OK"), "{said:?}");
    let closed = host.post("/portForward/shop/web?port=81", vec![request]).await;
    let text = closed.status["message"].as_str().unwrap();
    assert!(text.starts_with("error forwarding port 81 to pod uid-web, uid : connection refused"), "{text}");
}
