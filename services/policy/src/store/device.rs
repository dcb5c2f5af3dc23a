//! Rows of devices.

use muster_catalog::{Platform, TamperLock};
use muster_types::Timestamp;
use prost::Message;

use super::decoded;
use crate::projection::fleet::{AgentVersion, Gone, Management, Told, facts_mark};

#[derive(Clone, PartialEq, Message)]
struct StoredDevice {
    #[prost(uint32, tag = "1")]
    platform: u32,
    #[prost(uint32, tag = "2")]
    management: u32,
    #[prost(uint32, optional, tag = "3")]
    ordinal: Option<u32>,
    /// Enrollment code of a management elsewhere.
    #[prost(string, tag = "4")]
    code: String,
    #[prost(uint32, tag = "5")]
    gone: u32,
    #[prost(bool, tag = "6")]
    quarantined: bool,
    #[prost(sint64, optional, tag = "7")]
    offboarding_micros: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "8")]
    facts: Option<Vec<u8>>,
    #[prost(bool, tag = "9")]
    domain_controller: bool,
    /// Version of the security product.
    #[prost(string, tag = "10")]
    agent: String,
    #[prost(uint32, tag = "11")]
    tamper: u32,
}

/// A device as a row.
#[must_use]
pub fn encode_device(told: &Told) -> Vec<u8> {
    let Told {
        platform,
        management,
        ordinal,
        gone,
        quarantined,
        offboarding,
        facts,
        domain_controller,
        agent,
        tamper,
    } = told;
    let platform = match platform {
        None => 0,
        Some(Platform::Windows) => 1,
        Some(Platform::Linux) => 2,
        Some(Platform::Macos) => 3,
    };
    let (management, code) = match management {
        Management::Undecided => (0, String::new()),
        Management::Here => (1, String::new()),
        Management::Elsewhere(code) => (2, code.as_str().to_owned()),
    };
    let gone = match gone {
        None => 0,
        Some(Gone::Offboarded) => 1,
        Some(Gone::Deleted) => 2,
        Some(Gone::Merged) => 3,
    };
    StoredDevice {
        platform,
        management,
        ordinal: *ordinal,
        code,
        gone,
        quarantined: *quarantined,
        offboarding_micros: offboarding.map(Timestamp::micros),
        facts: facts.map(Vec::from),
        domain_controller: *domain_controller,
        agent: agent.to_string(),
        tamper: match tamper {
            TamperLock::Unknown => 0,
            TamperLock::Off => 1,
            TamperLock::On => 2,
            TamperLock::OnWithExclusions => 3,
        },
    }
    .encode_to_vec()
}

/// A device from its row.
///
/// # Errors
/// What is wrong with the row.
pub fn decode_device(value: &[u8]) -> Result<Told, String> {
    let StoredDevice {
        platform,
        management,
        ordinal,
        code,
        gone,
        quarantined,
        offboarding_micros,
        facts,
        domain_controller,
        agent,
        tamper,
    } = decoded(value)?;
    let mark = |facts: Vec<u8>| facts_mark(&facts).ok_or("a mark of facts has 8 bytes");
    Ok(Told {
        platform: match platform {
            0 => None,
            1 => Some(Platform::Windows),
            2 => Some(Platform::Linux),
            3 => Some(Platform::Macos),
            other => return Err(format!("platform {other}")),
        },
        management: match management {
            0 => Management::Undecided,
            1 => Management::Here,
            2 => Management::Elsewhere(code.parse().map_err(|_| format!("code {code:?}"))?),
            other => return Err(format!("management {other}")),
        },
        ordinal,
        gone: match gone {
            0 => None,
            1 => Some(Gone::Offboarded),
            2 => Some(Gone::Deleted),
            3 => Some(Gone::Merged),
            other => return Err(format!("gone {other}")),
        },
        quarantined,
        offboarding: offboarding_micros.map(Timestamp::from_micros),
        facts: facts.map(mark).transpose()?,
        domain_controller,
        agent: AgentVersion::read(&agent),
        tamper: match tamper {
            0 => TamperLock::Unknown,
            1 => TamperLock::Off,
            2 => TamperLock::On,
            3 => TamperLock::OnWithExclusions,
            other => return Err(format!("tamper protection {other}")),
        },
    })
}
