//! How the keys that sign policies stand, in words and for programs.

use muster_errors::Fault;
use muster_pki::local::{PolicyKeyRole, PolicyKeyRotation, RotationStage};
use serde_json::{Value, json};

use super::status::{next_step, stage};
use crate::output::{Data, Format, print_text, table};

/// Prints it.
pub(super) fn print(rotation: &PolicyKeyRotation, format: Format) -> Result<(), Fault> {
    if format != Format::Table {
        return Data::one(value(rotation), &[]).print(format);
    }
    let keys = rotation.keys.iter().map(|key| vec![key.key_id.clone(), role(key.role).to_owned()]);
    print_text(&[table(&["key", "role"], keys), explain(rotation)].join("\n\n"))
}

fn value(rotation: &PolicyKeyRotation) -> Value {
    let keys = rotation.keys.iter().map(|key| {
        let public: String = key.public_key.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"key_id": key.key_id, "role": role(key.role), "ed25519_public_key": public})
    });
    json!({
        "name": rotation.keys.first().map(|key| &key.key_id),
        "stage": stage(rotation.stage),
        "keys": keys.collect::<Vec<_>>(),
        "started_at": rotation.started_at.map(|at| at.to_string()),
        "next_step": next_step(rotation.stage),
        "next_step_at": rotation.next_step_at().map(|at| at.to_string()),
    })
}

const fn role(role: PolicyKeyRole) -> &'static str {
    match role {
        PolicyKeyRole::Signing => "signing",
        PolicyKeyRole::Next => "next",
        PolicyKeyRole::Old => "old",
    }
}

/// What the stage means, and what to do next.
fn explain(rotation: &PolicyKeyRotation) -> String {
    let meaning = match rotation.stage {
        RotationStage::Settled => {
            return "settled: one key signs policies and is believed; `prepare` begins a rotation".to_owned();
        }
        RotationStage::Prepared => "prepared: both keys sign, and devices are told of both",
        RotationStage::Switched => "switched: the new key is the one that signs; the old one signs beside it",
    };
    let step = next_step(rotation.stage);
    match rotation.next_step_at() {
        None => {
            format!(
                "{meaning}\nstart the servers again to have it in force; `{step}` is due 7 days after that"
            )
        }
        Some(at) => format!("{meaning}\nin force since a server started again; `{step}` is due at {at}"),
    }
}

#[cfg(test)]
mod tests {
    use muster_pki::local::RotationStep;
    use muster_pki::{InitOptions, LocalTrust};
    use muster_types::{Clock as _, SystemClock};

    use super::*;

    #[test]
    fn each_stage_says_what_comes_next() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        LocalTrust::init(dir.path(), &InitOptions::local(now)).unwrap();
        for (step, found, next, keys) in [
            (RotationStep::Prepare, "prepared", "switch", 2),
            (RotationStep::Switch, "switched", "retire", 2),
            (RotationStep::Retire, "settled", "prepare", 1),
        ] {
            let rotation = LocalTrust::rotate_policy_key(dir.path(), step, true, now).unwrap();
            let value = value(&rotation);
            assert_eq!((&value["stage"], &value["next_step"]), (&json!(found), &json!(next)));
            assert_eq!(value["keys"].as_array().map(Vec::len), Some(keys));
            assert!(
                explain(&rotation).starts_with(found) && explain(&rotation).contains(next),
                "{rotation:?}"
            );
        }
    }
}
