//! A past moment, turned into one cut-off position for each service's part of the log.
//!
//! Times of events may go back a little where clocks differ; what counts is the latest time up to an event, which never
//! goes back. The cut of a time is the last event of each log whose latest time is not after it, so that the same moment
//! always gives the same cut, and a later one never a smaller.
//!
//! [`Index`] is a view of all logs that keeps one sample of many events; what lies between two samples is read from the
//! log when it is asked for.

mod index;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;

use futures::future::try_join_all;
use muster_errors::{ErrorCode, Fault};
use muster_proto::log::v1 as pb;
use muster_types::{Clock, Positions, Service, Timestamp};

use crate::kv::Kv;
use crate::log::SharedLog;
use crate::project::{self, Projected, Source};
use crate::{Delivery, Envelope};

use index::Sample;
pub use index::{Index, SAMPLE_EVERY, SAMPLES_MAX};

/// A past moment as people and the contract write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Everything up to a time.
    Time(Timestamp),
    /// Everything up to these positions, and of logs that are not named (0) up to the time of the latest event of those
    /// that are.
    Position(Positions),
}

/// Text that names no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a moment: expected a time such as 2026-03-01T12:00:00Z or a position token such as policy:7, found {found:?}"
)]
pub struct InvalidMoment {
    /// What stood there, cut to 64 characters.
    pub found: String,
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        let time = text.parse().map(Self::Time).ok();
        let position = || text.parse().ok().filter(|named| *named != Positions::ZERO).map(Self::Position);
        time.or_else(position).ok_or_else(|| InvalidMoment { found: text.chars().take(64).collect() })
    }
}

/// As it is read.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Position(positions) => positions.fmt(f),
        }
    }
}

impl From<Moment> for pb::AsOf {
    fn from(moment: Moment) -> Self {
        let at = match moment {
            Moment::Time(time) => pb::as_of::At::Time(muster_proto::convert::timestamp(time)),
            Moment::Position(positions) => pb::as_of::At::Position(positions.to_string()),
        };
        Self { at: Some(at) }
    }
}

impl Moment {
    /// The moment that a request names; `None` for now.
    ///
    /// # Errors
    /// `AS_OF_INVALID` when it is no moment.
    pub fn of(as_of: &pb::AsOf) -> Result<Option<Self>, Fault> {
        match &as_of.at {
            None => Ok(None),
            Some(pb::as_of::At::Time(time)) if !(0..1_000_000_000).contains(&time.nanos) => {
                Err(invalid(format!("the nanoseconds of a time are 0 to 999999999, found {}", time.nanos)))
            }
            Some(pb::as_of::At::Time(time)) => Ok(Some(Self::Time(muster_proto::convert::moment(*time)))),
            Some(pb::as_of::At::Position(token)) => match token.parse() {
                Ok(Positions::ZERO) => Err(invalid("the position token names no position".to_owned())),
                Ok(named) => Ok(Some(Self::Position(named))),
                Err(error) => Err(invalid(error.to_string())),
            },
        }
    }
}

/// Where each log is cut off: what is at these positions or before them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The last position of each service's log that counts; 0 where nothing does.
    pub positions: Positions,
    /// The latest time of an event that counts.
    pub time: Timestamp,
}

/// Turns moments into cuts. Cheap to clone; one for all services of a process.
#[derive(Clone)]
pub struct Moments {
    log: SharedLog,
    clock: Arc<dyn Clock>,
    index: Projected<Index>,
}

/// A log's cut, known or in a part that has to be read.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// The last event with a time not after this, and after the sample.
    Time(Timestamp, Sample),
    /// The event at this position, or the last before it, after the sample.
    Position(u64, Sample),
    /// This is it.
    Known(Sample),
}

impl Moments {
    /// Starts to follow all logs: gives what answers, and the future that follows until `stopping` (see [`project::start`]).
    pub fn start(
        log: SharedLog,
        kv: Arc<dyn Kv>,
        clock: Arc<dyn Clock>,
        stopping: impl Future<Output = ()> + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (index, following) = project::start(log.clone(), kv, Index::default, stopping);
        (Self { log, clock, index }, following)
    }

    /// The view that it asks, for readiness and verification.
    #[must_use]
    pub const fn index(&self) -> &Projected<Index> {
        &self.index
    }

    /// Where the logs are cut off at a moment; `None` when that is now.
    ///
    /// # Errors
    /// `AS_OF_INVALID` for what is no moment, before the first event, in the future or beyond the end of a log, with the
    /// bounds; `VIEW_BEHIND` while the logs are not followed to their ends; those of the log.
    pub async fn resolve(&self, as_of: &pb::AsOf) -> Result<Option<Cut>, Fault> {
        let Some(moment) = Moment::of(as_of)? else { return Ok(None) };
        self.follow_up().await?;
        let cut = match moment {
            Moment::Time(time) => {
                self.bound(time)?;
                self.cut(self.at_time(time)).await?
            }
            Moment::Position(named) => self.named(named).await?,
        };
        Ok(Some(cut))
    }

    /// Waits until the index knows what the logs hold by now.
    async fn follow_up(&self) -> Result<(), Fault> {
        let heads = Service::ALL
            .map(|service| async move { Ok::<_, Fault>((service, self.log.head(service).await?)) });
        let heads = try_join_all(heads).await?;
        let wanted = heads
            .into_iter()
            .fold(Positions::ZERO, |all, (service, head)| all.join(Positions::of(service, head)));
        self.index.wait_for(&wanted).await.map_err(|behind| {
            let message = format!("the logs are still being read to find past moments: {behind}");
            Fault::new(ErrorCode::ViewBehind, message).with("has", behind.has).with("wanted", behind.wanted)
        })
    }

    fn bound(&self, time: Timestamp) -> Result<(), Fault> {
        let now = self.clock.now();
        let (first, latest) = {
            let index = self.index.read();
            (index.first(), index.latest())
        };
        let Some(first) = first else { return Err(invalid("nothing has happened yet".to_owned())) };
        let last = latest.map_or(now, |latest| latest.max(now));
        let outside = |what: &str| {
            let message = format!("{time} is {what}: the first event is of {first}, and now is {last}");
            invalid(message).with("earliest", first).with("latest", last)
        };
        if time < first {
            return Err(outside("before the beginning"));
        }
        if time > last {
            return Err(outside("in the future"));
        }
        Ok(())
    }

    fn at_time(&self, time: Timestamp) -> Vec<(Service, Wanted)> {
        let index = self.index.read();
        let wanted = |service| {
            let head = index.head(service);
            let wanted = if head.time <= time {
                Wanted::Known(head)
            } else {
                Wanted::Time(time, index.before_time(service, time))
            };
            (service, wanted)
        };
        Service::ALL.map(wanted).into()
    }

    async fn named(&self, named: Positions) -> Result<Cut, Fault> {
        let (wanted, ends) = {
            let index = self.index.read();
            let services = Service::ALL.into_iter().filter(|service| named.get(*service) > 0);
            let wanted = services.map(|service| {
                let position = named.get(service);
                (service, Wanted::Position(position, index.before_position(service, position)))
            });
            (wanted.collect::<Vec<_>>(), index.heads())
        };
        if let Some((service, _)) =
            wanted.iter().find(|(service, _)| named.get(*service) > ends.get(*service))
        {
            let (position, end) = (named.get(*service), ends.get(*service));
            let message =
                format!("{service}:{position} is beyond the end of the log, which is {service}:{end}");
            return Err(invalid(message).with("latest", ends));
        }
        let cut = self.cut(wanted).await?;
        let others = self.at_time(cut.time).into_iter().filter(|(service, _)| named.get(*service) == 0);
        let others = self.cut(others.collect()).await?;
        // A log whose events have gaps between their positions may be named in one of them.
        Ok(Cut { positions: named.join(others.positions), time: cut.time })
    }

    /// Finds what is wanted of some logs.
    async fn cut(&self, wanted: Vec<(Service, Wanted)>) -> Result<Cut, Fault> {
        let found = wanted.into_iter().map(|(service, wanted)| async move {
            Ok::<_, Fault>((service, self.find(service, wanted).await?))
        });
        let mut cut = Cut { positions: Positions::ZERO, time: Timestamp::from_micros(i64::MIN) };
        for (service, Sample { position, time }) in try_join_all(found).await? {
            cut.positions.advance(service, position);
            if position > 0 {
                cut.time = cut.time.max(time);
            }
        }
        Ok(cut)
    }

    async fn find(&self, service: Service, wanted: Wanted) -> Result<Sample, Fault> {
        type Within = Box<dyn Fn(&Envelope) -> bool + Send + Sync>;
        let (start, within): (_, Within) = match wanted {
            Wanted::Known(sample) => return Ok(sample),
            Wanted::Position(position, start) if start.position == position => return Ok(start),
            Wanted::Time(time, start) => (start, Box::new(move |event| event.context.time <= time)),
            Wanted::Position(position, start) => (start, Box::new(move |event| event.position <= position)),
        };
        let mut found = start;
        let mut source = Source::new(self.log.clone(), service, start.position, "moments");
        loop {
            // The index has followed beyond what is wanted: the log has more, or has just been caught up with.
            match source.next().await? {
                Delivery::Events(events) => {
                    for event in &events {
                        if !within(event) {
                            return Ok(found);
                        }
                        found = found.with(event.position, event.context.time);
                    }
                }
                Delivery::CaughtUp(_) => return Ok(found),
            }
        }
    }
}

impl fmt::Debug for Moments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moments").field("progress", &self.index.progress()).finish_non_exhaustive()
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(ErrorCode::AsOfInvalid, message.clone()).with_field("as_of", message)
}
