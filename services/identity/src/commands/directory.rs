//! Commands on what directories say, and promotion by it.
//!
//! What a directory says and what follows from it are one append where they fit in one. Whether a device matches is looked
//! up in the views, under the turn to give registrations away; expected versions keep a stale look from being written.

use std::collections::BTreeSet;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::command::{CONFLICT_RETRIES_MAX, ExecuteError, Executed, State, append_surely, prepare};
use muster_eventlog::log::APPEND_EVENTS_MAX;
use muster_eventlog::{Append, AppendError, Context};
use muster_types::id::derive;
use muster_types::{DeviceId, DirectoryDeviceId, RequestId, StreamId, TenantId, Version};

use super::{Commands, Order};
use crate::domain::directory_device::{self, DirectoryDevice, Record};
use crate::domain::matching::Match;
use crate::domain::registration::{self, Proven, Registration, Removal};
use crate::queries::Queries;
use crate::queries::directory::Weighed;

/// What came of taking over a directory's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenOver {
    /// Records that were new or had changed.
    pub changed: u32,
    /// Records that were known already.
    pub unchanged: u32,
    /// Devices whose registrations were promoted.
    pub promoted: u32,
    /// Records that an admin must decide on.
    pub ambiguous: u32,
    /// Position of the last event; none when there was nothing to do.
    pub position: Option<u64>,
}

/// A device that an admin says is the directory's.
#[derive(Debug, Clone)]
pub struct Promote {
    /// The tenant both are of.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// The directory's.
    pub directory_device: DirectoryDeviceId,
    /// Devices that are the same machine, and end.
    pub merge: Vec<DeviceId>,
}

/// A record with what is to be written because of it.
#[derive(Debug, Default)]
struct Step {
    appends: Vec<Append>,
    changed: bool,
    promoted: bool,
    ambiguous: bool,
}

impl Commands {
    /// Takes over what a directory says, and does what follows: a device whose only match it is gets its registration; where
    /// more may be it, the question is noted.
    ///
    /// Records were checked and name each directory device once. They are written in their order; should the log fail in
    /// between, the same request again does the rest.
    ///
    /// # Errors
    /// Those of the log and the views.
    pub async fn take_over(
        &self,
        tenant: TenantId,
        records: &[Record],
        order: &Order,
        queries: &Queries,
    ) -> Result<TakenOver, Fault> {
        let _turn = self.registering(queries).await?;
        self.take_over_in_turn(tenant, records, order, queries).await
    }

    /// Looks again who matches directory devices that are known, after something happened to them or to devices.
    ///
    /// # Errors
    /// Those of the log and the views.
    pub async fn match_again(
        &self,
        tenant: TenantId,
        ids: BTreeSet<DirectoryDeviceId>,
        order: &Order,
        queries: &Queries,
    ) -> Result<TakenOver, Fault> {
        let _turn = self.registering(queries).await?;
        let records = queries.directory_records(tenant, ids);
        self.take_over_in_turn(tenant, &records, order, queries).await
    }

    async fn take_over_in_turn(
        &self,
        tenant: TenantId,
        records: &[Record],
        order: &Order,
        queries: &Queries,
    ) -> Result<TakenOver, Fault> {
        let mut first: Option<TakenOver> = None;
        let mut conflicts = 0;
        loop {
            let steps = self.steps(tenant, records, order, queries).await?;
            let taken = *first.get_or_insert_with(|| counted(&steps));
            if order.validate_only {
                return Ok(taken);
            }
            match self.write(steps).await {
                Ok(position) => return Ok(TakenOver { position, ..taken }),
                Err(AppendError::Conflict { .. }) if conflicts < CONFLICT_RETRIES_MAX => {
                    conflicts += 1;
                    queries.catch_up(&self.log).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn steps(
        &self,
        tenant: TenantId,
        records: &[Record],
        order: &Order,
        queries: &Queries,
    ) -> Result<Vec<Step>, Fault> {
        let context = self.context(order);
        let mut steps = Vec::with_capacity(records.len());
        for (record, weighed) in records.iter().zip(queries.weigh(tenant, records)) {
            let Weighed { row, outcome, misjoined } = weighed;
            let (version, known) = row.map_or((Version::NONE, None), |row| (row.version, Some(row.known)));
            let mut device = known.map(DirectoryDevice::from).unwrap_or_default();
            let said = decide(&mut device, &directory_device::Command::Upsert(record.clone()))?;
            let open = match &outcome {
                Match::Ambiguous(devices) => devices.clone(),
                Match::Settled | Match::Promote(_) => Vec::new(),
            };
            let asked = decide(&mut device, &directory_device::Command::Match(open))?;
            let mut step = Step {
                changed: !said.is_empty(),
                ambiguous: matches!(outcome, Match::Ambiguous(_)),
                ..Step::default()
            };
            let id = DirectoryDeviceId::of(tenant, &record.directory_id);
            let stream = StreamId::new(tenant, DirectoryDevice::AGGREGATE, id.uuid());
            let events: Vec<_> = said.into_iter().chain(asked).collect();
            step.appends.extend(written::<DirectoryDevice>(stream, version, order, &context, &events));
            let promoted = if let Match::Promote(device) = outcome { Some(device) } else { None };
            if let Some(device) = promoted.or(misjoined) {
                let promotion = self.promotion((tenant, device), record, order, &context).await?;
                step.promoted = promoted.is_some() && promotion.is_some();
                step.appends.extend(promotion);
            }
            steps.push(step);
        }
        Ok(steps)
    }

    async fn promotion(
        &self,
        (tenant, device): (TenantId, DeviceId),
        record: &Record,
        order: &Order,
        context: &Context,
    ) -> Result<Option<Append>, Fault> {
        let stream = StreamId::new(tenant, Registration::AGGREGATE, device.uuid());
        // The views are at the end of the log, and so must this be.
        self.registrations.forget(stream);
        let (registration, version) = self.registrations.load(&self.log, stream).await?;
        let command = registration::Command::Promote(proven(record));
        match registration.decide(&command) {
            Ok(events) => Ok(written::<Registration>(stream, version, order, context, &events)),
            // It was removed since the views were looked at.
            Err(registration::Error::Removed(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes steps in order, as many in one append as fit. The aggregates are read anew when next needed.
    async fn write(&self, steps: Vec<Step>) -> Result<Option<u64>, AppendError> {
        let mut position = None;
        let mut waiting: Vec<Append> = Vec::new();
        for step in steps {
            if events_in(&waiting) + events_in(&step.appends) > APPEND_EVENTS_MAX {
                position = self.write_together(std::mem::take(&mut waiting)).await?.or(position);
            }
            waiting.extend(step.appends);
        }
        Ok(self.write_together(waiting).await?.or(position))
    }

    async fn write_together(&self, appends: Vec<Append>) -> Result<Option<u64>, AppendError> {
        if appends.is_empty() {
            return Ok(None);
        }
        let streams: Vec<_> = appends.iter().map(|append| append.stream).collect();
        let appended = append_surely(&self.log, appends).await;
        streams.into_iter().for_each(|stream| self.registrations.forget(stream));
        appended.map(|appended| Some(appended.position))
    }

    /// Forgets what the directory said of a device. Answers with what it last said.
    ///
    /// # Errors
    /// Refused when the directory never told of it.
    pub async fn remove_directory_device(
        &self,
        (tenant, id): (TenantId, DirectoryDeviceId),
        order: &Order,
    ) -> Result<Executed<DirectoryDevice>, ExecuteError<directory_device::Error>> {
        let stream = StreamId::new(tenant, DirectoryDevice::AGGREGATE, id.uuid());
        let decide = |device: &DirectoryDevice| device.decide(&directory_device::Command::Remove);
        // Imports write these streams without going through a repository, and so there is none that could be stale.
        let repository = muster_eventlog::command::Repository::default();
        if order.validate_only {
            return repository.rehearse(&self.log, stream, decide).await;
        }
        repository.execute(&self.log, stream, order.request, &self.context(order), decide).await
    }

    /// Gives a device the registration of a directory device, and ends others that are the same machine, as one change.
    ///
    /// # Errors
    /// `DIRECTORY_DEVICE_UNKNOWN`, `REGISTRATION_TAKEN` when a device has the registration that is not merged,
    /// `DEVICE_UNKNOWN`; and those of the log and the views.
    pub async fn promote(
        &self,
        promote: &Promote,
        order: &Order,
        queries: &Queries,
    ) -> Result<Executed<Registration>, Fault> {
        let Promote { tenant, device, directory_device, merge } = promote;
        let _turn = self.registering(queries).await?;
        let told =
            queries.directory_device(*tenant, *directory_device).ok_or(directory_device::Error::Unknown)?;
        if let Some(holder) = told.holder.filter(|holder| holder != device && !merge.contains(holder)) {
            let message = "another device has the registration; merge it, or leave it";
            return Err(Fault::new(ErrorCode::RegistrationTaken, message).with("device", holder));
        }
        let proven = proven(&told.row.known.record);
        let mut conflicts = 0;
        loop {
            match self.promote_once(promote, &proven, order).await {
                Err(ExecuteError::Append(AppendError::Conflict { .. }))
                    if conflicts < CONFLICT_RETRIES_MAX =>
                {
                    conflicts += 1;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    async fn promote_once(
        &self,
        promote: &Promote,
        proven: &Proven,
        order: &Order,
    ) -> Result<Executed<Registration>, ExecuteError<registration::Error>> {
        let Promote { tenant, device, directory_device: _, merge } = promote;
        let context = self.context(order);
        let stream = |device: &DeviceId| StreamId::new(*tenant, Registration::AGGREGATE, device.uuid());
        let refused = ExecuteError::Refused;
        let mut appends = Vec::new();
        // Those that end come first, so that no reader ever sees two with one registration.
        for other in merge {
            let (registration, version) = self.registrations.load(&self.log, stream(other)).await?;
            let remove = registration::Command::Remove(Removal::Merged { into: *device });
            let events = registration.decide(&remove).map_err(refused)?;
            appends.extend(written::<Registration>(stream(other), version, order, &context, &events));
        }
        let (mut survivor, version) = self.registrations.load(&self.log, stream(device)).await?;
        let command = registration::Command::Promote(proven.clone());
        let events = survivor.decide(&command).map_err(refused)?;
        appends.extend(written::<Registration>(stream(device), version, order, &context, &events));
        events.iter().for_each(|event| survivor.evolve(event));
        let version = Version(version.0 + events.len() as u64);
        let position = if order.validate_only { None } else { self.write_together(appends).await? };
        Ok(Executed { state: survivor, version, position })
    }
}

fn proven(record: &Record) -> Proven {
    Proven { registration: record.registration().into(), join_type: record.join_type.clone() }
}

fn decide(
    device: &mut DirectoryDevice,
    command: &directory_device::Command,
) -> Result<Vec<directory_device::Event>, directory_device::Error> {
    let events = device.decide(command)?;
    events.iter().for_each(|event| device.evolve(event));
    Ok(events)
}

/// The append of events, if there are any. Their ids follow from the request and the version: a request that is made again
/// with other content, or a device that is promoted by two records of one request one after the other, is not mistaken
/// for a repeat.
fn written<S: State>(
    stream: StreamId,
    version: Version,
    order: &Order,
    context: &Context,
    events: &[S::Event],
) -> Option<Append> {
    let salted = derive("request-at-version", &[order.request.as_bytes(), &version.0.to_be_bytes()]);
    let request = RequestId::from_uuid(salted);
    (!events.is_empty()).then(|| prepare::<S>(stream, version, request, context, events))
}

fn events_in(appends: &[Append]) -> usize {
    appends.iter().map(|append| append.events.len()).sum()
}

fn counted(steps: &[Step]) -> TakenOver {
    let count = |is: fn(&Step) -> bool| {
        u32::try_from(steps.iter().filter(|step| is(step)).count()).unwrap_or(u32::MAX)
    };
    TakenOver {
        changed: count(|step| step.changed),
        unchanged: count(|step| !step.changed),
        promoted: count(|step| step.promoted),
        ambiguous: count(|step| step.ambiguous),
        position: None,
    }
}
