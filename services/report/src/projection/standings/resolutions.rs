//! What devices should have, each thing once, as the policy service told it.
//!
//! A resolution that no device has any more is forgotten where the log says that it is told anew before it is named again.
//! Of each policy a resolution holds a part: the settings that the policy has in it, in force or withheld. Resolutions that
//! treat a policy alike share the part, and the part has the devices: a policy's report asks a few parts, however many
//! resolutions there are.

use std::sync::Arc;

use muster_proto::policy::v1 as pb;
use muster_types::{Digest, PolicyId, SettingValue, WithheldReason};
use prost::Message as _;
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::column::Column;
use super::judge::Outcome;
use super::pool::{Pool, held};
use super::words::Words;
use crate::wire::{decoded, text};

/// What some devices should have.
#[derive(Debug, Clone)]
pub(super) struct Resolution {
    pub(super) id: Digest,
    /// The number of its etag.
    pub(super) etag: u32,
    pub(super) policies: Arc<[(PolicyId, u64)]>,
    /// Sorted by id.
    pub(super) settings: Arc<[Wanted]>,
    /// Sorted by id.
    pub(super) withheld: Arc<[Kept]>,
    /// Numbers of its parts, one for each policy.
    pub(super) parts: Arc<[u32]>,
    /// The message as first encoded.
    pub(super) raw: Arc<[u8]>,
}

/// A setting in force.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) setting: u32,
    pub(super) value: u32,
    pub(super) winners: Arc<[u32]>,
    pub(super) losers: Arc<[u32]>,
}

/// A setting that is withheld.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) setting: u32,
    pub(super) reason: WithheldReason,
    pub(super) candidates: Arc<[u32]>,
}

/// How a resolution treats a policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Treatment {
    pub(super) policy: PolicyId,
    pub(super) revision: u64,
    /// Settings of the policy that are in force, from it or from another.
    pub(super) in_force: Box<[u32]>,
    /// Settings of the policy that are withheld.
    pub(super) withheld: Box<[(u32, Outcome)]>,
}

/// A treatment and the devices that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) treatment: &'a Treatment,
    pub(super) devices: &'a RoaringBitmap,
}

/// What was told and not forgotten. No number is given twice.
#[derive(Debug, Default)]
pub(super) struct Resolutions {
    told: Column<Option<Arc<Resolution>>>,
    by_id: FxHashMap<Digest, u32>,
    /// How many devices have each.
    devices: FxHashMap<u32, u64>,
    /// Held by the resolutions that they are parts of.
    parts: Pool<Arc<Treatment>>,
    /// Devices by number of a part.
    devices_of: Vec<RoaringBitmap>,
    by_policy: FxHashMap<PolicyId, Vec<u32>>,
}

impl Resolutions {
    pub(super) fn of(&self, at: u32) -> &Arc<Resolution> {
        held(&self.told, at)
    }

    pub(super) fn find(&self, id: &Digest) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// All of them, for a picture.
    pub(super) const fn all(&self) -> &Column<Option<Arc<Resolution>>> {
        &self.told
    }

    /// The parts of a policy, also those that no device has any more.
    pub(super) fn parts(&self, policy: PolicyId) -> impl Iterator<Item = Part<'_>> {
        let numbers = self.by_policy.get(&policy).map(Vec::as_slice).unwrap_or_default();
        let part = |at: &u32| Part { treatment: self.parts.of(*at), devices: &self.devices_of[*at as usize] };
        numbers.iter().map(part)
    }

    /// Keeps a resolution; one that is known already stays as it is.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub(super) fn tell(&mut self, id: Digest, raw: &[u8], words: &mut Words) -> Result<u32, String> {
        if let Some(known) = self.find(&id) {
            return Ok(known);
        }
        let pb::Resolution { etag, policies, settings, withheld } = decoded(raw)?;
        let etag: Digest = etag.try_into().map_err(|_| "etag: must be 32 bytes")?;
        let policies = policies.into_iter().map(|pb::ResolvedPolicy { policy_id, revision }| {
            PolicyId::from_slice(&policy_id).map(|policy| (policy, revision)).map_err(text)
        });
        let policies: Arc<[(PolicyId, u64)]> = policies.collect::<Result<_, _>>()?;
        let among = |places: Vec<u32>| match places.iter().find(|place| **place as usize >= policies.len()) {
            None => Ok(Arc::<[u32]>::from(places)),
            Some(place) => Err(format!("policy {place} is not among the resolution's")),
        };
        let mut in_force = Vec::new();
        for pb::ResolvedSetting { id, value, winners, losers } in settings {
            let value: SettingValue = value.ok_or("value: must be set")?.try_into().map_err(text)?;
            let setting = words.settings.intern(id.parse().map_err(text)?);
            let value = words.value(Some(&value));
            in_force.push(Wanted { setting, value, winners: among(winners)?, losers: among(losers)? });
        }
        let mut kept = Vec::new();
        for message in withheld {
            let reason = WithheldReason::try_from(message.reason()).map_err(text)?;
            let pb::ResolvedWithheld { id, reason: _, candidates } = message;
            let setting = words.settings.intern(id.parse().map_err(text)?);
            kept.push(Kept { setting, reason, candidates: among(candidates)? });
        }
        in_force.sort_by(|one, other| words.settings.of(one.setting).cmp(words.settings.of(other.setting)));
        kept.sort_by(|one, other| words.settings.of(one.setting).cmp(words.settings.of(other.setting)));
        let parts = (0..).zip(&*policies).map(|(place, policy)| self.part(place, *policy, &in_force, &kept));
        let resolution = Resolution {
            id,
            etag: words.digests.intern(etag),
            parts: parts.collect(),
            policies,
            settings: in_force.into(),
            withheld: kept.into(),
            raw: raw.into(),
        };
        let at = u32::try_from(self.told.len()).map_err(text)?;
        self.told.push(Some(Arc::new(resolution)));
        self.by_id.insert(id, at);
        Ok(at)
    }

    /// Forgets the resolutions that no device has, and names them.
    pub(super) fn forget_idle(&mut self, words: &mut Words) -> Vec<Digest> {
        let Self { told, by_id, devices, .. } = self;
        let idle = by_id.extract_if(|_, at| !devices.contains_key(at));
        let forgotten = idle.filter_map(|(_, at)| told.get_mut(at as usize)?.take());
        let forgotten: Vec<_> = forgotten.collect();
        for resolution in &forgotten {
            words.release_digest(resolution.etag);
            resolution.settings.iter().for_each(|wanted| words.release_value(wanted.value));
            resolution.parts.iter().for_each(|part| self.let_go(*part));
        }
        forgotten.into_iter().map(|resolution| resolution.id).collect()
    }

    /// Lets a resolution's part go, and forgets it when no other holds it.
    fn let_go(&mut self, at: u32) {
        let Some(treatment) = self.parts.release(at) else { return };
        if let Some(parts) = self.by_policy.get_mut(&treatment.policy) {
            parts.retain(|other| *other != at);
            if parts.is_empty() {
                self.by_policy.remove(&treatment.policy);
            }
        }
    }

    fn part(
        &mut self,
        place: u32,
        (policy, revision): (PolicyId, u64),
        wanted: &[Wanted],
        kept: &[Kept],
    ) -> u32 {
        let has = |places: &[u32]| places.contains(&place);
        let in_force = wanted.iter().filter(|wanted| has(&wanted.winners) || has(&wanted.losers));
        let withheld = kept.iter().filter(|kept| has(&kept.candidates));
        // What is partly withheld is in force for the rest of it; the graver word is that it is withheld.
        let of_kept = |setting: u32| kept.iter().any(|kept| kept.setting == setting && has(&kept.candidates));
        let treatment = Arc::new(Treatment {
            policy,
            revision,
            in_force: in_force.map(|wanted| wanted.setting).filter(|setting| !of_kept(*setting)).collect(),
            withheld: withheld.map(|kept| (kept.setting, Outcome::of_withheld(kept.reason))).collect(),
        });
        let at = self.parts.intern(treatment);
        let of_policy = self.by_policy.entry(policy).or_default();
        if !of_policy.contains(&at) {
            of_policy.push(at);
        }
        if self.devices_of.len() <= at as usize {
            self.devices_of.resize_with(at as usize + 1, RoaringBitmap::new);
        }
        at
    }

    /// Moves devices from one resolution, if they had one, to another, if they get one.
    pub(super) fn move_devices(&mut self, from: Option<u32>, to: Option<u32>, devices: &RoaringBitmap) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            let left = self.devices.entry(from).or_default();
            *left = left.saturating_sub(devices.len());
            if *left == 0 {
                self.devices.remove(&from);
            }
            self.each_part(from, |having| *having -= devices);
        }
        if let Some(to) = to.filter(|_| !devices.is_empty()) {
            *self.devices.entry(to).or_default() += devices.len();
            self.each_part(to, |having| *having |= devices);
        }
    }

    fn each_part(&mut self, resolution: u32, mut change: impl FnMut(&mut RoaringBitmap)) {
        for part in self.of(resolution).clone().parts.iter() {
            change(&mut self.devices_of[*part as usize]);
        }
    }
}

/// A resolution out of its event, as first encoded but for the order of equal fields.
pub(super) fn raw(resolution: &pb::Resolution) -> Vec<u8> {
    resolution.encode_to_vec()
}
