//! Events of a tenant's settings ↔ their payloads.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::required;
use muster_proto::enroll::v1 as pb;
use muster_types::Aggregate;

use super::scope::scope_over;
use super::{decoded, encoded, kind, text};
use crate::domain::scope::Scope;
use crate::domain::tenant_settings::{Event, TenantSettings};

impl State for TenantSettings {
    const AGGREGATE: Aggregate = Aggregate::TenantSettings;
    type Event = Event;

    fn evolve(&mut self, event: &Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Event) -> (EventType, Vec<u8>) {
        let Event::ScopeChanged { scope, at: _ } = event;
        let enforcement_scope = Some(scope.into());
        encoded(kind::SCOPE_CHANGED, &pb::EnforcementScopeChanged { enforcement_scope })
    }

    fn decode(envelope: &Envelope) -> Result<Option<Event>, String> {
        if envelope.kind.as_str() != kind::SCOPE_CHANGED {
            return Ok(None);
        }
        let pb::EnforcementScopeChanged { enforcement_scope } = decoded(&envelope.payload)?;
        let scope = required(enforcement_scope, "enforcement_scope").map_err(text)?;
        let scope = scope_over(&Scope::default(), scope).map_err(text)?;
        Ok(Some(Event::ScopeChanged { scope, at: envelope.context.time }))
    }
}

#[cfg(test)]
mod tests {
    use muster_testkit::wire::{AT, round_trips, samples_decode};

    use super::*;
    use crate::domain::scope::{Entitlement, EntitlementKind, RulesAsOf, ScopeMode};
    use crate::wire::tests::GOLDEN;

    fn events() -> Vec<Event> {
        let scope = Scope {
            windows_client: ScopeMode::Off,
            windows_server: ScopeMode::Tagged,
            domain_controllers: ScopeMode::Tagged,
            linux: ScopeMode::All,
            macos: ScopeMode::Off,
            tag: "managed".into(),
            trust_device_tags: true,
            allow_channel: false,
            config_mgr_authority: false,
            include_cloud_defender: false,
            entitlement: Entitlement { kind: EntitlementKind::ServersOnly, seats: Some(12) },
            rules_as_of: RulesAsOf::September2023,
            legacy_labels: true,
        };
        vec![Event::ScopeChanged { scope, at: AT }]
    }

    #[test]
    fn events_round_trip() {
        round_trips::<TenantSettings>(events());
        round_trips::<TenantSettings>(vec![Event::ScopeChanged { scope: Scope::default(), at: AT }]);
    }

    #[test]
    fn every_form_that_ever_shipped_decodes() {
        samples_decode::<TenantSettings>(GOLDEN, events());
    }
}
