//! Enrollment codes: the closed set of reasons why a device is managed by this channel or is not.
//!
//! Microsoft Defender for Endpoint shows a bare integer (registry `SenseCM`, `EnrollmentStatus`), a third of them without
//! a published meaning. Here each has a name, a cause and an action, and every one of the integers 0 to 44 belongs to
//! exactly one name.

use std::fmt;
use std::str::FromStr;

/// Largest integer that Microsoft Defender for Endpoint is known to show.
pub const DEFENDER_CODE_MAX: u8 = 44;

/// How good or bad a code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Success,
    /// Works, and wants a look.
    Warning,
    /// As an admin or another authority wants it.
    Info,
    /// Something must be mended.
    Error,
}

/// Where the meaning of a code comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// Microsoft's documentation lists the integers.
    Documented,
    /// Scripts and articles of others tell of the integers; a hint, not a promise.
    ThirdParty,
    /// The name is this product's own; there is no integer.
    Own,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident, $basis:ident [$($defender:literal),*] {
        title: $title:literal,
        cause: $cause:literal,
        action: $action:literal,
    })*) => {
        /// Why a device is managed by this channel or is not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EnrollmentCode {
            $($(#[$doc])* $name,)*
        }

        impl EnrollmentCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as users see it, for example `OUT_OF_SCOPE`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How good or bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// Where the meaning comes from.
            #[must_use]
            pub const fn basis(self) -> Basis {
                match self { $(Self::$name => Basis::$basis,)* }
            }

            /// The integers of Microsoft Defender for Endpoint that say the same, the one to show first; empty where the
            /// name is this product's own.
            #[must_use]
            pub const fn defender_codes(self) -> &'static [u8] {
                match self { $(Self::$name => &[$($defender),*],)* }
            }

            /// A heading for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What led to it, in whole sentences.
            #[must_use]
            pub const fn cause(self) -> &'static str {
                match self { $(Self::$name => $cause,)* }
            }

            /// What an admin can do, in whole sentences.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$name => $action,)* }
            }
        }
    };
}

codes! {
    /// Managed by this channel.
    Enrolled = "ENROLLED", Success, ThirdParty [1] {
        title: "Enrolled",
        cause: "The device is enrolled and managed by this channel.",
        action: "Nothing to do.",
    }
    /// Permitted, and trust is not established yet.
    Pending = "PENDING", Info, Own [] {
        title: "Pending",
        cause: "The device may be enrolled, and its certificate has not been issued or fetched yet.",
        action: "Wait: the agent asks again by itself within minutes. If the device stays here, see whether its agent runs (`muster-agent doctor` on the device).",
    }
    /// Managed by this channel while Configuration Manager tries as well.
    DualManagement = "DUAL_MANAGEMENT", Warning, Documented [43] {
        title: "Two channels try to manage the device",
        cause: "Configuration Manager manages endpoint protection on the device, and the tenant does not leave authority to it: this channel manages the device, and both write the same settings.",
        action: "Choose one. Turn endpoint protection off in the device's client settings in Configuration Manager, or leave authority to it (`muster scope set --config-mgr-authority true`).",
    }
    /// An MDM manages the device.
    ManagedByMdm = "MANAGED_BY_MDM", Info, ThirdParty [3] {
        title: "Managed by an MDM",
        cause: "The device is enrolled in a mobile device management service, which is in charge of its settings. This channel stands down.",
        action: "Nothing to do if that is wanted. To manage the device here, end its MDM enrollment; this channel takes over by itself.",
    }
    /// Configuration Manager manages the device.
    ManagedByConfigMgr = "MANAGED_BY_CONFIG_MGR", Info, Documented [4] {
        title: "Managed by Configuration Manager",
        cause: "The Configuration Manager client manages endpoint protection on the device, and the tenant leaves authority to it.",
        action: "Nothing to do if that is wanted. To hand over, take authority from it (`muster scope set --config-mgr-authority false`), or remove the client.",
    }
    /// Devices of this kind are out of the enforcement scope.
    OutOfScope = "OUT_OF_SCOPE", Info, Own [] {
        title: "Out of the enforcement scope",
        cause: "The enforcement scope is off for devices of this kind.",
        action: "Nothing to do if that is wanted. Otherwise widen the scope for this kind of device, for example `muster scope set --linux all`; the device is decided anew at once.",
    }
    /// Only tagged devices are in scope, and this one has not the tag.
    NotTagged = "NOT_TAGGED", Info, Own [] {
        title: "Without the tag of the scope",
        cause: "The enforcement scope takes only tagged devices of this kind, and the device has not the tag. A tag that a device set on itself counts only when the tenant trusts device tags.",
        action: "Set the tag (`muster device tag`), or let the onboarding token set it. The device is decided anew at once.",
    }
    /// The tenant does not allow this channel.
    ChannelNotAllowed = "CHANNEL_NOT_ALLOWED", Error, Documented [8, 44] {
        title: "This channel is not allowed",
        cause: "The tenant does not allow this channel to manage devices. In the original, the Intune side does not let Defender for Endpoint enforce policy.",
        action: "Allow the channel (`muster scope set --allow-channel true`).",
    }
    /// Devices onboarded through a cloud defender are left out.
    CloudDefenderExcluded = "CLOUD_DEFENDER_EXCLUDED", Info, Own [] {
        title: "Onboarded through a cloud defender",
        cause: "The device's sensor was onboarded through a cloud defender, and the tenant leaves such devices out.",
        action: "Nothing to do if that is wanted. Otherwise include such devices (`muster scope set --include-cloud-defender true`).",
    }
    /// What the tenant is entitled to does not qualify.
    EntitlementMissing = "ENTITLEMENT_MISSING", Error, Own [] {
        title: "The entitlement does not qualify",
        cause: "The tenant is entitled to nothing, or to servers only. At least one endpoint licence is needed, for servers too.",
        action: "Get an endpoint licence and enter it (`muster scope set --entitlement endpoint`).",
    }
    /// Every seat is taken.
    SeatsExhausted = "SEATS_EXHAUSTED", Error, Own [] {
        title: "No seat is left",
        cause: "As many devices are managed as the tenant has seats for. Synthetic registrations count.",
        action: "Add seats (`muster scope set --seats N`), or offboard devices that are gone. The device gets the next free seat by itself.",
    }
    /// The platform is none of those supported.
    PlatformUnsupported = "PLATFORM_UNSUPPORTED", Error, Own [] {
        title: "The platform is not supported",
        cause: "The operating system or distribution is none of those that the platform rules in force name.",
        action: "See the supported platforms in `docs/enrollment/platforms.md`. Where the tenant holds to the rules of 2023-09, the current ones may take the device (`muster scope set --rules-as-of current`).",
    }
    /// The operating system is older than the minimum.
    OsTooOld = "OS_TOO_OLD", Error, Own [] {
        title: "The operating system is too old",
        cause: "The build, or the version of the distribution, is below the minimum of the platform rules. The message names both.",
        action: "Install the update that the message names or any later one, or upgrade the operating system. The agent reports by itself and the device is decided anew.",
    }
    /// The security product's sensor is older than the minimum.
    AgentTooOld = "AGENT_TOO_OLD", Error, Own [] {
        title: "The sensor is too old",
        cause: "The version of the security product's sensor on the device is below the minimum of the platform rules. The message names both.",
        action: "Update the security product. The agent reports by itself and the device is decided anew.",
    }
    /// Server Core of this release is not supported.
    ServerCoreUnsupported = "SERVER_CORE_UNSUPPORTED", Error, Own [] {
        title: "Server Core is not supported here",
        cause: "The device runs Server Core of a release that the platform rules take only with the desktop, or only with the App Compatibility feature on demand.",
        action: "On Windows Server 2019 install the App Compatibility feature on demand; otherwise move to Windows Server 2022 or later.",
    }
    /// A virtual desktop that does not last.
    NonPersistentVdi = "NON_PERSISTENT_VDI", Error, Own [] {
        title: "Virtual desktop that is thrown away after use",
        cause: "Non-persistent virtual desktops are not supported on this channel: each start would be a new device.",
        action: "Build the settings into the image, or manage the desktops by other means.",
    }
    /// A session host of Azure Virtual Desktop.
    AzureVirtualDesktop = "AZURE_VIRTUAL_DESKTOP", Error, Own [] {
        title: "Azure Virtual Desktop",
        cause: "Session hosts of Azure Virtual Desktop are not supported on this channel.",
        action: "Manage them with an MDM or in the image.",
    }
    /// Windows for 32-bit processors.
    Architecture32Bit = "ARCHITECTURE_32_BIT", Error, Own [] {
        title: "32-bit Windows",
        cause: "The device runs 32-bit Windows, which the current platform rules do not support.",
        action: "Install 64-bit Windows.",
    }
    /// PowerShell runs in ConstrainedLanguage mode.
    ConstrainedLanguage = "CONSTRAINED_LANGUAGE", Error, Own [] {
        title: "PowerShell in ConstrainedLanguage mode",
        cause: "PowerShell on the device is in ConstrainedLanguage mode, in which this channel does not work.",
        action: "Allow FullLanguage mode for system scripts, for example with an application control rule for them.",
    }
    /// The unified agent is missing on Windows Server 2012 R2 or 2016.
    UnifiedAgentMissing = "UNIFIED_AGENT_MISSING", Error, Own [] {
        title: "The unified agent is missing",
        cause: "Windows Server 2012 R2 and 2016 need the modern, unified agent; the device runs the older one or none.",
        action: "Install the unified agent on the device.",
    }
    /// Domain controllers are left out.
    DomainControllerExcluded = "DOMAIN_CONTROLLER_EXCLUDED", Info, Own [] {
        title: "Domain controllers are left out",
        cause: "The device is a domain controller, and the tenant's switch for domain controllers is off, or the platform rules of 2023-09 are in force, which do not support them.",
        action: "Nothing to do if that is wanted. Otherwise turn them on under the current platform rules (`muster scope set --rules-as-of current --domain-controllers all`); Windows Server must be on too.",
    }
    /// What the device reported is not enough to decide.
    FactsIncomplete = "FACTS_INCOMPLETE", Error, Own [] {
        title: "The survey is incomplete",
        cause: "What the device reported is not enough to decide about it. The message names what is missing.",
        action: "See why the agent could not collect it (`muster-agent doctor` on the device); a newer agent may. The device is decided anew with its next report.",
    }
    /// The device belongs to another tenant.
    TenantMismatch = "TENANT_MISMATCH", Error, Documented [15] {
        title: "The device belongs to another tenant",
        cause: "The device's registration, or the service connection point of its directory, names another tenant.",
        action: "Point both to one tenant, or onboard the device with a token of the tenant that it belongs to.",
    }
    /// The device's certificate is of another authority or cannot be used.
    Certificate = "CERTIFICATE", Error, Documented [18] {
        title: "The certificate cannot be used",
        cause: "The device's certificate belongs to another tenant, is not trusted, or has ended.",
        action: "Remove the certificate and register the device again; see that the authority that issued it is a trust anchor (`muster trust-anchor list`).",
    }
    /// A name did not resolve.
    Dns = "DNS", Error, Documented [38, 41] {
        title: "Name resolution failed",
        cause: "The device could not resolve the name of a service.",
        action: "Mend the device's name resolution, and check that it may reach its name servers. `muster-agent doctor` shows the name that fails.",
    }
    /// The clock is off.
    Clock = "CLOCK", Error, Documented [40] {
        title: "The clock is off",
        cause: "The device's clock is so far off that certificates seem expired or not yet valid.",
        action: "Mend time synchronisation on the device.",
    }
    /// The proxy refuses or is missing.
    Proxy = "PROXY", Error, Own [] {
        title: "The proxy is in the way",
        cause: "The device has no direct way out and no system-wide proxy, or the proxy refuses the connection.",
        action: "Set a system-wide proxy, and let the services' addresses through without sign-in. A proxy set in the security product alone is not enough.",
    }
    /// Something opens the connection on the way.
    TlsInspection = "TLS_INSPECTION", Error, Own [] {
        title: "The connection is inspected on the way",
        cause: "A middlebox opens TLS and shows a certificate of its own, so that neither side can prove itself.",
        action: "Exempt the services' addresses from TLS inspection.",
    }
    /// A service cannot be reached.
    Connectivity = "CONNECTIVITY", Error, Documented [13, 14, 20, 24, 25] {
        title: "A service cannot be reached",
        cause: "The device could not connect to an address that it needs.",
        action: "Open firewall and proxy to the services' addresses. `muster-agent doctor` shows the address that fails.",
    }
    /// The hybrid join failed.
    HybridJoinFailed = "HYBRID_JOIN_FAILED", Error, Documented [10, 42] {
        title: "The hybrid join failed",
        cause: "The operating system could not join the cloud directory. Only older agents need the join: a synthetic registration does without.",
        action: "Update the agent, or mend the hybrid join.",
    }
    /// The service connection point is wrong.
    ServiceConnectionPoint = "SERVICE_CONNECTION_POINT", Error, Documented [16, 17] {
        title: "The service connection point is wrong",
        cause: "The directory's service connection point is wrong, or points at an on-premises registration service. Only older agents need it.",
        action: "Update the agent, or correct the service connection point.",
    }
    /// The directory is not synchronised.
    DirectorySynchronisation = "DIRECTORY_SYNCHRONISATION", Error, Documented [36, 37] {
        title: "The directory is not synchronised",
        cause: "The synchronisation of the on-premises directory with the cloud is misconfigured. Only older agents need it.",
        action: "Update the agent, or mend the synchronisation; Windows Server 2012 R2 has steps of its own.",
    }
    /// Something else went wrong.
    GeneralError = "GENERAL_ERROR", Error, Documented [5, 6, 7, 9, 11, 12, 26, 27, 28, 29, 30, 31, 32, 33] {
        title: "General error",
        cause: "The device came on board, and enrolling it failed for a reason that has no code of its own. The message tells more.",
        action: "Check the requirements of the platform, run `muster-agent doctor` on the device, and look into the logs under the request id of the message.",
    }
    /// On board, and never enrolled.
    NotEnrolled = "NOT_ENROLLED", Error, Documented [2] {
        title: "Not enrolled",
        cause: "The device is on board, in the scope or not, and was never enrolled.",
        action: "Look at the enforcement scope, the device's tags and the requirements of its platform.",
    }
    /// Two live sessions use one identity.
    Quarantined = "QUARANTINED", Error, Own [] {
        title: "Quarantined: two devices use one identity",
        cause: "Two live sessions use the identity of this device: a disk image or a virtual machine was cloned after onboarding. Neither gets policy.",
        action: "Find the copy and resolve it (`muster registration resolve`); prepare images before onboarding.",
    }
    /// An admin asked for its offboarding.
    Offboarding = "OFFBOARDING", Info, Own [] {
        title: "Being offboarded",
        cause: "An admin asked for the device's offboarding, and the device has not confirmed it yet.",
        action: "Nothing to do: the device takes the order at its next check-in. An order that runs out before is given anew (`muster device offboard`).",
    }
    /// Offboarded.
    Offboarded = "OFFBOARDED", Info, Own [] {
        title: "Offboarded",
        cause: "The device took back what was enforced, and left.",
        action: "Nothing to do. To take it back, allow it (`muster device allow-reenroll`) and onboard it again.",
    }
    /// Deleted.
    Deleted = "DELETED", Info, Own [] {
        title: "Deleted",
        cause: "An admin deleted the device. It stays so: an agent that still runs there is refused.",
        action: "Nothing to do. To take it back, allow it (`muster device allow-reenroll`).",
    }
    /// Another record of the same device lives on.
    Merged = "MERGED", Info, Own [] {
        title: "Merged into another record",
        cause: "The device turned out to be one that is known already, by its hardware; the other record lives on.",
        action: "Nothing to do: look at the other record.",
    }
    /// Nothing happened.
    NothingHappened = "NOTHING_HAPPENED", Warning, ThirdParty [0] {
        title: "Nothing happened yet, or it failed",
        cause: "Microsoft Defender for Endpoint has not tried to enroll the device, or failed before it could tell why.",
        action: "Wait up to 24 hours. Then check the scope and the requirements of the platform.",
    }
    /// Counts as success, and Microsoft does not say what it means.
    EnrolledUndocumented = "ENROLLED_UNDOCUMENTED", Success, ThirdParty [19, 34, 35, 39] {
        title: "Enrolled, by an integer without published meaning",
        cause: "Microsoft Defender for Endpoint shows an integer that others count as success. 35 was seen on Windows Server 2012 R2 while its hybrid join was pending.",
        action: "Nothing to do while the device gets policy; otherwise treat it as a general error.",
    }
    /// An MDM is the provider, its state is not known.
    ProviderMdmUnknown = "PROVIDER_MDM_UNKNOWN", Warning, ThirdParty [21] {
        title: "An MDM is the provider, its state is not known",
        cause: "Microsoft Defender for Endpoint names an MDM as the provider of settings and does not know how far it came.",
        action: "Look at the device in the MDM.",
    }
    /// Configuration Manager is the provider, its state is not known.
    ProviderConfigMgrUnknown = "PROVIDER_CONFIG_MGR_UNKNOWN", Warning, ThirdParty [22] {
        title: "Configuration Manager is the provider, its state is not known",
        cause: "Microsoft Defender for Endpoint names Configuration Manager as the provider of settings and does not know how far it came.",
        action: "Look at the device in Configuration Manager.",
    }
    /// The provider is not known.
    ProviderUnknown = "PROVIDER_UNKNOWN", Warning, ThirdParty [23] {
        title: "The provider is not known",
        cause: "Microsoft Defender for Endpoint does not know who provides the device's settings.",
        action: "See whether an MDM, Configuration Manager or this channel is meant to manage the device, and check the requirements of that one.",
    }
}

impl EnrollmentCode {
    /// The code under which an integer of Microsoft Defender for Endpoint goes; none above [`DEFENDER_CODE_MAX`].
    #[must_use]
    pub fn of_defender(integer: u8) -> Option<Self> {
        Self::ALL.iter().find(|code| code.defender_codes().contains(&integer)).copied()
    }

    /// The integer that Microsoft Defender for Endpoint would show for this outcome: the code's own, else that of
    /// [`EnrollmentCode::NotEnrolled`], under which it hides every reason that it has no integer for.
    #[must_use]
    pub fn shown_defender_code(self) -> u8 {
        let own = self.defender_codes().first();
        own.or_else(|| Self::NotEnrolled.defender_codes().first()).copied().unwrap_or_default()
    }

    /// Whether Microsoft's documentation lists the code's integers.
    #[must_use]
    pub fn is_documented(self) -> bool {
        self.basis() == Basis::Documented
    }

    /// Whether this channel manages a device that has the code.
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(self, Self::Enrolled | Self::DualManagement)
    }
}

/// Text that names no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such enrollment code: {0:?}")]
pub struct UnknownEnrollmentCode(pub String);

impl FromStr for EnrollmentCode {
    type Err = UnknownEnrollmentCode;

    fn from_str(text: &str) -> Result<Self, UnknownEnrollmentCode> {
        Self::ALL
            .iter()
            .find(|code| code.as_str() == text)
            .copied()
            .ok_or_else(|| UnknownEnrollmentCode(text.chars().take(64).collect()))
    }
}

impl fmt::Display for EnrollmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_round_trip() {
        for code in EnrollmentCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
        assert!("SOMETHING".parse::<EnrollmentCode>().is_err());
    }

    #[test]
    fn every_integer_belongs_to_exactly_one_code() {
        for integer in 0..=u8::MAX {
            let owners: Vec<_> =
                EnrollmentCode::ALL.iter().filter(|code| code.defender_codes().contains(&integer)).collect();
            assert_eq!(owners.len(), usize::from(integer <= DEFENDER_CODE_MAX), "{integer}: {owners:?}");
            assert_eq!(EnrollmentCode::of_defender(integer), owners.first().copied().copied());
        }
    }

    #[test]
    fn integers_mean_what_is_known_of_them() {
        use EnrollmentCode as Code;
        let known: &[(&[u8], Code, Basis)] = &[
            (&[5, 6, 7, 9, 11, 12, 26, 27, 28, 29, 30, 31, 32, 33], Code::GeneralError, Basis::Documented),
            (&[8, 44], Code::ChannelNotAllowed, Basis::Documented),
            (&[13, 14, 20, 24, 25], Code::Connectivity, Basis::Documented),
            (&[10, 42], Code::HybridJoinFailed, Basis::Documented),
            (&[15], Code::TenantMismatch, Basis::Documented),
            (&[16, 17], Code::ServiceConnectionPoint, Basis::Documented),
            (&[18], Code::Certificate, Basis::Documented),
            (&[36, 37], Code::DirectorySynchronisation, Basis::Documented),
            (&[38, 41], Code::Dns, Basis::Documented),
            (&[40], Code::Clock, Basis::Documented),
            (&[43], Code::DualManagement, Basis::Documented),
            (&[2], Code::NotEnrolled, Basis::Documented),
            (&[4], Code::ManagedByConfigMgr, Basis::Documented),
            (&[0], Code::NothingHappened, Basis::ThirdParty),
            (&[1], Code::Enrolled, Basis::ThirdParty),
            (&[3], Code::ManagedByMdm, Basis::ThirdParty),
            (&[19, 34, 35, 39], Code::EnrolledUndocumented, Basis::ThirdParty),
            (&[21], Code::ProviderMdmUnknown, Basis::ThirdParty),
            (&[22], Code::ProviderConfigMgrUnknown, Basis::ThirdParty),
            (&[23], Code::ProviderUnknown, Basis::ThirdParty),
        ];
        for (integers, code, basis) in known {
            assert_eq!(code.defender_codes(), *integers);
            assert_eq!(code.basis(), *basis, "{code}");
        }
        for code in EnrollmentCode::ALL {
            let listed = known.iter().any(|(_, known, _)| known == code);
            assert_eq!(code.basis() == Basis::Own, !listed, "{code}");
        }
    }

    #[test]
    fn a_code_without_an_integer_shows_as_not_enrolled() {
        assert_eq!(EnrollmentCode::OutOfScope.shown_defender_code(), 2);
        assert_eq!(EnrollmentCode::ChannelNotAllowed.shown_defender_code(), 8);
        assert_eq!(EnrollmentCode::NothingHappened.shown_defender_code(), 0);
    }

    #[test]
    fn every_code_says_what_led_to_it_and_what_to_do() {
        for code in EnrollmentCode::ALL {
            for text in [code.cause(), code.action()] {
                assert!(text.len() > 10 && text.ends_with('.'), "{code}: {text:?}");
            }
            assert!(!code.title().is_empty() && !code.title().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn a_code_that_permits_is_no_error() {
        for code in EnrollmentCode::ALL.iter().filter(|code| code.permits()) {
            assert_ne!(code.severity(), Severity::Error, "{code}");
        }
    }
}
