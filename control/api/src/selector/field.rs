//! Field selectors: `metadata.name=x,spec.nodeName!=y`. Which fields a kind knows is the kind's business.

use std::fmt;

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's label, for example `metadata.name`.
    pub field: String,
    /// The value, unescaped.
    pub value: String,
    /// False for `!=`.
    pub equal: bool,
}

/// A conjunction of terms; with none it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    /// Every term, sorted by its text as upstream does.
    pub requirements: Vec<FieldRequirement>,
}

/// Why a text is no field selector; the messages are upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFieldSelectorError {
    /// A term without operator.
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term {
        /// The whole selector.
        selector: String,
        /// The term.
        term: String,
    },
    /// A backslash before something else than `\`, `,` and `=`.
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// A bare `,` or `=` in a value.
    #[error("invalid field selector: unescaped character in value: {0}")]
    Unescaped(u32),
}

impl FieldSelector {
    /// Parses a query parameter; the empty text matches everything.
    ///
    /// # Errors
    /// When a term has no operator or a value is badly escaped.
    pub fn parse(selector: &str) -> Result<Self, ParseFieldSelectorError> {
        let mut terms = split_terms(selector);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let (field, equal, value) = split_term(term).ok_or_else(|| ParseFieldSelectorError::Term {
                selector: selector.to_owned(),
                term: term.to_owned(),
            })?;
            requirements.push(FieldRequirement { field: field.to_owned(), value: unescape(value)?, equal });
        }
        Ok(Self { requirements })
    }

    /// True when it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Asks `value_of` for every field named; a field that is not there counts as empty.
    pub fn matches<'a>(&self, mut value_of: impl FnMut(&str) -> Option<std::borrow::Cow<'a, str>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = value_of(&requirement.field);
            (value.as_deref().unwrap_or("") == requirement.value) == requirement.equal
        })
    }

    /// The value that `field` must equal, if a term says so: lets a list become a get.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            let value = term.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(formatter, "{comma}{}{operator}{value}", term.field)?;
        }
        Ok(())
    }
}

/// Cuts at commas that are not escaped.
fn split_terms(selector: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, byte) in selector.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&selector[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.char_indices().map(|(index, _)| index).find(|index| {
        let rest = &term[*index..];
        rest.starts_with("!=") || rest.starts_with('=')
    })?;
    let (field, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, false, value));
    }
    Some((field, true, rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?))
}

fn unescape(value: &str) -> Result<String, ParseFieldSelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(next) => return Err(ParseFieldSelectorError::Escape(format!("\\{next}"))),
                None => return Err(ParseFieldSelectorError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(ParseFieldSelectorError::Unescaped(character as u32)),
            _ => out.push(character),
        }
    }
    Ok(out)
}
