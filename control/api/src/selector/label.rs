//! Label selectors: `app=web,tier in (a, b),!old`, and the `LabelSelector` object of specs.

use crate::go_text;
use crate::names;
use crate::status::{FieldError, FieldPath};
use serde_json::{Map, Value};
use std::fmt;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are upstream's operators")]
pub enum LabelOperator {
    Equals,
    DoubleEquals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label's key.
    pub key: String,
    /// How it compares.
    pub operator: LabelOperator,
    /// Sorted and unique.
    pub values: Vec<String>,
}

/// A conjunction of requirements; with none it matches everything, unless it is [`LabelSelector::nothing`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<LabelRequirement>,
    nothing: bool,
}

/// Why a text is no label selector; the message is upstream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseLabelSelectorError(String);

impl LabelRequirement {
    fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let label = labels.and_then(|labels| labels.get(&self.key)).and_then(Value::as_str);
        let listed = |value: &str| self.values.iter().any(|known| known == value);
        match self.operator {
            LabelOperator::Equals | LabelOperator::DoubleEquals | LabelOperator::In => label.is_some_and(listed),
            LabelOperator::NotEquals | LabelOperator::NotIn => !label.is_some_and(listed),
            LabelOperator::Exists => label.is_some(),
            LabelOperator::DoesNotExist => label.is_none(),
            LabelOperator::GreaterThan | LabelOperator::LessThan => {
                let number = label.and_then(|text| text.parse::<i64>().ok());
                let bound = self.values.first().and_then(|text| text.parse::<i64>().ok());
                match (number, bound) {
                    (Some(number), Some(bound)) if self.operator == LabelOperator::GreaterThan => number > bound,
                    (Some(number), Some(bound)) => number < bound,
                    _ => false,
                }
            }
        }
    }

    fn validated(
        key: String,
        operator: LabelOperator,
        mut values: Vec<String>,
    ) -> Result<Self, ParseLabelSelectorError> {
        values.sort_unstable();
        values.dedup();
        let mut errors = Vec::new();
        let complaints = names::qualified_name(&key);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid("key", key.as_str(), complaints.join("; ")));
        }
        let path = FieldPath::root("values");
        if matches!(operator, LabelOperator::GreaterThan | LabelOperator::LessThan) {
            for (index, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(FieldError::invalid(path.index(index), value.as_str(), detail));
            }
        }
        for (index, value) in values.iter().enumerate() {
            let complaints = names::label_value(value);
            if !complaints.is_empty() {
                let item = path.index(index);
                errors.push(FieldError::invalid(item.key(&key), value.as_str(), complaints.join("; ")));
            }
        }
        if errors.is_empty() {
            return Ok(Self { key, operator, values });
        }
        Err(ParseLabelSelectorError(go_text::aggregate(errors.iter().map(ToString::to_string))))
    }
}

impl LabelSelector {
    /// Matches no object at all: what an absent `LabelSelector` object means.
    #[must_use]
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Parses a query parameter; the empty text matches everything.
    ///
    /// # Errors
    /// When the text does not follow the grammar, or a key or value is invalid.
    pub fn parse(selector: &str) -> Result<Self, ParseLabelSelectorError> {
        let mut requirements = Parser { tokens: scan(selector), position: 0 }.parse()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`). `null` and nothing match nothing, `{}` all.
    ///
    /// # Errors
    /// When an operator is unknown, or a key or value is invalid.
    pub fn from_object(selector: Option<&Value>) -> Result<Self, ParseLabelSelectorError> {
        let Some(selector) = selector.and_then(Value::as_object) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or("").to_owned();
            requirements.push(LabelRequirement::validated(key.clone(), LabelOperator::Equals, vec![value])?);
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            requirements.push(Self::from_expression(expression)?);
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements, nothing: false })
    }

    fn from_expression(expression: &Value) -> Result<LabelRequirement, ParseLabelSelectorError> {
        let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or("");
        let operator = match text("operator") {
            "In" => LabelOperator::In,
            "NotIn" => LabelOperator::NotIn,
            "Exists" => LabelOperator::Exists,
            "DoesNotExist" => LabelOperator::DoesNotExist,
            other => {
                let message = format!("{} is not a valid label selector operator", go_text::quote(other));
                return Err(ParseLabelSelectorError(message));
            }
        };
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let values: Vec<String> = values.filter_map(Value::as_str).map(str::to_owned).collect();
        let wants_values = matches!(operator, LabelOperator::In | LabelOperator::NotIn);
        if wants_values == values.is_empty() {
            let detail = if wants_values {
                "for 'in', 'notin' operators, values set can't be empty"
            } else {
                "values set must be empty for exists and does not exist"
            };
            let error = FieldError::invalid("values", Value::from(values), detail);
            return Err(ParseLabelSelectorError(error.to_string()));
        }
        LabelRequirement::validated(text("key").to_owned(), operator, values)
    }

    /// True when it matches everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// The requirements, sorted by key.
    #[must_use]
    pub fn requirements(&self) -> &[LabelRequirement] {
        &self.requirements
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl fmt::Display for LabelSelector {
    /// The form that [`LabelSelector::parse`] reads: what a scale's `status.selector` shows.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            let (key, values) = (&requirement.key, requirement.values.join(","));
            match requirement.operator {
                LabelOperator::Equals => write!(formatter, "{key}={values}")?,
                LabelOperator::DoubleEquals => write!(formatter, "{key}=={values}")?,
                LabelOperator::NotEquals => write!(formatter, "{key}!={values}")?,
                LabelOperator::In => write!(formatter, "{key} in ({values})")?,
                LabelOperator::NotIn => write!(formatter, "{key} notin ({values})")?,
                LabelOperator::Exists => write!(formatter, "{key}")?,
                LabelOperator::DoesNotExist => write!(formatter, "!{key}")?,
                LabelOperator::GreaterThan => write!(formatter, "{key}>{values}")?,
                LabelOperator::LessThan => write!(formatter, "{key}<{values}")?,
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    Identifier,
    /// `in` or `notin`: an operator, or a value, by its place.
    Word(LabelOperator),
    Operator(LabelOperator),
    Not,
    Open,
    Close,
    Comma,
    End,
    Bad,
}

#[derive(Clone, Debug)]
struct Token {
    kind: TokenKind,
    text: String,
}

fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn symbol(text: &str) -> Option<TokenKind> {
    Some(match text {
        ")" => TokenKind::Close,
        "(" => TokenKind::Open,
        "," => TokenKind::Comma,
        "!" => TokenKind::Not,
        "==" => TokenKind::Operator(LabelOperator::DoubleEquals),
        "=" => TokenKind::Operator(LabelOperator::Equals),
        ">" => TokenKind::Operator(LabelOperator::GreaterThan),
        "<" => TokenKind::Operator(LabelOperator::LessThan),
        "!=" => TokenKind::Operator(LabelOperator::NotEquals),
        _ => return None,
    })
}

/// The text as tokens, ended by `End`. A zero byte ends the text, as upstream's scanner has it.
fn scan(text: &str) -> Vec<Token> {
    let bytes = text.split('\0').next().unwrap_or("").as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        if is_space(bytes[at]) {
            at += 1;
            continue;
        }
        if is_symbol(bytes[at]) {
            let run = bytes[at..].iter().take_while(|byte| is_symbol(**byte)).count();
            let length = if run >= 2 && symbol(&text[start..start + 2]).is_some() { 2 } else { 1 };
            at = start + length;
            let kind = symbol(&text[start..at]).unwrap_or(TokenKind::Bad);
            tokens.push(Token { kind, text: text[start..at].to_owned() });
            continue;
        }
        at += bytes[at..].iter().take_while(|byte| !is_symbol(**byte) && !is_space(**byte)).count();
        let kind = match &text[start..at] {
            "in" => TokenKind::Word(LabelOperator::In),
            "notin" => TokenKind::Word(LabelOperator::NotIn),
            _ => TokenKind::Identifier,
        };
        tokens.push(Token { kind, text: text[start..at].to_owned() });
    }
    tokens.push(Token { kind: TokenKind::End, text: String::new() });
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

fn error<T>(message: String) -> Result<T, ParseLabelSelectorError> {
    Err(ParseLabelSelectorError(message))
}

impl Parser {
    /// The token in front, as a value: `in` and `notin` are plain words there.
    fn peek(&self) -> TokenKind {
        match self.tokens.get(self.position).map(|token| token.kind) {
            Some(TokenKind::Word(_)) => TokenKind::Identifier,
            Some(kind) => kind,
            None => TokenKind::End,
        }
    }

    fn peek_text(&self) -> &str {
        self.tokens.get(self.position).map_or("", |token| token.text.as_str())
    }

    fn take(&mut self) -> Token {
        let end = Token { kind: TokenKind::End, text: String::new() };
        let token = self.tokens.get(self.position).cloned().unwrap_or(end);
        self.position += 1;
        token
    }

    fn take_value(&mut self) -> Token {
        let kind = self.peek();
        Token { kind, ..self.take() }
    }

    fn parse(&mut self) -> Result<Vec<LabelRequirement>, ParseLabelSelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                TokenKind::Identifier | TokenKind::Not => {
                    let requirement = self
                        .requirement()
                        .map_err(|source| ParseLabelSelectorError(format!("unable to parse requirement: {source}")))?;
                    requirements.push(requirement);
                    let token = self.take_value();
                    match token.kind {
                        TokenKind::End => return Ok(requirements),
                        TokenKind::Comma if matches!(self.peek(), TokenKind::Identifier | TokenKind::Not) => {}
                        TokenKind::Comma => {
                            return error(format!("found '{}', expected: identifier after ','", self.peek_text()));
                        }
                        _ => return error(format!("found '{}', expected: ',' or 'end of string'", token.text)),
                    }
                }
                TokenKind::End => return Ok(requirements),
                _ => {
                    return error(format!("found '{}', expected: !, identifier, or 'end of string'", self.peek_text()));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<LabelRequirement, ParseLabelSelectorError> {
        let mut token = self.take_value();
        let absent = token.kind == TokenKind::Not;
        if absent {
            token = self.take_value();
        }
        if token.kind != TokenKind::Identifier {
            return error(format!("found '{}', expected: identifier", token.text));
        }
        let complaints = names::qualified_name(&token.text);
        if !complaints.is_empty() {
            return error(FieldError::invalid("<nil>", token.text, complaints.join("; ")).to_string());
        }
        if absent {
            return LabelRequirement::validated(token.text, LabelOperator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek(), TokenKind::End | TokenKind::Comma) {
            return LabelRequirement::validated(token.text, LabelOperator::Exists, Vec::new());
        }
        let operator = self.take();
        let (TokenKind::Operator(operator) | TokenKind::Word(operator)) = operator.kind else {
            return error(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", operator.text));
        };
        let values = match operator {
            LabelOperator::In | LabelOperator::NotIn => self.value_list()?,
            _ => vec![self.exact_value()?],
        };
        LabelRequirement::validated(token.text, operator, values)
    }

    fn exact_value(&mut self) -> Result<String, ParseLabelSelectorError> {
        if matches!(self.peek(), TokenKind::End | TokenKind::Comma) {
            return Ok(String::new());
        }
        let token = self.take_value();
        if token.kind == TokenKind::Identifier {
            return Ok(token.text);
        }
        error(format!("found '{}', expected: identifier", token.text))
    }

    /// `(a, b)`: a missing value between commas or parentheses is the empty one.
    fn value_list(&mut self) -> Result<Vec<String>, ParseLabelSelectorError> {
        let open = self.take_value();
        if open.kind != TokenKind::Open {
            return error(format!("found '{}' expected: '('", open.text));
        }
        let mut values = Vec::new();
        match self.peek() {
            TokenKind::Identifier | TokenKind::Comma => {}
            TokenKind::Close => {
                self.take();
                return Ok(vec![String::new()]);
            }
            _ => return error(format!("found '{}', expected: ',', ')' or identifier", self.peek_text())),
        }
        loop {
            let token = self.take_value();
            match token.kind {
                TokenKind::Identifier => {
                    values.push(token.text);
                    match self.peek() {
                        TokenKind::Comma => {}
                        TokenKind::Close => break,
                        _ => return error(format!("found '{}', expected: ',' or ')'", self.peek_text())),
                    }
                }
                TokenKind::Comma => {
                    if values.is_empty() {
                        values.push(String::new());
                    }
                    if self.peek() == TokenKind::Close {
                        values.push(String::new());
                        break;
                    }
                    if self.peek() == TokenKind::Comma {
                        self.take();
                        values.push(String::new());
                    }
                }
                _ => return error(format!("found '{}', expected: ',', or identifier", token.text)),
            }
        }
        self.take();
        Ok(values)
    }
}
