//! Names of images, by the grammar that Docker and OCI registries share.
//!
//! ```text
//! reference  = [ domain "/" ] path [ ":" tag ] [ "@" digest ]
//! domain     = host name or IPv6 address in brackets, with a dot or a port or "localhost": else it is part of the path
//! path       = component { "/" component }, component = lower-case letters and digits, parted by "." "_" "__" or dashes
//! tag        = 1 to 128 of letters, digits, "_", ".", "-", not starting with "." or "-"
//! ```
//!
//! `hello`, `library/hello` and `docker.io/library/hello:latest` are the same name, as they are to every other tool.

#[cfg(test)]
mod tests;

use crate::Digest;
use std::fmt;
use std::str::FromStr;

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";
/// Longest domain and path together, as registries have it.
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// The name of an image, in full: what was left out has been filled in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseReferenceError {
    #[error("the image name is empty")]
    Empty,
    #[error("`{text}` is not an image name: the name must be in lower case")]
    UpperCase { text: String },
    #[error("`{text}` is not an image name: at most {NAME_BYTES_MAX} characters are allowed before the tag")]
    TooLong { text: String },
    #[error(
        "`{text}` is not an image name: `{part}` must be letters and digits in lower case, parted by `.`, `_`, `__` or `-`"
    )]
    Path { text: String, part: String },
    #[error("`{text}` is not an image name: `{part}` is not a host name with an optional port")]
    Domain { text: String, part: String },
    #[error(
        "`{text}` is not an image name: the tag `{part}` must be 1 to {TAG_BYTES_MAX} letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag { text: String, part: String },
    #[error("`{text}` is not an image name: {source}")]
    Digest { text: String, source: crate::ParseDigestError },
}

impl Reference {
    /// The registry, `docker.io` if none was named.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag: `latest` if neither tag nor digest was named, `None` if only a digest was.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was named. It decides; the tag beside it is a remark.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The name under which an image is kept: with a tag, without a digest.
    pub(crate) fn kept_as(&self) -> Self {
        let tag = self.tag.clone().unwrap_or_else(|| DEFAULT_TAG.to_owned());
        Self { tag: Some(tag), digest: None, ..self.clone() }
    }

    /// With everything spelt out: `docker.io/library/hello:latest`.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.written(&self.domain, "/", &self.path)
    }

    fn written(&self, domain: &str, slash: &str, path: &str) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{domain}{slash}{path}{tag}{digest}")
    }
}

/// The short form that people write: `hello:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.domain != DEFAULT_DOMAIN {
            return formatter.write_str(&self.canonical());
        }
        let path = self.path.strip_prefix(DEFAULT_NAMESPACE).unwrap_or(&self.path);
        formatter.write_str(&self.written("", "", path))
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        if text.is_empty() {
            return Err(ParseReferenceError::Empty);
        }
        let owned = || text.to_owned();
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|source| ParseReferenceError::Digest { text: owned(), source })?;
                (rest, Some(digest))
            }
        };
        // A colon before the last slash belongs to the domain's port.
        let name_end = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_end..].find(':') {
            None => (rest, None),
            Some(colon) => (&rest[..name_end + colon], Some(&rest[name_end + colon + 1..])),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ParseReferenceError::Tag { text: owned(), part: tag.to_owned() });
        }
        let (domain, path) = split_domain(name);
        check_name(text, domain, &path)?;
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// What looks like no host is the first component of the path.
fn split_domain(name: &str) -> (&str, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':', '[']) || first == "localhost" => (first, rest),
        _ => (DEFAULT_DOMAIN, name),
    };
    // Docker's registry has gone by this name too.
    let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
    let needs_namespace = domain == DEFAULT_DOMAIN && !path.contains('/');
    (domain, if needs_namespace { format!("{DEFAULT_NAMESPACE}{path}") } else { path.to_owned() })
}

fn check_name(text: &str, domain: &str, path: &str) -> Result<(), ParseReferenceError> {
    let owned = || text.to_owned();
    if path.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(ParseReferenceError::UpperCase { text: owned() });
    }
    if domain.len() + 1 + path.len() > NAME_BYTES_MAX {
        return Err(ParseReferenceError::TooLong { text: owned() });
    }
    if !is_domain(domain) {
        return Err(ParseReferenceError::Domain { text: owned(), part: domain.to_owned() });
    }
    match path.split('/').find(|component| !is_component(component)) {
        Some(part) => Err(ParseReferenceError::Path { text: owned(), part: part.to_owned() }),
        None => Ok(()),
    }
}

fn is_tag(tag: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=TAG_BYTES_MAX).contains(&tag.len()) && tag.chars().all(allowed) && !tag.starts_with(['.', '-'])
}

/// Runs of letters and digits, with one of the separators between each two.
fn is_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators: Vec<&str> = component.split(is_word).filter(|separator| !separator.is_empty()).collect();
    let is_separator = |s: &&str| matches!(*s, "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    component.starts_with(is_word) && component.ends_with(is_word) && separators.iter().all(is_separator)
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
                return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port))),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
