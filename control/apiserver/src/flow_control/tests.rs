use coracle_control_api::kinds::flow_control::bootstrap;
use http::Method;
use serde_json::json;

use super::*;

/// The levels and schemas of a new cluster.
fn shipped(change: impl FnOnce(&mut Vec<Value>, &mut Vec<Value>)) -> Vec<Schema> {
    let (mut schemas, mut levels) = (bootstrap::schemas(), bootstrap::levels());
    change(&mut schemas, &mut levels);
    order(&schemas, &levels.iter().map(|level| Arc::new(Level::read(level))).collect::<Vec<_>>())
}

fn schema_of(schemas: &[Schema], user: &UserInfo, path: &str) -> String {
    let info = RequestInfo::new(&Method::GET, path, "");
    schemas.iter().find(|schema| schema.matches(user, &info)).map(|schema| schema.name.clone()).unwrap_or_default()
}

#[test]
fn requests_are_classified_as_upstreams_schemas_say() {
    let schemas = shipped(|_, _| {});
    let account =
        |namespace: &str| UserInfo::new(format!("system:serviceaccount:{namespace}:a"), &["system:serviceaccounts"]);
    let pods = "/api/v1/namespaces/n/pods";
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/l";
    for (user, path, name) in [
        (UserInfo::admin(), pods, "exempt"),
        (UserInfo::new("bob", &[]), pods, "global-default"),
        (UserInfo::new("bob", &[]), "/readyz", "probes"),
        (UserInfo::new("bob", &[]), "/version", "global-default"),
        (UserInfo::node("a"), "/api/v1/nodes/a/status", "system-node-high"),
        (UserInfo::node("a"), pods, "system-nodes"),
        (UserInfo::scheduler(), lease, "system-leader-election"),
        (UserInfo::scheduler(), pods, "kube-scheduler"),
        (UserInfo::controllers(), "/api/v1/nodes", "kube-controller-manager"),
        (account("kube-system"), pods, "kube-system-service-accounts"),
        (account("default"), pods, "service-accounts"),
    ] {
        assert_eq!(schema_of(&schemas, &user, path), name, "{} at {path}", user.name);
    }
    assert_eq!(schema_of(&schemas, &UserInfo { groups: vec!["other".into()], ..UserInfo::default() }, pods), "");
}

#[test]
fn a_schema_with_a_lower_precedence_comes_first_and_one_without_a_level_never() {
    let own = |level: &str| {
        json!({
            "metadata": {"name": "own"},
            "spec": {
                "matchingPrecedence": 50, "priorityLevelConfiguration": {"name": level},
                "rules": [{
                    "subjects": [{"kind": "User", "user": {"name": "bob"}}],
                    "resourceRules": [{
                        "verbs": ["list"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["n"],
                    }],
                }],
            },
        })
    };
    let bob = UserInfo::new("bob", &[]);
    let schemas = shipped(|schemas, _| schemas.push(own("catch-all")));
    assert_eq!(schema_of(&schemas, &bob, "/api/v1/namespaces/n/pods"), "own");
    assert_eq!(schema_of(&schemas, &bob, "/api/v1/namespaces/m/pods"), "global-default");
    assert_eq!(schema_of(&schemas, &bob, "/api/v1/pods"), "global-default");
    let schemas = shipped(|schemas, _| schemas.push(own("none")));
    assert_eq!(schema_of(&schemas, &bob, "/api/v1/namespaces/n/pods"), "global-default");
}

fn level(name: &str, shares: u32, lendable: u32, length: u32) -> Arc<Level> {
    Arc::new(Level::read(&json!({
        "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 2, "queueLengthLimit": length}},
        }},
    })))
}

const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_finds_no_seat_waits_for_one_and_no_longer_than_told() {
    let seats = Arc::new(Seats::default());
    seats.share(&[level("a", 1, 0, 5)], 2);
    let first = seats.take("a", 1, SOON).await.unwrap();
    let _second = seats.take("a", 1, SOON).await.unwrap();
    assert_eq!(seats.take("a", 2, SOON).await.err(), Some(Refusal::TimedOut));
    let waiting = tokio::join!(seats.take("a", 3, LATE), async { drop(first) }).0;
    assert!(waiting.is_ok());
    assert_eq!(seats.take("a", 2, SOON).await.err(), Some(Refusal::TimedOut));
    drop(waiting);
    assert!(seats.take("a", 2, SOON).await.is_ok());
}

#[tokio::test]
async fn a_flow_fills_its_own_queues_and_not_those_of_others() {
    let seats = Arc::new(Seats::default());
    seats.share(&[level("a", 1, 0, 1)], 1);
    let seat = seats.take("a", 1, SOON).await.unwrap();
    let mut crowd: Vec<_> = (0..2).map(|_| Box::pin(seats.take("a", 7, LATE))).collect();
    for one in &mut crowd {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    assert_eq!(seats.take("a", 7, LATE).await.err(), Some(Refusal::QueueFull));
    let mut other = Box::pin(seats.take("a", 8, LATE));
    assert!(futures::poll!(other.as_mut()).is_pending());
    // Whoever gives up makes room in his queue.
    crowd.pop();
    let mut again = Box::pin(seats.take("a", 7, LATE));
    assert!(futures::poll!(again.as_mut()).is_pending());
    drop(seat);
    let seated = futures::future::select_all(crowd.into_iter().chain([other, again])).await.0;
    assert!(seated.is_ok());
}

#[tokio::test]
async fn a_level_borrows_what_another_can_lend_and_lends_no_more() {
    let seats = Arc::new(Seats::default());
    seats.share(&[level("a", 1, 0, 5), level("b", 1, 50, 5)], 8);
    let mut taken = Vec::new();
    while let Ok(seat) = seats.take("a", 1, SOON).await {
        taken.push(seat);
    }
    assert_eq!(taken.len(), 6, "four of its own and two that are lent");
    let mut own = Vec::new();
    while let Ok(seat) = seats.take("b", 1, SOON).await {
        own.push(seat);
    }
    assert_eq!(own.len(), 4, "the owner always has what is his");
}

#[tokio::test]
async fn a_seat_that_was_called_and_not_taken_is_free_again() {
    let seats = Arc::new(Seats::default());
    seats.share(&[level("a", 1, 0, 5)], 1);
    let seat = seats.take("a", 1, SOON).await.unwrap();
    let mut waiting = Box::pin(seats.take("a", 2, LATE));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    drop(seat);
    drop(waiting);
    assert!(seats.take("a", 3, SOON).await.is_ok());
}

#[tokio::test]
async fn a_level_without_queues_refuses_at_once() {
    let seats = Arc::new(Seats::default());
    let reject = Level { queueing: None, ..Level::clone(&level("a", 1, 0, 1)) };
    seats.share(&[Arc::new(reject)], 1);
    let _seat = seats.take("a", 1, LATE).await.unwrap();
    assert_eq!(seats.take("a", 1, LATE).await.err(), Some(Refusal::NoSeat));
}

#[tokio::test]
async fn a_level_that_goes_keeps_its_seats_until_they_are_left() {
    let seats = Arc::new(Seats::default());
    seats.share(&[level("a", 1, 0, 5)], 1);
    let seat = seats.take("a", 1, SOON).await.unwrap();
    seats.share(&[level("b", 1, 0, 5)], 1);
    assert!(seats.take("b", 1, SOON).await.is_ok());
    drop(seat);
    seats.share(&[level("a", 1, 0, 5), level("b", 1, 0, 5)], 2);
    assert!(seats.take("a", 1, SOON).await.is_ok());
}
