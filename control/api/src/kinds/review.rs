//! Reviews: questions about identity and permission. They are answered when they are created and never stored.

use serde_json::Value;

use crate::kind::{Behaviour, Kind, Plain, Verb};
use crate::kinds::fields::{self, Fields};
use crate::status::FieldError;

/// How long a token lasts when nothing is said, in seconds.
const TOKEN_SECONDS: i64 = 3600;
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

#[derive(Debug)]
struct TokenRequest;

/// The body of `serviceaccounts/NAME/token`.
pub(super) fn token_request_kind() -> Kind {
    Kind::new("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", TokenRequest)
        .schema("io.k8s.api.authentication.v1.TokenRequest")
        .verbs(&[])
}

impl Behaviour for TokenRequest {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = fields::object_mut(object, "spec") {
            fields::set_default(spec, "expirationSeconds", TOKEN_SECONDS);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let seconds = object.at(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or_default();
        let complain = |detail: &str| vec![FieldError::invalid("spec.expirationSeconds", seconds, detail)];
        if seconds < TOKEN_SECONDS_MIN {
            return complain("may not specify a duration less than 10 minutes");
        }
        if seconds > TOKEN_SECONDS_MAX {
            return complain("may not specify a duration larger than 2^32 seconds");
        }
        Vec::new()
    }
}

fn review(group: &'static str, kind: &'static str, plural: &'static str, schema: &'static str) -> Kind {
    Kind::new(group, "v1", kind, plural, Plain).schema(schema).cluster_scoped().verbs(&[Verb::Create])
}

/// The reviews of `authentication.k8s.io`: who am I, and who has this token.
pub(super) fn authentication_kinds() -> [Kind; 2] {
    let group = "authentication.k8s.io";
    [
        review(group, "SelfSubjectReview", "selfsubjectreviews", "io.k8s.api.authentication.v1.SelfSubjectReview"),
        review(group, "TokenReview", "tokenreviews", "io.k8s.api.authentication.v1.TokenReview"),
    ]
}

/// The reviews of `authorization.k8s.io`: may they, may I, and what may I.
pub(super) fn authorization_kinds() -> [Kind; 4] {
    let group = "authorization.k8s.io";
    let mut local = review(
        group,
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    );
    local.namespaced = true;
    [
        local,
        review(
            group,
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        ),
        review(
            group,
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
        ),
        review(group, "SubjectAccessReview", "subjectaccessreviews", "io.k8s.api.authorization.v1.SubjectAccessReview"),
    ]
}
