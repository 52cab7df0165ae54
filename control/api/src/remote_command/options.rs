//! The query of an exec or attach towards the host.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The most words that a command has.
const WORDS_MAX: usize = 4096;

/// What an exec or attach wants: the words of the command (none for attach) and the streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Program and arguments; empty for attach.
    pub command: Vec<String>,
    /// Whether input is passed to the program.
    pub stdin: bool,
    /// Whether standard output is wanted.
    pub stdout: bool,
    /// Whether standard error is wanted; never together with `tty`.
    pub stderr: bool,
    /// Whether the program gets a terminal, which joins its two outputs into one.
    pub tty: bool,
}

/// Why a query is not that of an exec or attach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseStreamOptionsError {
    /// A word of the command is not UTF-8 when its percent signs are resolved.
    #[error("a word of the command is not UTF-8")]
    NotUtf8,
    /// There are more words than anybody needs.
    #[error("the command has more than {WORDS_MAX} words")]
    TooManyWords,
}

impl StreamOptions {
    /// The query, without `?`; [`parse`](Self::parse) is its inverse.
    #[must_use]
    pub fn to_query(&self) -> String {
        let flags = [("stdin", self.stdin), ("stdout", self.stdout), ("stderr", self.stderr), ("tty", self.tty)];
        let words = self.command.iter().map(|word| format!("command={}", utf8_percent_encode(word, NON_ALPHANUMERIC)));
        let flags = flags.iter().filter(|(_, set)| *set).map(|(name, _)| format!("{name}=true"));
        words.chain(flags).collect::<Vec<_>>().join("&")
    }

    /// Reads a query. A flag is set when it is there and neither `0` nor `false`; other names are passed over.
    ///
    /// # Errors
    /// The command cannot be read.
    pub fn parse(query: &str) -> Result<Self, ParseStreamOptionsError> {
        let mut options = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_set = value != "0" && !value.eq_ignore_ascii_case("false");
            match name {
                "command" => options.command.push(decode(value)?),
                "stdin" => options.stdin = is_set,
                "stdout" => options.stdout = is_set,
                "stderr" => options.stderr = is_set,
                "tty" => options.tty = is_set,
                _ => {}
            }
            if options.command.len() > WORDS_MAX {
                return Err(ParseStreamOptionsError::TooManyWords);
            }
        }
        Ok(options)
    }
}

fn decode(value: &str) -> Result<String, ParseStreamOptionsError> {
    let spaced = value.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8().map_err(|_| ParseStreamOptionsError::NotUtf8)?;
    Ok(text.into_owned())
}
