//! What an agent shows of itself to the process it runs in.

use std::time::Instant;

use muster_types::Timestamp;

use crate::core::message::{Authority, Outcome, Standing};
use crate::troubles::Trouble;

/// Where the agent stands.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Resource name of the device, once onboarded.
    pub device: Option<String>,
    /// SPIFFE ID of its certificate.
    pub spiffe_id: Option<String>,
    /// Etag of the policy in force.
    pub applied_etag: Option<Vec<u8>>,
    /// Its version; 0 when there is none.
    pub applied_version: u64,
    /// Since when it is in force.
    pub applied_at: Option<Timestamp>,
    /// When this run saw it come into force.
    pub applied_instant: Option<Instant>,
    /// The settings of the last report that arrived.
    pub last_report: Vec<Outcome>,
    /// When it arrived.
    pub last_report_at: Option<Timestamp>,
    /// Who manages the device and why, as a service last said.
    pub authority: Option<Authority>,
    /// Where the device stands with its management.
    pub standing: Standing,
    /// When its certificate ends.
    pub certificate_expires_at: Option<Timestamp>,
    /// When its certificate is renewed.
    pub renews_at: Option<Timestamp>,
    /// Whether the device has left.
    pub offboarded: bool,
    /// What kept it from getting through and was not told yet.
    pub troubles: Vec<Trouble>,
    /// What went wrong last: code and message; `None` once it went well again.
    pub last_error: Option<String>,
    /// Whether a watch is open.
    pub connected: bool,
}
