use super::Reference;

#[test]
fn a_reference_is_read_and_printed() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for (text, printed) in [
        ("hello", "hello:latest"),
        ("hello:1", "hello:1"),
        ("team/hello_world:v1.2-x", "team/hello_world:v1.2-x"),
        ("registry.example:5000/a/b", "registry.example:5000/a/b:latest"),
        ("localhost/a:b", "localhost/a:b"),
        (&format!("hello@{digest}"), &format!("hello@{digest}")),
        (&format!("hello:1@{digest}"), &format!("hello:1@{digest}")),
    ] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), *printed);
    }
}

#[test]
fn what_is_no_reference_is_refused() {
    let long = "a".repeat(256);
    for text in [
        "",
        ":1",
        "Hello",
        "hello:",
        "hello:.x",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a..b",
        "a b",
        "hello@sha256:1",
        "HOST/a",
        &long,
        "../a",
        "a/../b",
        "file:///x.wasm",
    ] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}
