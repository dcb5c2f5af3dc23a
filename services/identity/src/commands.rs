//! The only writer: load, decide, append with the expected version.

use std::convert::Infallible;
use std::sync::Arc;

use muster_eventlog::command::{ExecuteError, Executed, Repository, State as _};
use muster_eventlog::log::SharedLog;
use muster_eventlog::{Actor, Context, ReadError};
use muster_telemetry::context::current_traceparent;
use muster_types::id::derive;
use muster_types::{
    Clock, DeviceId, Digest, EventId, GroupId, RequestId, Service, StreamId, TenantId, Timestamp,
};
use roaring::RoaringBitmap;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::domain::group::{self, Group};
use crate::domain::registration::{self, Registration};
use crate::error::Failure;
use crate::queries::Queries;

/// A certificate that is ready to be handed out.
#[derive(Debug, Clone)]
pub struct Establish {
    /// The tenant the device is in.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// SPIFFE ID in the certificate.
    pub spiffe_id: String,
    /// SHA-256 of the public key in it.
    pub key_digest: Digest,
    /// Its serial number, big-endian.
    pub certificate_serial: Vec<u8>,
    /// When it ends.
    pub not_after: Timestamp,
    /// The work this belongs to.
    pub correlation_id: Uuid,
    /// The event that led here.
    pub causation_id: EventId,
}

/// A group to define.
#[derive(Debug, Clone)]
pub struct DefineGroup {
    /// The tenant it is for.
    pub tenant: TenantId,
    /// The request; the group's id follows from it.
    pub request: RequestId,
    /// Name for people.
    pub display_name: String,
    /// Only say what would come of it.
    pub validate_only: bool,
}

/// A change of a group's members.
#[derive(Debug, Clone)]
pub struct ModifyMembers {
    /// The tenant it is in.
    pub tenant: TenantId,
    /// The group.
    pub group: GroupId,
    /// The request.
    pub request: RequestId,
    /// Ordinals of those that shall be in.
    pub add: RoaringBitmap,
    /// Ordinals of those that shall not.
    pub remove: RoaringBitmap,
    /// The revision the group must still have.
    pub expected: Option<u64>,
    /// Only say what would come of it.
    pub validate_only: bool,
}

/// The commands of this service.
pub struct Commands {
    log: SharedLog,
    clock: Arc<dyn Clock>,
    registrations: Repository<Registration>,
    groups: Repository<Group>,
    /// Held while a name is looked up and taken: names are unique over groups, which no single stream can say.
    naming: Mutex<()>,
}

impl Commands {
    /// Commands that write to a log.
    #[must_use]
    pub fn new(log: SharedLog, clock: Arc<dyn Clock>) -> Self {
        Self {
            log,
            clock,
            registrations: Repository::default(),
            groups: Repository::default(),
            naming: Mutex::default(),
        }
    }

    /// Notes a certificate, before it is handed out.
    ///
    /// # Errors
    /// When the log does not take it; the certificate must then not be handed out.
    pub async fn establish_trust(
        &self,
        establish: Establish,
    ) -> Result<Executed<Registration>, ExecuteError<Infallible>> {
        let Establish {
            tenant,
            device,
            spiffe_id,
            key_digest,
            certificate_serial,
            not_after,
            correlation_id,
            causation_id,
        } = establish;
        let request = derive("establish-trust", &[device.as_bytes(), &certificate_serial]);
        let context = Context {
            correlation_id,
            causation_id: Some(causation_id),
            ..self.context(Actor::service(Service::Enroll), RequestId::from_uuid(request))
        };
        let command =
            registration::Command::Establish { spiffe_id, key_digest, certificate_serial, not_after };
        let stream = StreamId::new(tenant, Registration::AGGREGATE, device.uuid());
        let decide = |registration: &Registration| Ok(registration.decide(&command));
        self.registrations.execute(&self.log, stream, RequestId::from_uuid(request), &context, decide).await
    }

    /// Defines a group. The same request again finds the group it defined.
    ///
    /// # Errors
    /// Refused when the name is in use or no name, and when the request id defined another group.
    pub async fn define_group(
        &self,
        define: DefineGroup,
        actor: Actor,
        queries: &Queries,
    ) -> Result<Executed<Group>, Failure> {
        let DefineGroup { tenant, request, display_name, validate_only } = define;
        let _turn = self.naming.lock().await;
        queries.catch_up(&self.log).await?;
        let context = self.context(actor, request);
        let command = group::Command::Define {
            namesake: queries.group_named(tenant, &display_name),
            display_name,
            now: context.time,
        };
        let stream = group_stream(tenant, group_id(tenant, request));
        let decide = |group: &Group| group.decide(&command);
        Ok(if validate_only {
            self.groups.rehearse(&self.log, stream, decide).await
        } else {
            self.groups.execute(&self.log, stream, request, &context, decide).await
        }?)
    }

    /// Lets devices into a group and out of it, as one change.
    ///
    /// # Errors
    /// Refused when there is no such group, when it moved on, and when the change contradicts itself.
    pub async fn modify_members(
        &self,
        modify: ModifyMembers,
        actor: Actor,
    ) -> Result<Executed<Group>, ExecuteError<group::Error>> {
        let ModifyMembers { tenant, group, request, add, remove, expected, validate_only } = modify;
        let context = self.context(actor, request);
        let command = group::Command::ModifyMembers { add, remove, expected, now: context.time };
        let stream = group_stream(tenant, group);
        let decide = |group: &Group| group.decide(&command);
        if validate_only {
            return self.groups.rehearse(&self.log, stream, decide).await;
        }
        self.groups.execute(&self.log, stream, request, &context, decide).await
    }

    /// The log that is written to.
    #[must_use]
    pub fn log(&self) -> &SharedLog {
        &self.log
    }

    /// Where a reader must be to see what a command came to: at its last event or, when there was nothing to do, at the
    /// end of the log.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn seen_at(&self, written: Option<u64>) -> Result<u64, ReadError> {
        match written {
            Some(position) => Ok(position),
            None => self.log.head(Service::Identity).await,
        }
    }

    fn context(&self, actor: Actor, request: RequestId) -> Context {
        Context {
            actor,
            time: self.clock.now(),
            correlation_id: request.uuid(),
            causation_id: None,
            traceparent: current_traceparent().map(Arc::from),
        }
    }
}

/// The id of the group that a request defines.
#[must_use]
pub fn group_id(tenant: TenantId, request: RequestId) -> GroupId {
    GroupId::from_uuid(derive("group", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}

fn group_stream(tenant: TenantId, id: GroupId) -> StreamId {
    StreamId::new(tenant, Group::AGGREGATE, id.uuid())
}
