//! Writes and connections below an object that are not writes of the object: `binding`, `eviction`, `exec` and the like.
//! Webhooks and policies are asked about them; the other plugins have nothing to say here.

use coracle_control_api::kind::Subresource;
use coracle_control_api::status::Status;
use serde_json::{Map, Value};

use super::{Action, Admission, Effects, Mutate, Options, Request, Validate};
use crate::call::ResourceCall;

/// Paths that are connections, whatever the method.
const CONNECTIONS: &[&str] = &["attach", "exec", "portforward", "proxy"];
/// Parameters of connections that are true or false.
const FLAGS: &[&str] = &["stdin", "stdout", "stderr", "tty"];

/// Asks about an object that is posted to a subresource; it may come back changed.
///
/// # Errors
/// What the first says who refuses it.
pub(crate) async fn admit(call: &ResourceCall, name: &str, object: &mut Value, dry_run: bool) -> Result<(), Status> {
    let snapshot = call.shared.store.snapshot();
    let request = Request {
        call,
        action: Action::Create,
        name,
        subresource: &call.info.subresource,
        snapshot: &snapshot,
        old: None,
        dry_run,
        options: Options::Query,
        generate_name: "",
    };
    call.shared.admission.ask(&request, object).await
}

/// Asks about a connection, if the subresource is one.
///
/// # Errors
/// What the first says who refuses it.
pub(crate) async fn admit_connection(call: &ResourceCall, subresource: &Subresource) -> Result<(), Status> {
    if !CONNECTIONS.contains(&&*subresource.name) {
        return Ok(());
    }
    let snapshot = call.shared.store.snapshot();
    let request = Request {
        call,
        action: Action::Connect,
        name: call.name(),
        subresource: &subresource.name,
        snapshot: &snapshot,
        old: None,
        dry_run: false,
        options: Options::Connect,
        generate_name: "",
    };
    let mut options = connect_options(call, subresource);
    call.shared.admission.ask(&request, &mut options).await
}

/// `PodExecOptions` and the like, as the query has them.
fn connect_options(call: &ResourceCall, subresource: &Subresource) -> Value {
    let mut options = Map::new();
    options.insert("kind".to_owned(), Value::from(&*subresource.kind));
    options.insert("apiVersion".to_owned(), Value::from("v1"));
    for name in FLAGS.iter().filter(|name| call.query.is_true(name)) {
        options.insert((*name).to_owned(), Value::from(true));
    }
    if !call.query.text("container").is_empty() {
        options.insert("container".to_owned(), Value::from(call.query.text("container")));
    }
    let command: Vec<&str> = call.query.all("command").collect();
    if !command.is_empty() {
        options.insert("command".to_owned(), Value::from(command));
    }
    let ports: Vec<i64> = call.query.all("ports").filter_map(|port| port.parse().ok()).collect();
    if !ports.is_empty() {
        options.insert("ports".to_owned(), Value::from(ports));
    }
    if subresource.name == "proxy" {
        options.insert("path".to_owned(), Value::from(format!("/{}", call.info.rest)));
    }
    Value::Object(options)
}

impl Admission {
    /// Lets those change and refuse an object who are asked about everything.
    async fn ask(&self, request: &Request<'_>, object: &mut Value) -> Result<(), Status> {
        let mut effects = Effects::default();
        for second in [false, true] {
            if second && !effects.reinvocation.needed {
                break;
            }
            effects.reinvocation.is_second = second;
            for mutate in &self.mutating {
                if let Mutate::Later(mutate) = mutate {
                    mutate(request, object, &mut effects).await?;
                }
            }
        }
        for validate in &self.validating {
            if let Validate::Later(validate) = validate {
                validate(request, Some(object), &mut effects).await?;
            }
        }
        Ok(())
    }
}
