//! What the name of an object may be; it depends on the kind.

use crate::kinds::validation::addresses;
use crate::names;

/// The rule that a kind's `metadata.name` and `metadata.generateName` follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// Lower case letters, digits, '-' and '.', at most 253 bytes: most kinds.
    Subdomain,
    /// Lower case letters, digits and '-', at most 63 bytes: namespaces.
    Label,
    /// As `Label` and starting with a letter: services.
    Label1035,
    /// Anything that can stand in a URL path: roles and their bindings.
    PathSegment,
    /// An IP address as it is best written: IPAddresses.
    Address,
}

impl NameRule {
    /// What is wrong with `name`; empty if nothing is. `prefix` is for `generateName`, which may end in '-'.
    #[must_use]
    pub fn complaints(self, name: &str, prefix: bool) -> Vec<String> {
        let masked;
        let name =
            if prefix && !matches!(self, Self::PathSegment | Self::Address) && name.len() > 1 && name.ends_with('-') {
                // What will be appended ends in a letter or digit, so that is how the prefix is judged.
                masked = format!("{}a", &name[..name.len() - 1]);
                &masked
            } else {
                name
            };
        match self {
            Self::Subdomain => names::dns_subdomain(name),
            Self::Label => names::dns_label(name),
            Self::Label1035 => names::dns_1035_label(name),
            Self::PathSegment => path_segment(name, prefix),
            Self::Address => addresses::ip_complaints(name),
        }
    }
}

fn path_segment(name: &str, prefix: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    if !prefix && (name == "." || name == "..") {
        complaints.push(format!("may not be '{name}'"));
        return complaints;
    }
    for forbidden in ["/", "%"] {
        if name.contains(forbidden) {
            complaints.push(format!("may not contain '{forbidden}'"));
        }
    }
    complaints
}
