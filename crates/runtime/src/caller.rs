//! Who calls: known once per connection from the client's certificate, or per call from the admin token.

use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_types::{DeviceId, Service, TenantId, Timestamp};
use tonic::{Extensions, Request};

use crate::server::Connection;

/// Who calls. The server puts it into the extensions of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// A device, by its certificate.
    Device {
        /// The tenant it is in.
        tenant: TenantId,
        /// The device.
        device: DeviceId,
    },
    /// One of the four services, by its certificate.
    Service(Service),
    /// An admin.
    Admin {
        /// The name that stands in events.
        name: Arc<str>,
    },
}

/// Why a certificate or token that was shown did not count; beside [`Caller::Anonymous`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAccepted(pub &'static str);

/// The certificate that a call is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Certificate {
    /// When it was issued; the epoch where its serial number does not tell.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        muster_pki::serial::issued_at(&self.serial).unwrap_or_default()
    }
}

/// The certificate of ours that a call is made with. A test without a server puts it into the extensions itself.
#[must_use]
pub fn certificate(extensions: &Extensions) -> Option<&Certificate> {
    extensions.get().or_else(|| extensions.get::<Connection>()?.certificate())
}

/// Who makes this call; nobody when no server said.
#[must_use]
pub fn of(extensions: &Extensions) -> Caller {
    extensions.get().cloned().unwrap_or(Caller::Anonymous)
}

/// The device that calls.
///
/// # Errors
/// `CERTIFICATE_REQUIRED` without a certificate, `CERTIFICATE_INVALID` with one that does not count,
/// `PERMISSION_DENIED` for anyone known who is no device.
pub fn device<T>(request: &Request<T>) -> Result<(TenantId, DeviceId), Fault> {
    match of(request.extensions()) {
        Caller::Device { tenant, device } => Ok((tenant, device)),
        Caller::Anonymous => Err(unproven(request.extensions(), "a device")),
        Caller::Service(_) | Caller::Admin { .. } => Err(denied("a device")),
    }
}

/// The name of the admin who calls.
///
/// # Errors
/// `ADMIN_TOKEN_INVALID` without the right token, `PERMISSION_DENIED` for a device or service.
pub fn admin<T>(request: &Request<T>) -> Result<Arc<str>, Fault> {
    admin_in(request.extensions())
}

/// The same from the extensions of a request.
///
/// # Errors
/// As [`admin`].
pub fn admin_in(extensions: &Extensions) -> Result<Arc<str>, Fault> {
    match of(extensions) {
        Caller::Admin { name } => Ok(name),
        Caller::Anonymous => Err(Fault::new(
            ErrorCode::AdminTokenInvalid,
            "this call needs the admin token in `authorization: Bearer …`, and none or another was sent",
        )),
        Caller::Device { .. } | Caller::Service(_) => Err(denied("an admin")),
    }
}

/// The service that calls, if it is one of those allowed.
///
/// # Errors
/// As [`device`].
pub fn service<T>(request: &Request<T>, allowed: &[Service]) -> Result<Service, Fault> {
    match of(request.extensions()) {
        Caller::Service(service) if allowed.contains(&service) => Ok(service),
        Caller::Anonymous => Err(unproven(request.extensions(), "a service")),
        Caller::Service(_) | Caller::Device { .. } | Caller::Admin { .. } => Err(denied("another service")),
    }
}

fn unproven(extensions: &Extensions, wanted: &str) -> Fault {
    match extensions.get() {
        Some(NotAccepted(reason)) => {
            Fault::new(ErrorCode::CertificateInvalid, format!("the client certificate {reason}"))
        }
        None => {
            Fault::new(ErrorCode::CertificateRequired, format!("this call needs the certificate of {wanted}"))
        }
    }
}

fn denied(wanted: &str) -> Fault {
    Fault::new(ErrorCode::PermissionDenied, format!("this call is for {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(caller: Caller) -> Request<()> {
        let mut request = Request::new(());
        request.extensions_mut().insert(caller);
        request
    }

    #[test]
    fn each_kind_of_caller_passes_its_own_door_only() {
        let device_id = DeviceId::from_uuid(muster_types::RequestId::generate().uuid());
        let device = request(Caller::Device { tenant: TenantId::DEFAULT, device: device_id });
        let admin = request(Caller::Admin { name: Arc::from("admin") });
        let service = request(Caller::Service(Service::Enroll));
        assert_eq!(super::device(&device), Ok((TenantId::DEFAULT, device_id)));
        assert_eq!(super::admin(&admin), Ok(Arc::from("admin")));
        assert_eq!(super::service(&service, &[Service::Enroll]), Ok(Service::Enroll));
        let denied = ErrorCode::PermissionDenied;
        assert_eq!(super::device(&admin).unwrap_err().code, denied);
        assert_eq!(super::admin(&device).unwrap_err().code, denied);
        assert_eq!(super::service(&service, &[Service::Policy]).unwrap_err().code, denied);
    }

    #[test]
    fn nobody_is_told_what_is_missing() {
        let nobody = Request::new(());
        assert_eq!(device(&nobody).unwrap_err().code, ErrorCode::CertificateRequired);
        assert_eq!(admin(&nobody).unwrap_err().code, ErrorCode::AdminTokenInvalid);
        let mut expired = request(Caller::Anonymous);
        expired.extensions_mut().insert(NotAccepted("has expired"));
        assert_eq!(device(&expired).unwrap_err().code, ErrorCode::CertificateInvalid);
    }
}
