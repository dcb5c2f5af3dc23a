//! Forms of text that an expression cannot tell.

use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

/// A form of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `80` or `80-90`: ports from 0 to 65535, a range ascending.
    PortRange,
    /// `3`, `3:4`, `1:*` or `*`: a type of ICMP from 0 to 255, with a code or all of them.
    IcmpType,
    /// An address of IPv4 or IPv6, with a prefix length or a mask, or an ascending range.
    AddressRange,
    /// A full path from the root, without wildcards.
    PlainUnixPath,
}

impl Format {
    /// Whether a text has the form.
    #[must_use]
    pub fn holds(self, text: &str) -> bool {
        match self {
            Self::PortRange => is_range(text, number::<u16>),
            Self::IcmpType => is_icmp_type(text),
            Self::AddressRange => is_address_range(text),
            Self::PlainUnixPath => text.starts_with('/') && !text.contains(['*', '?']),
        }
    }

    /// What the form is, as a fragment.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::PortRange => "a port from 0 to 65535 or an ascending range such as 8080-8090",
            Self::IcmpType => "an ICMP type from 0 to 255 such as 3, 3:4 with a code, 1:* with any, or *",
            Self::AddressRange => {
                "an IPv4 or IPv6 address such as 10.0.0.1, with prefix length or mask such as 10.0.0.0/8, or an ascending range such as 10.0.0.1-10.0.0.9"
            }
            Self::PlainUnixPath => "a full path from / without wildcards",
        }
    }
}

/// A number written in digits alone: no sign, no blank.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_range<T: PartialOrd>(text: &str, read: impl Fn(&str) -> Option<T>) -> bool {
    match text.split_once('-') {
        None => read(text).is_some(),
        Some((low, high)) => matches!((read(low), read(high)), (Some(low), Some(high)) if low <= high),
    }
}

fn is_icmp_type(text: &str) -> bool {
    let Some((of_type, code)) = text.split_once(':') else {
        return text == "*" || number::<u8>(text).is_some();
    };
    number::<u8>(of_type).is_some() && (code == "*" || number::<u8>(code).is_some())
}

fn is_address_range(text: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    if let Some((base, length)) = text.split_once('/') {
        return match address(base) {
            Some(IpAddr::V4(_)) => number::<u8>(length).is_some_and(|length| length <= 32) || is_mask(length),
            Some(IpAddr::V6(_)) => number::<u8>(length).is_some_and(|length| length <= 128),
            None => false,
        };
    }
    match text.split_once('-') {
        None => address(text).is_some(),
        Some((low, high)) => match (address(low), address(high)) {
            (Some(low), Some(high)) => low.is_ipv4() == high.is_ipv4() && low <= high,
            (None, _) | (_, None) => false,
        },
    }
}

/// Ones, then zeros.
fn is_mask(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok_and(|mask| {
        let bits = mask.to_bits();
        bits.leading_ones() + bits.trailing_zeros() >= u32::BITS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(format: Format, valid: &[&str], invalid: &[&str]) {
        let wrong: Vec<_> = valid.iter().filter(|text| !format.holds(text)).collect();
        assert!(wrong.is_empty(), "refused: {wrong:?}");
        let wrong: Vec<_> = invalid.iter().filter(|text| format.holds(text)).collect();
        assert!(wrong.is_empty(), "passed: {wrong:?}");
    }

    #[test]
    fn ports_stay_in_bounds_and_ascend() {
        let invalid = ["", "-", "65536", "90-80", "80-", "-80", "+80", "80 ", "80,90", "1-2-3", "any"];
        all(Format::PortRange, &["0", "80", "65535", "80-80", "0-65535"], &invalid);
    }

    #[test]
    fn icmp_codes_need_a_type() {
        let invalid = ["", ":", "*:4", "*:*", "256", "3:256", "3:", ":4", "3:4:5", "+3"];
        all(Format::IcmpType, &["3", "3:4", "1:*", "*", "255:255", "0"], &invalid);
    }

    #[test]
    fn addresses_have_their_documented_forms() {
        let valid = [
            "10.0.0.1",
            "10.0.0.0/8",
            "10.0.0.0/255.0.0.0",
            "0.0.0.0/0.0.0.0",
            "10.0.0.1-10.0.0.9",
            "fe80::1",
            "2001:db8::/32",
            "fe80::1-fe80::2",
        ];
        let invalid = [
            "",
            "*",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.0/33",
            "10.0.0.0/255.0.255.0",
            "2001:db8::/129",
            "2001:db8::/255.0.0.0",
            "10.0.0.9-10.0.0.1",
            "10.0.0.1-fe80::1",
            "LocalSubnet",
            "10.0.0.1 ",
        ];
        all(Format::AddressRange, &valid, &invalid);
    }

    #[test]
    fn a_plain_path_is_full_and_literal() {
        all(Format::PlainUnixPath, &["/", "/opt/x y"], &["", "opt", "cat", "/home/*/git", "/var/log?"]);
    }
}
