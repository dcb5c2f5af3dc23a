//! What enroll tells of devices, as rules read it.

use muster_proto::enroll::v1 as enroll;

use crate::domain::rule::Attribute;

/// What is told of a property, by its name; `None` is absent.
pub type Told = (&'static str, Option<Attribute>);

/// What a survey found.
#[must_use]
pub fn surveyed(facts: &enroll::DeviceFacts) -> [Told; 5] {
    let windows = facts.platform() == enroll::Platform::Windows;
    let server = facts.server_os.or_else(|| Some(facts.edition.as_deref()?.starts_with("Server")));
    let os_type = match (facts.platform(), server) {
        (enroll::Platform::Unspecified, _) | (enroll::Platform::Windows, None) => None,
        (enroll::Platform::Windows, Some(true)) => Some("Windows Server"),
        (enroll::Platform::Windows, Some(false)) => Some("Windows"),
        (enroll::Platform::Linux, _) => Some("Linux"),
        (enroll::Platform::Macos, _) => Some("macOS"),
    };
    let build = facts.os_build.as_deref().filter(|build| windows && !build.is_empty());
    let version = build.unwrap_or(&facts.os_version);
    let collected = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    [
        ("displayName", text(collected(&facts.hostname))),
        ("deviceOSType", text(os_type.map(str::to_owned))),
        ("deviceOSVersion", text(collected(version))),
        ("deviceManufacturer", text(facts.board_vendor.clone())),
        ("deviceModel", text(facts.product_name.clone())),
    ]
}

/// A text that was collected; an empty one is absent.
fn text(collected: Option<String>) -> Option<Attribute> {
    match collected {
        None => Some(Attribute::Unknown),
        Some(text) if text.is_empty() => None,
        Some(text) => Some(Attribute::Text(text.into())),
    }
}

/// Who manages a device.
#[must_use]
pub fn managed_by(managed_by: enroll::ManagedBy) -> Option<Attribute> {
    let name = match managed_by {
        enroll::ManagedBy::Muster => "MicrosoftSense",
        enroll::ManagedBy::Mdm => "MDM",
        enroll::ManagedBy::ConfigMgr => "ConfigMgr",
        enroll::ManagedBy::Unspecified | enroll::ManagedBy::Nobody => return None,
    };
    Some(Attribute::Text(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_collected_is_unknown_and_what_is_empty_is_absent() {
        let facts = enroll::DeviceFacts {
            platform: enroll::Platform::Windows.into(),
            hostname: "pc-1".into(),
            os_version: "11".into(),
            os_build: Some("10.0.22631.1".into()),
            board_vendor: Some(String::new()),
            ..Default::default()
        };
        let found = |text: &str| Some(Attribute::Text(text.into()));
        let expected = [
            ("displayName", found("pc-1")),
            ("deviceOSType", Some(Attribute::Unknown)),
            ("deviceOSVersion", found("10.0.22631.1")),
            ("deviceManufacturer", None),
            ("deviceModel", Some(Attribute::Unknown)),
        ];
        assert_eq!(surveyed(&facts), expected);
        let server = enroll::DeviceFacts { edition: Some("ServerDatacenter".into()), ..facts };
        assert_eq!(surveyed(&server)[1].1, found("Windows Server"));
    }
}
