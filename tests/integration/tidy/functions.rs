//! Finds functions and their length in formatted Rust: a function ends at the first brace that stands where its first line began.

/// A function that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

pub(super) fn lengths(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(name) = name_of_function(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let rest = &lines[index..];
        // A declaration without a body, or a body on the same line, is as long as it is.
        let ends = |candidate: &&str| {
            **candidate == closing || (candidate.starts_with(indent) && candidate.trim_end().ends_with(';'))
        };
        let length = if line.ends_with('}') || line.ends_with(';') {
            1
        } else {
            match rest.iter().position(|candidate| *candidate == closing) {
                Some(position) => position + 1,
                None => rest.iter().position(ends).map_or(1, |position| position + 1),
            }
        };
        functions.push(Function { name: name.to_owned(), line: index + 1, lines: length });
    }
    functions
}

fn name_of_function(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    for visibility in ["pub(crate) ", "pub(super) ", "pub "] {
        words = words.strip_prefix(visibility).unwrap_or(words);
    }
    if words.starts_with("pub(in ") {
        words = words.split_once(") ")?.1;
    }
    for qualifier in ["const ", "async ", "unsafe ", "extern \"C\" "] {
        words = words.strip_prefix(qualifier).unwrap_or(words);
    }
    let name = words.strip_prefix("fn ")?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (end > 0).then(|| &name[..end])
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let text = "impl A {\n    pub(crate) async fn one(\n        a: u8,\n    ) {\n        if a {\n        }\n    }\n\n    fn two() {}\n}\nfn three() {\n    four();\n}\n";
    let found: Vec<_> =
        lengths(text).into_iter().map(|function| (function.name, function.line, function.lines)).collect();
    assert_eq!(found, [("one".to_owned(), 2, 6), ("two".to_owned(), 9, 1), ("three".to_owned(), 11, 3)]);
}
