//! Onboards a fleet that does not exist.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use muster_client::Client;
use muster_errors::{ErrorCode, Fault};
use muster_proto::convert;
use muster_proto::enroll::v1 as pb;
use muster_types::{HardwareKeyKind, Service};
use serde_json::{Value, json};

use super::{Fleet, Onboard, fleet};
use crate::connect::{self, Api, once, request_id};
use crate::output::{Data, note, print_text};

/// How long the token of a run works.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Progress is told after this many devices.
const PROGRESS_EVERY: usize = 10_000;

/// What came of one onboarding.
struct Outcome {
    /// Enrollment code, or error code of a call that failed.
    code: String,
    took: Duration,
}

pub(super) async fn run(options: Onboard) -> Result<(), Fault> {
    let Onboard { fleet, concurrency, token, target, output } = options;
    let api = Api::connect(&target)?;
    let token = match token {
        Some(token) => token,
        None => make_token(&api, fleet.devices).await?,
    };
    let anonymous = connect::anonymous(&target, Service::Enroll)?;
    let started = Instant::now();
    let onboardings = (0..fleet.devices).map(|number| {
        let (facts, token, to) = (fleet::device(&fleet, number), token.clone(), anonymous.clone());
        async move {
            let started = Instant::now();
            let code = match onboard(Client::connect(to)?, token, facts).await {
                Ok(code) => code,
                Err(fault) => code_of(fault)?,
            };
            Ok::<_, Fault>(Outcome { code, took: started.elapsed() })
        }
    });
    let mut outcomes = Vec::with_capacity(fleet.devices as usize);
    let mut coming = stream::iter(onboardings).buffer_unordered(usize::from(concurrency));
    while let Some(outcome) = coming.next().await {
        outcomes.push(outcome?);
        if outcomes.len() % PROGRESS_EVERY == 0 {
            note(&format!("{} of {}", outcomes.len(), fleet.devices));
        }
    }
    let columns = &[
        ("devices", "/devices"),
        ("enrolled", "/enrolled"),
        ("outcomes", "/outcomes"),
        ("seconds", "/seconds"),
        ("per second", "/per_second"),
        ("p50 ms", "/p50_ms"),
        ("p99 ms", "/p99_ms"),
    ];
    Data::one(summary(&mut outcomes, started.elapsed()), columns).print(output.format)
}

async fn make_token(api: &Api, devices: u32) -> Result<String, Fault> {
    let request = pb::CreateOnboardingTokenRequest {
        parent: api.parent(),
        ttl: Some(convert::duration(TOKEN_TTL)),
        uses_max: devices.min(1_000_000),
        request_id: request_id(),
        display_name: "loadgen".to_owned(),
        ..pb::CreateOnboardingTokenRequest::default()
    };
    Ok(api.call(api.enrollment_admin().create_onboarding_token(once(request))).await?.secret)
}

async fn onboard(client: Client, token: String, facts: pb::DeviceFacts) -> Result<String, Fault> {
    let broken = |error: &dyn std::fmt::Display| Fault::new(ErrorCode::Internal, error.to_string());
    let key = rcgen::KeyPair::generate().map_err(|error| broken(&error))?;
    let csr_der = muster_pki::csr::create(&key).map_err(|error| broken(&error))?;
    let request = pb::OnboardRequest { token, csr_der, facts: Some(facts), ..pb::OnboardRequest::default() };
    let reply = client.device_enrollment().onboard(request).await;
    Ok(reply.map_err(|status| Fault::from_status(&status))?.into_inner().enrollment_code)
}

/// A refusal is an outcome; anything else ends the run.
fn code_of(fault: Fault) -> Result<String, Fault> {
    let outcomes = [ErrorCode::Overloaded, ErrorCode::DeviceDeleted, ErrorCode::DeadlineExceeded];
    if fault.code == ErrorCode::EnrollmentRefused {
        let code = fault.metadata.get("enrollment_code");
        return Ok(code.cloned().unwrap_or_else(|| fault.code.to_string()));
    }
    if outcomes.contains(&fault.code) { Ok(fault.code.to_string()) } else { Err(fault) }
}

fn summary(outcomes: &mut [Outcome], took: Duration) -> Value {
    let mut by_code: BTreeMap<&str, u32> = BTreeMap::new();
    for outcome in &*outcomes {
        *by_code.entry(&outcome.code).or_default() += 1;
    }
    let enrolled = by_code.get("ENROLLED").copied().unwrap_or_default();
    let by_code = json!(by_code);
    outcomes.sort_by_key(|outcome| outcome.took);
    let millis = |percent: usize| {
        outcomes
            .get(outcomes.len() * percent / 100)
            .map_or(0.0, |outcome| (outcome.took.as_secs_f64() * 10_000.0).round() / 10.0)
    };
    let seconds = took.as_secs_f64();
    json!({
        "devices": outcomes.len(),
        "enrolled": enrolled,
        "outcomes": by_code,
        "seconds": (seconds * 1_000.0).round() / 1_000.0,
        "per_second": (f64::from(u32::try_from(outcomes.len()).unwrap_or(u32::MAX)) / seconds).round(),
        "p50_ms": millis(50),
        "p99_ms": millis(99),
    })
}

/// Prints the facts of a fleet as JSON lines.
pub(super) fn print_facts(of: &Fleet) -> Result<(), Fault> {
    for number in 0..of.devices {
        let facts = fleet::device(of, number);
        let mut line = crate::view::enroll::facts(&facts);
        let of_kind = |kind: HardwareKeyKind| {
            facts
                .hardware_keys
                .iter()
                .find(|key| key.kind == kind as i32)
                .map(|key| crate::view::hex(&key.digest))
        };
        line["hardware_digest"] = json!(crate::view::hex(&facts.hardware_digest));
        line["smbios_uuid_digest"] = json!(of_kind(HardwareKeyKind::SmbiosUuid));
        line["serial_digest"] = json!(of_kind(HardwareKeyKind::Serial));
        print_text(&line.to_string())?;
    }
    Ok(())
}
