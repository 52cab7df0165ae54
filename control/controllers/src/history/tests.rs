use std::sync::Arc;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::json;

use super::{Revision, Step, data_of, plan, surplus, template_of};
use crate::observed::Whole;

fn template(image: &str) -> PodTemplateSpec {
    let object =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}});
    serde_json::from_value(object).expect("a template")
}

fn revision(image: &str, number: i64) -> Revision {
    let object = json!({"metadata": {"name": format!("web-{number}"), "namespace": "n"}, "revision": number, "data": data_of(&template(image))});
    Arc::new(Whole::new(serde_json::from_value(object).expect("a revision")))
}

#[test]
fn a_template_is_kept_once_and_numbered_anew_when_it_comes_back() {
    let known = [revision("a", 1), revision("b", 2)];
    assert!(matches!(plan(&known, &data_of(&template("b"))), Step::Known(known) if known.revision == 2));
    assert!(matches!(plan(&known, &data_of(&template("a"))), Step::Renumber(known, 3) if known.revision == 1));
    assert!(matches!(plan(&known, &data_of(&template("c"))), Step::Create(3)));
    assert_eq!(template_of(&known[0]), Some(template("a")));
}

#[test]
fn of_what_nobody_uses_the_oldest_goes() {
    let known = [revision("d", 4), revision("a", 1), revision("b", 2), revision("c", 3)];
    let gone: Vec<i64> = surplus(&known, 1, |known| known.revision == 1).iter().map(|known| known.revision).collect();
    assert_eq!(gone, [2, 3]);
}
