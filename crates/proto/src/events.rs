//! Every event there is, in one table: what tails are filtered by, how payloads are shown, and what the pages in
//! `docs/events` are made of.
//!
//! What an event means stands in its `events.proto` and nowhere else: `cargo xtask codegen` carries the comments over, and
//! a test holds the table to them.

#[cfg(feature = "json")]
pub mod json;
pub mod mention;

use muster_types::{Aggregate, Service};

include!("gen/comments.rs");

/// A kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKind {
    /// Full name of its message, for example `muster.enroll.v1.DeviceOnboarded`: what stands in envelopes as `type`.
    pub name: &'static str,
    /// The kind of aggregate whose streams hold it, and by that the service.
    pub aggregate: Aggregate,
    /// Version of Muster that first wrote it.
    pub since: &'static str,
    /// Fields that are roaring bitmaps of device ordinals.
    pub bitmaps: &'static [Path],
    /// Fields that name devices by id, beside the aggregate's own.
    pub devices: &'static [Path],
}

/// The way from an event to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// By names, for example `resolved.devices`.
    pub names: &'static str,
    /// By numbers, as on the wire.
    pub numbers: &'static [u32],
}

/// Version that everything before the first release counts as.
const FIRST: &str = "0.1.0";

const fn event(name: &'static str, aggregate: Aggregate) -> EventKind {
    EventKind { name, aggregate, since: FIRST, bitmaps: &[], devices: &[] }
}

const fn path(names: &'static str, numbers: &'static [u32]) -> Path {
    Path { names, numbers }
}

impl EventKind {
    const fn bitmaps(self, bitmaps: &'static [Path]) -> Self {
        Self { bitmaps, ..self }
    }

    const fn devices(self, devices: &'static [Path]) -> Self {
        Self { devices, ..self }
    }

    /// The name without its package, for example `DeviceOnboarded`; no two events share one.
    #[must_use]
    pub fn short(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// The service that writes it.
    #[must_use]
    pub const fn service(&self) -> Service {
        self.aggregate.service()
    }

    /// What happened: the first sentence of its comment in the contract.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        first_sentence(comment(self.name).unwrap_or_default())
    }
}

/// Every kind of event, by service and as the contract lists them.
pub const EVENTS: &[EventKind] = &[
    event("muster.enroll.v1.OnboardingTokenIssued", Aggregate::OnboardingToken),
    event("muster.enroll.v1.OnboardingTokenUsed", Aggregate::OnboardingToken)
        .devices(&[path("device_id", &[1])]),
    event("muster.enroll.v1.OnboardingTokenRevoked", Aggregate::OnboardingToken),
    event("muster.enroll.v1.DeviceOnboarded", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceFactsChanged", Aggregate::Enrollment),
    event("muster.enroll.v1.EnrollmentSucceeded", Aggregate::Enrollment),
    event("muster.enroll.v1.EnrollmentRefused", Aggregate::Enrollment),
    event("muster.enroll.v1.EnrollmentPermitted", Aggregate::Enrollment),
    event("muster.enroll.v1.ManagementAuthorityChanged", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceTagged", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceTroubleReported", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceOffboardingRequested", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceOffboarded", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceDeleted", Aggregate::Enrollment),
    event("muster.enroll.v1.DeviceMerged", Aggregate::Enrollment).devices(&[path("into_device_id", &[1])]),
    event("muster.enroll.v1.ReenrollmentAllowed", Aggregate::Enrollment),
    event("muster.enroll.v1.EnforcementScopeChanged", Aggregate::TenantSettings),
    event("muster.identity.v1.TrustEstablished", Aggregate::Registration),
    event("muster.identity.v1.TrustRenewed", Aggregate::Registration),
    event("muster.identity.v1.CertificateActivated", Aggregate::Registration),
    event("muster.identity.v1.TrustRevoked", Aggregate::Registration),
    event("muster.identity.v1.RegistrationPromoted", Aggregate::Registration),
    event("muster.identity.v1.RegistrationRemoved", Aggregate::Registration)
        .devices(&[path("into_device_id", &[2])]),
    event("muster.identity.v1.CloneSuspected", Aggregate::Registration),
    event("muster.identity.v1.CloneResolved", Aggregate::Registration),
    event("muster.identity.v1.DirectoryDeviceUpserted", Aggregate::DirectoryDevice),
    event("muster.identity.v1.DirectoryDeviceRemoved", Aggregate::DirectoryDevice),
    event("muster.identity.v1.DirectoryMatchAmbiguous", Aggregate::DirectoryDevice)
        .devices(&[path("device_ids", &[1])]),
    event("muster.identity.v1.TrustAnchorAdded", Aggregate::TrustAnchor),
    event("muster.identity.v1.TrustAnchorRemoved", Aggregate::TrustAnchor),
    event("muster.identity.v1.GroupDefined", Aggregate::Group),
    event("muster.identity.v1.GroupRuleChanged", Aggregate::Group),
    event("muster.identity.v1.GroupDeleted", Aggregate::Group),
    event("muster.identity.v1.GroupMembershipChanged", Aggregate::Group)
        .bitmaps(&[path("added", &[1]), path("removed", &[2])]),
    event("muster.policy.v1.PolicyCreated", Aggregate::Policy),
    event("muster.policy.v1.PolicyRevised", Aggregate::Policy),
    event("muster.policy.v1.PolicyDeleted", Aggregate::Policy),
    event("muster.policy.v1.PolicyUndeleted", Aggregate::Policy),
    event("muster.policy.v1.PolicyAssigned", Aggregate::Assignment),
    event("muster.policy.v1.PolicyUnassigned", Aggregate::Assignment),
    event("muster.policy.v1.PolicySyncRequested", Aggregate::Sync),
    event("muster.policy.v1.DevicesSyncRequested", Aggregate::Sync).bitmaps(&[path("devices", &[1])]),
    event("muster.policy.v1.WaiverGranted", Aggregate::Waiver).devices(&[path("device_id", &[4])]),
    event("muster.policy.v1.WaiverRevoked", Aggregate::Waiver),
    event("muster.policy.v1.WaiverExpired", Aggregate::Waiver),
    event("muster.policy.v1.CheckInSettingsChanged", Aggregate::CheckInSettings),
    event("muster.policy.v1.DuplicateSessionsObserved", Aggregate::Session),
    event("muster.policy.v1.EffectivePoliciesChanged", Aggregate::Resolution)
        .bitmaps(&[path("resolved.devices", &[2, 2]), path("none", &[3])]),
    event("muster.policy.v1.PoliciesDelivered", Aggregate::Delivery)
        .bitmaps(&[path("delivered.devices", &[1, 3])]),
    event("muster.policy.v1.DevicesSeen", Aggregate::Presence).bitmaps(&[path("devices", &[1])]),
    event("muster.report.v1.StatusReported", Aggregate::DeviceStatus),
    event("muster.report.v1.DriftSuspected", Aggregate::DeviceStatus),
    event("muster.report.v1.DeviceWentStale", Aggregate::DeviceStatus),
    event("muster.report.v1.DeviceReturned", Aggregate::DeviceStatus),
    event("muster.report.v1.ReportSettingsChanged", Aggregate::ReportSettings),
];

/// The kind with this name, full or short.
#[must_use]
pub fn find(name: &str) -> Option<&'static EventKind> {
    EVENTS.iter().find(|kind| kind.name == name || kind.short() == name)
}

/// The full or short name among `of` that was probably meant by a name that is not there.
#[must_use]
pub fn meant<'a>(name: &str, of: &[&'a EventKind]) -> Option<&'a str> {
    let full = name.contains('.');
    let names = of.iter().map(|kind| if full { kind.name } else { kind.short() });
    // Case alone is a mistake of its own: it must win over a short name.
    let near = |known: &&str| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase());
    names.min_by_key(near).filter(|known| near(known) <= known.len() / 3)
}

/// What the contract says of a message, field, enum or enum value of an event, by its full name; an enum value's is
/// that of its enum with the value's name behind.
#[must_use]
pub fn comment(name: &str) -> Option<&'static str> {
    let found = COMMENTS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    COMMENTS.get(found).map(|(_, comment)| *comment)
}

/// What the bytes of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// An id: a UUID.
    Id,
    /// Ordinals of devices: a roaring bitmap.
    Ordinals,
    /// A digest or a number, for people in hexadecimal digits.
    Hex,
    /// Anything else.
    Opaque,
}

impl Bytes {
    /// What a field of type `bytes` holds, as its comment says.
    #[must_use]
    pub fn of(field: &str) -> Self {
        let comment = comment(field).unwrap_or_default();
        let says = |words: &[&str]| words.iter().any(|word| comment.contains(word));
        if says(&["roaring bitmap"]) {
            Self::Ordinals
        } else if says(&["16 bytes"]) {
            Self::Id
        } else if says(&["32 bytes", "SHA-256", "big-endian"]) {
            Self::Hex
        } else {
            Self::Opaque
        }
    }
}

/// Everything up to the first full stop or colon that ends a sentence, without either.
fn first_sentence(comment: &str) -> &str {
    let end = comment.find(". ").or_else(|| comment.find('\n')).unwrap_or(comment.len());
    comment.get(..end).unwrap_or(comment).trim_end_matches('.')
}
