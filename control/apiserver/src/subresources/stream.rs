//! exec, attach, portforward: what must be known before the connection is upgraded.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::meta;
use coracle_control_api::remote_command::StreamOptions;
use coracle_control_api::status::Status;
use http::Request;

use super::container::{agent_of, choose_container, encode, pod_path};
use crate::call::ResourceCall;
use crate::list_options::Version;
use crate::streaming::{self, Target};

/// The most words, and the most bytes, of a command.
const COMMAND_WORDS_MAX: usize = 4096;

/// GET or POST to `pods/NAME/exec` and `pods/NAME/attach`.
pub(super) async fn exec(call: &ResourceCall, name: &str, request: Request<Body>) -> Result<Response, Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let pod = call.decode(&call.find(&snapshot)?)?;
    let container = choose_container(call, &pod)?;
    let agent = agent_of(call, &snapshot, &pod)?;
    let options = options(call, name == "exec")?;
    let target = format!("/{name}/{}/{}", pod_path(call), encode(&container));
    streaming::serve_exec(call, request, agent, &target, options).await
}

fn options(call: &ResourceCall, with_command: bool) -> Result<StreamOptions, Status> {
    let is = |name| call.query.is_true(name);
    let command: Vec<String> =
        if with_command { call.query.all("command").map(str::to_owned).collect() } else { Vec::new() };
    if with_command && command.is_empty() {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    if command.len() > COMMAND_WORDS_MAX {
        return Err(Status::bad_request(format!("a command may have at most {COMMAND_WORDS_MAX} words")));
    }
    let tty = is("tty");
    // A terminal has one output; upstream's hosts drop the other as well.
    let options =
        StreamOptions { command, stdin: is("stdin"), stdout: is("stdout"), stderr: is("stderr") && !tty, tty };
    if !options.stdin && !options.stdout && !options.stderr {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok(options)
}

/// GET or POST to `pods/NAME/portforward`.
pub(super) async fn port_forward(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let pod = call.decode(&call.find(&snapshot)?)?;
    let agent = agent_of(call, &snapshot, &pod)?;
    let target = Target { agent, path: pod_path(call), name: call.name().to_owned(), uid: meta::uid(&pod).to_owned() };
    streaming::serve_port_forward(call, request, target)
}
