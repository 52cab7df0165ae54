//! The server as its owner sees it, and the way of a request to its handler.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::Status;
use coracle_control_store::Store;
use futures::FutureExt as _;
use http::{Method, Request};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::aggregation::{self, Registry, Remote};
use crate::answer::{Passed, add_warnings, compress, status_answer};
use crate::audit::{self, Notes};
use crate::authentication::{authenticate, impersonate};
use crate::authorization::{Attributes, RoleCache, Roles, authorize, decide};
use crate::bootstrap;
use crate::call::Call;
use crate::catalog::Catalog;
use crate::components::Components;
use crate::config::ApiServerConfig;
use crate::flow_control::{Class, FlowControl, too_many_requests};
use crate::host_links::HostLinks;
use crate::metrics::{Metrics, Subject};
use crate::negotiation::{Messages, Negotiated, content_type, negotiate};
use crate::openapi::OpenApi;
use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::streaming::Sessions;
use crate::tokens::Tokens;
use crate::user::UserInfo;
use crate::webhook::WebhookClients;
use crate::{custom, deadline, resource, serving, system};

/// Subresources whose requests last as long as the client likes.
const LONG_RUNNING: &[&str] = &["log", "exec", "attach", "portforward", "proxy"];

/// The API server over a store. Clones are the same server.
#[derive(Debug, Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

/// What every request uses.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) config: ApiServerConfig,
    pub(crate) hosts: HostLinks,
    pub(crate) components: Components,
    pub(crate) catalog: Catalog,
    pub(crate) admission: Admission,
    pub(crate) openapi: OpenApi,
    /// Cancelled when the server goes down; ends watches and other streams.
    pub(crate) shutdown: CancellationToken,
    pub(crate) tokens: Tokens,
    pub(crate) role_cache: RoleCache,
    pub(crate) sessions: Sessions,
    pub(crate) aggregation: Registry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) webhooks: WebhookClients,
    pub(crate) flow_control: FlowControl,
}

/// Why the first objects cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The store does not take writes.
    #[error("cannot write the first objects")]
    Write(#[source] coracle_control_store::WriteError),
    /// Others write the same objects all the time.
    #[error("the first objects are written by others at the same time")]
    Contended,
    /// What was begun with custom resource definitions cannot be finished.
    #[error("cannot take up the custom resource definitions")]
    Definitions(#[source] Status),
}

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener takes no more connections.
    #[error("cannot accept connections")]
    Accept(#[source] std::io::Error),
}

impl ApiServer {
    /// A server over this store. It starts no task and answers nothing before it is asked to.
    pub fn new(store: Store, config: ApiServerConfig, hosts: HostLinks) -> Self {
        let shared = Shared {
            tokens: Tokens::new(&config),
            admission: Admission::new(&config.enabled_admission_plugins, &config.disabled_admission_plugins),
            catalog: Catalog::new(store.clone(), config.optional_kinds()),
            openapi: OpenApi::default(),
            shutdown: CancellationToken::new(),
            role_cache: RoleCache::default(),
            sessions: Sessions::default(),
            aggregation: Registry::new(store.clone(), config.front_proxy.clone()),
            metrics: Arc::default(),
            webhooks: WebhookClients::new(store.clone(), hosts.clone()),
            // As upstream: three quarters of its time are left to the request when its turn comes.
            flow_control: FlowControl::new(config.requests_max, config.request_timeout / 4),
            store,
            config,
            hosts,
            components: Components::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes up what a crash has interrupted, and makes the objects that every cluster has, those that are missing, in one transaction: the namespaces `default`,
    /// `kube-system`, `kube-public` and `kube-node-lease`, each with its service account `default`.
    ///
    /// # Errors
    /// The store does not take writes.
    pub async fn bootstrap(&self) -> Result<(), BootstrapError> {
        let now = Timestamp::now();
        bootstrap::bootstrap(&self.shared, now).await?;
        custom::resume(&self.shared, now).await.map_err(BootstrapError::Definitions)
    }

    /// The API as a service in this process, for one user; it goes directly into `kube::Client::new(router, "default")`.
    /// Requests of a user of the system's own (`system:...`) do not wait for others.
    pub fn router_for(&self, user: UserInfo) -> axum::Router {
        let shared = Arc::clone(&self.shared);
        let user = Arc::new(user);
        let queues = !user.name.starts_with("system:");
        axum::Router::new().fallback_service(tower::service_fn(move |request: Request<Body>| {
            let (shared, user) = (Arc::clone(&shared), Arc::clone(&user));
            async move { Ok::<_, Infallible>(Box::pin(shared.answer(request, user, queues)).await) }
        }))
    }

    /// Where the other parts of the control plane register, for ComponentStatuses to tell of them.
    #[must_use]
    pub fn components(&self) -> &Components {
        &self.shared.components
    }

    /// Serves HTTP/1.1 and HTTP/2 over TLS until `shutdown`, then ends all watches, also those of routers in this process,
    /// and lets other open requests finish within the drain time.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        serving::serve(Arc::clone(&self.shared), listener, tls, shutdown).await
    }
}

impl Shared {
    /// The roles and bindings as they are now.
    pub(crate) fn roles(&self) -> Arc<Roles> {
        self.role_cache.roles(&self.store)
    }

    /// Answers a request from a connection, whose author has to be established first.
    pub(crate) async fn answer_from_outside(
        self: Arc<Self>,
        mut request: Request<Body>,
        certificate: Option<Arc<UserInfo>>,
    ) -> Response {
        match authenticate(&self, certificate.as_ref(), request.headers_mut(), Timestamp::now()).await {
            Ok(user) => self.answer(request, user, true).await,
            Err(status) => {
                if let Some(audit) = &self.config.audit {
                    audit::refused(audit, request).await;
                }
                status_answer(&status, Negotiated::JSON)
            }
        }
    }

    /// Answers a request of a known user, and leaves in the audit log what the policy wants there.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Body>, user: Arc<UserInfo>, queues: bool) -> Response {
        match &self.config.audit {
            None => self.respond(request, user, queues, None).await,
            Some(audit) => Box::pin(audit::answer(audit, &self, request, user, queues)).await,
        }
    }

    /// Answers a request of a known user, who takes his turn if he `queues`. A panic in a handler is an error in us; it ends that request only.
    pub(crate) async fn respond(
        self: &Arc<Self>,
        request: Request<Body>,
        user: Arc<UserInfo>,
        queues: bool,
        notes: Option<Arc<Notes>>,
    ) -> Response {
        let headers = request.headers().clone();
        let is_head = request.method() == Method::HEAD;
        let query = request.uri().query().unwrap_or_default();
        let info = RequestInfo::new(request.method(), request.uri().path(), query);
        let agreed = negotiate(&headers, Query::parse(query).get("pretty"), &[], Messages::Object);
        let agreed = agreed.unwrap_or(Negotiated::JSON);
        let call = Call {
            user,
            query: Query::parse(query),
            method: if is_head { Method::GET } else { request.method().clone() },
            headers: headers.clone(),
            now: Timestamp::now(),
            shared: Arc::clone(self),
            notes: notes.clone(),
            info,
            warnings: Arc::default(),
        };
        let warnings = Arc::clone(&call.warnings);
        let long = is_long_running(&call.info);
        let limit = match deadline::of(&call.query, self.config.request_timeout) {
            Err(status) if !long => return status_answer(&status, agreed.as_object()),
            limit => limit.unwrap_or(self.config.request_timeout),
        };
        // Of what is long, a watch takes a turn for its beginning, and the others none.
        let queues = queues && (!long || call.info.verb == "watch");
        let class = OnceLock::new();
        let bytes_min = self.config.gzip_bytes_min;
        let subject = self.subject(&call);
        let under_way = (!long).then(|| self.metrics.begin(&call.info));
        let begin = Instant::now();
        let handled = AssertUnwindSafe(handle(call, request, queues, &class)).catch_unwind();
        let result = if long { Ok(handled.await) } else { tokio::time::timeout(limit, handled).await };
        let mut answer = outcome(result, agreed, notes.as_deref());
        drop(under_way);
        if let Some(subject) = subject {
            self.metrics.answered(subject, answer.status().as_u16(), (!long).then(|| begin.elapsed()));
        }
        let warnings = std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner));
        if !warnings.is_empty() {
            add_warnings(&mut answer, &warnings);
        }
        if let Some(class) = class.get() {
            class.mark(&mut answer);
        }
        if is_head {
            return answer.map(|_| Body::empty());
        }
        if long || answer.extensions().get::<Passed>().is_some() {
            answer
        } else {
            compress(answer, &headers, bytes_min).await
        }
    }
}

impl Shared {
    /// What a request counts as; `None` for what nothing serves, since clients make up such paths.
    fn subject(&self, call: &Call) -> Option<Subject> {
        let info = &call.info;
        if info.is_resource {
            let kind = self.catalog.find(&info.group, &info.version, &info.resource)?;
            if !info.subresource.is_empty() {
                kind.find_subresource(&info.subresource)?;
            }
        }
        Some(Subject::new(info, &call.query, content_type(&call.headers) == "application/apply-patch+yaml"))
    }
}

/// What a handler came to: an answer, a refusal, a panic, or nothing in time.
type Handled = Result<std::thread::Result<Result<Response, Status>>, tokio::time::error::Elapsed>;

fn outcome(handled: Handled, agreed: Negotiated, notes: Option<&Notes>) -> Response {
    match handled {
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(status))) => status_answer(&status, agreed.as_object()),
        Ok(Err(_)) => {
            tracing::error!("a handler panicked");
            if let Some(notes) = notes {
                notes.panicked();
            }
            let text = "this request caused apiserver to panic. Look in the logs for details";
            status_answer(&Status::internal(text), agreed)
        }
        Err(_) => status_answer(&Status::timeout("request did not complete within the allotted timeout", 0), agreed),
    }
}

/// The server of what the request is about, if it is another one.
fn elsewhere(call: &Call) -> Option<Arc<Remote>> {
    let info = &call.info;
    if info.is_resource {
        let is_here = info.group.is_empty()
            || call.shared.catalog.built_in().find(&info.group, &info.version, &info.resource).is_some();
        return if is_here { None } else { call.shared.aggregation.find(&info.group, &info.version) };
    }
    let parts: Vec<&str> = info.path.trim_matches('/').split('/').collect();
    match *parts.as_slice() {
        ["apis", group, version] | ["openapi", "v3", "apis", group, version] => {
            call.shared.aggregation.find(group, version)
        }
        _ => None,
    }
}

/// Whether a request lasts as long as its client likes.
pub(crate) fn is_long_running(info: &RequestInfo) -> bool {
    info.verb == "watch" || LONG_RUNNING.contains(&info.subresource.as_str())
}

async fn handle(
    mut call: Call,
    request: Request<Body>,
    queues: bool,
    class: &OnceLock<Class>,
) -> Result<Response, Status> {
    let roles = call.shared.roles();
    let author = Arc::clone(&call.user);
    call.user = impersonate(&author, &call.headers, &|attributes| decide(&roles, &author, attributes).is_ok())?;
    if !Arc::ptr_eq(&author, &call.user)
        && let Some(notes) = &call.notes
    {
        notes.impersonate(&call.user);
    }
    // Held until the handler has its answer; what is streamed after that takes no seat.
    let _seat = if queues {
        match call.shared.flow_control.admit(&call.shared.store, &call.user, &call.info, class).await {
            Ok(seat) => seat,
            Err(refusal) => {
                tracing::debug!(user = call.user.name, ?refusal, "a request is one too many");
                return Ok(too_many_requests());
            }
        }
    } else {
        None
    };
    let decided = authorize(&roles, &call.user, &Attributes::of(&call.info));
    call.annotate("authorization.k8s.io/decision", if decided.is_ok() { "allow" } else { "forbid" });
    call.annotate("authorization.k8s.io/reason", decided.as_deref().unwrap_or_default());
    decided?;
    if let Some(remote) = elsewhere(&call) {
        return aggregation::forward(&call, &remote, request).await;
    }
    if call.info.is_resource { resource::answer(call, request).await } else { system::answer(&call).await }
}
