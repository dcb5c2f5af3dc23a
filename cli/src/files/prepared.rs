//! Files that were read and compared, ready to be shown or applied.

use std::path::PathBuf;

use muster_errors::Fault;
use muster_types::{Clock as _, SystemClock};

use super::carry;
use super::change::ObjectChange;
use super::compare::Comparison;
use super::live::Live;
use super::set;
use crate::connect::Api;
use crate::flags::Target;
use crate::output;

/// What is to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The server shall have what the files have.
    Apply {
        /// And nothing else of the same kinds.
        prune: bool,
    },
    /// The server shall not have what the files have.
    Delete,
}

/// Files and server, compared.
pub struct Prepared {
    /// The server.
    pub api: Api,
    /// What it has.
    pub live: Live,
    /// What differs: what goes, what changes, what comes.
    pub changes: Vec<ObjectChange>,
}

impl Prepared {
    /// Reads the files and the server, and compares them. Mistakes and warnings go to stderr.
    ///
    /// # Errors
    /// The mistakes of the files; a call's fault; a reference to nothing.
    pub async fn of(files: &[PathBuf], target: &Target, goal: Goal) -> Result<Self, Fault> {
        let now = SystemClock.now();
        let (set, findings) = set::load(files, now);
        // A mistake that is alone is told by the error.
        let alone = usize::from(findings.mistake_count() == 1);
        findings.lines().iter().skip(alone).for_each(|line| output::note(line));
        findings.settle()?;
        let api = Api::connect(target)?;
        let live = Live::read(&api, &set).await?;
        let tenant = api.tenant();
        let new_groups = match goal {
            Goal::Apply { .. } => carry::new_groups(&api, tenant, &set, &live).await?,
            Goal::Delete => Default::default(),
        };
        let comparison = Comparison { tenant, set: &set, live: &live, new_groups: &new_groups, now };
        let changes = match goal {
            Goal::Apply { prune } => comparison.changes(prune)?,
            Goal::Delete => comparison.deletions()?,
        };
        Ok(Self { api, live, changes })
    }
}
