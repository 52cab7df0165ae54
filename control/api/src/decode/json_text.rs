//! A JSON reader that keeps what Go's decoder sees and serde_json forgets: the order of fields, duplicate fields, the
//! text of numbers, and Go's sentence for the first wrong character. It is the first step of every decode.

use crate::go_text;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::fmt;

/// JSON as it was written, borrowed from the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The number's text.
    Number(Cow<'a, str>),
    /// The text, unescaped.
    String(Cow<'a, str>),
    /// Items in order.
    Array(Vec<Node<'a>>),
    /// Fields in order, with duplicates.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// The first character that is wrong, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// The text ends too early.
    UnexpectedEnd,
    /// A character that cannot stand here.
    Character(u8, &'static str),
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEnd => formatter.write_str("unexpected end of JSON input"),
            Self::Character(b'\'', context) => write!(formatter, "invalid character '\\'' {context}"),
            Self::Character(b'"', context) => write!(formatter, "invalid character '\"' {context}"),
            Self::Character(byte, context) => {
                let quoted = go_text::quote(&char::from(*byte).to_string());
                write!(formatter, "invalid character '{}' {context}", &quoted[1..quoted.len() - 1])
            }
        }
    }
}

impl<'a> Node<'a> {
    /// Reads one JSON value that fills the text. Bytes that are no UTF-8 become U+FFFD, as in Go.
    ///
    /// # Errors
    /// When the text is no JSON, or nested deeper than [`super::DEPTH_MAX`].
    pub fn parse(text: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut reader = Reader { text, at: 0 };
        let node = reader.value(super::DEPTH_MAX)?;
        reader.skip_space();
        match reader.peek() {
            None => Ok(node),
            Some(byte) => Err(SyntaxError::Character(byte, "after top-level value")),
        }
    }

    /// A tree that borrows its texts from a value; fields come in the value's order.
    #[must_use]
    pub fn from_value(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(Cow::Owned(number.to_string())),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from_value).collect()),
            Value::Object(map) => Self::Object(
                map.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), Self::from_value(value))).collect(),
            ),
        }
    }

    /// The value as it is; the last of duplicate fields wins. Numbers without a point become integers if they fit.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(text) => number(&text),
            Self::String(text) => Value::String(text.into_owned()),
            Self::Array(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            Self::Object(fields) => {
                let fields = fields.into_iter().map(|(key, value)| (key.into_owned(), value.into_value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// Sentences about the fields that stand twice in one object, each path once, in order.
    #[must_use]
    pub fn duplicates(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.find_duplicates(&mut String::new(), &mut out);
        out
    }

    fn find_duplicates(&self, path: &mut String, out: &mut Vec<String>) {
        let length = path.len();
        match self {
            Self::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    item.find_duplicates(path, out);
                    path.truncate(length);
                }
            }
            Self::Object(fields) => {
                let mut seen = std::collections::HashSet::with_capacity(fields.len());
                for (key, value) in fields {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(key);
                    if !seen.insert(key) && out.len() < super::STRICT_ERRORS_MAX {
                        let message = format!("duplicate field {}", go_text::quote(path));
                        if !out.contains(&message) {
                            out.push(message);
                        }
                    }
                    value.find_duplicates(path, out);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// What Go calls the value in an error.
    #[must_use]
    pub fn go_kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

fn number(text: &str) -> Value {
    if !text.contains('.')
        && let Ok(integer) = text.parse::<i64>()
    {
        return Value::from(integer);
    }
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// The next character that is no space.
    fn next(&mut self) -> Result<u8, SyntaxError> {
        self.skip_space();
        let byte = self.peek().ok_or(SyntaxError::UnexpectedEnd)?;
        self.at += 1;
        Ok(byte)
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, SyntaxError> {
        let byte = self.next()?;
        match byte {
            b'{' | b'[' if depth == 0 => Err(SyntaxError::Character(byte, "exceeded max depth")),
            b'{' => self.object(depth - 1),
            b'[' => self.array(depth - 1),
            b'"' => Ok(Node::String(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(byte),
            b't' => self.literal(b"rue", TRUE).map(|()| Node::Bool(true)),
            b'f' => self.literal(b"alse", FALSE).map(|()| Node::Bool(false)),
            b'n' => self.literal(b"ull", NULL).map(|()| Node::Null),
            _ => Err(SyntaxError::Character(byte, "looking for beginning of value")),
        }
    }

    fn literal(&mut self, rest: &[u8], words: &[&'static str]) -> Result<(), SyntaxError> {
        for (expected, words) in rest.iter().zip(words) {
            match self.peek() {
                None => return Err(SyntaxError::UnexpectedEnd),
                Some(byte) if byte != *expected => return Err(SyntaxError::Character(byte, words)),
                Some(_) => self.at += 1,
            }
        }
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<Node<'a>, SyntaxError> {
        let mut fields = Vec::new();
        let mut byte = self.next()?;
        if byte == b'}' {
            return Ok(Node::Object(fields));
        }
        loop {
            if byte != b'"' {
                return Err(SyntaxError::Character(byte, "looking for beginning of object key string"));
            }
            let key = self.string()?;
            match self.next()? {
                b':' => {}
                byte => return Err(SyntaxError::Character(byte, "after object key")),
            }
            fields.push((key, self.value(depth)?));
            match self.next()? {
                b',' => byte = self.next()?,
                b'}' => return Ok(Node::Object(fields)),
                byte => return Err(SyntaxError::Character(byte, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node<'a>, SyntaxError> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            match self.next()? {
                b',' => {}
                b']' => return Ok(Node::Array(items)),
                byte => return Err(SyntaxError::Character(byte, "after array element")),
            }
        }
    }

    fn number(&mut self, first: u8) -> Result<Node<'a>, SyntaxError> {
        let start = self.at - 1;
        let mut first = first;
        if first == b'-' {
            first = self.digit("in numeric literal")?;
        }
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        // Only ASCII was taken.
        Ok(Node::Number(String::from_utf8_lossy(&self.text[start..self.at])))
    }

    fn digit(&mut self, words: &'static str) -> Result<u8, SyntaxError> {
        match self.peek() {
            Some(byte @ b'0'..=b'9') => {
                self.at += 1;
                Ok(byte)
            }
            Some(byte) => Err(SyntaxError::Character(byte, words)),
            None => Err(SyntaxError::UnexpectedEnd),
        }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }

    /// The rest of a string whose opening quote was taken.
    fn string(&mut self) -> Result<Cow<'a, str>, SyntaxError> {
        let start = self.at;
        loop {
            match self.peek() {
                None => return Err(SyntaxError::UnexpectedEnd),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(String::from_utf8_lossy(&self.text[start..self.at - 1]));
                }
                Some(b'\\') => break,
                Some(byte) if byte < b' ' => return Err(SyntaxError::Character(byte, "in string literal")),
                Some(_) => self.at += 1,
            }
        }
        let mut out = self.text[start..self.at].to_vec();
        loop {
            let byte = self.peek().ok_or(SyntaxError::UnexpectedEnd)?;
            self.at += 1;
            match byte {
                b'"' => return Ok(Cow::Owned(String::from_utf8_lossy(&out).into_owned())),
                b'\\' => self.escape(&mut out)?,
                byte if byte < b' ' => return Err(SyntaxError::Character(byte, "in string literal")),
                byte => out.push(byte),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let byte = self.peek().ok_or(SyntaxError::UnexpectedEnd)?;
        self.at += 1;
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode_escape()?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(SyntaxError::Character(byte, "in string escape code")),
        };
        out.push(plain);
        Ok(())
    }

    /// A `\u` escape, with the second half of a surrogate pair if it follows; a lone half becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, SyntaxError> {
        let first = self.hexadecimal()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hexadecimal()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hexadecimal(&mut self) -> Result<u32, SyntaxError> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or(SyntaxError::UnexpectedEnd)?;
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(SyntaxError::Character(byte, "in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

const TRUE: &[&str] =
    &["in literal true (expecting 'r')", "in literal true (expecting 'u')", "in literal true (expecting 'e')"];
const FALSE: &[&str] = &[
    "in literal false (expecting 'a')",
    "in literal false (expecting 'l')",
    "in literal false (expecting 's')",
    "in literal false (expecting 'e')",
];
const NULL: &[&str] =
    &["in literal null (expecting 'u')", "in literal null (expecting 'l')", "in literal null (expecting 'l')"];
