use super::*;

fn sizes(chunks: &[&str]) -> Vec<String> {
    let mut sizes = Sizes::default();
    let mut found = Vec::new();
    for chunk in chunks {
        sizes.push(chunk.as_bytes());
        while let Some(size) = sizes.next() {
            found.push(String::from_utf8_lossy(&size).into_owned());
        }
    }
    found
}

#[test]
fn sizes_are_found_however_they_are_cut() {
    let whole = r#"{"Width":80,"Height":24}"#;
    assert_eq!(sizes(&["{\"Width\":80,\"Hei", "ght\":24}\n{\"Width\":80,", "\"Height\":24}\n"]), [whole, whole]);
    assert_eq!(sizes(&["nonsense", "{\"Width\":80,\"Height\":24}"]), [whole]);
    assert_eq!(sizes(&[&"{".repeat(5000), "\"", "{\"Width\":80,\"Height\":24}"]), Vec::<String>::new());
}
