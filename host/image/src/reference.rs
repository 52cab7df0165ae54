//! Image references: the grammar of the OCI distribution specification, with docker's default tag.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, ParseDigestError};

/// Bytes of a name without tag and digest, as docker bounds it.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a tag.
const TAG_BYTES_MAX: usize = 128;
/// The tag of a reference that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

/// What an image is called: `[HOST[:PORT]/]NAME[:TAG][@sha256:...]`. Without tag and digest the tag is `latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    /// Nothing, or too much.
    #[error("an image name must have 1 to {NAME_BYTES_MAX} characters")]
    Length,
    /// Characters or separators that a name may not have.
    #[error("`{0}` is no image name: parts between slashes must be lower-case letters, digits and single separators")]
    Name(String),
    /// A tag that is none.
    #[error(
        "`{0}` is no tag: it must have 1 to {TAG_BYTES_MAX} letters, digits, '_', '.' or '-', and not begin with '.' or '-'"
    )]
    Tag(String),
    /// A digest that is none.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
}

impl Reference {
    /// The name without tag and digest.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that the contents must have, if the reference pins one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The reference as the store files it: name and tag, without the digest.
    pub(crate) fn without_digest(&self) -> Self {
        let tag = Some(self.tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned()));
        Self { name: self.name.clone(), tag, digest: None }
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it belongs to the host's port.
        let after_slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[after_slash..].find(':') {
            Some(colon) => {
                let (name, tag) = rest.split_at(after_slash + colon);
                (name, Some(tag[1..].to_owned()))
            }
            None => (rest, None),
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(ParseReferenceError::Length);
        }
        check_name(name)?;
        if let Some(tag) = &tag {
            check_tag(tag)?;
        }
        let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { name: name.to_owned(), tag, digest })
    }
}

fn check_name(name: &str) -> Result<(), ParseReferenceError> {
    let mut parts = name.split('/').peekable();
    if let Some(first) = parts.next() {
        let more = parts.peek().is_some();
        if !(is_path_part(first) || more && is_host(first)) {
            return Err(ParseReferenceError::Name(name.to_owned()));
        }
    }
    if parts.all(is_path_part) { Ok(()) } else { Err(ParseReferenceError::Name(name.to_owned())) }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_part(part: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(is_alphanumeric) || !bytes.last().is_some_and(is_alphanumeric) {
        return false;
    }
    bytes
        .split(is_alphanumeric)
        .all(|separator| matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&byte| byte == b'-'))
}

/// A domain name or address with a dot, or with a port, or `localhost`: what docker takes for a host.
fn is_host(part: &str) -> bool {
    let (host, port) = part.split_once(':').map_or((part, None), |(host, port)| (host, Some(port)));
    let looks_like_host = host.contains('.') || port.is_some() || host == "localhost";
    let labels = host
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    looks_like_host && labels && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn check_tag(tag: &str) -> Result<(), ParseReferenceError> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(is_word);
    let rest = tag.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-');
    if first && rest && tag.len() <= TAG_BYTES_MAX { Ok(()) } else { Err(ParseReferenceError::Tag(tag.to_owned())) }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
