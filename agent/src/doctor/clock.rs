//! This device's clock against the server's.

use std::time::Duration;

use muster_client::{Client, ConnectOptions};
use muster_proto::identity::v1::GetTrustBundleRequest;
use muster_types::{Clock, EnrollmentCode, Timestamp};
use rustls_pki_types::CertificateDer;

use super::tls::Seen;
use super::{Finding, Target, remedy};
use crate::core::Skew;

/// How long the server may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// Compares with the date of an answer of the server.
pub(super) async fn by_date(
    target: &Target,
    authorities: &[CertificateDer<'static>],
    clock: &dyn Clock,
) -> Finding {
    let mut options = ConnectOptions::new(&target.url, authorities.to_vec());
    options.connect_timeout = ANSWER_WAIT_MAX;
    options.call_timeout = ANSWER_WAIT_MAX;
    let Ok(client) = Client::connect(options) else {
        return Finding::skipped("clock", "the server cannot be asked", "");
    };
    // Whatever it answers, a refusal too, has a date.
    let date = match client.trust_bundle().get_trust_bundle(GetTrustBundleRequest {}).await {
        Ok(answer) => answer.metadata().get("date").cloned(),
        Err(status) => status.metadata().get("date").cloned(),
    };
    let now = clock.now();
    match date.as_ref().and_then(|date| date.to_str().ok()).and_then(moment) {
        Some(server) => compare(now, server),
        None => Finding::skipped("clock", "the server's answer has no date", ""),
    }
}

/// Says what the time of the server's certificate tells.
pub(super) fn by_certificate(seen: &Seen, now: Timestamp) -> Finding {
    match seen.out_of_time() {
        Some((begins_at, expires_at)) => {
            let seen = format!(
                "this device's clock shows {now}, and the server's certificate is good from {begins_at} to {expires_at}"
            );
            Finding::failed("clock", EnrollmentCode::Clock, seen, remedy(EnrollmentCode::Clock))
        }
        None => Finding::skipped("clock", "what answers is not believed, so its clock says nothing", ""),
    }
}

/// Says how the clocks stood at the last check-in, where they cannot be compared now.
pub(super) fn by_check_in(skew: Skew, skipped: &Finding) -> Finding {
    let seen = format!("{}; at the last check-in {}", skipped.seen, skew.words());
    if skew.is_trouble() {
        let action = remedy(EnrollmentCode::Clock);
        Finding::failed("clock", EnrollmentCode::Clock, seen, action)
    } else {
        skipped.clone()
    }
}

fn compare(now: Timestamp, server: Timestamp) -> Finding {
    let skew = Skew::between(now, server);
    let seen = skew.words();
    if skew.is_trouble() {
        Finding::failed("clock", EnrollmentCode::Clock, seen, remedy(EnrollmentCode::Clock))
    } else {
        Finding::ok("clock", seen)
    }
}

/// Reads a date as HTTP writes it.
fn moment(date: &str) -> Option<Timestamp> {
    let moment = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(Timestamp::from_micros(moment.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn dates_of_http_are_read() {
        let moment = moment("Sun, 06 Nov 1994 08:49:37 GMT").map(Timestamp::micros);
        assert_eq!(moment, Some(784_111_777_000_000));
        assert_eq!(super::moment("yesterday"), None);
    }

    #[test]
    fn a_clock_that_was_off_at_the_last_check_in_is_told_when_nobody_can_be_asked() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let skipped = Finding::skipped("clock", "there is no connection", "");
        let off = Skew::between(now.plus(Duration::from_secs(86_400)), now);
        let found = by_check_in(off, &skipped);
        assert_eq!(found.trouble(), Some(EnrollmentCode::Clock));
        assert!(found.seen.contains("86400 s ahead"), "{}", found.seen);
        assert_eq!(by_check_in(Skew::default(), &skipped), skipped);
    }

    #[test]
    fn a_clock_that_is_off_by_a_day_fails_on_either_side() {
        let server = Timestamp::from_micros(1_700_000_000_000_000);
        let day = Duration::from_secs(86_400);
        assert_eq!(compare(server.plus(Duration::from_secs(3)), server).verdict, Verdict::Ok);
        for (now, server) in [(server.plus(day), server), (server, server.plus(day))] {
            let found = compare(now, server);
            assert_eq!((found.verdict, found.trouble()), (Verdict::Failed, Some(EnrollmentCode::Clock)));
        }
    }
}
