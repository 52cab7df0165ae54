//! The API as clients see it: through the router in this process, and over TLS.

#[cfg(test)]
#[path = "api/access.rs"]
mod access;
#[cfg(test)]
#[path = "api/admission.rs"]
mod admission;
#[cfg(test)]
#[path = "api/aggregation.rs"]
mod aggregation;
#[cfg(test)]
#[path = "api/apply.rs"]
mod apply;
#[cfg(test)]
#[path = "api/arbitrary.rs"]
mod arbitrary;
#[cfg(test)]
#[path = "api/audit.rs"]
mod audit;
#[cfg(test)]
#[path = "api/components.rs"]
mod components;
#[cfg(test)]
#[path = "api/custom.rs"]
mod custom;
#[cfg(test)]
#[path = "api/deletion.rs"]
mod deletion;
#[cfg(test)]
#[path = "api/discovery.rs"]
mod discovery;
#[cfg(test)]
#[path = "api/fairness.rs"]
mod fairness;
#[cfg(test)]
#[path = "api/identity.rs"]
mod identity;
#[cfg(test)]
#[path = "api/lists.rs"]
mod lists;
#[cfg(test)]
#[path = "api/objects.rs"]
mod objects;
#[cfg(test)]
#[path = "api/oidc.rs"]
mod oidc;
#[cfg(test)]
#[path = "api/policies.rs"]
mod policies;
#[cfg(test)]
#[path = "api/protobuf.rs"]
mod protobuf;
#[cfg(test)]
#[path = "api/services.rs"]
mod services;
#[cfg(test)]
#[path = "api/streaming.rs"]
mod streaming;
#[cfg(test)]
#[path = "api/subresources.rs"]
mod subresources;
#[cfg(test)]
#[path = "api/support.rs"]
mod support;
#[cfg(test)]
#[path = "api/tls.rs"]
mod tls;
#[cfg(test)]
#[path = "api/tokens.rs"]
mod tokens;
#[cfg(test)]
#[path = "api/watches.rs"]
mod watches;
#[cfg(test)]
#[path = "api/webhook_server.rs"]
mod webhook_server;
#[cfg(test)]
#[path = "api/webhooks.rs"]
mod webhooks;
