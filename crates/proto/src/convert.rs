//! Conversions between the contract's common messages and the value types.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_types::{SettingId, SettingValue, Timestamp, WithheldReason};

use crate::policy::v1 as pb;

/// A message of the contract that does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Malformed {
    /// Which field, for example `settings[3].value`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Malformed {
    /// A malformed field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same, seen from the message that holds it.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        self.field =
            if self.field.is_empty() { parent.to_owned() } else { format!("{parent}.{}", self.field) };
        self
    }
}

impl From<WithheldReason> for pb::WithheldReason {
    fn from(reason: WithheldReason) -> Self {
        match reason {
            WithheldReason::Conflict => Self::Conflict,
            WithheldReason::Platform => Self::Platform,
            WithheldReason::Channel => Self::Channel,
            WithheldReason::DomainController => Self::DomainController,
            WithheldReason::AgentVersion => Self::AgentVersion,
            WithheldReason::Waived => Self::Waived,
            WithheldReason::TamperProtected => Self::TamperProtected,
            WithheldReason::Rules => Self::Rules,
        }
    }
}

impl TryFrom<pb::WithheldReason> for WithheldReason {
    type Error = Malformed;

    fn try_from(reason: pb::WithheldReason) -> Result<Self, Malformed> {
        Ok(match reason {
            pb::WithheldReason::Unspecified => return Err(Malformed::new("reason", "must be set")),
            pb::WithheldReason::Conflict => Self::Conflict,
            pb::WithheldReason::Platform => Self::Platform,
            pb::WithheldReason::Channel => Self::Channel,
            pb::WithheldReason::DomainController => Self::DomainController,
            pb::WithheldReason::AgentVersion => Self::AgentVersion,
            pb::WithheldReason::Waived => Self::Waived,
            pb::WithheldReason::TamperProtected => Self::TamperProtected,
            pb::WithheldReason::Rules => Self::Rules,
        })
    }
}

impl From<SettingValue> for pb::SettingValue {
    fn from(value: SettingValue) -> Self {
        let kind = match value {
            SettingValue::Boolean(value) => pb::setting_value::Kind::Boolean(value),
            SettingValue::Integer(value) => pb::setting_value::Kind::Integer(value),
            SettingValue::Text(value) => pb::setting_value::Kind::Text(value),
            SettingValue::Strings(values) => pb::setting_value::Kind::Strings(pb::StringList { values }),
            SettingValue::Objects(values) => pb::setting_value::Kind::Objects(pb::ObjectList {
                values: values
                    .into_iter()
                    .map(|object| pb::Object {
                        fields: object
                            .into_iter()
                            .map(|(name, value)| pb::ObjectField { name, value: Some(value.into()) })
                            .collect(),
                    })
                    .collect(),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::SettingValue> for SettingValue {
    type Error = Malformed;

    fn try_from(value: pb::SettingValue) -> Result<Self, Malformed> {
        let pb::SettingValue { kind } = value;
        match kind.ok_or_else(|| Malformed::new("kind", "one kind of value must be set"))? {
            pb::setting_value::Kind::Boolean(value) => Ok(Self::Boolean(value)),
            pb::setting_value::Kind::Integer(value) => Ok(Self::Integer(value)),
            pb::setting_value::Kind::Text(value) => Ok(Self::Text(value)),
            pb::setting_value::Kind::Strings(pb::StringList { values }) => Ok(Self::Strings(values)),
            pb::setting_value::Kind::Objects(pb::ObjectList { values }) => values
                .into_iter()
                .enumerate()
                .map(|(i, object)| fields(object).map_err(|e| e.within(&format!("objects[{i}]"))))
                .collect::<Result<_, _>>()
                .map(Self::Objects),
        }
    }
}

fn fields(object: pb::Object) -> Result<BTreeMap<String, SettingValue>, Malformed> {
    let pb::Object { fields } = object;
    let mut converted = BTreeMap::new();
    for pb::ObjectField { name, value } in fields {
        let value = required(value, &name)?;
        if matches!(value.kind, Some(pb::setting_value::Kind::Objects(_))) {
            return Err(Malformed::new(name, "an object's field cannot hold objects"));
        }
        let value = value.try_into().map_err(|e: Malformed| e.within(&name))?;
        if converted.insert(name.clone(), value).is_some() {
            return Err(Malformed::new(name, "the field stands twice in one object"));
        }
    }
    Ok(converted)
}

impl From<(SettingId, SettingValue)> for pb::Setting {
    fn from((id, value): (SettingId, SettingValue)) -> Self {
        Self { id: id.to_string(), value: Some(value.into()) }
    }
}

impl TryFrom<pb::Setting> for (SettingId, SettingValue) {
    type Error = Malformed;

    fn try_from(setting: pb::Setting) -> Result<Self, Malformed> {
        let pb::Setting { id, value } = setting;
        let id: SettingId = id
            .parse()
            .map_err(|e: muster_types::setting::InvalidSettingId| Malformed::new("id", e.to_string()))?;
        let value = required(value, "value")?.try_into().map_err(|e: Malformed| e.within("value"))?;
        Ok((id, value))
    }
}

/// A message field that must be set.
///
/// # Errors
/// [`Malformed`] when it is not.
pub fn required<T>(value: Option<T>, field: &str) -> Result<T, Malformed> {
    value.ok_or_else(|| Malformed::new(field, "must be set"))
}

/// A moment as the contract writes it.
#[must_use]
pub fn timestamp(moment: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = moment.seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }
}

/// A moment as the contract writes it, in our type.
#[must_use]
pub fn moment(timestamp: prost_types::Timestamp) -> Timestamp {
    Timestamp::from_seconds_and_nanos(timestamp.seconds, timestamp.nanos)
}

/// A length of time as the contract writes it.
#[must_use]
pub fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A length of time as the contract writes it, in our type; a negative one is none.
#[must_use]
pub fn span(duration: prost_types::Duration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        let object = BTreeMap::from([
            ("is_directory".to_owned(), SettingValue::Boolean(true)),
            ("path".to_owned(), SettingValue::Text("/run".into())),
        ]);
        for value in [
            SettingValue::Boolean(true),
            SettingValue::Integer(-3),
            SettingValue::Text("high".into()),
            SettingValue::Strings(vec!["a".into(), String::new()]),
            SettingValue::Objects(vec![object]),
        ] {
            assert_eq!(SettingValue::try_from(pb::SettingValue::from(value.clone())), Ok(value));
        }
    }

    #[test]
    fn a_missing_value_is_named_where_it_is_missing() {
        let object = pb::Object { fields: vec![pb::ObjectField { name: "path".into(), value: None }] };
        let value = pb::SettingValue {
            kind: Some(pb::setting_value::Kind::Objects(pb::ObjectList { values: vec![object] })),
        };
        assert_eq!(SettingValue::try_from(value), Err(Malformed::new("objects[0].path", "must be set")));
    }
}
