//! Certificates that were ended before their time: folded from identity's log, asked for each call, and acted upon at
//! once where a device has a connection open.
//!
//! A call costs one load of the connection's own state. The table of cuts is asked once per connection, and the registry
//! of connections is what a fold wakes them by. A connection is registered before the table is asked, and the table is
//! written before the registry is asked: whatever comes between, one of the two sees the other.

mod cuts;
mod links;

use std::sync::Arc;

use muster_errors::{ErrorCode, Fault};
use muster_eventlog::project::{Projected, View as _};
use muster_types::{DeviceId, Timestamp};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

pub use cuts::{Cut, Cuts, Reason};
pub(crate) use links::{Held, Link, Standing};

use crate::{Deps, Readiness};
use links::Links;

type Labels = [(&'static str, &'static str); 1];

/// What a process knows of certificates that were ended. Cheap to clone; one for all services of a process.
#[derive(Debug, Clone)]
pub struct Revocations {
    cuts: Projected<Cuts>,
    links: Links,
    refused: Family<Labels, Counter>,
}

impl Revocations {
    /// Starts to follow identity's log, with what is in the store.
    #[must_use]
    pub fn start(deps: &Deps) -> Self {
        let (links, refused, closed) = (Links::default(), Family::default(), Counter::default());
        deps.metrics.registry(|registry| {
            let help = "Calls refused because their certificate was ended before its time, by why";
            registry.register("revoked_calls", help, refused.clone());
            let help = "Connections closed because their certificate was ended";
            registry.register("revoked_connections", help, closed.clone());
        });
        let cuts = {
            let links = links.clone();
            deps.follow(move || Cuts::new(links.clone(), closed.clone()))
        };
        Self { cuts, links, refused }
    }

    /// Ready once identity's log was read up to its end: before, a device that was revoked could not be told from others.
    /// A log that cannot be reached later changes nothing: what is known by then counts.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let cuts = self.cuts.clone();
        Readiness::always().view(Cuts::NAME, move || cuts.progress())
    }

    /// Whether identity's log was once read up to its end.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.cuts.watch().borrow().caught_up
    }

    /// Why a certificate of a device does not count any more, as far as the log was read.
    #[must_use]
    pub fn reason(&self, device: DeviceId, issued: Timestamp) -> Option<Reason> {
        self.cuts.read().cut(device).filter(|cut| cut.ends(issued)).map(Cut::reason)
    }

    /// Registers a connection that shows a certificate of a device.
    pub(crate) fn register(&self, device: DeviceId, issued: Timestamp) -> Held {
        let held = self.links.open(device, issued);
        self.look(held.link());
        held
    }

    /// Whether a call of a connection may go on.
    ///
    /// # Errors
    /// `CERTIFICATE_REVOKED` or `DEVICE_DELETED` when its certificate was ended, `VIEW_BEHIND` while that is not known.
    pub(crate) fn check(&self, link: &Arc<Link>) -> Result<(), Fault> {
        match link.standing() {
            Standing::Good => return Ok(()),
            Standing::Unknown => self.look(link),
            Standing::Ended(_) => {}
        }
        match link.standing() {
            Standing::Good => Ok(()),
            Standing::Unknown => {
                let message = "the server is still reading which certificates were revoked; try again";
                Err(Fault::new(ErrorCode::ViewBehind, message))
            }
            Standing::Ended(reason) => {
                self.refused.get_or_create(&[("reason", reason.as_str())]).inc();
                Err(reason.fault())
            }
        }
    }

    fn look(&self, link: &Arc<Link>) {
        if !self.caught_up() {
            return;
        }
        let reason = self.reason(link.device(), link.issued());
        link.settle(reason.map_or(Standing::Good, Standing::Ended));
    }
}
