//! The fold: what each event changes.

use muster_eventlog::Envelope;
use muster_eventlog::project::Dirty;
use muster_proto::convert::moment;
use muster_proto::enroll::v1::{DeviceFacts, DeviceFactsChanged, DeviceOnboarded};
use muster_proto::policy::v1 as policy;
use muster_proto::report::v1::DriftSuspected;
use muster_types::{DeviceId, Digest, Timestamp};
use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::Standings;
use super::devices::{Facts, Said};
use super::drifts::Drift;
use super::due::{self, Desired, Due, Step};
use super::judge::{self, Class, Spoken};
use super::pool::NONE;
use super::tally::{Changes, Judgement, rising};
use super::walk::walk;
use super::{resolutions, words::Words};
use crate::store::{self, Key};
use crate::wire::{self, decoded, kind, text};

impl Standings {
    pub(super) fn fold(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let payload = &event.payload[..];
        match event.kind.as_str() {
            kind::TRUST_ESTABLISHED => self.trust(event, dirty)?,
            kind::REGISTRATION_REMOVED => self.remove(DeviceId::from_uuid(event.stream.id), dirty),
            kind::STATUS_REPORTED => self.hear(event, dirty)?,
            kind::DRIFT_SUSPECTED => self.suspect(event, dirty)?,
            kind::DEVICE_WENT_STALE => self.set_stale(event, true, dirty),
            kind::DEVICE_RETURNED => self.set_stale(event, false, dirty),
            kind::DEVICE_ONBOARDED => {
                let DeviceOnboarded { facts, .. } = decoded(payload)?;
                self.set_facts(event, facts, dirty);
            }
            kind::DEVICE_FACTS_CHANGED => {
                let DeviceFactsChanged { facts, .. } = decoded(payload)?;
                self.set_facts(event, facts, dirty);
            }
            kind::EFFECTIVE_POLICIES_CHANGED => self.resolve(decoded(payload)?, dirty)?,
            kind::POLICIES_DELIVERED => self.deliver(decoded(payload)?, event.context.time, dirty)?,
            kind::DEVICES_SEEN => self.see(decoded(payload)?, event.context.time, dirty)?,
            _ => self.targets.fold(event, dirty)?,
        }
        if self.latest.is_none_or(|latest| latest < event.context.time) {
            self.latest = Some(event.context.time);
            dirty.mark(Key::Latest.to_bytes());
        }
        Ok(())
    }

    fn trust(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let device = DeviceId::from_uuid(event.stream.id);
        let ordinal = match self.devices.ordinal(device) {
            None => {
                let tenant = self.words.tenant(event.stream.tenant);
                let ordinal = self.devices.push(device, tenant)?;
                self.drifts.place(device, ordinal);
                self.judge(ordinal);
                ordinal
            }
            Some(ordinal) if self.devices.gone.remove(ordinal) => ordinal,
            Some(_) => return Ok(()),
        };
        dirty.mark(Key::Device(ordinal).to_bytes());
        Ok(())
    }

    /// Takes a device out of all counts, until it is trusted again.
    fn remove(&mut self, device: DeviceId, dirty: &mut Dirty) {
        if let Some(ordinal) = self.devices.ordinal(device) {
            self.devices.gone.insert(ordinal);
            dirty.mark(Key::Device(ordinal).to_bytes());
        }
    }

    fn hear(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let device = DeviceId::from_uuid(event.stream.id);
        let walked = walk(&event.payload)?;
        let Self { words, statuses, devices, .. } = self;
        let list = statuses.intern(&walked.settings, words, dirty)?;
        let (tenant, time) = (words.tenant(event.stream.tenant), event.context.time);
        let (ordinal, row) = devices.row_mut(device, tenant);
        row.tenant = tenant;
        let (etag, refused) = (words.digests.intern(walked.etag), words.text(walked.refused));
        let before = row.said.take();
        let same = before.as_ref().filter(|before| before.etag == etag);
        let well = (statuses.lists.of(list).well && refused == NONE).then_some(time);
        row.said = Some(Said {
            list,
            etag,
            refused,
            version: walked.version,
            applied: walked.applied,
            time,
            position: event.position,
            first: same.map_or(time, |same| same.first),
            well: same.and_then(|same| same.well).or(well),
            unknown: (!walked.unknown.is_empty()).then(|| walked.unknown.into()),
        });
        if let Some(Said { list, etag, refused, .. }) = before {
            statuses.release(list, words, dirty);
            words.release_digest(etag);
            words.release_text(refused);
        }
        dirty.mark(Key::Said(device).to_bytes());
        if self.drifts.keep(device, ordinal, &walked.etag) {
            dirty.mark(Key::Drifts(device).to_bytes());
        }
        if let Some(ordinal) = ordinal {
            self.judge(ordinal);
        }
        Ok(())
    }

    fn suspect(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), String> {
        let device = DeviceId::from_uuid(event.stream.id);
        let DriftSuspected { setting, corrections, policy_etag } = decoded(&event.payload)?;
        let etag = policy_etag.try_into().map_err(|_| "policy_etag: must be 32 bytes")?;
        let setting = setting.parse().map_err(text)?;
        self.drifts.suspect(device, self.devices.ordinal(device), Drift { setting, corrections, etag });
        dirty.mark(Key::Drifts(device).to_bytes());
        Ok(())
    }

    fn set_stale(&mut self, event: &Envelope, stale: bool, dirty: &mut Dirty) {
        let device = DeviceId::from_uuid(event.stream.id);
        let tenant = self.words.tenant(event.stream.tenant);
        let (ordinal, row) = self.devices.row_mut(device, tenant);
        row.stale = stale;
        match ordinal {
            Some(ordinal) if stale => drop(self.devices.stale.insert(ordinal)),
            Some(ordinal) => drop(self.devices.stale.remove(ordinal)),
            None => {}
        }
        dirty.mark(Key::Stale(device).to_bytes());
    }

    fn set_facts(&mut self, event: &Envelope, facts: Option<DeviceFacts>, dirty: &mut Dirty) {
        let Some(facts) = facts else { return };
        let device = DeviceId::from_uuid(event.stream.id);
        let tenant = self.words.tenant(event.stream.tenant);
        let platform = wire::platform(facts.platform());
        let facts = Facts {
            platform,
            os_version: self.words.text(&facts.os_version),
            maker: self.words.text(facts.board_vendor()),
            model: self.words.text(facts.product_name()),
            host: facts.hostname.into(),
        };
        self.put_facts(device, tenant, facts);
        dirty.mark(Key::Facts(device).to_bytes());
    }

    pub(super) fn put_facts(&mut self, device: DeviceId, tenant: u16, facts: Facts) {
        let platform = facts.platform;
        let (ordinal, row) = self.devices.row_mut(device, tenant);
        let before = std::mem::replace(&mut row.facts, facts);
        for text in [before.os_version, before.maker, before.model] {
            self.words.release_text(text);
        }
        if let Some(ordinal) = ordinal {
            self.devices.place(ordinal, platform);
        }
    }

    fn resolve(&mut self, event: policy::EffectivePoliciesChanged, dirty: &mut Dirty) -> Result<(), String> {
        let policy::EffectivePoliciesChanged { positions: _, resolved, none, restated } = event;
        for policy::Resolved { resolution_id, devices, cause_time, resolution } in resolved {
            let id: Digest = resolution_id.try_into().map_err(|_| "resolution_id: must be 32 bytes")?;
            let known = match (self.resolutions.find(&id), resolution) {
                (Some(known), _) => known,
                (None, Some(resolution)) => {
                    dirty.mark(Key::Resolution(id).to_bytes());
                    self.resolutions.tell(id, &resolutions::raw(&resolution), &mut self.words)?
                }
                (None, None) => return Err("a resolution is named and was never told".to_owned()),
            };
            let since = cause_time.map(moment).unwrap_or_default();
            self.desire(&self.ordinals(&devices)?, Desired::Resolved(known), since, dirty);
        }
        let none = self.ordinals(&none)?;
        self.desire(&none, Desired::Nothing, Timestamp::default(), dirty);
        if restated {
            let forgotten = self.resolutions.forget_idle(&mut self.words);
            forgotten.into_iter().for_each(|id| dirty.mark(Key::Resolution(id).to_bytes()));
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "reads as what it is about")]
    fn ordinals(&self, bytes: &[u8]) -> Result<RoaringBitmap, String> {
        let ordinals = store::bitmap(bytes)?;
        match ordinals.max() {
            Some(max) if max >= due::ORDINALS_MAX => Err(format!("no fleet has a device {max}")),
            Some(_) | None => Ok(ordinals),
        }
    }

    /// Gives devices what they should have from now on.
    fn desire(&mut self, devices: &RoaringBitmap, desired: Desired, since: Timestamp, dirty: &mut Dirty) {
        let mut moved: FxHashMap<(Desired, Timestamp, u32), Vec<u32>> = FxHashMap::default();
        for ordinal in devices {
            let Due { desired: from, since, ages, .. } =
                self.dues.get(ordinal as usize).copied().unwrap_or_default();
            if from != desired {
                moved.entry((from, since, ages)).or_default().push(ordinal);
            }
        }
        for ((from, before, ages), devices) in moved {
            let devices = rising(devices);
            let from = Due { desired: from, since: before, ages, ..Due::default() };
            let ages = self.ages.moved(&from, desired, since, devices.len(), &self.resolutions);
            self.each_due(&devices, dirty, |_, due| {
                (due.desired, due.since, due.ages) = (desired, since, ages);
            });
            self.resolutions.move_devices(from.desired.resolution(), desired.resolution(), &devices);
        }
        self.judge_all(devices);
    }

    fn deliver(
        &mut self,
        event: policy::PoliciesDelivered,
        time: Timestamp,
        dirty: &mut Dirty,
    ) -> Result<(), String> {
        let policy::PoliciesDelivered { mut delivered, first_time } = event;
        let first = first_time.map_or(time, moment);
        // What was sent within a second comes before what was said of it.
        delivered.sort_by_key(|delivered| delivered.step);
        for message in delivered {
            let step = match message.step() {
                policy::DeliveryStep::Unspecified => return Err("step: must be set".to_owned()),
                policy::DeliveryStep::Sent => Step::Sent,
                policy::DeliveryStep::Applying => Step::Applying,
                policy::DeliveryStep::Refused => Step::Refused,
            };
            let policy::Delivered { etag, step: _, devices } = message;
            let etag: Digest = etag.try_into().map_err(|_| "etag: must be 32 bytes")?;
            let devices = self.ordinals(&devices)?;
            let etag = self.words.digests.intern(etag);
            let (mut held, mut released) = (0_u64, Vec::new());
            self.each_due(&devices, dirty, |_, due| {
                held += 1;
                released.extend(due.delivery.map(|before| before.etag));
                due.deliver(etag, step, first, time);
            });
            (0..held).for_each(|_| self.words.digests.hold(etag));
            released.into_iter().for_each(|before| self.words.release_digest(before));
            self.words.release_digest(etag);
            self.judge_all(&devices);
        }
        Ok(())
    }

    fn see(&mut self, event: policy::DevicesSeen, time: Timestamp, dirty: &mut Dirty) -> Result<(), String> {
        let policy::DevicesSeen { devices } = event;
        let devices = self.ordinals(&devices)?;
        self.each_due(&devices, dirty, |_, due| due.seen = Some(time));
        Ok(())
    }

    fn each_due(
        &mut self,
        devices: &RoaringBitmap,
        dirty: &mut Dirty,
        mut change: impl FnMut(u32, &mut Due),
    ) {
        let Some(max) = devices.max() else { return };
        while self.dues.len() <= max as usize {
            self.dues.push(Due::default());
        }
        let mut marked = None;
        for ordinal in devices {
            if let Some(due) = self.dues.get_mut(ordinal as usize) {
                change(ordinal, due);
            }
            let chunk = ordinal / due::CHUNK;
            if marked != Some(chunk) {
                marked = Some(chunk);
                dirty.mark(Key::Dues(chunk).to_bytes());
            }
        }
    }

    /// The judgement on a device, by all that is known of it.
    fn judgement(&mut self, ordinal: u32) -> Judgement {
        let Self { devices, dues, statuses, resolutions, tally, words: Words { settings, .. }, .. } = self;
        let due = dues.get(ordinal as usize).copied().unwrap_or_default();
        let said = devices.rows.get(ordinal as usize).and_then(|row| row.said.as_ref());
        let resolution = due.desired.resolution().map(|at| (at, resolutions.of(at)));
        let class = Class::of(&due, said, resolution.map(|(_, resolution)| resolution.etag));
        let silent = said.is_none();
        let Some((at, resolution)) = resolution else {
            let exceptions = tally.number((NONE, 0, false), Vec::new);
            return Judgement { class, silent, state: class.pending(), exceptions };
        };
        let exceptions = match said {
            None => tally.number((NONE, 0, false), Vec::new),
            Some(said) => {
                let (list, current) = (statuses.lists.of(said.list), said.etag == resolution.etag);
                let spoken = || Spoken::of(list, statuses.entries.items(), settings.items());
                tally.number((at, statuses.serial(list), current), || {
                    judge::exceptions(resolution, spoken(), current)
                })
            }
        };
        let outcomes = tally.exceptions(exceptions).iter().map(|(_, outcome)| *outcome);
        let withheld = resolution.withheld.iter().map(|kept| judge::Outcome::of_withheld(kept.reason));
        let state = judge::state(
            class,
            silent,
            resolution.settings.len(),
            resolution.withheld.len(),
            &outcomes.chain(withheld),
        );
        Judgement { class, silent, state, exceptions }
    }

    fn judge(&mut self, ordinal: u32) {
        self.tally.forget();
        let judgement = self.judgement(ordinal);
        self.tally.judge(ordinal, judgement);
    }

    fn judge_all(&mut self, devices: &RoaringBitmap) {
        self.tally.forget();
        let mut changes = Changes::default();
        for ordinal in devices {
            let judgement = self.judgement(ordinal);
            self.tally.change(ordinal, judgement, &mut changes);
        }
        self.tally.judge_all(changes);
    }

    /// Judges everybody, once all rows are loaded.
    pub(super) fn judge_everybody(&mut self) {
        let all = self.devices.rows.len().max(self.dues.len());
        let mut everybody = RoaringBitmap::new();
        everybody.insert_range(0..u32::try_from(all).unwrap_or(u32::MAX));
        self.judge_all(&everybody);
    }
}
