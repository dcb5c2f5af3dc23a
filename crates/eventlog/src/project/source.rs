//! One log, followed through its interruptions.

use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use muster_types::Service;

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
