//! What goes into the core and what comes out of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use muster_envelope::{Document, Order, Refusal};
use muster_errors::ErrorCode;
use muster_types::{DeviceId, Digest, SettingId, SettingValue, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// Who the device is once onboarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// From when on its certificate is good.
    pub certificate_begins_at: Timestamp,
    /// When its certificate ends.
    pub certificate_expires_at: Timestamp,
    /// When to check in first; `None` for at once.
    pub first_check_in_at: Option<Timestamp>,
}

/// What became of what was enforced when it was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TakenBack {
    /// Settings that do not stand any more.
    pub reverted: Vec<SettingId>,
    /// Settings that stay, as they should.
    pub kept: Vec<SettingId>,
    /// Settings that stand still, and why.
    pub failed: Vec<(SettingId, String)>,
}

/// An order that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offboarding {
    /// Names the order.
    pub order: Digest,
    /// Settings that stay as they are.
    pub kept: Vec<SettingId>,
    /// What came of it; `None` while the work is not done.
    pub outcome: Option<TakenBack>,
}

/// Where the device stands with its management.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It enforces what it is given.
    #[default]
    Enforcing,
    /// It enforces nothing: another authority manages it, or nobody may.
    StoodDown {
        /// Enrollment code that says why.
        code: String,
    },
    /// Two live sessions use its identity: it keeps what it has.
    Quarantined,
    /// It leaves.
    Offboarding(Offboarding),
}

/// What a check-in tells the device to do besides applying policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Directive {
    /// Go on.
    #[default]
    None,
    /// Enforce nothing and take back what was enforced.
    StandDown {
        /// Enrollment code that says why.
        code: String,
    },
    /// Keep the last good policy.
    Quarantine,
    /// Leave; or why the order cannot be believed.
    Decommission(Result<Order, Refusal>),
}

/// Who manages a device, as a service says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManagedBy {
    /// This channel.
    Muster,
    /// A mobile device management service.
    Mdm,
    /// Microsoft Configuration Manager.
    ConfigMgr,
    /// Nobody.
    Nobody,
}

/// Who manages the device and why, as a service says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Who.
    pub managed_by: ManagedBy,
    /// Enrollment code, for example `ENROLLED`.
    pub code: String,
}

/// Verdict on a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingState {
    /// The desired value was read back.
    Succeeded,
    /// It could not be applied, or another value was read back.
    Error,
    /// The device cannot take it.
    NotApplicable,
    /// Policies want different values: it was withheld.
    Conflict,
    /// A waiver exempts the device: it was withheld.
    Waived,
    /// Tamper protection keeps another value, or it was withheld because of that.
    TamperProtected,
}

/// How one setting came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The setting.
    pub id: SettingId,
    /// What the policy wants; `None` when it was withheld.
    pub desired: Option<SettingValue>,
    /// What was read back; `None` when nothing could be.
    pub observed: Option<SettingValue>,
    /// Verdict.
    pub state: SettingState,
    /// Why it is not succeeded.
    pub reason: Option<ErrorCode>,
    /// The same for people; empty when succeeded.
    pub message: String,
    /// How often another value stood there and was put back: what an engine did just now, or what a status says of all since
    /// the policy in force was applied for the first time.
    pub corrections: u32,
}

/// How often settings were put back since a policy was applied for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Corrections {
    /// Etag of that policy; none before the first.
    pub etag: Option<Digest>,
    /// Settings that were put back, and how often.
    pub counts: BTreeMap<SettingId, u32>,
}

impl Outcome {
    /// Whether what the policy wants is not in force. What was withheld is not wanted.
    #[must_use]
    pub fn failed(&self) -> bool {
        match self.state {
            SettingState::Error => true,
            SettingState::TamperProtected => self.desired.is_some(),
            SettingState::Succeeded
            | SettingState::NotApplicable
            | SettingState::Conflict
            | SettingState::Waived => false,
        }
    }
}

/// What the device says of itself to the report service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The policy it speaks of; `None` before the first.
    pub policy: Option<(Digest, u64)>,
    /// When it was applied.
    pub applied_at: Option<Timestamp>,
    /// Each setting, sorted by id.
    pub settings: Vec<Outcome>,
    /// Why the policy last received is not obeyed.
    pub refused: Option<ErrorCode>,
}

impl Status {
    /// Whether it says the same; when something was applied again with the same result is no news.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.policy == other.policy && self.settings == other.settings && self.refused == other.refused
    }
}

/// Where the device stands with the policy last received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApplyState {
    /// Nothing received yet.
    #[default]
    None,
    /// Received; the work is not done.
    Applying,
    /// In force and read back.
    Applied,
    /// Some setting could not be applied.
    Failed,
    /// Not obeyed.
    Refused,
}

/// What a check-in says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckIn {
    /// Counts the check-ins of this run: 1, 2, 3 …
    pub sequence: u64,
    /// Etag and version of the policy in force.
    pub applied: Option<(Digest, u64)>,
    /// Etag of the policy last received.
    pub received: Option<Digest>,
    /// Where the device stands with it.
    pub apply_state: ApplyState,
    /// Trace context of the hint that asked for it; empty when none did.
    pub traceparent: String,
}

/// What the server answered to a check-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `None` when the device has what it should have; otherwise the policy, or why it cannot be believed.
    pub policy: Option<Result<Document, Refusal>>,
    /// When to check in next, from now.
    pub next_check_in: Duration,
    /// The server wants the facts in full.
    pub wants_facts: bool,
    /// The server wants the status in full.
    pub wants_report: bool,
    /// The server wants the certificate to be renewed before its time.
    pub wants_renewal: bool,
    /// What to do besides.
    pub directive: Directive,
    /// The service's time; `None` when it does not say.
    pub server_time: Option<Timestamp>,
}

/// What is under way: at most one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Onboarding.
    Onboard,
    /// A check-in.
    CheckIn,
    /// Applying a policy.
    Apply,
    /// Reporting status.
    Report,
    /// Reporting facts.
    ReportFacts,
    /// Surveying the machine.
    Survey,
    /// Getting a new certificate.
    Renew,
    /// Using the new certificate for the first time.
    Activate,
    /// Taking back what was enforced.
    TakeBack,
    /// Confirming an offboarding.
    Confirm,
}

/// How a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// By the server's wish.
    Ended {
        /// Watch again at a random moment within this time; `None` when it does not say.
        reconnect_within: Option<Duration>,
    },
    /// By an error.
    Failed(ErrorCode),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken in at once")]
pub enum Input {
    /// Time passed.
    Tick,
    /// The device is onboarded.
    Onboarded(Enrolled),
    /// The device may not be enrolled for now.
    EnrollmentRefused {
        /// When to ask again, from now; `None` when the server does not say.
        retry_after: Option<Duration>,
    },
    /// The machine was surveyed.
    Surveyed {
        /// Whether there is something that the services do not know.
        news: bool,
    },
    /// The files that prove a registration appeared, or are others than before.
    ProofAppeared,
    /// A new certificate is kept beside the present one.
    Renewed {
        /// When it ends.
        expires_at: Timestamp,
    },
    /// The new certificate is the one in use, and the old one is gone.
    Activated(Enrolled),
    /// What was enforced was taken back, as far as it could be.
    TakenBack(TakenBack),
    /// The service knows that the device has left.
    OffboardingConfirmed,
    /// The server says a check-in is worth it.
    Hint {
        /// The etag that waits; `None` when it does not say.
        etag: Option<Digest>,
        /// Check in at a random moment within this time.
        spread: Duration,
        /// W3C trace context; empty when there is none.
        traceparent: String,
    },
    /// The watch is open.
    WatchOpened,
    /// The watch ended.
    WatchClosed(Closed),
    /// The check-in was answered.
    CheckedIn(Reply),
    /// The policy was applied and read back; one outcome per setting, sorted by id.
    Applied(Vec<Outcome>),
    /// The status arrived.
    Reported,
    /// The facts arrived.
    FactsReported {
        /// What the service says to them; `None` when it does not say.
        authority: Option<Authority>,
    },
    /// What was under way failed.
    Failed(ErrorCode),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Onboard; answer with `Onboarded` or `Failed`.
    Onboard,
    /// Check in; answer with `CheckedIn` or `Failed`.
    CheckIn(CheckIn),
    /// Keep the policy as the last good one, apply it, read back; answer with `Applied` or `Failed`.
    Apply {
        /// The policy.
        policy: Arc<Document>,
        /// Trace context of the hint that led here; empty when none did.
        traceparent: String,
    },
    /// Report the status; answer with `Reported` or `Failed`.
    Report {
        /// The status.
        status: Arc<Status>,
        /// Trace context of the hint that led here; empty when none did.
        traceparent: String,
    },
    /// Report the facts; answer with `FactsReported` or `Failed`.
    ReportFacts,
    /// Survey the machine; answer with `Surveyed` or `Failed`.
    Survey,
    /// Get a certificate for a new key and keep both beside the present ones; answer with `Renewed` or `Failed`.
    Renew {
        /// Whether to show the proof of a registration.
        with_proof: bool,
    },
    /// Use the new certificate, then put it in the place of the old one; answer with `Activated` or `Failed`.
    Activate,
    /// Forget the new certificate and its key. No answer.
    DropNext,
    /// Forget the present certificate, and make a new key for the next onboarding. No answer.
    DropIdentity,
    /// Take back what is enforced but for some settings, and read back; answer with `TakenBack` or `Failed`.
    TakeBack {
        /// What is enforced.
        policy: Option<Arc<Document>>,
        /// Settings that stay.
        kept: Vec<SettingId>,
    },
    /// Confirm the offboarding; answer with `OffboardingConfirmed` or `Failed`.
    Confirm(Offboarding),
    /// Forget identity and policy, and end: the device is offboarded. No answer.
    Retire,
    /// Open the watch; answer with `WatchOpened`, `Hint`, `WatchClosed`.
    OpenWatch {
        /// Etag of the policy in force.
        applied: Option<Digest>,
    },
    /// Come back with `Tick` at this moment; replaces an earlier wish.
    WakeAt(Timestamp),
    /// Stop, and tell why: nothing can be done before something outside is mended.
    Stop(ErrorCode),
}
