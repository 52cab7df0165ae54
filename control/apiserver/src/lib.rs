//! The REST API server: authenticate, authorize, admit, apply to the store, watch, discovery, OpenAPI, tables.
//!
//! To its clients this is kube-apiserver. Inside there is one generic handler per verb, and it reads everything that
//! differs between kinds from the kind table of `coracle-control-api`; a kind that needs a special case has it there,
//! beside its schema, and not here.
//!
//! **Invariants**
//! - A write is decode, default, admit, validate, then one compare-and-swap transaction in the store. Nothing is
//!   answered before the transaction is durable.
//! - An object is kept as canonical JSON bytes without `metadata.resourceVersion`. A GET, a LIST item and a watch event
//!   are those same bytes with the resource version spliced in; no object is encoded again to be read.
//! - The resource version of everything is the store's one global revision.
//! - A request cannot panic the server, and every wait, queue and body has a bound (all bounds are in
//!   [`ApiServerConfig`]).
//! - One function, `answer::status_answer`, turns an error into an HTTP answer; internal errors go to the log only.
//!
//! **Refused**: a handler per kind (the table would be written twice), typed objects (CRDs have no types, and an object
//! would be encoded again on every read), a watch cache of our own (the store's index is one).

#![warn(missing_docs)]

// What the owner of the server sees.
mod config;
mod host_links;
pub mod pki;
mod server;
mod user;

// The way of a request: connection, identity, permission, handler, answer.
mod answer;
mod audit;
mod authentication;
mod authorization;
mod body;
mod call;
mod catalog;
mod claims;
mod deadline;
mod flow_control;
mod list_options;
mod metrics;
mod negotiation;
mod query;
mod request_info;
mod resource;
mod serving;
mod system;
mod tokens;
mod write_options;

// Reading and writing objects.
mod admission;
mod aggregation;
mod backend;
mod bootstrap;
mod components;
mod custom;
mod field_owners;
mod filter;
mod openapi;
mod pipeline;
mod reviews;
mod stored;
mod streaming;
mod subresources;
mod table;
mod verbs;
mod webhook;

pub use aggregation::FrontProxy;
pub use audit::{Audit, AuditLog, AuditLogConfig, AuditPolicy, OpenAuditLogError, ParseAuditPolicyError};
pub use components::{Component, Components};
pub use config::{ApiServerConfig, ApiServerConfigError, ParseTokensError, StaticToken};
pub use host_links::HostLinks;
pub use server::{ApiServer, BootstrapError, ServeError};
pub use tokens::{OidcConfig, OidcConfigError, ServiceAccountKey, ServiceAccountKeyError};
pub use user::UserInfo;
