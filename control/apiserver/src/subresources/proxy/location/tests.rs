use super::*;

#[test]
fn a_redirect_of_the_server_leads_through_the_proxy() {
    let prefix = "/api/v1/namespaces/n/pods/p/proxy";
    let new = |text: &str| rewritten(text, prefix, "localhost:6443", "10.0.0.1:80");
    assert_eq!(new("/login?x=/y"), Some(format!("{prefix}/login?x=/y")));
    assert_eq!(new("http://10.0.0.1:80/a/"), Some(format!("{prefix}/a/")));
    assert_eq!(new("https://localhost:6443/a"), Some(format!("https://localhost:6443{prefix}/a")));
    assert_eq!(new(&format!("{prefix}/a")), Some(format!("{prefix}/a")));
    for elsewhere in ["https://example.com/a", "//example.com/a", "a/b", "?x", ""] {
        assert_eq!(new(elsewhere), None, "{elsewhere}");
    }
}
