//! The only writer: load, decide, append with the expected version.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_catalog::Catalogue;
use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::{Executed, Repository, State};
use muster_eventlog::log::SharedLog;
use muster_eventlog::project::Projected;
use muster_eventlog::{Actor, Context};
use muster_telemetry::context::current_traceparent;
use muster_types::id::derive;
use muster_types::{
    Clock, DeviceId, GroupId, PolicyId, Positions, RequestId, Service, SettingId, SettingValue, StreamId,
    TenantId,
};
use tokio::sync::Mutex;

use crate::domain::assignment::{self, Assignment, Intent};
use crate::domain::policy::{self, OnUnassign, Policy};
use crate::domain::session::{self, BootId, Session};
use crate::domain::sync::{self, Sync};
use crate::error;
use crate::projection::Fleet;

/// Most settings of one policy.
pub const SETTINGS_MAX: usize = 1_000;
/// Most assignments of one policy.
pub const ASSIGNMENTS_MAX: usize = 1_000;

/// What every command brings.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who asks.
    pub actor: Actor,
    /// The request; a repeat with the same id is the same request.
    pub request: RequestId,
    /// Only say what would come of it.
    pub validate_only: bool,
    /// What the caller has seen: whatever it names exists at least there.
    pub seen: Positions,
}

/// A policy's settings as an admin gave them, in order.
pub type GivenSettings = Vec<(SettingId, SettingValue)>;

/// The commands of this service.
pub struct Commands {
    tenant: TenantId,
    log: SharedLog,
    clock: Arc<dyn Clock>,
    catalogue: &'static Catalogue,
    fleet: Projected<Fleet>,
    policies: Repository<Policy>,
    assignments: Repository<Assignment>,
    syncs: Repository<Sync>,
    sessions: Repository<Session>,
    /// Held while a name is looked up and taken: the view that knows all names is folded to it before the next.
    names: Mutex<()>,
}

impl Commands {
    /// Commands that write to a log. The view is asked for what other aggregates hold: names, groups, devices.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        log: SharedLog,
        clock: Arc<dyn Clock>,
        catalogue: &'static Catalogue,
        fleet: Projected<Fleet>,
    ) -> Self {
        Self {
            tenant,
            log,
            clock,
            catalogue,
            fleet,
            policies: Repository::default(),
            assignments: Repository::default(),
            syncs: Repository::default(),
            sessions: Repository::default(),
            names: Mutex::default(),
        }
    }

    /// Makes a policy. The same request again finds the policy it made.
    ///
    /// # Errors
    /// Settings that do not stand the catalogue (all of them), a name that is taken, a bad name, a reused request id.
    pub async fn create_policy(
        &self,
        asked: &Asked,
        display_name: String,
        profile: String,
        settings: GivenSettings,
        on_unassign: OnUnassign,
    ) -> Result<(PolicyId, Executed<Policy>), Fault> {
        let id = policy_id(self.tenant, asked.request);
        let settings = self.check(&profile, settings)?;
        let _turn = self.names.lock().await;
        self.check_name(&display_name, id)?;
        let (request, now) = (asked.request, self.clock.now());
        let command = policy::Command::Create { display_name, profile, settings, on_unassign, request, now };
        let done = self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await?;
        self.folded(&done).await;
        Ok((id, done))
    }

    /// Replaces a policy's name and settings.
    ///
    /// # Errors
    /// As [`Commands::create_policy`]; an unknown policy; an etag that does not hold.
    pub async fn revise_policy(
        &self,
        asked: &Asked,
        id: PolicyId,
        etag: String,
        display_name: String,
        settings: GivenSettings,
        on_unassign: OnUnassign,
    ) -> Result<Executed<Policy>, Fault> {
        let (policy, _) = self.policies.load(&self.log, self.stream::<Policy>(id.uuid())).await?;
        let profile = policy.known().ok_or(policy::Error::Unknown)?.profile.clone();
        let settings = self.check(&profile, settings)?;
        let _turn = self.names.lock().await;
        self.check_name(&display_name, id)?;
        let (request, now) = (asked.request, self.clock.now());
        let command = policy::Command::Revise { display_name, settings, on_unassign, etag, request, now };
        let done = self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await?;
        self.folded(&done).await;
        Ok(done)
    }

    /// Deletes a policy with its assignments.
    ///
    /// # Errors
    /// An unknown policy; an etag that does not hold.
    pub async fn delete_policy(
        &self,
        asked: &Asked,
        id: PolicyId,
        etag: String,
    ) -> Result<Executed<Policy>, Fault> {
        let command = policy::Command::Delete { etag, request: asked.request };
        self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await
    }

    /// Assigns a policy to a group, or excludes the group.
    ///
    /// # Errors
    /// An unknown policy or group; too many assignments.
    pub async fn assign(
        &self,
        asked: &Asked,
        policy: PolicyId,
        group: GroupId,
        intent: Intent,
    ) -> Result<Executed<Assignment>, Fault> {
        self.see(asked).await?;
        self.check_policy(policy).await?;
        self.check_group(policy, group)?;
        let command = assignment::Command::Assign { policy, group, intent, now: self.clock.now() };
        let id = assignment::stream_id(policy, group);
        self.run(&self.assignments, asked, id, |assignment| assignment.decide(&command)).await
    }

    /// Takes an assignment back.
    ///
    /// # Errors
    /// An unknown policy.
    pub async fn unassign(
        &self,
        asked: &Asked,
        policy: PolicyId,
        group: GroupId,
    ) -> Result<Executed<Assignment>, Fault> {
        self.check_policy(policy).await?;
        let command = assignment::Command::Unassign { policy, group };
        let id = assignment::stream_id(policy, group);
        self.run(&self.assignments, asked, id, |assignment| assignment.decide(&command)).await
    }

    /// Asks a device to check in at once.
    ///
    /// # Errors
    /// An unknown device.
    pub async fn sync(&self, asked: &Asked, device: DeviceId) -> Result<Executed<Sync>, Fault> {
        self.see(asked).await?;
        if self.fleet.read().device(device).is_none() {
            return Err(Fault::new(ErrorCode::DeviceUnknown, format!("no such device: {device}")));
        }
        let command = sync::Command::Request { request: asked.request };
        self.run(&self.syncs, asked, device.uuid(), |sync| sync.decide(&command)).await
    }

    /// Notes that two boots of a device's identity take turns.
    ///
    /// # Errors
    /// Those of the log.
    pub async fn observed_turns(
        &self,
        device: DeviceId,
        boots: [BootId; 2],
    ) -> Result<Executed<Session>, Fault> {
        let request = RequestId::generate();
        let asked = Asked {
            actor: Actor::service(Service::Policy),
            request,
            validate_only: false,
            seen: Positions::ZERO,
        };
        let command = session::Command::Observe { boots, request };
        self.run(&self.sessions, &asked, device.uuid(), |session| session.decide(&command)).await
    }

    async fn run<S: State, R: Into<Fault>>(
        &self,
        repository: &Repository<S>,
        asked: &Asked,
        id: uuid::Uuid,
        decide: impl Fn(&S) -> Result<Vec<S::Event>, R>,
    ) -> Result<Executed<S>, Fault> {
        let stream = self.stream::<S>(id);
        let done = if asked.validate_only {
            repository.rehearse(&self.log, stream, decide).await
        } else {
            let context = Context {
                actor: asked.actor.clone(),
                time: self.clock.now(),
                correlation_id: asked.request.uuid(),
                causation_id: None,
                traceparent: current_traceparent().map(Arc::from),
            };
            repository.execute(&self.log, stream, asked.request, &context, decide).await
        };
        done.map_err(Fault::from)
    }

    fn stream<S: State>(&self, id: uuid::Uuid) -> StreamId {
        StreamId::new(self.tenant, S::AGGREGATE, id)
    }

    async fn see(&self, asked: &Asked) -> Result<(), Fault> {
        muster_runtime::position::settle(self.fleet.wait_for(&asked.seen)).await
    }

    fn check(
        &self,
        profile: &str,
        settings: GivenSettings,
    ) -> Result<BTreeMap<SettingId, SettingValue>, Fault> {
        if settings.len() > SETTINGS_MAX {
            let problem = format!("holds {} settings, the limit is {SETTINGS_MAX}", settings.len());
            return Err(Fault::invalid_field("policy.settings", problem));
        }
        self.catalogue.check(profile, settings).map_err(|found| error::violations(&found))
    }

    fn check_name(&self, name: &str, id: PolicyId) -> Result<(), Fault> {
        if self.fleet.read().name_taken(name, Some(id)) {
            let message = format!("another policy has the name {name:?}; choose another");
            return Err(Fault::new(ErrorCode::NameTaken, message).with("name", name));
        }
        Ok(())
    }

    async fn check_policy(&self, id: PolicyId) -> Result<(), Fault> {
        let (policy, _) = self.policies.load(&self.log, self.stream::<Policy>(id.uuid())).await?;
        if policy.known().is_none() {
            // What is in memory may be of before another process made it.
            self.policies.forget(self.stream::<Policy>(id.uuid()));
            let (policy, _) = self.policies.load(&self.log, self.stream::<Policy>(id.uuid())).await?;
            policy.known().ok_or(policy::Error::Unknown)?;
        }
        Ok(())
    }

    fn check_group(&self, policy: PolicyId, group: GroupId) -> Result<(), Fault> {
        let fleet = self.fleet.read();
        if !fleet.knows_group(group) {
            return Err(Fault::new(ErrorCode::GroupUnknown, format!("no such group: {group}")));
        }
        let others = fleet.assignments(policy).filter(|(other, _)| *other != group).count();
        if others >= ASSIGNMENTS_MAX {
            let problem = format!("has {others} assignments already, the limit is {ASSIGNMENTS_MAX}");
            return Err(Fault::invalid_field("policy", problem));
        }
        Ok(())
    }

    /// Waits until the view knows a name that was just taken. A view that is slow lets a name be taken twice rather than
    /// failing what is written already.
    async fn folded(&self, done: &Executed<Policy>) {
        if let Some(position) = done.position
            && let Err(behind) = self.fleet.wait_for(&Positions::of(Service::Policy, position)).await
        {
            tracing::warn!(%behind, "a policy's name is not in the view yet; for a moment it could be taken twice");
        }
    }
}

/// The id of the policy that a request makes.
#[must_use]
pub fn policy_id(tenant: TenantId, request: RequestId) -> PolicyId {
    PolicyId::from_uuid(derive("policy", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
