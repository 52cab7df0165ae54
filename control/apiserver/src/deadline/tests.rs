use super::*;

const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn the_client_may_shorten_the_time_and_not_lengthen_it() {
    let of = |query: &str| super::of(&Query::parse(query), LONGEST).unwrap();
    for query in ["", "timeout=", "timeout=0", "timeout=0s", "timeout=-1s", "timeout=2h", "timeout=61s"] {
        assert_eq!(of(query), LONGEST, "{query}");
    }
    assert_eq!(of("timeout=1m"), LONGEST);
    assert_eq!(of("timeout=1.5s"), Duration::from_millis(1500));
    assert_eq!(of("timeout=1s20ms"), Duration::from_millis(1020));
}

#[test]
fn what_is_no_duration_is_refused_in_gos_words() {
    for (text, cause) in [
        ("soon", "invalid duration \"soon\""),
        ("5", "missing unit in duration \"5\""),
        ("5days", "unknown unit \"days\" in duration \"5days\""),
        (".s", "invalid duration \".s\""),
    ] {
        let status = of(&Query::parse(&format!("timeout={text}")), LONGEST).unwrap_err();
        let text = format!("invalid timeout specified in the request URL - time: {cause}");
        assert_eq!((status.code, status.message), (400, text));
    }
}
