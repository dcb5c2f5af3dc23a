//! Configuration profiles: payloads around the settings.

use serde_json::{Map, Value};

use super::{Import, value};
use crate::place::Place;
use crate::report::{Finding, Reason};

/// The list of payloads, or within a payload of preferences its domains.
pub(super) const CONTENT: &str = "PayloadContent";
const TYPE: &str = "PayloadType";
/// The product's domain.
const DOMAIN: &str = "com.microsoft.wdav";
/// Payload of preferences of any domain, in the older form.
const PREFERENCES: &str = "com.apple.ManagedClient.preferences";

/// Keys that describe a profile or a payload, and set nothing.
const ENVELOPE: [&str; 16] = [
    "ConsentText",
    "DurationUntilRemoval",
    "PayloadDescription",
    "PayloadDisplayName",
    "PayloadEnabled",
    "PayloadExpirationDate",
    "PayloadIdentifier",
    "PayloadOrganization",
    "PayloadRemovalDisallowed",
    "PayloadScope",
    "PayloadType",
    "PayloadUUID",
    "PayloadVersion",
    "RemovalDate",
    "TargetDeviceType",
    "HasRemovalPasscode",
];

impl Import<'_> {
    /// Takes over what a profile's payloads for the product's domain set.
    pub(super) fn profile(&mut self, root: &Map<String, Value>) {
        self.envelope(root, &Place::Root);
        let place = Place::Key(&Place::Root, CONTENT);
        match root.get(CONTENT) {
            Some(Value::Array(payloads)) => {
                for (index, payload) in payloads.iter().enumerate() {
                    self.payload(payload, &Place::Item(&place, index));
                }
            }
            // Some exports have the one payload without a list.
            Some(payload) => self.payload(payload, &place),
            None => {}
        }
        for (key, value) in root.iter().filter(|(key, _)| *key != CONTENT && !is_envelope(key)) {
            self.find(Finding::new(
                &Place::Key(&Place::Root, key),
                Reason::UnknownKey,
                format!("no key of a profile: {}", value::shown(value)),
            ));
        }
    }

    fn payload(&mut self, payload: &Value, place: &Place<'_>) {
        let Some(payload) = payload.as_object() else {
            let message = format!("{} where a payload is expected", value::shown(payload));
            return self.find(Finding::new(place, Reason::WrongType, message));
        };
        match payload.get(TYPE).and_then(Value::as_str) {
            Some(DOMAIN) => {
                self.envelope(payload, place);
                let settings: Map<_, _> = payload
                    .iter()
                    .filter(|(key, _)| !is_envelope(key))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                self.walk(&settings, place, "");
            }
            Some(PREFERENCES) => self.preferences(payload, place),
            kind => {
                let message = format!("a payload of {}, not of {DOMAIN}", kind.unwrap_or("no type"));
                self.find(Finding::new(place, Reason::OtherPayload, message));
            }
        }
    }

    /// The older form: domain → `Forced` → list → `mcx_preference_settings`.
    fn preferences(&mut self, payload: &Map<String, Value>, place: &Place<'_>) {
        self.envelope(payload, place);
        for (key, value) in payload.iter().filter(|(key, _)| !is_envelope(key)) {
            let place = Place::Key(place, key);
            match value.as_object().filter(|_| key == CONTENT) {
                Some(domains) => self.domains(domains, &place),
                None => self.find(Finding::new(&place, Reason::UnknownKey, "no key of a payload")),
            }
        }
    }

    fn domains(&mut self, domains: &Map<String, Value>, place: &Place<'_>) {
        for (domain, value) in domains {
            let place = Place::Key(place, domain);
            if domain != DOMAIN {
                let message = format!("preferences of {domain}, not of {DOMAIN}");
                self.find(Finding::new(&place, Reason::OtherPayload, message));
                continue;
            }
            let Some(states) = value.as_object() else {
                let message = format!("{} where a dictionary is expected", value::shown(value));
                self.find(Finding::new(&place, Reason::WrongType, message));
                continue;
            };
            for (state, value) in states {
                let place = Place::Key(&place, state);
                match value.as_array().filter(|_| state == "Forced") {
                    Some(forced) => self.forced(forced, &place),
                    None => self.find(Finding::new(&place, Reason::UnknownKey, "only Forced is managed")),
                }
            }
        }
    }

    fn forced(&mut self, forced: &[Value], place: &Place<'_>) {
        const SETTINGS: &str = "mcx_preference_settings";
        for (index, item) in forced.iter().enumerate() {
            let place = Place::Item(place, index);
            let Some(item) = item.as_object() else {
                let message = format!("{} where a dictionary is expected", value::shown(item));
                self.find(Finding::new(&place, Reason::WrongType, message));
                continue;
            };
            for (key, value) in item {
                let place = Place::Key(&place, key);
                match value.as_object().filter(|_| key == SETTINGS) {
                    Some(settings) => self.walk(settings, &place, ""),
                    None => {
                        let message = format!("only {SETTINGS} is read here");
                        self.find(Finding::new(&place, Reason::UnknownKey, message));
                    }
                }
            }
        }
    }

    fn envelope(&mut self, object: &Map<String, Value>, place: &Place<'_>) {
        let keys: Vec<_> = object.keys().map(String::as_str).filter(|key| is_envelope(key)).collect();
        if !keys.is_empty() {
            let message = format!("says nothing about settings: {}", keys.join(", "));
            self.find(Finding::new(place, Reason::ProfileEnvelope, message));
        }
    }
}

fn is_envelope(key: &str) -> bool {
    ENVELOPE.contains(&key)
}
