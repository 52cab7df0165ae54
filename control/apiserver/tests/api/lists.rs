use super::support::{Api, TABLE};
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn with_maps(count: usize) -> Api {
    let api = Api::start().await;
    for index in 0..count {
        let parity = if index % 2 == 0 { "even" } else { "odd" };
        let body = json!({"metadata": {"name": format!("m{index:02}"), "labels": {"parity": parity}}});
        api.post(MAPS, body).await.check(201);
    }
    api
}

#[tokio::test]
async fn pages_show_one_moment() {
    let api = with_maps(7).await;
    let first = api.get(&format!("{MAPS}?limit=3")).await.check(200);
    assert_eq!(first.names(), ["m00", "m01", "m02"]);
    assert_eq!(first.body["metadata"]["remainingItemCount"], 4);
    let token = first.body["metadata"]["continue"].as_str().unwrap().to_owned();
    // What happens between the pages does not show.
    api.delete(&format!("{MAPS}/m04")).await.check(200);
    api.config_map("m99", json!({})).await.check(201);
    let second = api.get(&format!("{MAPS}?limit=3&continue={token}")).await.check(200);
    assert_eq!(second.names(), ["m03", "m04", "m05"]);
    assert_eq!(second.version(), first.version());
    assert_eq!(second.body["metadata"]["remainingItemCount"], 1);
    let token = second.body["metadata"]["continue"].as_str().unwrap();
    let third = api.get(&format!("{MAPS}?limit=3&continue={token}")).await.check(200);
    assert_eq!(third.names(), ["m06"]);
    assert!(third.body["metadata"].get("continue").is_none());
}

#[tokio::test]
async fn a_page_of_a_forgotten_moment_is_gone_and_says_how_to_go_on() {
    let api = with_maps(5).await;
    let first = api.get(&format!("{MAPS}?limit=2")).await.check(200);
    let token = first.body["metadata"]["continue"].as_str().unwrap();
    api.config_map("z", json!({})).await.check(201);
    api.store.compact(api.store.revision()).await.unwrap();
    let gone = api.get(&format!("{MAPS}?limit=2&continue={token}")).await.check(410);
    assert_eq!(gone.body["reason"], "Expired");
    let token = gone.body["metadata"]["continue"].as_str().unwrap();
    let rest = api.get(&format!("{MAPS}?limit=9&continue={token}")).await.check(200);
    assert_eq!(rest.names(), ["m02", "m03", "m04", "z"]);
}

#[tokio::test]
async fn selectors_and_pages_go_together() {
    let api = with_maps(7).await;
    let first = api.get(&format!("{MAPS}?limit=2&labelSelector=parity%3Deven")).await.check(200);
    assert_eq!(first.names(), ["m00", "m02"]);
    assert!(first.body["metadata"].get("remainingItemCount").is_none());
    let token = first.body["metadata"]["continue"].as_str().unwrap();
    let rest = api.get(&format!("{MAPS}?limit=2&labelSelector=parity%3Deven&continue={token}")).await.check(200);
    assert_eq!(rest.names(), ["m04", "m06"]);
    assert!(rest.body["metadata"].get("continue").is_none());
    let one = api.get(&format!("{MAPS}?fieldSelector=metadata.name%3Dm03")).await.check(200);
    assert_eq!(one.names(), ["m03"]);
    let all =
        api.get("/api/v1/configmaps?fieldSelector=metadata.namespace=default,metadata.name!=m03").await.check(200);
    assert_eq!(all.names().len(), 6);
    api.get(&format!("{MAPS}?fieldSelector=data.x%3Dy")).await.check(400);
    api.get(&format!("{MAPS}?labelSelector=a%3D%3D%3Db")).await.check(400);
}

#[tokio::test]
async fn a_version_means_what_it_says() {
    let api = with_maps(2).await;
    let before = api.get(MAPS).await.check(200).version();
    api.config_map("z", json!({})).await.check(201);
    let exact = api.get(&format!("{MAPS}?resourceVersion={before}&resourceVersionMatch=Exact")).await.check(200);
    assert_eq!((exact.names().len(), exact.version()), (2, before.clone()));
    let newer = api.get(&format!("{MAPS}?resourceVersion={before}")).await.check(200);
    assert_eq!(newer.names().len(), 3);
    let any = api.get(&format!("{MAPS}?resourceVersion=0&limit=1")).await.check(200);
    assert_eq!(any.names().len(), 3, "a limit does not count for any version");
    api.store.compact(api.store.revision()).await.unwrap();
    let gone = api.get(&format!("{MAPS}?resourceVersion={before}&resourceVersionMatch=Exact")).await.check(410);
    assert_eq!(gone.message(), "The resourceVersion for the provided list is too old.");
}

#[tokio::test]
async fn a_version_still_to_come_is_waited_for() {
    let api = with_maps(1).await;
    let next = api.store.revision() + 1;
    let path = format!("{MAPS}?resourceVersion={next}");
    let (list, _) = tokio::join!(api.get(&path), async {
        tokio::task::yield_now().await;
        api.config_map("late", json!({})).await.check(201)
    });
    assert_eq!(list.check(200).names(), ["late", "m00"]);
    let api = Api::with(|config| config.revision_wait = std::time::Duration::from_millis(10)).await;
    let answer = api.get(&format!("{MAPS}?resourceVersion=999999")).await.check(504);
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.body["details"]["retryAfterSeconds"], 1);
    let current = api.store.revision();
    assert_eq!(answer.message(), format!("Timeout: Too large resource version: 999999, current: {current}"));
    api.config_map("a", json!({})).await.check(201);
    api.get(&format!("{MAPS}/a?resourceVersion=999999")).await.check(504);
    api.get(&format!("{MAPS}/a?resourceVersion=0")).await.check(200);
}

#[tokio::test]
async fn tables_and_metadata_show_the_same_objects() {
    let api = with_maps(2).await;
    let table = api.admin().call("GET", MAPS, &[TABLE], Vec::new()).await.check(200);
    assert_eq!(table.body["kind"], "Table");
    assert_eq!(table.body["rows"].as_array().unwrap().len(), 2);
    assert_eq!(table.body["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let path = format!("{MAPS}?includeObject=Object");
    let table = api.admin().call("GET", &path, &[TABLE], Vec::new()).await.check(200);
    assert_eq!(table.body["rows"][0]["object"]["kind"], "ConfigMap");
    let accept = [("accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")];
    let partial = api.admin().call("GET", MAPS, &accept, Vec::new()).await.check(200);
    assert_eq!(partial.names(), ["m00", "m01"]);
    assert!(partial.body["items"][0].get("data").is_none());
}

#[tokio::test]
async fn a_large_list_is_compressed_for_those_who_want_it() {
    let api = Api::start().await;
    for index in 0..4 {
        api.config_map(&format!("m{index}"), json!({"a": "x".repeat(100_000)})).await.check(201);
    }
    let answer = api.admin().call("GET", MAPS, &[("accept-encoding", "gzip")], Vec::new()).await.check(200);
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert_eq!(api.get(MAPS).await.check(200).names().len(), 4);
}
