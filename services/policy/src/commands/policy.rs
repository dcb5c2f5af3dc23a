//! Policies: made, revised, deleted, brought back.

use std::collections::BTreeMap;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::Executed;
use muster_types::id::derive;
use muster_types::{PolicyId, Positions, RequestId, Service, SettingId, SettingValue, TenantId};

use super::{Asked, Commands, GivenSettings};
use crate::domain::policy::{self, Command, Content, OnUnassign, Policy};
use crate::error;

/// Most settings of one policy.
pub const SETTINGS_MAX: usize = 1_000;

/// What a policy shall say, as an admin gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenContent {
    /// Name for people.
    pub display_name: String,
    /// What it sets.
    pub settings: GivenSettings,
    /// What becomes of its settings on a device that it no longer reaches.
    pub on_unassign: OnUnassign,
}

impl Commands {
    /// Makes a policy. The same request again finds the policy it made.
    ///
    /// # Errors
    /// Settings that do not stand the catalogue (all of them), a name that is taken, a bad name, a reused request id.
    pub async fn create_policy(
        &self,
        asked: &Asked,
        profile: String,
        given: GivenContent,
    ) -> Result<(PolicyId, Executed<Policy>), Fault> {
        let id = policy_id(self.tenant, asked.request);
        let content = self.check(&profile, given)?;
        let _turn = self.names.lock().await;
        self.check_name(&content.display_name, id)?;
        let command = Command::Create { profile, content, origin: self.origin(asked) };
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
        given: GivenContent,
    ) -> Result<Executed<Policy>, Fault> {
        let (policy, _) = self.policies.load(&self.log, self.stream::<Policy>(id.uuid())).await?;
        let profile = policy.known().ok_or(policy::Error::Unknown)?.profile.clone();
        let content = self.check(&profile, given)?;
        let _turn = self.names.lock().await;
        self.check_name(&content.display_name, id)?;
        let command = Command::Revise { content, etag, origin: self.origin(asked) };
        let done = self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await?;
        self.folded(&done).await;
        Ok(done)
    }

    /// Deletes a policy; its assignments wait.
    ///
    /// # Errors
    /// An unknown policy; an etag that does not hold.
    pub async fn delete_policy(
        &self,
        asked: &Asked,
        id: PolicyId,
        etag: String,
    ) -> Result<Executed<Policy>, Fault> {
        let command = Command::Delete { etag, origin: self.origin(asked) };
        self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await
    }

    fn check(&self, profile: &str, given: GivenContent) -> Result<Content, Fault> {
        let GivenContent { display_name, settings, on_unassign } = given;
        if settings.len() > SETTINGS_MAX {
            let problem = format!("holds {} settings, the limit is {SETTINGS_MAX}", settings.len());
            return Err(Fault::invalid_field("policy.settings", problem));
        }
        let settings: BTreeMap<SettingId, SettingValue> =
            self.catalogue.check(profile, settings).map_err(|found| error::violations(&found))?;
        Ok(Content { display_name, settings, on_unassign })
    }

    fn check_name(&self, name: &str, id: PolicyId) -> Result<(), Fault> {
        if self.fleet.read().name_taken(name, Some(id)) {
            let message = format!("another policy has the name {name:?}; choose another");
            return Err(Fault::new(ErrorCode::NameTaken, message).with("name", name));
        }
        Ok(())
    }

    pub(super) async fn check_policy(&self, id: PolicyId) -> Result<(), Fault> {
        let (policy, _) = self.policies.load(&self.log, self.stream::<Policy>(id.uuid())).await?;
        if policy.known().is_none() {
            // What is in memory may be of before another process made it.
            self.policies.forget(self.stream::<Policy>(id.uuid()));
            let (policy, _) = self.policies.load(&self.log, self.stream::<Policy>(id.uuid())).await?;
            policy.known().ok_or(policy::Error::Unknown)?;
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
