//! How refusals that have to do with authorities and directories are told.

use muster_errors::{ErrorCode, Fault};

use crate::domain::{directory_device, trust_anchor};

impl From<trust_anchor::Error> for Fault {
    fn from(error: trust_anchor::Error) -> Self {
        use trust_anchor::Error;
        let message = error.to_string();
        match error {
            Error::Unknown => Self::new(ErrorCode::TrustAnchorUnknown, message),
            Error::NameInvalid => Self::invalid_field("trust_anchor.display_name", message),
            Error::NameTaken { by } => Self::new(ErrorCode::NameTaken, message).with("trust_anchor", by),
            Error::RequestReused { display_name } => {
                Self::new(ErrorCode::RequestIdReused, message).with("display_name", display_name)
            }
            Error::CertificateCount { .. } => Self::new(ErrorCode::TrustAnchorInvalid, message.clone())
                .with_field("trust_anchor.certificates_der", message),
            Error::CertificateUnfit { index, reason } => Self::new(ErrorCode::TrustAnchorInvalid, message)
                .with("certificate", index)
                .with_field(format!("trust_anchor.certificates_der[{index}]"), reason),
            Error::DirectoryTenantInvalid => Self::invalid_field("trust_anchor.directory_tenant_id", message),
        }
    }
}

impl From<directory_device::Error> for Fault {
    fn from(error: directory_device::Error) -> Self {
        let message = error.to_string();
        match error {
            directory_device::Error::Unknown => Self::new(ErrorCode::DirectoryDeviceUnknown, message),
        }
    }
}
