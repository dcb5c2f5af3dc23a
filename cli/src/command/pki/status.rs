//! How a rotation stands, in words and for programs.

use muster_errors::Fault;
use muster_pki::local::{AuthorityRole, RotationStage, RotationStatus};
use serde_json::{Value, json};

use crate::output::{Data, Format, print_text, table};

/// Prints it.
pub(super) fn print(status: &RotationStatus, format: Format) -> Result<(), Fault> {
    if format != Format::Table {
        return Data::one(value(status), &[]).print(format);
    }
    let authorities = status.authorities.iter().map(|authority| {
        vec![
            authority.fingerprint[..16].to_owned(),
            role(authority.role).to_owned(),
            authority.not_after.to_string(),
        ]
    });
    let services = status.services.iter().map(|service| {
        let by =
            if service.by_issuing { "issuing authority" } else { "old authority, renewed at the next start" };
        vec![service.service.to_string(), by.to_owned(), service.not_after.to_string()]
    });
    let parts = [
        table(&["authority", "role", "ends"], authorities),
        table(&["service", "certificate by", "ends"], services),
        explain(status),
    ];
    print_text(&parts.join("\n\n"))
}

fn value(status: &RotationStatus) -> Value {
    let authorities = status.authorities.iter().map(|authority| {
        json!({
            "fingerprint": authority.fingerprint,
            "role": role(authority.role),
            "not_after": authority.not_after.to_string(),
        })
    });
    let services = status.services.iter().map(|service| {
        json!({
            "service": service.service.to_string(),
            "by_issuing_authority": service.by_issuing,
            "not_after": service.not_after.to_string(),
        })
    });
    json!({
        "name": status.trust_domain.to_string(),
        "trust_domain": status.trust_domain.to_string(),
        "stage": stage(status.stage),
        "sequence": status.sequence,
        "authorities": authorities.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
        "started_at": status.started_at.map(|at| at.to_string()),
        "next_step": next_step(status.stage),
        "next_step_at": status.next_step_at().map(|at| at.to_string()),
    })
}

const fn role(role: AuthorityRole) -> &'static str {
    match role {
        AuthorityRole::Issuing => "issuing",
        AuthorityRole::Next => "next",
        AuthorityRole::Old => "old",
    }
}

pub(super) const fn stage(stage: RotationStage) -> &'static str {
    match stage {
        RotationStage::Settled => "settled",
        RotationStage::Prepared => "prepared",
        RotationStage::Switched => "switched",
    }
}

pub(super) const fn next_step(stage: RotationStage) -> &'static str {
    match stage {
        RotationStage::Settled => "prepare",
        RotationStage::Prepared => "switch",
        RotationStage::Switched => "retire",
    }
}

/// What the stage means, and what to do next.
fn explain(status: &RotationStatus) -> String {
    let meaning = match status.stage {
        RotationStage::Settled => {
            return "settled: one authority issues and is believed; `--stage prepare` begins a rotation"
                .to_owned();
        }
        RotationStage::Prepared => {
            "prepared: servers believe both authorities and tell devices so; the old one still issues"
        }
        RotationStage::Switched => {
            "switched: the new authority issues; certificates by the old one are still good"
        }
    };
    let step = next_step(status.stage);
    match status.next_step_at() {
        None => format!(
            "{meaning}\nstart the servers again to have it in force; `--stage {step}` is due 7 days after that"
        ),
        Some(at) => {
            format!("{meaning}\nin force since a server started again; `--stage {step}` is due at {at}")
        }
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
        for (step, found, next) in [
            (RotationStep::Prepare, "prepared", "switch"),
            (RotationStep::Switch, "switched", "retire"),
            (RotationStep::Retire, "settled", "prepare"),
        ] {
            let status = LocalTrust::rotate(dir.path(), step, true, now).unwrap();
            let value = value(&status);
            assert_eq!((&value["stage"], &value["next_step"]), (&json!(found), &json!(next)));
            assert!(explain(&status).starts_with(found) && explain(&status).contains(next), "{status:?}");
        }
    }
}
