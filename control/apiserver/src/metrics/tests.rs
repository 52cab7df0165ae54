use super::*;
use http::Method;

fn subject(method: &Method, path: &str) -> Subject {
    Subject::new(&RequestInfo::new(method, path, ""), &Query::parse(""), false)
}

#[test]
fn requests_are_told_apart_as_upstream_tells_them() {
    let told = |method, path: &str| {
        let subject = subject(&method, path);
        (subject.verb, subject.scope)
    };
    assert_eq!(told(Method::GET, "/api/v1/namespaces/a/pods"), ("LIST", "namespace"));
    assert_eq!(told(Method::GET, "/api/v1/pods"), ("LIST", "cluster"));
    assert_eq!(told(Method::GET, "/api/v1/namespaces/a/pods/x"), ("GET", "resource"));
    assert_eq!(told(Method::POST, "/api/v1/namespaces/a/pods"), ("POST", "resource"));
    assert_eq!(told(Method::DELETE, "/api/v1/namespaces/a/pods"), ("DELETECOLLECTION", "namespace"));
    assert_eq!(told(Method::GET, "/version"), ("GET", ""));
}

#[test]
fn durations_fall_into_their_buckets() {
    let metrics = Metrics::default();
    let pods = subject(&Method::GET, "/api/v1/pods");
    for millis in [5, 6, 70_000] {
        metrics.answered(pods.clone(), 200, Some(Duration::from_millis(millis)));
    }
    let series = metrics.series.lock().unwrap();
    let durations = series.durations[&pods];
    assert_eq!((durations.buckets[0], durations.buckets[1], durations.count), (1, 1, 3));
    assert_eq!(series.answers[&(pods, 200)], 3);
}

#[test]
fn what_is_under_way_is_counted_until_it_ends() {
    let metrics = Arc::new(Metrics::default());
    let info = RequestInfo::new(&Method::GET, "/api/v1/pods", "watch=1");
    let begun = metrics.begin(&info);
    let stream = metrics.stream(subject(&Method::GET, "/api/v1/pods"));
    assert_eq!(metrics.reading.load(Ordering::Relaxed), 1);
    assert_eq!(metrics.series.lock().unwrap().long_running.values().sum::<i64>(), 1);
    drop((begun, stream));
    assert_eq!(metrics.reading.load(Ordering::Relaxed), 0);
    assert_eq!(metrics.series.lock().unwrap().long_running.values().sum::<i64>(), 0);
}
