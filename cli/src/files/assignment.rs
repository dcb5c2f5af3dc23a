//! `kind: Assignment`.

use muster_errors::ErrorCode;
use muster_proto::policy::v1::AssignmentIntent;

use super::fields::{Fields, Reader};
use super::group::Named;
use super::node::{Node, Value};

/// Longest assignment filter, in characters.
pub const FILTER_CHARS_MAX: usize = 3_072;
/// Weakest priority.
pub const PRIORITY_MAX: u32 = 1_000;
/// Longest name of anything, in characters.
pub const NAME_CHARS_MAX: usize = 256;

/// What a policy has to do with a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignmentSpec {
    /// The policy.
    pub policy: Named,
    /// The group.
    pub group: Named,
    /// Whether the group is in or out.
    pub intent: AssignmentIntent,
    /// Decides conflicts: the least wins.
    pub priority: Option<u32>,
    /// An assignment filter, without effect on this channel.
    pub filter: String,
}

pub(super) const INTENT: &[(&str, AssignmentIntent)] =
    &[("include", AssignmentIntent::Include), ("exclude", AssignmentIntent::Exclude)];
/// What other products assign to, and this one does not.
const PEOPLE: [&str; 4] = ["user", "users", "allUsers", "userGroup"];

impl AssignmentSpec {
    /// Reads `spec`.
    pub(super) fn read(reader: &mut Reader<'_>, mut spec: Node) -> Option<Self> {
        let refused = refuse_people(reader, &mut spec);
        let mut fields =
            Fields::of(reader, "spec", spec, &["policy", "group", "intent", "priority", "filter"])?;
        let policy = fields.need_text(reader, "policy", NAME_CHARS_MAX);
        // One mistake is enough for one target.
        let group = if refused { None } else { fields.need_text(reader, "group", NAME_CHARS_MAX) };
        let intent = fields.word(reader, "intent", INTENT).unwrap_or(AssignmentIntent::Include);
        let at = fields.at;
        let before = reader.mistake_count();
        let priority = fields.number(reader, "priority", 1..=PRIORITY_MAX);
        if intent == AssignmentIntent::Exclude && priority.is_some() {
            reader.wrong(at, "an exclusion takes no priority: it always wins");
        }
        let filter = fields.text(reader, "filter");
        if let Some(filter) = &filter {
            if filter.text.chars().count() > FILTER_CHARS_MAX {
                reader.wrong(filter.at, format!("filter: more than {FILTER_CHARS_MAX} characters"));
            } else if !filter.text.is_empty() {
                reader.warning(filter.at, "filters are kept, and have no effect on this channel");
            }
        }
        let (policy, group) = (Named::of(reader, policy?), Named::of(reader, group?));
        let filter = filter.map_or_else(String::new, |filter| filter.text);
        (reader.mistake_count() == before).then_some(Self { policy, group, intent, priority, filter })
    }
}

/// Says that people cannot be targets, and takes them out.
fn refuse_people(reader: &mut Reader<'_>, spec: &mut Node) -> bool {
    let Value::Map(map) = &mut spec.value else { return false };
    let before = map.len();
    map.retain(|(key, _)| {
        let person = PEOPLE.contains(&key.text.as_str());
        if person {
            let message =
                "policies are assigned to groups of devices; on this channel users cannot be targets";
            reader.mistake(ErrorCode::TargetUnsupported, key.at, message);
        }
        !person
    });
    map.len() < before
}
