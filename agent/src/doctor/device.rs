//! This device: its certificate, its enrollment, and its engines.

use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_errors::{ErrorCode, Fault};
use muster_pki::Identity;
use muster_proto::identity::v1::GetTrustBundleRequest;
use muster_types::enrollment::Severity;
use muster_types::{Clock, EnrollmentCode};

use super::{Finding, authorities, remedy};
use crate::certificate;
use crate::config::Config;
use crate::core::message::Standing;
use crate::engines::mdatp::{self, Mdatp};
use crate::error::Error;
use crate::facts;
use crate::state::{Kept, StateDir};

/// How long the server may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
/// What to do about a state folder that cannot be read.
const AS_ROOT: &str = "Run this as the user whom the agent runs as, for example with sudo.";

/// Says whether this device's certificate is good, and whether the server takes it.
pub(super) async fn certificate(
    config: &Config,
    kept: &Result<Option<Kept>, Error>,
    clock: &dyn Clock,
) -> Finding {
    let check = "certificate";
    let kept = match kept {
        Err(error) => return Finding::skipped(check, error.to_string(), AS_ROOT),
        Ok(None) => return Finding::ok(check, "this device has none: it is not onboarded"),
        Ok(Some(kept)) => kept,
    };
    let own = kept.response.certificate_chain_der.first();
    let Some(own) = own.and_then(|own| certificate::read(own)) else {
        return Finding::skipped(check, "it cannot be read", "Onboard again with --token.");
    };
    let (now, code) = (clock.now(), EnrollmentCode::Certificate);
    if own.expires_at <= now {
        let seen = format!("it expired at {}", own.expires_at);
        return Finding::failed(check, code, seen, "Onboard again by starting the agent with --token.");
    }
    if own.begins_at > now {
        let seen = format!("it is good from {} on, and this device's clock shows {now}", own.begins_at);
        return Finding::failed(check, EnrollmentCode::Clock, seen, remedy(EnrollmentCode::Clock));
    }
    match refused(config, kept).await {
        Some(fault) => {
            let seen = format!("the server does not take it: {fault}");
            Finding::failed(check, code, seen, "Onboard again by starting the agent with --token.")
        }
        None => Finding::ok(check, format!("good until {}", own.expires_at)),
    }
}

/// What the server says to the certificate, if it does not take it.
async fn refused(config: &Config, kept: &Kept) -> Option<Fault> {
    let told = kept.response.endpoints.as_ref().map(|endpoints| endpoints.identity.clone());
    let url = config.server.clone().or(told)?;
    let chain = kept.response.certificate_chain_der.iter().map(|der| der.to_vec()).collect();
    let identity = Identity::from_der(chain, kept.key.clone());
    let mut options =
        ConnectOptions::new(url, authorities(config, Some(&kept.response))).with_identity(identity);
    options.call_timeout = ANSWER_WAIT_MAX;
    let client = Client::connect(options).ok()?;
    let status = client.trust_bundle().get_trust_bundle(GetTrustBundleRequest {}).await.err()?;
    let fault = Fault::from_status(&status);
    let refused = matches!(
        fault.code,
        ErrorCode::CertificateInvalid | ErrorCode::CertificateRevoked | ErrorCode::DeviceDeleted
    );
    refused.then_some(fault)
}

/// Says what came of the enrollment.
pub(super) fn enrollment(state: &StateDir) -> Finding {
    let check = "enrollment";
    match (state.offboarded(), state.identity()) {
        (Err(error), _) | (_, Err(error)) => return Finding::skipped(check, error.to_string(), AS_ROOT),
        (Ok(Some(offboarded)), _) => {
            let seen = format!("OFFBOARDED: this device was offboarded at {}", offboarded.at);
            let action =
                "To onboard it again, have an admin allow it and start the agent with a new --token.";
            return Finding::ok(check, seen).advising(action);
        }
        _ => {}
    }
    let progress = state.progress().unwrap_or_default();
    let Some(authority) = &progress.authority else {
        let action = "Start the agent with --server, --ca and --token.";
        return Finding::skipped(check, "this device was not onboarded yet", action);
    };
    let code = authority.code.as_str();
    let Ok(known) = code.parse::<EnrollmentCode>() else {
        return Finding::ok(check, format!("{code}, which this agent does not know"));
    };
    let words = progress.refusal.as_deref().unwrap_or_else(|| known.cause());
    let seen = format!("{code}: {words}");
    match known.severity() {
        Severity::Error => Finding::failed(check, known, seen, known.action()),
        Severity::Success => Finding::ok(check, seen),
        Severity::Warning | Severity::Info => Finding::ok(check, seen).advising(known.action()),
    }
}

/// Says where the device stands with its management.
pub(super) fn authority(state: &StateDir) -> Finding {
    let check = "management";
    match state.standing() {
        Err(error) => Finding::skipped(check, error.to_string(), AS_ROOT),
        Ok(Standing::Enforcing) => Finding::ok(check, "what this device is given, it enforces"),
        Ok(Standing::StoodDown { code }) => {
            Finding::ok(check, format!("stood down ({code}): nothing is enforced"))
        }
        Ok(Standing::Quarantined) => {
            let code = EnrollmentCode::Quarantined;
            Finding::failed(check, code, code.cause(), code.action())
        }
        Ok(Standing::Offboarding(_)) => Finding::ok(check, "this device is leaving"),
    }
}

/// Says whether the engines can do their work.
pub(super) fn engines(config: &Config, state: &StateDir) -> Vec<Finding> {
    let check = "engine mdatp";
    let engine = Mdatp::new(&config.root, state.record("mdatp"));
    let installed = facts::survey(&config.facts_root)
        .facts
        .security_products
        .into_iter()
        .find(|product| product.id == "mdatp");
    let file = format!("/{}", mdatp::FILE);
    let finding = match engine.read_managed() {
        Err(failure) => Finding::failed(
            check,
            None,
            failure.message,
            format!("Mend or remove {file}: the engine changes nothing that it does not understand."),
        ),
        Ok(()) => match installed {
            Some(product) if product.version.is_empty() => Finding::ok(check, "installed"),
            Some(product) => Finding::ok(check, format!("version {} installed", product.version)),
            None => Finding::ok(
                check,
                format!("not installed: settings are written to {file}, and nothing reads them"),
            ),
        },
    };
    vec![finding]
}
