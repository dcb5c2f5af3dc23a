//! Which fields there are, and what they can be compared with.

use std::cmp::Ordering;

use muster_proto::convert::moment;
use muster_proto::enroll::v1 as pb;
use muster_proto::identity::v1::RegistrationKind;
use muster_types::{EnrollmentCode, Timestamp};

use super::parse::{Comparison, Expr, Operator};
use super::{InvalidFilter, nearest};
use crate::projection::devices::{Devices, Facet};

/// Names of the fields, as they are listed to who names another.
const FIELDS: [&str; 12] = [
    "enrollment_status",
    "enrollment_code",
    "managed_by",
    "device_type",
    "platform",
    "registration_kind",
    "tags",
    "hostname",
    "os_id",
    "os_version",
    "onboard_time",
    "last_seen_time",
];

/// A comparison that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The device has a facet. Indexed.
    Has(Facet),
    /// The device has a tag; any when none is named. Indexed.
    Tag(Option<Box<str>>),
    /// A text of the device.
    Text(Text, Matches),
    /// The order of its version to another.
    Version(Is, Box<str>),
    /// The order of a moment to another, in seconds.
    Time(Time, Is, i64),
}

/// A text of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Host name.
    Hostname,
    /// Distribution or edition id.
    OsId,
    /// Version of the distribution or operating system.
    OsVersion,
}

/// What a text must be like. Small and capital letters of ASCII are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matches {
    /// These parts in this order, the first at the beginning and the last at the end; in lower case.
    Parts(Box<[Box<str>]>),
    /// This part anywhere; in lower case.
    Contains(Box<str>),
    /// In this order to another, in lower case.
    Order(Is, Box<str>),
}

/// A moment of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// First onboarding.
    Onboard,
    /// Last seen.
    LastSeen,
}

/// How one stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// Before it, or equal when so said.
    Before {
        /// Equal counts too.
        or_equal: bool,
    },
    /// After it, or equal when so said.
    After {
        /// Equal counts too.
        or_equal: bool,
    },
    /// Equal.
    Equal,
}

impl Is {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Before { or_equal } => order.is_lt() || (or_equal && order.is_eq()),
            Self::After { or_equal } => order.is_gt() || (or_equal && order.is_eq()),
            Self::Equal => order.is_eq(),
        }
    }
}

impl Test {
    /// Whether all devices for which it holds can be told at once.
    #[must_use]
    pub const fn is_indexed(&self) -> bool {
        matches!(self, Self::Has(_) | Self::Tag(_))
    }

    /// Whether it asks for devices that are gone.
    #[must_use]
    pub const fn asks_for_gone(&self) -> bool {
        let Self::Has(facet) = self else { return false };
        matches!(
            facet,
            Facet::Status(pb::EnrollmentStatus::Deleted)
                | Facet::Code(EnrollmentCode::Deleted | EnrollmentCode::Merged)
        )
    }

    /// Whether it holds for a device.
    #[must_use]
    pub fn holds(&self, devices: &Devices, number: u32) -> bool {
        match self {
            Self::Has(facet) => devices.has(number, *facet),
            Self::Tag(None) => !devices.tags(number).is_empty(),
            Self::Tag(Some(tag)) => devices.tags(number).contains(tag),
            Self::Text(text, matches) => matches.holds(text.of(devices, number)),
            Self::Version(is, other) => is.holds(version_order(devices.system(number).1, other)),
            Self::Time(Time::Onboard, is, at) => {
                is.holds(devices.onboard_time(number).seconds_and_nanos().0.cmp(at))
            }
            Self::Time(Time::LastSeen, is, at) => is.holds(i64::from(devices.last_seen(number)).cmp(at)),
        }
    }
}

impl Text {
    fn of(self, devices: &Devices, number: u32) -> &str {
        match self {
            Self::Hostname => devices.hostname(number),
            Self::OsId => devices.system(number).0,
            Self::OsVersion => devices.system(number).1,
        }
    }
}

impl Matches {
    fn holds(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        match self {
            Self::Parts(parts) => in_order(&text, parts),
            Self::Contains(part) => text.contains(&**part),
            Self::Order(is, other) => is.holds(text.as_str().cmp(other)),
        }
    }
}

fn in_order(text: &str, parts: &[Box<str>]) -> bool {
    let [first, middle @ .., last] = parts else { return parts.iter().all(|part| **part == *text) };
    let Some(mut rest) = text.strip_prefix(&**first) else { return false };
    for part in middle {
        let Some(at) = rest.find(&**part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(&**last)
}

/// Compares versions part by part, numbers as numbers: 9 comes before 12.
#[must_use]
pub(super) fn version_order(a: &str, b: &str) -> Ordering {
    let mut parts = (a.split(['.', '-', '+', '_']), b.split(['.', '-', '+', '_']));
    loop {
        let order = match (parts.0.next(), parts.1.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Makes a comparison of what was written.
pub(super) fn test(text: &str, written: Comparison<'_>) -> Result<Expr<Test>, InvalidFilter> {
    let typed = Typed { text, written };
    match typed.written.field {
        "enrollment_status" => {
            typed.facet("ENROLLMENT_STATUS_", pb::EnrollmentStatus::from_str_name, Facet::Status)
        }
        "managed_by" => typed.facet("MANAGED_BY_", pb::ManagedBy::from_str_name, Facet::ManagedBy),
        "device_type" => typed.facet("DEVICE_TYPE_", pb::DeviceType::from_str_name, Facet::DeviceType),
        "platform" => typed.facet("PLATFORM_", pb::Platform::from_str_name, Facet::Platform),
        "registration_kind" => {
            typed.facet("REGISTRATION_KIND_", RegistrationKind::from_str_name, Facet::Registration)
        }
        "enrollment_code" => typed.facet("", |name| name.parse().ok(), Facet::Code),
        "tags" => typed.tag(),
        "hostname" => typed.text(Text::Hostname),
        "os_id" => typed.text(Text::OsId),
        "os_version" => typed.version(),
        "onboard_time" => typed.time(Time::Onboard),
        "last_seen_time" => typed.time(Time::LastSeen),
        other => {
            let wrong =
                InvalidFilter::new(text, typed.written.at, format!("{other:?} is no field to filter by"));
            Err(match nearest(other, FIELDS.into_iter()) {
                Some(near) => wrong.or_hint(format!("did you mean {near}?")),
                None => wrong.or_hint(format!("one of {}", FIELDS.join(", "))),
            })
        }
    }
}

struct Typed<'a> {
    text: &'a str,
    written: Comparison<'a>,
}

type Tested = Result<Expr<Test>, InvalidFilter>;

impl Typed<'_> {
    /// A field with names for values; the prefix that the contract gives them may be left out.
    fn facet<T: Copy>(
        &self,
        prefix: &str,
        read: impl Fn(&str) -> Option<T>,
        facet: impl Fn(T) -> Facet,
    ) -> Tested {
        let value = self.written.value.as_str();
        let upper = value.to_ascii_uppercase();
        let found = read(&format!("{prefix}{upper}")).or_else(|| read(&upper));
        let Some(found) = found else { return Err(self.no_value(prefix, &upper, read)) };
        let test = Expr::Test(Test::Has(facet(found)));
        match self.written.operator {
            Operator::Equal | Operator::Has => Ok(test),
            Operator::Unequal => Ok(Expr::Not(Box::new(test))),
            Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast => {
                Err(self.no_order("= or !="))
            }
        }
    }

    fn no_value<T>(&self, prefix: &str, upper: &str, read: impl Fn(&str) -> Option<T>) -> InvalidFilter {
        let Comparison { field, value, value_at, .. } = &self.written;
        let wrong = InvalidFilter::new(self.text, *value_at, format!("{value:?} is no value of {field}"));
        let known = || names().filter(|name| read(&format!("{prefix}{name}")).is_some());
        match nearest(upper, known()) {
            Some(near) => wrong.or_hint(format!("did you mean {near}?")),
            None => wrong.or_hint(format!("for example {}", known().take(8).collect::<Vec<_>>().join(", "))),
        }
    }

    fn tag(&self) -> Tested {
        let Comparison { operator, value, quoted, .. } = &self.written;
        match operator {
            Operator::Has if value == "*" && !quoted => Ok(Expr::Test(Test::Tag(None))),
            Operator::Has => Ok(Expr::Test(Test::Tag(Some(value.as_str().into())))),
            Operator::Equal
            | Operator::Unequal
            | Operator::Less
            | Operator::AtMost
            | Operator::Greater
            | Operator::AtLeast => {
                Err(self.no_order(": (tags:\"pilot\"), and NOT before it for the contrary"))
            }
        }
    }

    fn text(&self, text: Text) -> Tested {
        let (value, test) = (self.lower(), |matches| Ok(Expr::Test(Test::Text(text, matches))));
        match self.written.operator {
            Operator::Has => test(Matches::Contains(value)),
            Operator::Equal | Operator::Unequal => {
                let parts = value.split('*').map(Box::from).collect();
                let equal = Expr::Test(Test::Text(text, Matches::Parts(parts)));
                Ok(if self.written.operator == Operator::Equal { equal } else { Expr::Not(Box::new(equal)) })
            }
            operator @ (Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast) => {
                test(Matches::Order(order(operator), value))
            }
        }
    }

    fn version(&self) -> Tested {
        match self.written.operator {
            Operator::Has | Operator::Equal | Operator::Unequal => self.text(Text::OsVersion),
            operator @ (Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast) => {
                Ok(Expr::Test(Test::Version(order(operator), self.written.value.as_str().into())))
            }
        }
    }

    fn time(&self, time: Time) -> Tested {
        let Comparison { value, value_at, operator, .. } = &self.written;
        let Ok(at) = value.parse::<prost_types::Timestamp>() else {
            let wrong = InvalidFilter::new(self.text, *value_at, format!("{value:?} is no time"));
            return Err(wrong.or_hint("write it as in RFC 3339, for example 2026-01-31T12:00:00Z"));
        };
        let test = |is| Expr::Test(Test::Time(time, is, seconds(moment(at))));
        match operator {
            Operator::Has => Err(self.no_order("= != < <= > or >=")),
            Operator::Unequal => Ok(Expr::Not(Box::new(test(Is::Equal)))),
            Operator::Equal | Operator::Less | Operator::AtMost | Operator::Greater | Operator::AtLeast => {
                Ok(test(order(*operator)))
            }
        }
    }

    fn no_order(&self, those: &str) -> InvalidFilter {
        let Comparison { field, operator_at, .. } = &self.written;
        InvalidFilter::new(self.text, *operator_at, format!("{field} cannot be compared so"))
            .or_hint(format!("it takes {those}"))
    }

    fn lower(&self) -> Box<str> {
        self.written.value.to_ascii_lowercase().into()
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.seconds_and_nanos().0
}

const fn order(operator: Operator) -> Is {
    match operator {
        Operator::Less => Is::Before { or_equal: false },
        Operator::AtMost => Is::Before { or_equal: true },
        Operator::Greater => Is::After { or_equal: false },
        Operator::AtLeast => Is::After { or_equal: true },
        Operator::Equal | Operator::Unequal | Operator::Has => Is::Equal,
    }
}

/// Every name that some field has for a value.
fn names() -> impl Iterator<Item = &'static str> {
    const NAMES: [&str; 21] = [
        "PENDING",
        "SUCCEEDED",
        "REFUSED",
        "OFFBOARDING",
        "OFFBOARDED",
        "DELETED",
        "MUSTER",
        "MDM",
        "CONFIG_MGR",
        "NOBODY",
        "WINDOWS",
        "WINDOWS_SERVER",
        "DOMAIN_CONTROLLER",
        "LINUX",
        "MACOS",
        "SYNTHETIC",
        "FULL",
        "UNSPECIFIED",
        "ENROLLED",
        "OS_TOO_OLD",
        "OUT_OF_SCOPE",
    ];
    let codes = EnrollmentCode::ALL.iter().map(|code| code.as_str());
    NAMES.into_iter().chain(codes.filter(|code| !NAMES.contains(code)))
}
