//! `kind: Waiver`.

use muster_catalog::Catalogue;
use muster_errors::ErrorCode;
use muster_types::{SettingId, Timestamp};

use super::assignment::NAME_CHARS_MAX;
use super::fields::{Fields, Reader, Text};
use super::group::Named;
use super::node::Node;

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 1_024;

/// An exemption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaiverSpec {
    /// The policy; none means whatever policy carries the setting.
    pub policy: Option<Named>,
    /// The setting; none means all of the policy.
    pub setting: Option<SettingId>,
    /// Who is exempt.
    pub target: Target,
    /// Why.
    pub reason: String,
    /// Who approved it.
    pub approver: String,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// Who is exempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The devices of a group.
    Group(Named),
    /// A device, by id or host name.
    Device(Named),
}

impl WaiverSpec {
    /// Reads `spec`.
    pub(super) fn read(reader: &mut Reader<'_>, spec: Node) -> Option<Self> {
        let allowed = &["policy", "setting", "group", "device", "reason", "approver", "expires"];
        let mut fields = Fields::of(reader, "spec", spec, allowed)?;
        let before = reader.mistake_count();
        let policy = fields.text(reader, "policy").map(|text| Named::of(reader, text));
        let setting = fields.text(reader, "setting").and_then(|text| setting(reader, &text));
        if reader.mistake_count() == before && policy.is_none() && setting.is_none() {
            reader.wrong(fields.at, "a waiver needs a setting, a policy, or both");
        }
        let target = target(reader, &mut fields);
        let reason = fields.need_text(reader, "reason", REASON_CHARS_MAX);
        let approver = fields.need_text(reader, "approver", NAME_CHARS_MAX);
        let expires = fields.need(reader, "expires");
        let expires = expires.and_then(|node| Text::of(reader, "expires", node));
        let expires = expires.and_then(|text| moment(reader, &text));
        let (target, reason, approver, expires) = (target?, reason?.text, approver?.text, expires?);
        (reader.mistake_count() == before).then_some(Self {
            policy,
            setting,
            target,
            reason,
            approver,
            expires,
        })
    }
}

fn setting(reader: &mut Reader<'_>, text: &Text) -> Option<SettingId> {
    match text.text.parse::<SettingId>() {
        Ok(id) if Catalogue::builtin().setting(&id).is_some() => Some(id),
        Ok(id) => {
            let message = format!("{id}: no such setting; `muster catalog settings` lists them");
            reader.mistake(ErrorCode::SettingUnknown, text.at, message);
            None
        }
        Err(error) => {
            reader.mistake(ErrorCode::SettingUnknown, text.at, error.to_string());
            None
        }
    }
}

fn target(reader: &mut Reader<'_>, fields: &mut Fields) -> Option<Target> {
    let at = fields.at;
    match (fields.text(reader, "group"), fields.text(reader, "device")) {
        (Some(group), None) => Some(Target::Group(Named::of(reader, group))),
        (None, Some(device)) => Some(Target::Device(Named::of(reader, device))),
        (Some(_), Some(device)) => {
            reader.wrong(device.at, "a waiver is for a group or for a device, not both");
            None
        }
        (None, None) => {
            reader.wrong(at, "a waiver needs a group or a device");
            None
        }
    }
}

fn moment(reader: &mut Reader<'_>, text: &Text) -> Option<Timestamp> {
    match text.text.parse() {
        Ok(moment) => Some(moment),
        Err(error) => {
            reader.wrong(text.at, format!("expires: {error}"));
            None
        }
    }
}
