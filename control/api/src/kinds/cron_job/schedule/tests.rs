use super::*;

fn complaint(text: &str) -> String {
    Schedule::parse(text).unwrap_err().to_string()
}

fn times(text: &str) -> Times {
    match Schedule::parse(text).unwrap() {
        Schedule::Times(times) => *times,
        Schedule::Every(_) => panic!("{text} is no schedule of times"),
    }
}

#[test]
fn fields_are_lists_of_ranges_with_steps() {
    let times = times("*/15 8-10,20 1 jan-MAR mon,5");
    assert_eq!(times.minutes, 1 | 1 << 15 | 1 << 30 | 1 << 45);
    assert_eq!(times.hours, 1 << 8 | 1 << 9 | 1 << 10 | 1 << 20);
    assert_eq!(times.days_of_month, 1 << 1);
    assert_eq!(times.months, 1 << 1 | 1 << 2 | 1 << 3);
    assert_eq!(times.days_of_week, 1 << 1 | 1 << 5);
    assert!(!times.any_day_of_month && !times.any_day_of_week);
}

#[test]
fn words_stand_for_schedules() {
    assert_eq!(Schedule::parse("@daily"), Schedule::parse("0 0 * * *"));
    assert!(times("@weekly").any_day_of_month);
    assert_eq!(Schedule::parse("@every 1h30m").unwrap(), Schedule::Every(5400));
    assert_eq!(Schedule::parse("@every 1.5h").unwrap(), Schedule::Every(5400));
    assert_eq!(Schedule::parse("@every 1ms").unwrap(), Schedule::Every(1));
}

#[test]
fn complaints_are_those_of_the_go_library() {
    assert_eq!(complaint("61 * * * *"), "end of range (61) above maximum (59): 61");
    assert_eq!(complaint("* * 0 * *"), "beginning of range (0) below minimum (1): 0");
    assert_eq!(complaint("5-3 * * * *"), "beginning of range (5) beyond end of range (3): 5-3");
    assert_eq!(complaint("*/0 * * * *"), "step of range should be a positive number: */0");
    assert_eq!(complaint("1-2-3 * * * *"), "too many hyphens: 1-2-3");
    assert_eq!(complaint("1/2/3 * * * *"), "too many slashes: 1/2/3");
    assert_eq!(complaint("* * *"), "expected exactly 5 fields, found 3: [* * *]");
    assert_eq!(complaint("x * * * *"), "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax");
    assert_eq!(complaint("@sometimes"), "unrecognized descriptor: @sometimes");
    assert_eq!(complaint("TZ=Nowhere/At 0 0 * * *"), "provided bad location Nowhere/At: unknown time zone Nowhere/At");
}

#[test]
fn zones_are_those_of_the_database() {
    assert!(is_time_zone("Europe/Zurich") && is_time_zone("UTC") && is_time_zone("Etc/UTC"));
    assert!(!is_time_zone("Europe/Atlantis") && !is_time_zone("europe/zurich"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "([@a-z0-9*/?,. -]{0,20}|\\PC{0,20})") {
        let _ = Schedule::parse(&text);
        let _ = Schedule::parse(&format!("{text} * * * *"));
        let _ = Schedule::parse(&format!("@every {text}"));
    }
}
