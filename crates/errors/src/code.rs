//! The codes.

use std::fmt;
use std::str::FromStr;

use tonic::Code;

/// Whether the same call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// As it is, after a pause, with the same request id.
    Same,
    /// After reading again what it was based on.
    AfterReading,
    /// Not before something outside was mended.
    Never,
}

/// Whether the call left a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing was written.
    None,
    /// Not known; a repeat with the same request id finds out and does nothing twice.
    Unknown,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, $retry:ident, $effect:ident;)*) => {
        /// A stable name for what went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as users see it, for example `TOKEN_EXPIRED`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The gRPC status it travels under.
            #[must_use]
            pub const fn status(self) -> Code {
                match self { $(Self::$name => Code::$status,)* }
            }

            /// Whether the same call may be made again.
            #[must_use]
            pub const fn retry(self) -> Retry {
                match self { $(Self::$name => Retry::$retry,)* }
            }

            /// Whether the call left a trace.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect,)* }
            }

            /// The page that explains it, in Markdown.
            #[must_use]
            pub const fn page(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../../../docs/errors/", $text, ".md")),)* }
            }
        }
    };
}

codes! {
    /// A field of the request is missing or malformed.
    ArgumentInvalid = "ARGUMENT_INVALID", InvalidArgument, Never, None;
    /// No admin token came with an admin call, or a wrong one.
    AdminTokenInvalid = "ADMIN_TOKEN_INVALID", Unauthenticated, Never, None;
    /// A device call came without a client certificate.
    CertificateRequired = "CERTIFICATE_REQUIRED", Unauthenticated, Never, None;
    /// The certificate is of another authority, expired, or names no device.
    CertificateInvalid = "CERTIFICATE_INVALID", Unauthenticated, Never, None;
    /// The caller is known but may not do this.
    PermissionDenied = "PERMISSION_DENIED", PermissionDenied, Never, None;
    /// The server's certificate does not come from the authority the caller trusts.
    ServerUntrusted = "SERVER_UNTRUSTED", Unavailable, Never, None;
    /// No connection to the server.
    ServerUnreachable = "SERVER_UNREACHABLE", Unavailable, Same, None;
    /// The message is larger than its limit.
    MessageTooLarge = "MESSAGE_TOO_LARGE", ResourceExhausted, Never, None;
    /// A limit on work in flight is reached.
    Overloaded = "OVERLOADED", ResourceExhausted, Same, None;
    /// The caller's deadline passed.
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded, Same, Unknown;
    /// The process is shutting down.
    ShuttingDown = "SHUTTING_DOWN", Unavailable, Same, None;
    /// The view asked for has not yet folded the position the reader wants.
    ViewBehind = "VIEW_BEHIND", Unavailable, Same, None;
    /// A fault of the program itself.
    Internal = "INTERNAL", Internal, Same, Unknown;

    /// No such onboarding token.
    TokenUnknown = "TOKEN_UNKNOWN", Unauthenticated, Never, None;
    /// The onboarding token's time is over.
    TokenExpired = "TOKEN_EXPIRED", Unauthenticated, Never, None;
    /// The onboarding token has onboarded as many devices as it may.
    TokenUsedUp = "TOKEN_USED_UP", ResourceExhausted, Never, None;
    /// The onboarding token was revoked.
    TokenRevoked = "TOKEN_REVOKED", Unauthenticated, Never, None;
    /// The onboarding token does not let this platform in.
    TokenPlatform = "TOKEN_PLATFORM", PermissionDenied, Never, None;
    /// The certificate signing request cannot be read or is not signed by its own key.
    CsrMalformed = "CSR_MALFORMED", InvalidArgument, Never, None;
    /// The device's platform is not supported.
    PlatformUnsupported = "PLATFORM_UNSUPPORTED", FailedPrecondition, Never, None;
    /// The facts a device reported are out of bounds.
    FactsInvalid = "FACTS_INVALID", InvalidArgument, Never, None;
    /// The device may not be enrolled; the enrollment code in the metadata says why.
    EnrollmentRefused = "ENROLLMENT_REFUSED", FailedPrecondition, Never, None;
    /// No such device.
    DeviceUnknown = "DEVICE_UNKNOWN", NotFound, Never, None;
    /// The device was deleted or offboarded, and no admin has allowed it to come back.
    DeviceDeleted = "DEVICE_DELETED", PermissionDenied, Never, None;
    /// The device does not obey the offboarding order, or the service does not know the order it confirms.
    OrderRefused = "ORDER_REFUSED", FailedPrecondition, Never, None;
    /// A filter or order of a list cannot be understood.
    FilterInvalid = "FILTER_INVALID", InvalidArgument, Never, None;
    /// The past moment asked for is before the beginning, in the future, or cannot be read.
    AsOfInvalid = "AS_OF_INVALID", InvalidArgument, Never, None;
    /// The service's views are being verified already.
    VerifyBusy = "VERIFY_BUSY", ResourceExhausted, Same, None;

    /// The certificate was ended before its time.
    CertificateRevoked = "CERTIFICATE_REVOKED", Unauthenticated, Never, None;
    /// Two live sessions use the device's identity, and an admin must resolve it.
    DeviceQuarantined = "DEVICE_QUARANTINED", PermissionDenied, Never, None;
    /// The proof of a registration does not hold.
    ProofInvalid = "PROOF_INVALID", PermissionDenied, Never, None;
    /// The proof is of a device of another tenant.
    TenantMismatch = "TENANT_MISMATCH", PermissionDenied, Never, None;
    /// The TPM's attestation does not hold.
    AttestationFailed = "ATTESTATION_FAILED", PermissionDenied, Never, None;
    /// This build or tenant takes no attestation.
    AttestationUnavailable = "ATTESTATION_UNAVAILABLE", Unimplemented, Never, None;
    /// No such trust anchor.
    TrustAnchorUnknown = "TRUST_ANCHOR_UNKNOWN", NotFound, Never, None;
    /// The certificates of a trust anchor cannot be used.
    TrustAnchorInvalid = "TRUST_ANCHOR_INVALID", InvalidArgument, Never, None;
    /// No such directory device.
    DirectoryDeviceUnknown = "DIRECTORY_DEVICE_UNKNOWN", NotFound, Never, None;
    /// Another device has this registration.
    RegistrationTaken = "REGISTRATION_TAKEN", AlreadyExists, Never, None;

    /// No such group.
    GroupUnknown = "GROUP_UNKNOWN", NotFound, Never, None;
    /// The rule of a dynamic group does not hold.
    RuleInvalid = "RULE_INVALID", InvalidArgument, Never, None;
    /// The tenant has as many groups of this kind as it may have.
    GroupLimit = "GROUP_LIMIT", ResourceExhausted, Never, None;
    /// A group cannot be in a group.
    GroupNested = "GROUP_NESTED", InvalidArgument, Never, None;
    /// Groups of this kind do not take such a change.
    GroupKindMismatch = "GROUP_KIND_MISMATCH", FailedPrecondition, Never, None;
    /// The name is in use in this tenant.
    NameTaken = "NAME_TAKEN", AlreadyExists, Never, None;
    /// The resource moved on since it was read.
    EtagMismatch = "ETAG_MISMATCH", Aborted, AfterReading, None;
    /// The request id was used for another request.
    RequestIdReused = "REQUEST_ID_REUSED", InvalidArgument, Never, None;

    /// No such policy.
    PolicyUnknown = "POLICY_UNKNOWN", NotFound, Never, None;
    /// The policy has no such revision.
    RevisionUnknown = "REVISION_UNKNOWN", NotFound, Never, None;
    /// A policy cannot be assigned to this: only groups of devices can be assigned to.
    TargetUnsupported = "TARGET_UNSUPPORTED", InvalidArgument, Never, None;
    /// What the plan was made of has moved on.
    PlanMovedOn = "PLAN_MOVED_ON", Aborted, AfterReading, None;
    /// No such waiver.
    WaiverUnknown = "WAIVER_UNKNOWN", NotFound, Never, None;
    /// Another authority manages the device, or nobody.
    DeviceNotManaged = "DEVICE_NOT_MANAGED", FailedPrecondition, Never, None;
    /// Settings of the policy contradict each other.
    SettingsInconsistent = "SETTINGS_INCONSISTENT", InvalidArgument, Never, None;
    /// A file of policies, groups and the like cannot be read.
    FileInvalid = "FILE_INVALID", InvalidArgument, Never, None;
    /// A managed configuration of a security product cannot be read.
    ManagedConfigInvalid = "MANAGED_CONFIG_INVALID", InvalidArgument, Never, None;
    /// The catalogue has no such profile.
    ProfileUnknown = "PROFILE_UNKNOWN", InvalidArgument, Never, None;
    /// The profile has no such setting.
    SettingUnknown = "SETTING_UNKNOWN", InvalidArgument, Never, None;
    /// The value's type is not the setting's.
    SettingTypeMismatch = "SETTING_TYPE_MISMATCH", InvalidArgument, Never, None;
    /// The value is outside what the setting allows.
    SettingOutOfRange = "SETTING_OUT_OF_RANGE", InvalidArgument, Never, None;
    /// The policy sets one setting twice.
    SettingDuplicate = "SETTING_DUPLICATE", InvalidArgument, Never, None;
    /// The setting cannot be delivered on this channel.
    SettingNotOnChannel = "SETTING_NOT_ON_CHANNEL", InvalidArgument, Never, None;
    /// A catalogue file is malformed.
    CatalogueInvalid = "CATALOGUE_INVALID", Internal, Never, None;

    /// The signed policy is for another device.
    PolicyWrongDevice = "POLICY_WRONG_DEVICE", FailedPrecondition, Never, None;
    /// The signed policy is older than the one in force.
    PolicyRolledBack = "POLICY_ROLLED_BACK", FailedPrecondition, Never, None;
    /// The signed policy is of the future, by the device's clock.
    PolicyNotYetValid = "POLICY_NOT_YET_VALID", FailedPrecondition, Never, None;
    /// The signed policy's time is over.
    PolicyExpired = "POLICY_EXPIRED", FailedPrecondition, Never, None;
    /// The signed policy's signature does not verify.
    PolicyUnsigned = "POLICY_UNSIGNED", FailedPrecondition, Never, None;
    /// The signed policy cannot be read.
    PolicyMalformed = "POLICY_MALFORMED", FailedPrecondition, Never, None;
    /// The engine could not bring a setting into force.
    ApplyFailed = "APPLY_FAILED", Internal, Same, None;
    /// The device reads back another value than was applied.
    ReadBackDiffers = "READ_BACK_DIFFERS", Internal, Same, None;
    /// Tamper protection keeps another value.
    TamperProtected = "TAMPER_PROTECTED", FailedPrecondition, Never, None;
    /// Policies want different values; the setting is withheld.
    SettingConflict = "SETTING_CONFLICT", FailedPrecondition, Never, None;
    /// A waiver exempts the device; the setting is withheld.
    SettingWaived = "SETTING_WAIVED", FailedPrecondition, Never, None;
    /// The device cannot take the setting; it is withheld.
    SettingNotApplicable = "SETTING_NOT_APPLICABLE", FailedPrecondition, Never, None;
    /// No engine on the device handles the setting.
    EngineMissing = "ENGINE_MISSING", FailedPrecondition, Never, None;
    /// The report cannot be read or is out of bounds.
    ReportInvalid = "REPORT_INVALID", InvalidArgument, Never, None;

    /// Another writer was first, again and again.
    LogConflict = "LOG_CONFLICT", Aborted, Same, None;
    /// The log did not acknowledge in time.
    LogUnavailable = "LOG_UNAVAILABLE", Unavailable, Same, Unknown;
    /// The log has a gap or a broken hash chain.
    LogCorrupt = "LOG_CORRUPT", DataLoss, Never, None;
    /// A view holds other rows than the log gives.
    ViewMismatch = "VIEW_MISMATCH", DataLoss, Never, None;
    /// The log takes no events since a write failed or damage was found.
    LogReadOnly = "LOG_READ_ONLY", Unavailable, Never, None;
    /// The event is larger than the log takes.
    EventTooLarge = "EVENT_TOO_LARGE", ResourceExhausted, Never, None;
    /// The disk is full.
    DiskFull = "DISK_FULL", ResourceExhausted, Same, None;
    /// The nats-server is older than 2.15.1.
    NatsTooOld = "NATS_TOO_OLD", FailedPrecondition, Never, None;
    /// The nats-server acknowledges before it syncs to disk.
    NatsLazySync = "NATS_LAZY_SYNC", FailedPrecondition, Never, None;
    /// The nats-server cannot be reached.
    NatsUnreachable = "NATS_UNREACHABLE", Unavailable, Same, None;
    /// The data directory was written by a newer version.
    DataDirTooNew = "DATA_DIR_TOO_NEW", FailedPrecondition, Never, None;
    /// The data directory cannot be written.
    DataDirReadOnly = "DATA_DIR_READ_ONLY", FailedPrecondition, Never, None;
    /// Another process uses the data directory.
    DataDirInUse = "DATA_DIR_IN_USE", FailedPrecondition, Never, None;
    /// The address to listen on is taken.
    PortInUse = "PORT_IN_USE", FailedPrecondition, Never, None;
    /// The configuration contradicts itself or names what is not there.
    ConfigInvalid = "CONFIG_INVALID", InvalidArgument, Never, None;
}

/// Text that names no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such error code: {0:?}")]
pub struct UnknownErrorCode(pub String);

impl FromStr for ErrorCode {
    type Err = UnknownErrorCode;

    fn from_str(text: &str) -> Result<Self, UnknownErrorCode> {
        Self::ALL
            .iter()
            .find(|code| code.as_str() == text)
            .copied()
            .ok_or_else(|| UnknownErrorCode(text.chars().take(64).collect()))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_round_trip() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }

    #[test]
    fn every_page_says_what_happened_and_what_to_do() {
        for code in ErrorCode::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}: title");
            for heading in ["## What happened", "## What to do"] {
                let body = page.split(heading).nth(1).unwrap_or_default();
                assert!(body.trim().len() > 20, "{code}: {heading} says nothing");
            }
        }
    }
}
