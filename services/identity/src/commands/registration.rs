//! Commands on registrations.

use muster_eventlog::command::{
    CONFLICT_RETRIES_MAX, ExecuteError, Executed, State as _, append_surely, prepare,
};
use muster_eventlog::{AppendError, Context};
use muster_types::{DeviceId, StreamId, TenantId, Timestamp, Version};

use super::{Commands, Order};
use crate::domain::registration::{Certificate, Command, Error, Event, Registration};

/// A device that turned out to be another one.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The tenant both are in.
    pub tenant: TenantId,
    /// The one that ends.
    pub from: DeviceId,
    /// The one that lives on.
    pub into: DeviceId,
    /// The certificate that the one living on is about to get.
    pub certificate: Certificate,
}

/// A registration, and what a command makes of it.
struct Change {
    stream: StreamId,
    state: Registration,
    version: Version,
    events: Vec<Event>,
}

impl Commands {
    /// Runs a command on a device's registration. A certificate in it must not be handed out before this has gone well.
    ///
    /// # Errors
    /// When the rules refuse it, or the log does not take it.
    pub async fn registration(
        &self,
        (tenant, device): (TenantId, DeviceId),
        command: &Command,
        order: &Order,
    ) -> Result<Executed<Registration>, ExecuteError<Error>> {
        self.change(&[(stream(tenant, device), command.clone())], order).await
    }

    /// Ends one device and gives its holder a certificate of another, as one change. Answers with the one that lives on.
    ///
    /// # Errors
    /// When one of the two may not get a certificate, or the log does not take it.
    pub async fn merge(
        &self,
        merge: &Merge,
        order: &Order,
    ) -> Result<Executed<Registration>, ExecuteError<Error>> {
        let Merge { tenant, from, into, certificate } = merge.clone();
        let renew = Command::Renew { certificate, proven: None };
        let commands = [(stream(tenant, from), Command::MergeInto(into)), (stream(tenant, into), renew)];
        self.change(&commands, order).await
    }

    /// Runs commands on registrations, all or none, and answers with the last. The moment is told anew each time they are
    /// decided anew: what ends certificates must not be older than one that came first.
    async fn change(
        &self,
        commands: &[(StreamId, Command)],
        order: &Order,
    ) -> Result<Executed<Registration>, ExecuteError<Error>> {
        let mut conflicts = 0;
        loop {
            match self.change_once(commands, order).await {
                Err(ExecuteError::Append(AppendError::Conflict { .. }))
                    if conflicts < CONFLICT_RETRIES_MAX =>
                {
                    conflicts += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn change_once(
        &self,
        commands: &[(StreamId, Command)],
        order: &Order,
    ) -> Result<Executed<Registration>, ExecuteError<Error>> {
        let mut changes = Vec::with_capacity(commands.len());
        let mut time = self.now();
        for (stream, _) in commands {
            let (state, version) = self.registrations.load(&self.log, *stream).await?;
            time = time.max(last_issued(&state));
            changes.push(Change { stream: *stream, state, version, events: vec![] });
        }
        for (change, (_, command)) in changes.iter_mut().zip(commands) {
            let decided = change.state.decide(&command.clone().dated(time));
            change.events = decided.map_err(ExecuteError::Refused)?;
        }
        let context = Context { time, ..self.context(order) };
        let position =
            if order.validate_only { None } else { self.append(&changes, order, &context).await? };
        let mut executed = None;
        for Change { stream, mut state, version, events } in changes {
            events.iter().for_each(|event| state.evolve(event));
            let version = Version(version.0 + events.len() as u64);
            if !order.validate_only {
                self.registrations.remember(stream, state.clone(), version);
            }
            executed = Some(Executed { state, version, position });
        }
        Ok(executed.expect("a change is of at least one registration"))
    }

    async fn append(
        &self,
        changes: &[Change],
        order: &Order,
        context: &Context,
    ) -> Result<Option<u64>, AppendError> {
        let append = |Change { stream, version, events, .. }: &Change| {
            prepare::<Registration>(*stream, *version, order.request, context, events)
        };
        let appends: Vec<_> = changes.iter().filter(|change| !change.events.is_empty()).map(append).collect();
        if appends.is_empty() {
            return Ok(None);
        }
        let appended = append_surely(&self.log, appends).await.inspect_err(|_| {
            changes.iter().for_each(|change| self.registrations.forget(change.stream));
        })?;
        Ok(Some(appended.position))
    }
}

/// When the newest certificate was issued, by the clock of whoever issued it.
fn last_issued(registration: &Registration) -> Timestamp {
    registration.registered().map(|known| known.serial.issued_at()).unwrap_or_default()
}

fn stream(tenant: TenantId, device: DeviceId) -> StreamId {
    StreamId::new(tenant, Registration::AGGREGATE, device.uuid())
}
