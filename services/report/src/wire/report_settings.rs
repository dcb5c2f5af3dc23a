//! When devices count as stale or drifting.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{duration, span};
use muster_proto::report::v1 as pb;
use muster_types::Aggregate;

use super::{decoded, encoded, kind, origin};
use crate::domain::report_settings::{Event, ReportSettings, Values};

impl State for ReportSettings {
    const AGGREGATE: Aggregate = Aggregate::ReportSettings;
    type Event = Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let Event::Changed { values, origin } = event;
        let changed = pb::ReportSettingsChanged {
            report_settings: Some(to_report_values(values)),
            reason: origin.reason.clone(),
        };
        encoded(kind::REPORT_SETTINGS_CHANGED, &changed)
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::REPORT_SETTINGS_CHANGED {
            return Ok(None);
        }
        let pb::ReportSettingsChanged { report_settings, reason } = decoded(&envelope.payload)?;
        let values = from_report_values(&report_settings.ok_or("settings are missing")?);
        Ok(Some(Event::Changed { values, origin: origin(envelope, reason) }))
    }
}

/// All values as the contract writes them; name, etag and time are left to the caller.
#[must_use]
pub fn to_report_values(values: &Values) -> pb::ReportSettings {
    let Values { stale_after, drift_after } = *values;
    pb::ReportSettings {
        name: String::new(),
        stale_after: Some(duration(stale_after)),
        drift_after,
        etag: String::new(),
        update_time: None,
    }
}

/// Values as given; what is left out is as by default. Whether they are within bounds is the domain's to say.
#[must_use]
pub fn from_report_values(given: &pb::ReportSettings) -> Values {
    let pb::ReportSettings { name: _, stale_after, drift_after, etag: _, update_time: _ } = given;
    let default = Values::default();
    Values {
        stale_after: stale_after.map_or(default.stale_after, span),
        drift_after: if *drift_after == 0 { default.drift_after } else { *drift_after },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_testkit::wire::{AT, REQUEST, round_trips, samples_decode};
    use muster_types::RequestId;

    use super::*;
    use crate::domain::Origin;

    fn events() -> Vec<Event> {
        let values = Values { stale_after: Duration::from_secs(86_400), drift_after: 5 };
        let origin = Origin {
            actor: "admin:ada".to_owned(),
            reason: "laptops".to_owned(),
            request: RequestId::from_uuid(REQUEST),
            at: AT,
        };
        vec![Event::Changed { values, origin }]
    }

    #[test]
    fn events_round_trip_and_every_form_that_ever_shipped_decodes() {
        round_trips::<ReportSettings>(events());
        samples_decode::<ReportSettings>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"), events());
    }

    #[test]
    fn what_is_left_out_is_as_by_default() {
        assert_eq!(from_report_values(&pb::ReportSettings::default()), Values::default());
        let values = Values { stale_after: Duration::from_secs(7_200), drift_after: 1 };
        assert_eq!(from_report_values(&to_report_values(&values)), values);
    }
}
