//! Explanations of memberships as messages.

use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_types::{GroupId, ResourceName, TenantId};

use crate::domain::rule::{Attribute, Explained, Truth};
use crate::projection::histories::{Definition, Step};
use crate::projection::membership::alone::{Brought, Fact, Said};
use crate::queries::explain::Membership;

/// Why a device is or is not in a group.
pub(super) fn membership(
    tenant: TenantId,
    group: GroupId,
    explained: Membership,
) -> pb::MembershipExplanation {
    let Membership { display_name, member, changed, defined, said, positions } = explained;
    let Definition { step: defined, rule } = defined;
    let verdict_of = |said: &Said| verdict(said.verdict).into();
    let mut explanation = pb::MembershipExplanation {
        group: ResourceName::Group(tenant, group).to_string(),
        display_name,
        member,
        changed: changed.map(step),
        rule: rule.map(Into::into).unwrap_or_default(),
        defined: Some(step(defined)),
        verdict: said.as_ref().map(verdict_of).unwrap_or_default(),
        parts: vec![],
        facts: vec![],
        position: positions.to_string(),
    };
    if let Some(Said { verdict: _, parts, facts }) = said {
        explanation.parts = parts.into_iter().map(part).collect();
        explanation.facts = facts.into_iter().map(fact).collect();
    }
    explanation
}

fn step(step: Step) -> pb::MembershipStep {
    let Step { position, time, actor } = step;
    pb::MembershipStep { position, time: Some(timestamp(time)), actor: actor.to_string() }
}

const fn verdict(truth: Truth) -> pb::RuleVerdict {
    match truth {
        Truth::True => pb::RuleVerdict::In,
        Truth::False => pb::RuleVerdict::Out,
        Truth::Unknown => pb::RuleVerdict::Unknown,
    }
}

fn part(part: Explained) -> pb::ExplainedPart {
    let Explained { expression, offset: _, length: _, property, depth, result } = part;
    pb::ExplainedPart {
        text: expression,
        verdict: verdict(result).into(),
        depth: u32::try_from(depth).unwrap_or(u32::MAX),
        property: property.map(|property| property.to_string()).unwrap_or_default(),
    }
}

fn fact(fact: Fact) -> pb::ExplainedFact {
    let Fact { property, has, brought } = fact;
    let unknown = has == Some(Attribute::Unknown);
    let value = match has {
        None | Some(Attribute::Unknown) => String::new(),
        Some(Attribute::Bool(value)) => value.to_string(),
        Some(Attribute::Text(text)) => text.into(),
        Some(Attribute::Collection(items)) => items.join(", "),
    };
    let message = pb::ExplainedFact { property: property.to_string(), value, unknown, ..Default::default() };
    let Some(Brought { service, position, time }) = brought else { return message };
    pb::ExplainedFact { service: service.to_string(), position, time: Some(timestamp(time)), ..message }
}
