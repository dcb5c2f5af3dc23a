//! Policies: made, revised, deleted, brought back.

use std::collections::BTreeMap;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::ReadError;
use muster_eventlog::command::Executed;
use muster_types::id::derive;
use muster_types::{PolicyId, Positions, RequestId, Service, SettingId, SettingValue, TenantId};

use super::{Asked, Commands, GivenSettings};
use crate::domain::policy::{self, Command, Content, OnUnassign, Policy};
use crate::error;
use crate::history::{self, RevisionName};

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
        let _turn = self.turn.lock().await;
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
        let profile = self.there(id).await?.known().ok_or(policy::Error::Unknown)?.profile.clone();
        let content = self.check(&profile, given)?;
        let _turn = self.turn.lock().await;
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
        let _turn = self.turn.lock().await;
        let command = Command::Delete { etag, origin: self.origin(asked) };
        self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await
    }

    /// Brings a deleted policy back as it was, with its assignments.
    ///
    /// # Errors
    /// An unknown policy; a name that another has taken since.
    pub async fn undelete_policy(&self, asked: &Asked, id: PolicyId) -> Result<Executed<Policy>, Fault> {
        let _turn = self.turn.lock().await;
        let policy = self.there(id).await?;
        self.check_name(&policy.made().ok_or(policy::Error::Unknown)?.display_name, id)?;
        let command = Command::Undelete { origin: self.origin(asked) };
        let done = self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await?;
        self.folded(&done).await;
        Ok(done)
    }

    /// Makes a new revision with the settings of an earlier one, if the catalogue still takes them.
    ///
    /// # Errors
    /// An unknown policy or revision; an etag that does not hold; settings that do not stand the catalogue any more.
    pub async fn roll_back_policy(
        &self,
        asked: &Asked,
        id: PolicyId,
        etag: String,
        to: &RevisionName,
    ) -> Result<Executed<Policy>, Fault> {
        let history = history::read(&self.log, self.tenant, id).await?;
        let revision = history::find(&history, to)?;
        let Content { display_name, settings, on_unassign } = revision.content.clone();
        let given = GivenContent { display_name, settings: settings.into_iter().collect(), on_unassign };
        let Content { display_name: _, settings, on_unassign } = self.check(&revision.profile, given)?;
        let _turn = self.turn.lock().await;
        let command = Command::RollBack {
            to: revision.number,
            settings,
            on_unassign,
            etag,
            origin: self.origin(asked),
        };
        self.run(&self.policies, asked, id.uuid(), |policy| policy.decide(&command)).await
    }

    pub(super) fn check(&self, profile: &str, given: GivenContent) -> Result<Content, Fault> {
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
        let taken = self.fleet.read().named(name).any(|other| other != id);
        if taken { Err(name_taken(name)) } else { Ok(()) }
    }

    pub(super) async fn check_policy(&self, id: PolicyId) -> Result<(), Fault> {
        self.there(id).await?.known().ok_or(policy::Error::Unknown)?;
        Ok(())
    }

    /// A policy as it is in memory if it is there, else as the log has it: another process may have made it.
    async fn there(&self, id: PolicyId) -> Result<Policy, ReadError> {
        let stream = self.stream::<Policy>(id.uuid());
        let (policy, _) = self.policies.load(&self.log, stream).await?;
        if policy.known().is_some() {
            return Ok(policy);
        }
        self.policies.forget(stream);
        Ok(self.policies.load(&self.log, stream).await?.0)
    }

    async fn folded(&self, done: &Executed<Policy>) {
        self.folded_to(done.position).await;
    }

    /// Waits until the view knows names that were just taken. A view that is slow lets a name be taken twice rather than
    /// failing what is written already.
    pub(super) async fn folded_to(&self, position: Option<u64>) {
        if let Some(position) = position
            && let Err(behind) = self.fleet.wait_for(&Positions::of(Service::Policy, position)).await
        {
            tracing::warn!(%behind, "a policy's name is not in the view yet; for a moment it could be taken twice");
        }
    }
}

pub(super) fn name_taken(name: &str) -> Fault {
    let message = format!("another policy has the name {name:?}; choose another");
    Fault::new(ErrorCode::NameTaken, message).with("name", name)
}

/// The id of the policy that a request makes.
#[must_use]
pub fn policy_id(tenant: TenantId, request: RequestId) -> PolicyId {
    PolicyId::from_uuid(derive("policy", &[tenant.as_str().as_bytes(), request.as_bytes()]))
}
