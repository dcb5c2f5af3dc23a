//! The pages of `docs/enrollment`, from the enrollment codes and the platform rules.

use std::collections::BTreeMap;

use muster_catalog::platforms::{self, Platforms};
use muster_types::EnrollmentCode;
use muster_types::enrollment::{Basis, DEFENDER_CODE_MAX, Severity};

const HEAD: &str = "\
# Enrollment codes

Why a device is managed by this channel, or is not. Each device bears one code: `muster device get DEVICE` shows it with
cause and action, `muster device list` filters by it, and a refused `Onboard` names it in its error's metadata.
`muster error explain` prints the page of a code or of one of Defender's integers.

The first reason in this order counts: an MDM is in charge; Configuration Manager is, and keeps authority; the channel is not
allowed; the entitlement does not qualify; the [platform rules](platforms.md); devices of a cloud defender are left out; the
scope is off for devices of this kind; the tag is missing; no seat is left.

Microsoft Defender for Endpoint shows a bare integer instead (registry `HKLM\\SOFTWARE\\Microsoft\\SenseCM`, value
`EnrollmentStatus`). Every integer from 0 to 44 belongs to one code here. *Documented* integers are listed by Microsoft's
documentation of 2024-06-12; *third-party* ones are readings of scripts and articles, a hint and no promise. A code without
an integer of its own goes under 2 there.

| code | | what led to it | what to do | Defender's integers |
|---|---|---|---|---|
";

const BY_INTEGER: &str = "
## By Defender's integer

| integer | code | known from |
|---|---|---|
";

const MDM: &str = "
## When a full MDM enrollment is refused

Signs that Microsoft's own light channel left on Windows (third-party readings, registry
`HKLM\\SOFTWARE\\Microsoft\\Enrollments`):

| sign | meaning |
|---|---|
| `MmpcEnrollmentFlag` is 2 | the device was once enrolled by the light channel; the flag outlives the record, and a full MDM enrollment fails with 0x80190190 |
| `ExternallyManaged` is 1 | MDM enrollment is refused with 0x80180026 |
| `EnrollmentType` is 14 or missing | a stub enrollment of the light channel alone, which counts as no MDM here |
";

/// Name and text of every page.
pub(crate) fn pages() -> BTreeMap<String, Vec<u8>> {
    let codes = EnrollmentCode::ALL.iter().map(|code| (format!("{code}.md"), page(*code)));
    let others = [
        ("README.md".to_owned(), overview()),
        ("platforms.md".to_owned(), platforms::page(Platforms::builtin())),
    ];
    codes.chain(others).map(|(name, text)| (name, text.into_bytes())).collect()
}

fn page(code: EnrollmentCode) -> String {
    format!(
        "# {code}\n\n{}.\n\n| | |\n|---|---|\n| How good or bad | {} |\n| Microsoft Defender for Endpoint | {} |\n\n\
         ## What led to it\n\n{}\n\n## What to do\n\n{}\n",
        code.title(),
        severity(code.severity()),
        defender(code),
        code.cause(),
        code.action(),
    )
}

fn overview() -> String {
    let mut text = String::from(HEAD);
    for code in EnrollmentCode::ALL {
        let (cause, action) = (code.cause(), code.action());
        let word = word(code.severity());
        let integers = match code.basis() {
            Basis::Own => String::new(),
            Basis::Documented => integers(*code),
            Basis::ThirdParty => format!("{} (third-party)", integers(*code)),
        };
        text.push_str(&format!("| [{code}]({code}.md) | {word} | {cause} | {action} | {integers} |\n"));
    }
    text.push_str(BY_INTEGER);
    for integer in 0..=DEFENDER_CODE_MAX {
        if let Some(code) = EnrollmentCode::of_defender(integer) {
            let from = if code.is_documented() { "documentation" } else { "third parties" };
            text.push_str(&format!("| {integer} | [{code}]({code}.md) | {from} |\n"));
        }
    }
    text.push_str(MDM);
    text
}

fn defender(code: EnrollmentCode) -> String {
    match code.basis() {
        Basis::Documented => format!("{}; documented", integers(code)),
        Basis::ThirdParty => format!("{}; third-party, not documented by Microsoft", integers(code)),
        Basis::Own => format!("no integer of its own; goes under {}", code.shown_defender_code()),
    }
}

fn integers(code: EnrollmentCode) -> String {
    code.defender_codes().iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Success => "success",
        Severity::Warning => "warning",
        Severity::Info => "info",
        Severity::Error => "error",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Success => "success: as it should be",
        Severity::Warning => "warning: works, and wants a look",
        Severity::Info => "info: as an admin or another authority wants it",
        Severity::Error => "error: something must be mended",
    }
}
