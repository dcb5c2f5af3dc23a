//! How devices stand: what each should have, what was sent to it, and what it last said of each setting.
//!
//! Rows are facts of the logs, each of one log alone, so that the order in which the logs are folded shows nowhere; the
//! bitmaps follow from them and make every count a bitmap's cardinality. What devices have in common is kept once.

mod ages;
mod answers;
mod column;
mod devices;
mod drifts;
mod due;
mod export;
mod fold;
mod judge;
mod past;
mod pool;
mod resolutions;
mod rows;
mod split;
mod statuses;
mod tally;
mod targets;
#[cfg(test)]
mod tests;
mod walk;
mod words;

use muster_eventlog::Envelope;
use muster_eventlog::project::{Dirty, FoldError, View};
use muster_types::{Positions, Service, SettingId, Timestamp};

use ages::Ages;
use column::Column;
use devices::Devices;
use drifts::Drifts;
use due::Due;
use resolutions::Resolutions;
use statuses::Statuses;
use tally::Tally;
use targets::Targets;
use words::Words;

pub use drifts::Drift;
pub use export::Export;
pub use targets::{Intent, Policy};

/// Setting ids by number.
type SettingIds = Column<Option<SettingId>>;

/// The view.
#[derive(Debug, Default)]
pub struct Standings {
    targets: Targets,
    devices: Devices,
    /// By ordinal; also of devices that have no row yet.
    dues: Column<Due>,
    ages: Ages,
    words: Words,
    statuses: Statuses,
    resolutions: Resolutions,
    drifts: Drifts,
    tally: Tally,
    latest: Option<Timestamp>,
}

impl Standings {
    /// Time of the latest event folded.
    #[must_use]
    pub const fn latest(&self) -> Option<Timestamp> {
        self.latest
    }
}

impl View for Standings {
    const NAME: &'static str = "standings";
    const CONTRACT: u32 = 5;
    const SOURCES: &'static [Service] =
        &[Service::Enroll, Service::Identity, Service::Policy, Service::Report];

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        self.fold(event, dirty).map_err(|reason| FoldError::new(event, reason))
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        self.each_row(row);
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.row_of(key)
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.take_back(key, value)
    }

    fn loaded(&mut self, _: &Positions) {
        self.judge_everybody();
    }
}
