//! One request on its way through the server.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::kind::{Kind, Subresource};
use coracle_control_api::status::Status;
use coracle_control_store::{Entry, ReadError, Snapshot};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use crate::audit::Notes;
use crate::list_options::Version;
use crate::negotiation::{Form, Messages, Negotiated, negotiate};
use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::server::Shared;
use crate::stored;
use crate::user::UserInfo;

/// What every handler knows of its request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) user: Arc<UserInfo>,
    pub(crate) info: RequestInfo,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) method: http::Method,
    pub(crate) now: Timestamp,
    /// Texts for Warning headers, which go with the answer whatever it is.
    pub(crate) warnings: Arc<Mutex<Vec<String>>>,
    /// What the audit log is to be told, if anything.
    pub(crate) notes: Option<Arc<Notes>>,
}

/// A request about a kind in the table.
#[derive(Debug, Clone)]
pub(crate) struct ResourceCall {
    pub(crate) call: Call,
    pub(crate) kind: Arc<Kind>,
}

impl std::ops::Deref for ResourceCall {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.call
    }
}

/// More warnings than this are not kept for one request.
const WARNINGS_MAX: usize = 256;

impl Call {
    /// A request of the server itself.
    pub(crate) fn of_server(shared: Arc<Shared>, now: Timestamp) -> Self {
        Self {
            shared,
            user: Arc::new(UserInfo::admin()),
            info: RequestInfo::default(),
            query: Query::default(),
            headers: HeaderMap::new(),
            method: http::Method::GET,
            now,
            warnings: Arc::default(),
            notes: None,
        }
    }

    /// Has texts sent as Warning headers with the answer, also when that is a refusal.
    pub(crate) fn warn(&self, texts: impl Iterator<Item = String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let room = WARNINGS_MAX.saturating_sub(warnings.len());
        warnings.extend(texts.take(room));
    }

    /// Tells the audit log something of this request.
    pub(crate) fn annotate(&self, key: &str, value: &str) {
        if let Some(notes) = &self.notes {
            notes.annotate(key, value);
        }
    }

    /// Agrees on a representation with the client, of what is shown in one form only.
    ///
    /// # Errors
    /// 406 when the client takes nothing that there is.
    pub(crate) fn negotiate(&self, messages: Messages) -> Result<Negotiated, Status> {
        negotiate(&self.headers, self.query.get("pretty"), &[], messages)
    }

    /// The state that a read asks for.
    ///
    /// # Errors
    /// 504 when the revision is too far in the future, 410 when it is gone, 500 and 503 when the store cannot answer.
    pub(crate) async fn snapshot(&self, version: Version) -> Result<Snapshot, Status> {
        let store = &self.shared.store;
        match version {
            Version::Latest => store.linearizable_snapshot().await.map_err(|error| read_status(&error)),
            Version::Any => Ok(store.snapshot()),
            Version::AtLeast(revision) => {
                self.wait_for(revision).await?;
                Ok(store.snapshot())
            }
            Version::Exact(revision) => {
                self.wait_for(revision).await?;
                let snapshot = store.snapshot_at(revision);
                snapshot.map_err(|_| Status::expired("The resourceVersion for the provided list is too old."))
            }
        }
    }

    /// Waits until the store has applied the revision.
    ///
    /// # Errors
    /// 504 with the cause on which informers key.
    pub(crate) async fn wait_for(&self, revision: u64) -> Result<(), Status> {
        let store = &self.shared.store;
        if store.revision() >= revision || store.wait_for_revision(revision, self.shared.config.revision_wait).await {
            return Ok(());
        }
        Err(Status::too_large_resource_version(revision, store.revision()))
    }
}

impl ResourceCall {
    /// Agrees on a representation with the client; `forms` are those beside the object itself.
    ///
    /// # Errors
    /// 406 when the client takes nothing that there is.
    pub(crate) fn negotiate(&self, forms: &[Form]) -> Result<Negotiated, Status> {
        let custom = self.kind.behaviour.custom_type().is_some();
        let messages = if custom { Messages::Metadata } else { Messages::Object };
        negotiate(&self.call.headers, self.call.query.get("pretty"), forms, messages)
    }

    /// The name of the object in the path.
    pub(crate) fn name(&self) -> &str {
        &self.call.info.name
    }

    /// The namespace of the object; empty for cluster-scoped kinds.
    pub(crate) fn namespace(&self) -> &str {
        if self.kind.namespaced { &self.call.info.namespace } else { "" }
    }

    /// The store's key of an object of this kind in the path's namespace.
    pub(crate) fn key(&self, name: &str) -> Bytes {
        Bytes::from(self.kind.storage_key(self.namespace(), name))
    }

    /// The subresource of the path, when the kind has it.
    pub(crate) fn subresource(&self) -> Option<&Subresource> {
        self.kind.find_subresource(&self.call.info.subresource)
    }

    /// 404 for an object of this kind.
    pub(crate) fn not_found(&self, name: &str) -> Status {
        Status::not_found(&self.kind.group, &self.kind.plural, name)
    }

    /// The object of the path in a snapshot.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn find(&self, snapshot: &Snapshot) -> Result<Entry, Status> {
        snapshot.get(&self.key(self.name())).ok_or_else(|| self.not_found(self.name()))
    }

    /// The object of an entry, in the form of this kind, with its resource version.
    ///
    /// # Errors
    /// 500 when the store holds something that is no object.
    pub(crate) fn decode(&self, entry: &Entry) -> Result<Value, Status> {
        decode(&self.kind, entry)
    }
}

/// The object of an entry, in the form of this kind, with its resource version.
///
/// # Errors
/// 500 when the store holds something that is no object.
pub(crate) fn decode(kind: &Kind, entry: &Entry) -> Result<Value, Status> {
    let mut object = stored::decode(&entry.value, entry.mod_revision).map_err(|error| {
        tracing::error!(key = %String::from_utf8_lossy(&entry.key), %error, "a stored object cannot be read");
        Status::internal("a stored object cannot be read")
    })?;
    if kind.stored_as.is_some() {
        kind.behaviour.from_stored(&mut object);
    }
    Ok(object)
}

/// An object's bytes in the form of this kind. Nothing is copied unless the kind shares another kind's storage.
pub(crate) fn view<'a>(kind: &Kind, stored: &'a Bytes) -> Cow<'a, Bytes> {
    if kind.stored_as.is_none() {
        return Cow::Borrowed(stored);
    }
    match serde_json::from_slice::<Value>(stored) {
        Ok(mut object) => {
            kind.behaviour.from_stored(&mut object);
            Cow::Owned(stored::encode(&object))
        }
        Err(_) => Cow::Borrowed(stored),
    }
}

/// What a handler comes to.
pub(crate) type Answer = Result<Response, Status>;

/// The status for a read that the store cannot serve.
pub(crate) fn read_status(error: &ReadError) -> Status {
    tracing::warn!(%error, "a read failed");
    match error {
        ReadError::Unavailable { .. } => Status::unavailable("the store cannot serve consistent reads at the moment"),
        ReadError::Stopped(_) => Status::unavailable("the store has stopped"),
    }
}
