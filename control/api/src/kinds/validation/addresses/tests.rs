use super::*;

#[test]
fn strangely_written_addresses_are_warned_of() {
    let path = FieldPath::root("f");
    let standard = |text: &str, shown: &str| {
        format!(
            "f: non-standard IP address \"{text}\" will be considered invalid in a future Kubernetes release: use \"{shown}\""
        )
    };
    for fine in ["10.0.0.1", "2001:db8::1", "no address"] {
        assert_eq!(ip_warning(&path, fine), None, "{fine}");
    }
    assert_eq!(ip_warning(&path, "010.0.0.1"), Some(standard("010.0.0.1", "10.0.0.1")));
    assert_eq!(ip_warning(&path, "::ffff:1.2.3.4"), Some(standard("::ffff:1.2.3.4", "1.2.3.4")));
    let long = "f: IPv6 address \"2001:DB8::0001\" should be in RFC 5952 canonical format (\"2001:db8::1\")";
    assert_eq!(ip_warning(&path, "2001:DB8::0001").as_deref(), Some(long));
}

#[test]
fn blocks_that_can_mean_two_things_are_warned_of() {
    let path = FieldPath::root("f");
    assert!(cidr_warnings(&path, "10.0.0.0/8").is_empty());
    assert_eq!(
        cidr_warnings(&path, "10.0.0.1/8"),
        ["f: CIDR value \"10.0.0.1/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)"]
    );
    assert_eq!(
        cidr_warnings(&path, "10.0.0.0/08"),
        [
            "f: non-standard CIDR value \"10.0.0.0/08\" will be considered invalid in a future Kubernetes release: use \"10.0.0.0/8\""
        ]
    );
    assert_eq!(
        cidr_warnings(&path, "2001:DB8::/32"),
        ["f: IPv6 CIDR value \"2001:DB8::/32\" should be in RFC 5952 canonical format (\"2001:db8::/32\")"]
    );
    for text in ["0.0.0.0/0", "::/0"] {
        assert!(cidr_warnings(&path, text).is_empty(), "{text}");
    }
}
