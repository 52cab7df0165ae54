use super::*;

#[test]
fn a_span_shows_what_matters_at_its_size() {
    for (seconds, want) in [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (130, "2m10s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (731 * 86400, "2y1d"),
        (9 * 365 * 86400, "9y"),
    ] {
        assert_eq!(human(seconds), want, "{seconds}");
    }
}

#[test]
fn a_missing_time_is_unknown() {
    let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
    assert_eq!(since(None, now), "<unknown>");
    assert_eq!(since(Some(&Value::from("2026-01-01T00:00:00Z")), now), "10s");
    assert_eq!(since(Some(&Value::from("nonsense")), now), "<unknown>");
}
