//! What a resolution says.

use std::sync::Arc;

use muster_types::{Canonical, Digest, PolicyId, SettingId, SettingValue, WithheldReason};

use crate::domain::resolve::{Candidate, Effective, Source};

/// Most bytes of what a resolution says: an event has room for it and for devices.
pub const CONTENT_BYTES_MAX: usize = 440 * 1024;
/// More than a field of a message takes besides what it holds.
const FIELD_BYTES: usize = 12;

/// What devices came to. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    id: Digest,
    policies: Arc<[Revised]>,
    effective: Arc<Effective>,
}

/// A policy in a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revised {
    /// The policy.
    pub policy: PolicyId,
    /// Its revision.
    pub revision: u64,
}

/// What a resolution says, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Names the policy.
    pub etag: Digest,
    /// The policies that reach the devices and are for their platform, sorted by policy.
    pub policies: Vec<Revised>,
    /// Settings in force, sorted by id.
    pub settings: Vec<Setting>,
    /// Settings that are withheld and that devices are told of, sorted by id.
    pub withheld: Vec<Withheld>,
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which.
    pub id: SettingId,
    /// Its value; none when an event has no room for it.
    pub value: Option<SettingValue>,
    /// Policies whose values are in it, by their places.
    pub winners: Vec<u32>,
    /// Policies whose values are not in it, or not in full, by their places.
    pub losers: Vec<u32>,
}

/// A setting that is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Which.
    pub id: SettingId,
    /// Why.
    pub reason: WithheldReason,
    /// Policies that carry it, by their places.
    pub candidates: Vec<u32>,
}

impl Resolution {
    /// What is resolved from policies that reach devices and are for their platform, sorted by policy.
    #[must_use]
    pub fn new(policies: Vec<Revised>, effective: Arc<Effective>) -> Self {
        let id = id(&policies, &effective);
        Self { id, policies: policies.into(), effective }
    }

    /// Names it: SHA-256 over the etag, the policies with their revisions, and which of them each setting is from.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// What the devices shall be set to.
    #[must_use]
    pub const fn effective(&self) -> &Arc<Effective> {
        &self.effective
    }

    /// What the log is told of it. What takes more than [`CONTENT_BYTES_MAX`] is told without its largest values, and if
    /// it must be without settings.
    #[must_use]
    pub fn content(&self) -> Content {
        let mut content = Content {
            etag: self.effective.etag,
            policies: self.policies.to_vec(),
            settings: settings(&self.policies, &self.effective),
            withheld: withheld(&self.policies, &self.effective),
        };
        content.fit();
        content
    }
}

impl Content {
    /// No fewer bytes than its message takes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let Self { etag: _, policies, settings, withheld } = self;
        let settings = settings.iter().map(Setting::size_bytes).sum::<usize>();
        let withheld = withheld
            .iter()
            .map(|withheld| 3 * FIELD_BYTES + withheld.id.as_str().len() + 5 * withheld.candidates.len());
        4 * FIELD_BYTES
            + 32
            + policies.len() * (16 + 10 + 3 * FIELD_BYTES)
            + settings
            + withheld.sum::<usize>()
    }

    fn fit(&mut self) {
        let mut over = self.size_bytes().saturating_sub(CONTENT_BYTES_MAX);
        if over == 0 {
            return;
        }
        let mut largest: Vec<_> = self.settings.iter_mut().collect();
        largest.sort_by_key(|setting| std::cmp::Reverse(setting.size_bytes()));
        for setting in largest {
            let before = setting.size_bytes();
            setting.value = None;
            over = over.saturating_sub(before - setting.size_bytes());
            if over == 0 {
                return;
            }
        }
        self.settings.clear();
        self.withheld.clear();
    }
}

impl Setting {
    fn size_bytes(&self) -> usize {
        let Self { id, value, winners, losers } = self;
        let value = value.as_ref().map_or(0, size_of_value);
        5 * FIELD_BYTES + id.as_str().len() + value + 5 * (winners.len() + losers.len())
    }
}

fn size_of_value(value: &SettingValue) -> usize {
    FIELD_BYTES
        + match value {
            SettingValue::Boolean(_) | SettingValue::Integer(_) => 10,
            SettingValue::Text(text) => text.len(),
            SettingValue::Strings(items) => items.iter().map(|item| FIELD_BYTES + item.len()).sum(),
            SettingValue::Objects(items) => {
                items.iter().flatten().map(size_of_member).sum::<usize>() + items.len() * 2 * FIELD_BYTES
            }
        }
}

fn size_of_member((name, value): (&String, &SettingValue)) -> usize {
    4 * FIELD_BYTES + name.len() + size_of_value(value)
}

fn settings(policies: &[Revised], effective: &Effective) -> Vec<Setting> {
    let settings = effective.settings.iter().map(|setting| Setting {
        id: setting.id.clone(),
        value: Some(setting.value.clone()),
        winners: places(policies, setting.sources.iter()),
        losers: places(policies, sources(&setting.losers)),
    });
    settings.collect()
}

fn withheld(policies: &[Revised], effective: &Effective) -> Vec<Withheld> {
    let told = effective.withheld.iter().filter(|withheld| withheld.reason.is_told());
    let withheld = told.map(|withheld| Withheld {
        id: withheld.id.clone(),
        reason: withheld.reason,
        candidates: places(policies, sources(&withheld.candidates)),
    });
    withheld.collect()
}

fn sources(candidates: &[Candidate]) -> impl Iterator<Item = &Arc<Source>> {
    candidates.iter().map(|candidate| &candidate.source)
}

/// Places of policies, sorted, each once.
fn places<'a>(policies: &[Revised], sources: impl Iterator<Item = &'a Arc<Source>>) -> Vec<u32> {
    let place = |source: &Arc<Source>| policies.binary_search_by_key(&source.policy, |by| by.policy).ok();
    let mut places: Vec<_> =
        sources.filter_map(place).filter_map(|place| u32::try_from(place).ok()).collect();
    places.sort_unstable();
    places.dedup();
    places
}

/// Values and reasons are in the etag.
fn id(policies: &[Revised], effective: &Effective) -> Digest {
    let mut canonical = Canonical::new(b"muster.resolution.v1");
    canonical.put(&effective.etag);
    canonical.number(policies.len() as u64);
    for Revised { policy, revision } in policies {
        canonical.put(policy.as_bytes());
        canonical.put(&revision.to_be_bytes());
    }
    let mut put = |id: &SettingId, places: [&[u32]; 2]| {
        canonical.setting(id);
        for places in places {
            canonical.number(places.len() as u64);
            places.iter().for_each(|place| canonical.put(&place.to_be_bytes()));
        }
    };
    for setting in &effective.settings {
        let winners = places(policies, setting.sources.iter());
        put(&setting.id, [&winners, &places(policies, sources(&setting.losers))]);
    }
    for withheld in effective.withheld.iter().filter(|withheld| withheld.reason.is_told()) {
        put(&withheld.id, [&places(policies, sources(&withheld.candidates)), &[]]);
    }
    canonical.digest()
}
