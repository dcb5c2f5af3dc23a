//! Who managed a device and when: read from the device's stream, since few ask and no view needs to keep it.

use muster_eventlog::command::State as _;
use muster_eventlog::{Actor, ReadError};
use muster_runtime::request::Page;
use muster_types::{Aggregate, DeviceId, EnrollmentCode, StreamId, TenantId, Timestamp, Version};

use super::{Queries, Rows};
use crate::domain::enrollment::{Enrollment, Event, ManagedBy};

/// Who managed a device for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// Who.
    pub managed_by: ManagedBy,
    /// From when on.
    pub start_time: Timestamp,
    /// Until when; none for the present one.
    pub end_time: Option<Timestamp>,
    /// What led to it.
    pub code: EnrollmentCode,
    /// Who made the change.
    pub actor: Actor,
    /// Position of the event in the log.
    pub position: u64,
}

impl Queries {
    /// Who managed a device and when, oldest first; none when there is no such device.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer or is damaged.
    pub async fn authorities(
        &self,
        (tenant, device): (TenantId, DeviceId),
        page: Page<u32>,
    ) -> Result<Option<Rows<Interval>>, ReadError> {
        let stream = StreamId::new(tenant, Aggregate::Enrollment, device.uuid());
        let events = self.log.read(stream, Version::NONE).await?;
        let Some(first) = events.first() else { return Ok(None) };
        let mut intervals = vec![Interval {
            managed_by: ManagedBy::Nobody,
            start_time: first.context.time,
            end_time: None,
            code: EnrollmentCode::Pending,
            actor: first.context.actor.clone(),
            position: first.position,
        }];
        for event in &events {
            let corrupt =
                |reason| ReadError::Corrupt { service: stream.service(), position: event.position, reason };
            let (managed_by, code) = match Enrollment::decode(event).map_err(corrupt)? {
                Some(Event::AuthorityChanged { from: _, to, code }) => (to, code),
                // Before there were events for it, this alone said who manages a device.
                Some(Event::Succeeded { managed_by, code, .. }) => (managed_by, code),
                _ => continue,
            };
            let last = intervals.last_mut().expect("it begins with one");
            if last.managed_by != managed_by {
                last.end_time = Some(event.context.time);
                intervals.push(Interval {
                    managed_by,
                    start_time: event.context.time,
                    end_time: None,
                    code,
                    actor: event.context.actor.clone(),
                    position: event.position,
                });
            }
        }
        let from = page.mark.map_or(0, |mark| mark.saturating_add(1));
        Ok(Some(Rows::take(page, (from..).zip(intervals.into_iter().skip(from as usize)))))
    }
}
