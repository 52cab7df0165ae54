use super::*;
use proptest::prelude::*;

fn check(text: &str, expected: &str) {
    assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn amounts_print_in_canonical_form() {
    for (text, expected) in [
        ("0", "0"),
        ("0m", "0"),
        ("000", "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("100m", "100m"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("512Mi", "512Mi"),
        ("0.5Ki", "512"),
        ("0.5Mi", "512Ki"),
        ("1Ki", "1Ki"),
        ("1000", "1k"),
        ("1000000Ki", "1000000Ki"),
        ("1e3", "1e3"),
        ("1000e3", "1e6"),
        ("12E", "12E"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("+5", "+5"),
        ("1.500", "1.500"),
        ("-1Gi", "-1Gi"),
        ("1.1Ki", "1126400m"),
        ("100000000000000000000", "100E"),
        (".5", "500m"),
        ("5.", "5."),
    ] {
        check(text, expected);
    }
}

#[test]
fn what_is_no_quantity_is_refused_in_upstreams_words() {
    assert_eq!(canonical(""), Err(ParseQuantityError::Format));
    assert_eq!(canonical("1 Gi"), Err(ParseQuantityError::Format));
    assert_eq!(canonical("abc"), Err(ParseQuantityError::Format));
    assert_eq!(canonical("1x"), Err(ParseQuantityError::Format));
    assert_eq!(canonical("1GiB"), Err(ParseQuantityError::Format));
    assert_eq!(canonical("1ki"), Err(ParseQuantityError::Suffix));
    assert_eq!(canonical("1e"), Err(ParseQuantityError::Suffix));
    assert_eq!(canonical(&"9".repeat(40)), Err(ParseQuantityError::Numeric));
}

#[test]
fn values_round_up() {
    let quantity: Quantity = "1.1m".parse().unwrap();
    assert_eq!((quantity.milli_value(), quantity.value()), (2, 1));
    let quantity: Quantity = "64Mi".parse().unwrap();
    assert_eq!(quantity.value(), 64 << 20);
    assert_eq!("1e50".parse::<Quantity>().unwrap().value(), i64::MAX);
}

#[test]
fn sums_keep_the_format_of_the_first() {
    let sum = "1Gi".parse::<Quantity>().unwrap().add(&"1k".parse().unwrap());
    assert_eq!(sum.to_string(), "1073742824");
    assert_eq!(Quantity::ZERO.add(&"2Mi".parse().unwrap()).to_string(), "2Mi");
    assert_eq!("1".parse::<Quantity>().unwrap().sub(&"250m".parse().unwrap()).to_string(), "750m");
    assert!("1Ki".parse::<Quantity>().unwrap() > "1k".parse().unwrap());
    assert_eq!("1000m".parse::<Quantity>(), "1".parse::<Quantity>());
}

proptest! {
    #[test]
    fn printing_and_reading_give_the_same_amount(
        whole in 0_u64..1_000_000_000_000, fraction in proptest::option::of(0_u32..1000), suffix in "(|n|u|m|k|M|G|Ki|Mi|Gi|Ti|e3|e-3|E2)", negative: bool
    ) {
        let fraction = fraction.map(|f| format!(".{f:03}")).unwrap_or_default();
        let text = format!("{}{whole}{fraction}{suffix}", if negative { "-" } else { "" });
        let quantity: Quantity = text.parse().unwrap();
        let printed = quantity.to_string();
        let again: Quantity = printed.parse().unwrap();
        prop_assert_eq!(quantity, again, "{} -> {}", text, printed);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+.0-9eEinumkKMGTP]{0,24}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            let _ = (quantity.to_string(), quantity.value(), quantity.milli_value(), quantity.add(&quantity));
        }
        let _ = canonical(&text);
    }
}
