//! The same scenarios with the real kubectl, where one is installed.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use coracle_tests_fixtures as guests;

use super::harness::TestCluster;

/// kubectl against one cluster. `CORACLE_KUBECTL` names another binary than the one on the path.
pub(super) struct Kubectl<'a> {
    program: String,
    kubeconfig: &'a Path,
}

impl<'a> Kubectl<'a> {
    /// `None`, said visibly, when there is no kubectl on this machine.
    pub(super) fn find(kubeconfig: &'a Path) -> Option<Self> {
        let program = std::env::var("CORACLE_KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        let found =
            Command::new(&program).args(["version", "--client"]).output().is_ok_and(|output| output.status.success());
        if !found {
            eprintln!("SKIPPED: no kubectl is installed");
        }
        found.then_some(Self { program, kubeconfig })
    }

    pub(super) fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.program);
        // A home of its own keeps kubectl's discovery cache from one test to the next out.
        command.env("HOME", self.kubeconfig.parent().unwrap()).env("KUBECONFIG", self.kubeconfig).args(arguments);
        command
    }

    /// Runs to a good end and gives back what was printed.
    pub(super) fn run(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success(), "kubectl {arguments:?}: {stdout}{stderr}");
        stdout
    }

    /// Runs to a bad end and gives back what was said.
    fn fail(&self, arguments: &[&str], input: &str) -> String {
        let Output { status, stderr, .. } = self.feed(arguments, input);
        assert!(!status.success(), "kubectl {arguments:?} was expected to fail");
        String::from_utf8(stderr).unwrap()
    }

    pub(super) fn apply(&self, manifest: &str) -> String {
        let Output { status, stdout, stderr } = self.feed(&["apply", "-f", "-"], manifest);
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    pub(super) fn feed(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

fn manifest(name: &str, path: &str, rest: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: main\n    image: file://{path}\n{rest}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_applied_waited_for_shown_read_and_deleted() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    assert_eq!(kubectl.apply(&manifest("hello", guests::HELLO_P2, "")), "pod/hello created\n");
    assert_eq!(kubectl.apply(&manifest("hello", guests::HELLO_P2, "")), "pod/hello unchanged\n");
    kubectl.run(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/hello", "--timeout=60s"]);
    let table = kubectl.run(&["get", "pods"]);
    assert!(table.starts_with("NAME    READY   STATUS      RESTARTS   AGE\nhello   0/1     Completed   0"), "{table}");
    assert!(kubectl.run(&["get", "pods", "-o", "wide"]).contains("100.64."));
    assert!(kubectl.run(&["logs", "hello"]).contains("hello"));
    assert!(kubectl.run(&["logs", "-f", "hello", "--timestamps", "--tail=1"]).starts_with("20"));
    let described = kubectl.run(&["describe", "pod", "hello"]);
    for reason in ["Scheduled", "Pulled", "Created", "Started"] {
        assert!(described.contains(reason), "{reason} is not in {described}");
    }
    assert_eq!(kubectl.run(&["delete", "pod", "hello"]).lines().next(), Some("pod \"hello\" deleted"));
    assert_eq!(kubectl.run(&["get", "pods", "-o", "name"]), "");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_labelled_patched_edited_and_explained() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    kubectl.run(&["create", "configmap", "settings", "--from-literal=colour=green"]);
    kubectl.run(&["label", "configmap", "settings", "tier=front"]);
    kubectl.run(&["annotate", "configmap", "settings", "note=kept"]);
    kubectl.run(&["patch", "configmap", "settings", "--type=merge", "-p", r#"{"data":{"shape":"round"}}"#]);
    kubectl.run(&["patch", "configmap", "settings", "--type=json", "-p", r#"[{"op":"remove","path":"/data/colour"}]"#]);
    let data = kubectl.run(&["get", "configmap", "-l", "tier=front", "-o", "jsonpath={.items[*].data}"]);
    assert_eq!(data, r#"{"shape":"round"}"#);
    kubectl.run(&["create", "secret", "generic", "password", "--from-literal=word=s3cret"]);
    kubectl.run(&["create", "serviceaccount", "robot"]);
    assert!(kubectl.run(&["get", "nodes"]).contains("Ready"));
    assert!(kubectl.run(&["explain", "pod.spec.containers"]).contains("KIND:       Pod"));
    assert!(kubectl.run(&["api-resources"]).contains("configmaps"));
    assert!(kubectl.run(&["version"]).contains("Server Version: v1.34"));
    kubectl.run(&["create", "namespace", "short-lived"]);
    kubectl.run(&["create", "configmap", "inside", "-n", "short-lived"]);
    kubectl.run(&["delete", "namespace", "short-lived"]);
    assert!(!kubectl.run(&["get", "namespaces"]).contains("short-lived"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_tells_conflicts() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    let colour =
        |colour: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{colour: {colour}}}\n");
    let apply = |manager: &str, colour: &str| {
        kubectl.feed(&["apply", "--server-side", "--field-manager", manager, "-f", "-"], colour)
    };
    assert!(apply("one", &colour("green")).status.success());
    let refused = apply("two", &colour("blue"));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains(r#"conflict with "one""#), "{message}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_manifests_get_the_words_that_kubernetes_has_for_them() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    let apply = &["apply", "-f", "-"][..];
    let unknown = kubectl.fail(apply, &manifest("x", "/x.wasm", "    colour: green\n"));
    assert!(unknown.contains(r#"unknown field "spec.containers[0].colour""#), "{unknown}");
    let nameless =
        kubectl.fail(&["create", "-f", "-"], "apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {containers: []}\n");
    assert!(nameless.contains("name"), "{nameless}");
    let empty = kubectl.fail(apply, "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}\n");
    assert!(empty.contains("spec.containers: Required value"), "{empty}");
    let wrong = kubectl.fail(
        &["apply", "--validate=false", "-f", "-"],
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: many}\n",
    );
    assert!(wrong.contains("cannot unmarshal string into Go struct field"), "{wrong}");
    assert!(kubectl.fail(&["get", "pod", "none"], "").contains(r#"pods "none" not found"#));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_have_tokens_and_people_ask_what_they_may() {
    let cluster = TestCluster::start().await;
    let Some(kubectl) = Kubectl::find(cluster.cluster().kubeconfig()) else { return };
    let server = cluster.cluster().url();
    kubectl.run(&["create", "serviceaccount", "robot"]);
    kubectl.run(&["create", "role", "reader", "--verb=get,list", "--resource=pods"]);
    kubectl.run(&["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:robot"]);
    let token = kubectl.run(&["create", "token", "robot", "--duration=10m"]);
    // The kubeconfig has a certificate, which would come before the token.
    let ca = cluster.cluster().kubeconfig().with_file_name("pki").join("ca.crt");
    let nobody = cluster.cluster().kubeconfig().with_file_name("no-kubeconfig");
    let as_robot = Kubectl { program: kubectl.program.clone(), kubeconfig: &nobody };
    let robot = |token: &str, arguments: &[&str]| {
        let flags = ["--server", &server, "--certificate-authority", ca.to_str().unwrap(), "--token", token];
        as_robot.command(flags.iter().chain(arguments)).output().unwrap()
    };
    let text = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let who = text(robot(token.trim(), &["auth", "whoami"]));
    assert!(who.contains("system:serviceaccount:default:robot") && who.contains("JTI="), "{who}");
    assert!(robot(token.trim(), &["get", "pods"]).status.success());
    assert!(!robot(token.trim(), &["get", "secrets"]).status.success());
    let may = text(robot(token.trim(), &["auth", "can-i", "--list"]));
    assert!(may.contains("pods ") && may.contains("[get list]"), "{may}");
    assert_eq!(kubectl.run(&["auth", "can-i", "delete", "nodes"]), "yes\n");
    // A Secret holds a token as long as its account exists.
    kubectl.apply(
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/service-account-token\nmetadata:\n  name: held\n  \
         annotations: {kubernetes.io/service-account.name: robot}\n",
    );
    kubectl.run(&["wait", "--for=jsonpath={.data.token}", "secret/held", "--timeout=30s"]);
    let held = kubectl.run(&["get", "secret", "held", "-o", "go-template={{.data.token | base64decode}}"]);
    assert!(robot(&held, &["get", "pods"]).status.success());
    kubectl.run(&["delete", "serviceaccount", "robot"]);
    kubectl.run(&["wait", "--for=delete", "secret/held", "--timeout=30s"]);
    assert!(!robot(&held, &["get", "pods"]).status.success());
    assert!(!robot(token.trim(), &["get", "pods"]).status.success());
    cluster.stop().await;
}
