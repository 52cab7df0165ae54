//! Addresses that are valid and yet no good: as somebody's own, or by how they are written.

use std::net::IpAddr;

use crate::go_text::quote;
use crate::kinds::validation::{NO_ADDRESS, NO_BLOCK, parse_cidr, parse_ip};
use crate::status::{FieldError, FieldPath};

/// Addresses that mean this host or every host cannot be another's.
pub(crate) fn not_special(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, text: &str, address: IpAddr) {
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), address.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(address) => (address.segments()[0] & 0xffc0 == 0xfe80, address.segments()[0] & 0xff0f == 0xff02),
    };
    let mut refuse = |wrong: bool, words: &str| {
        if wrong {
            errors.push(FieldError::invalid(path, text, words));
        }
    };
    refuse(address.is_unspecified(), &format!("may not be unspecified ({text})"));
    refuse(address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    refuse(link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    refuse(link_local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

/// An IPv4 address that is written as an IPv6 one stands for itself.
fn plain(address: IpAddr) -> (IpAddr, bool) {
    let plain = address.to_canonical();
    (plain, plain != address)
}

/// What is wrong with an address in a field that takes only the best way of writing it.
pub(crate) fn ip_complaints(text: &str) -> Vec<String> {
    let Some(given) = parse_ip(text) else {
        return vec![NO_ADDRESS.to_owned()];
    };
    let (_, is_mapped) = plain(given);
    let shown = given.to_string();
    let complaint = if given.is_ipv4() && shown != text {
        "must not have leading 0s".to_owned()
    } else if is_mapped {
        "must not be an IPv4-mapped IPv6 address".to_owned()
    } else if shown != text {
        format!("must be in canonical form ({})", quote(&shown))
    } else {
        return Vec::new();
    };
    vec![complaint]
}

/// What is wrong with a block in a field that takes only the best way of writing it.
pub(crate) fn cidr_complaints(text: &str) -> Vec<String> {
    let Some((given, bits)) = parse_cidr(text) else {
        return vec![NO_BLOCK.to_owned()];
    };
    let (_, is_mapped) = plain(given);
    let has_leading_zeros = text.split_once('/').is_none_or(|(address, length)| {
        (given.is_ipv4() && address != given.to_string()) || length != bits.to_string()
    });
    let block = format!("{}/{bits}", network(given, bits));
    let complaint = if has_leading_zeros {
        "must not have leading 0s in IP or prefix length".to_owned()
    } else if is_mapped {
        "must not have an IPv4-mapped IPv6 address".to_owned()
    } else if network(given, bits) != given {
        "must not have bits set beyond the prefix length".to_owned()
    } else if block != text {
        format!("must be in canonical form ({})", quote(&block))
    } else {
        return Vec::new();
    };
    vec![complaint]
}

/// The warning about an address that old fields accept although it is written strangely.
pub(crate) fn ip_warning(path: &FieldPath<'_>, text: &str) -> Option<String> {
    let (address, is_mapped) = plain(parse_ip(text)?);
    let shown = address.to_string();
    if is_mapped || (address.is_ipv4() && shown != text) {
        let (text, shown) = (quote(text), quote(&shown));
        return Some(format!(
            "{path}: non-standard IP address {text} will be considered invalid in a future Kubernetes release: use {shown}"
        ));
    }
    (shown != text).then(|| {
        format!("{path}: IPv6 address {} should be in RFC 5952 canonical format ({})", quote(text), quote(&shown))
    })
}

/// The warnings about a block that old fields accept although it is written strangely.
pub(crate) fn cidr_warnings(path: &FieldPath<'_>, text: &str) -> Vec<String> {
    let Some((given, bits)) = parse_cidr(text) else { return Vec::new() };
    let (address, is_mapped) = plain(given);
    let bits = if is_mapped { bits.saturating_sub(96) } else { bits };
    let network = network(address, bits);
    let (block, quoted) = (format!("{network}/{bits}"), quote(text));
    let mut warnings = Vec::new();
    if network != address {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let (block, single) = (quote(&block), quote(&format!("{address}/{width}")));
        warnings
            .push(format!("{path}: CIDR value {quoted} is ambiguous in this context (should be {block} or {single}?)"));
    }
    let as_written = format!("{given}/{bits}");
    if is_mapped || (given.is_ipv4() && as_written != text) {
        warnings.push(format!(
            "{path}: non-standard CIDR value {quoted} will be considered invalid in a future Kubernetes release: use {}",
            quote(&block)
        ));
    }
    if warnings.is_empty() && as_written != text {
        let canonical = quote(&as_written);
        warnings.push(format!("{path}: IPv6 CIDR value {quoted} should be in RFC 5952 canonical format ({canonical})"));
    }
    warnings
}

/// The first address of a block.
fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::from(32_u8.saturating_sub(bits))).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u32::from(128_u8.saturating_sub(bits))).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests;
