//! Reviews: questions about identity and permission. They are answered when they are created and never stored.

use crate::kind::{Kind, Plain, Verb};

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
