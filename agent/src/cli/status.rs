//! Where the agent of a state folder stands.

use muster_pki::peer;
use muster_types::EnrollmentCode;
use serde_json::{Value, json};

use super::hex;
use crate::config::Config;
use crate::core::message::Standing;
use crate::error::Error;
use crate::state::{Progress, StateDir};

pub(super) fn json(config: &Config) -> Result<Value, Error> {
    let state = StateDir::peek(&config.state_dir);
    let offboarded = state.offboarded()?;
    let kept = state.identity()?;
    let certificate = kept.as_ref().and_then(|kept| kept.response.certificate_chain_der.first());
    let peer = certificate.and_then(|der| peer::read(der).ok());
    let Progress { applied, authority, refusal, renews_at, .. } = state.progress()?;
    let code = authority.as_ref().map(|authority| authority.code.as_str());
    let known = code.and_then(|code| code.parse::<EnrollmentCode>().ok());
    let standing = state.standing()?;
    let troubles: Vec<_> = state.troubles()?.all().iter().rev().map(trouble).collect();
    Ok(json!({
        "device": kept.as_ref().map(|kept| &kept.response.device),
        "spiffe_id": peer.as_ref().map(|peer| peer.id.to_string()),
        "managed_by": authority.as_ref().map(|authority| authority.managed_by),
        "enrollment_code": code,
        "enrollment_message": refusal.or_else(|| known.map(|code| code.cause().to_owned())),
        "enrollment_action": known.map(EnrollmentCode::action),
        "standing": if offboarded.is_some() { "offboarded" } else { name(&standing) },
        "stood_down": if let Standing::StoodDown { code } = &standing { Some(code) } else { None },
        "offboarded_at": offboarded.map(|offboarded| offboarded.at.to_string()),
        "certificate_expires_at": peer.map(|peer| peer.not_after.to_string()),
        "certificate_renews_at": renews_at.filter(|_| kept.is_some()).map(|at| at.to_string()),
        "certificate_waiting": kept.as_ref().is_some_and(|kept| kept.next.is_some()),
        "applied": applied.map(|(etag, version, at)| {
            json!({"etag": hex(&etag), "version": version, "at": at.to_string()})
        }),
        "troubles": troubles,
    }))
}

fn trouble(trouble: &crate::troubles::Trouble) -> Value {
    json!({
        "code": trouble.code,
        "detail": trouble.detail,
        "first_at": trouble.first_at.to_string(),
        "last_at": trouble.last_at.to_string(),
    })
}

const fn name(standing: &Standing) -> &'static str {
    match standing {
        Standing::Enforcing => "enforcing",
        Standing::StoodDown { .. } => "stood_down",
        Standing::Quarantined => "quarantined",
        Standing::Offboarding(_) => "offboarding",
    }
}
