//! Finding out why the services cannot be reached, while they cannot.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use muster_errors::ErrorCode;
use muster_types::{Clock as _, EnrollmentCode, SystemClock, Timestamp};

use super::{LAST_DIAGNOSIS_WAIT_MAX, Shell, tolerant};
use crate::doctor::{self, Finding};
use crate::error::Error;

/// Looked into no more often than this.
const DIAGNOSIS_PAUSE: Duration = Duration::from_secs(5 * 60);

type Looking = Pin<Box<dyn Future<Output = Vec<Finding>> + Send>>;

/// What is being found out.
#[derive(Default)]
pub(super) struct Diagnosis {
    pub(super) under_way: Option<Looking>,
    begun_at: Option<Timestamp>,
}

impl Shell {
    /// Looks into a failed call, if it did not get through or was not let in.
    pub(super) fn look_into(&mut self, code: ErrorCode, message: &str) {
        let not_reached =
            [ErrorCode::ServerUnreachable, ErrorCode::ServerUntrusted, ErrorCode::DeadlineExceeded];
        let not_let_in =
            [ErrorCode::CertificateInvalid, ErrorCode::CertificateRevoked, ErrorCode::CertificateRequired];
        if not_reached.contains(&code) {
            self.begin_diagnosis();
        } else if not_let_in.contains(&code) {
            self.troubles.note(SystemClock.now(), EnrollmentCode::Certificate, message);
        }
    }

    fn begin_diagnosis(&mut self) {
        let now = SystemClock.now();
        let early = self.diagnosis.begun_at.is_some_and(|at| now.since(at) < DIAGNOSIS_PAUSE && at <= now);
        if early || self.diagnosis.under_way.is_some() {
            return;
        }
        self.diagnosis.begun_at = Some(now);
        let config = self.config.clone();
        let response = self.enrollment.as_ref().map(|enrollment| enrollment.response.clone());
        self.diagnosis.under_way =
            Some(Box::pin(async move { doctor::network(&config, response.as_ref(), &SystemClock).await }));
    }

    /// Takes in what was found.
    pub(super) fn diagnosed(&mut self, found: &[Finding]) -> Result<(), Error> {
        self.diagnosis.under_way = None;
        let now = SystemClock.now();
        for finding in found {
            if let Some(code) = finding.trouble() {
                tracing::warn!(code = code.as_str(), "{}", finding.seen);
                self.troubles.note(now, code, &finding.seen);
            }
        }
        self.show(false);
        tolerant(self.state.keep_troubles(&self.troubles))
    }

    /// Waits for what is still being found out when the agent stops: it is told when it comes back.
    pub(super) async fn last_words(&mut self) -> Result<(), Error> {
        if self.retired {
            return Ok(());
        }
        if let Some(looking) = &mut self.diagnosis.under_way
            && let Ok(found) = tokio::time::timeout(LAST_DIAGNOSIS_WAIT_MAX, looking).await
        {
            self.diagnosed(&found)?;
        }
        if self.troubles.all().is_empty() {
            return Ok(());
        }
        tolerant(self.state.keep_troubles(&self.troubles))
    }
}
