use super::*;

#[test]
fn a_warning_is_quoted() {
    let mut answer = text_answer(200, "");
    add_warnings(&mut answer, &["unknown field \"a\"".to_owned(), "unknown field \"a\"".to_owned(), "b\nc".to_owned()]);
    let values: Vec<_> = answer.headers().get_all(WARNING).iter().collect();
    assert_eq!(values.len(), 2);
    assert_eq!(values[0], "299 - \"unknown field \\\"a\\\"\"");
    assert_eq!(values[1], "299 - \"b c\"");
}

#[tokio::test]
async fn only_a_large_answer_is_compressed() {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let small = compress(text_answer(200, "x".repeat(10)), &headers, 100).await;
    assert!(!small.headers().contains_key(CONTENT_ENCODING));
    let large = compress(text_answer(200, "x".repeat(1000)), &headers, 100).await;
    assert_eq!(large.headers()[CONTENT_ENCODING], "gzip");
    let plain = compress(text_answer(200, "x".repeat(1000)), &HeaderMap::new(), 100).await;
    assert!(!plain.headers().contains_key(CONTENT_ENCODING));
}

#[test]
fn a_status_keeps_its_code_and_says_when_to_try_again() {
    let answer = status_answer(&Status::too_many_requests("slow down", 3), Negotiated::JSON);
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()[RETRY_AFTER], "3");
}
