//! One log, followed through its interruptions.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use muster_types::{EventId, Service};

use crate::log::SharedLog;
use crate::{Delivery, ReadError, Subscription};

/// Pause before a log that cannot be read is tried again; doubled each time, at most [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A subscription that comes back from where it was when it breaks.
pub(crate) struct Source {
    log: SharedLog,
    service: Service,
    after: u64,
    reader: &'static str,
    subscription: Option<Subscription>,
    pause: Duration,
}

impl Source {
    pub(crate) fn new(log: SharedLog, service: Service, after: u64, reader: &'static str) -> Self {
        Self { log, service, after, reader, subscription: None, pause: PAUSE_FIRST }
    }

    /// Waits for the next delivery. Safe to cancel.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`]; `Unavailable` is waited out here.
    pub(crate) async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            let reason = match self.step().await {
                Ok(Some(delivery)) => {
                    self.pause = PAUSE_FIRST;
                    self.after = match &delivery {
                        Delivery::Events(events) => events.last().map_or(self.after, |last| last.position),
                        Delivery::CaughtUp(position) => self.after.max(*position),
                    };
                    return Ok(delivery);
                }
                Ok(None) => "the subscription ended".to_owned(),
                Err(ReadError::Unavailable { reason }) => reason,
                Err(error @ ReadError::Corrupt { .. }) => return Err(error),
            };
            let (reader, service) = (self.reader, self.service);
            tracing::warn!(reader, %service, reason, "the log cannot be read; trying again");
            self.subscription = None;
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether the log has this event at this position; to be asked of a source that begins just before it. Waits for
    /// a log that does not answer; damage is taken for a yes, as whoever reads on will meet it and say so.
    pub(crate) async fn has(mut self, position: u64, event: EventId) -> bool {
        loop {
            match self.next().await {
                Ok(Delivery::Events(events)) => {
                    if let Some(found) = events.iter().find(|found| found.position >= position) {
                        return (found.position, found.event_id) == (position, event);
                    }
                }
                Ok(Delivery::CaughtUp(_)) => return false,
                Err(_) => return true,
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Delivery>, ReadError> {
        if self.subscription.is_none() {
            self.subscription = Some(self.log.subscribe(self.service, self.after).await?);
        }
        match &mut self.subscription {
            Some(subscription) => subscription.next().await,
            None => Ok(None),
        }
    }

    /// What it brings, with whose it is; ends after an error.
    pub(crate) fn deliveries(self) -> BoxStream<'static, (Service, Result<Delivery, ReadError>)> {
        stream::unfold(Some(self), |source| async {
            let mut source = source?;
            let service = source.service;
            Some(match source.next().await {
                Ok(delivery) => ((service, Ok(delivery)), Some(source)),
                Err(error) => ((service, Err(error)), None),
            })
        })
        .boxed()
    }
}
