//! How devices check in.

use muster_eventlog::command::State;
use muster_eventlog::{Envelope, EventType};
use muster_proto::convert::{duration, span};
use muster_proto::policy::v1 as pb;
use muster_types::Aggregate;

use super::{decoded, encoded, kind, origin};
use crate::domain::check_in_settings::{CheckInSettings, Event, Values};

impl State for CheckInSettings {
    const AGGREGATE: Aggregate = Aggregate::CheckInSettings;
    type Event = Event;

    fn evolve(&mut self, event: &Self::Event) {
        Self::evolve(self, event);
    }

    fn encode(event: &Self::Event) -> (EventType, Vec<u8>) {
        let Event::Changed { values, origin } = event;
        let changed = pb::CheckInSettingsChanged {
            check_in_settings: Some(to_check_in_values(values)),
            reason: origin.reason.clone(),
        };
        encoded(kind::CHECK_IN_SETTINGS_CHANGED, &changed)
    }

    fn decode(envelope: &Envelope) -> Result<Option<Self::Event>, String> {
        if envelope.kind.as_str() != kind::CHECK_IN_SETTINGS_CHANGED {
            return Ok(None);
        }
        let pb::CheckInSettingsChanged { check_in_settings, reason } = decoded(envelope)?;
        let values = from_check_in_values(&check_in_settings.ok_or("settings are missing")?);
        Ok(Some(Event::Changed { values, origin: origin(envelope, reason) }))
    }
}

/// All values as the contract writes them; name, etag and time are left to the caller.
#[must_use]
pub fn to_check_in_values(values: &Values) -> pb::CheckInSettings {
    let Values {
        interval,
        watched_interval,
        first_count,
        first_interval,
        second_count,
        second_interval,
        hints_per_second,
        policy_life,
    } = *values;
    pb::CheckInSettings {
        name: String::new(),
        interval: Some(duration(interval)),
        watched_interval: Some(duration(watched_interval)),
        first_count: Some(first_count),
        first_interval: Some(duration(first_interval)),
        second_count: Some(second_count),
        second_interval: Some(duration(second_interval)),
        hints_per_second: Some(hints_per_second),
        policy_life: Some(duration(policy_life)),
        etag: String::new(),
        update_time: None,
    }
}

/// Values as given; what is left out is as by default. Whether they are within bounds is the domain's to say.
#[must_use]
pub fn from_check_in_values(given: &pb::CheckInSettings) -> Values {
    let pb::CheckInSettings {
        name: _,
        interval,
        watched_interval,
        first_count,
        first_interval,
        second_count,
        second_interval,
        hints_per_second,
        policy_life,
        etag: _,
        update_time: _,
    } = given;
    let default = Values::default();
    Values {
        interval: interval.map_or(default.interval, span),
        watched_interval: watched_interval.map_or(default.watched_interval, span),
        first_count: first_count.unwrap_or(default.first_count),
        first_interval: first_interval.map_or(default.first_interval, span),
        second_count: second_count.unwrap_or(default.second_count),
        second_interval: second_interval.map_or(default.second_interval, span),
        hints_per_second: hints_per_second.unwrap_or(default.hints_per_second),
        policy_life: policy_life.map_or(default.policy_life, span),
    }
}
