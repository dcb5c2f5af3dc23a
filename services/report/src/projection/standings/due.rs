//! What each device should have, what was sent to it, and when it was heard of: by ordinal, since the policy log says so.

use muster_types::{Digest, Timestamp};
use prost::Message;
use rustc_hash::FxHashMap;

use super::ages::Ages;
use super::column::Column;
use super::pool::NONE;
use super::resolutions::Resolutions;
use super::words::Words;
use crate::wire::text;

/// Devices whose rows are stored together.
pub(super) const CHUNK: u32 = 256;
/// One more than the largest ordinal that is believed: more devices than that are a damaged event.
pub(super) const ORDINALS_MAX: u32 = 1 << 26;

/// What a device should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Desired {
    /// Nobody said yet.
    #[default]
    Unknown,
    /// Nothing: it is gone or managed elsewhere.
    Nothing,
    /// What the resolution with this number says.
    Resolved(u32),
}

impl Desired {
    pub(super) const fn resolution(self) -> Option<u32> {
        match self {
            Self::Resolved(at) => Some(at),
            Self::Unknown | Self::Nothing => None,
        }
    }
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Step {
    Sent = 1,
    Applying = 2,
    Refused = 3,
}

/// What was sent to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The number of the etag.
    pub(super) etag: u32,
    pub(super) step: Step,
    /// When it was first sent, or up to about a second before.
    pub(super) sent: Option<Timestamp>,
    /// When the step was told.
    pub(super) time: Timestamp,
}

/// What the policy log says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) desired: Desired,
    /// Since when it should have it.
    pub(super) since: Timestamp,
    /// The number of the ages of its parts.
    pub(super) ages: u32,
    pub(super) delivery: Option<Delivery>,
    pub(super) seen: Option<Timestamp>,
}

impl Default for Due {
    fn default() -> Self {
        let (desired, since) = (Desired::default(), Timestamp::default());
        Self { desired, since, ages: NONE, delivery: None, seen: None }
    }
}

impl Due {
    /// Notes a delivery. What was sent again was sent when it was sent first.
    pub(super) fn deliver(&mut self, etag: u32, step: Step, first: Timestamp, time: Timestamp) {
        let before = self.delivery.filter(|before| before.etag == etag).and_then(|before| before.sent);
        let sent = before.or((step == Step::Sent).then_some(first));
        self.delivery = Some(Delivery { etag, step, sent, time });
    }
}

impl Due {
    /// When what it should have was sent to it, if the etag is that. What is told of the devices of a second begins with the
    /// first of them; a device that came to the policy within that second had it later.
    pub(super) fn delivered(&self, etag: Option<u32>) -> Option<Timestamp> {
        let Delivery { sent, time, .. } = self.delivery.filter(|delivery| Some(delivery.etag) == etag)?;
        sent.map(|sent| if (sent..=time).contains(&self.since) { self.since } else { sent })
    }
}

/// The dues of [`CHUNK`] devices, as stored. Numbers are places in `digests`, from 1.
#[derive(Clone, PartialEq, Message)]
struct DuesRow {
    #[prost(bytes = "vec", repeated, tag = "1")]
    digests: Vec<Vec<u8>>,
    /// 0 unknown, 1 nothing, then the resolution's place and one.
    #[prost(uint32, repeated, tag = "2")]
    desired: Vec<u32>,
    #[prost(sint64, repeated, tag = "3")]
    since: Vec<i64>,
    #[prost(uint32, repeated, tag = "4")]
    delivered: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    steps: Vec<u32>,
    /// 0 never, else the time and one.
    #[prost(sint64, repeated, tag = "6")]
    sent: Vec<i64>,
    #[prost(sint64, repeated, tag = "7")]
    step_times: Vec<i64>,
    #[prost(sint64, repeated, tag = "8")]
    seen: Vec<i64>,
    /// Each once; 0 none, else the place in `ages` and one.
    #[prost(uint32, repeated, tag = "9")]
    aged: Vec<u32>,
    #[prost(message, repeated, tag = "10")]
    ages: Vec<AgesRow>,
}

/// Since when each place of a resolution is as it is.
#[derive(Clone, PartialEq, Message)]
struct AgesRow {
    #[prost(sint64, repeated, tag = "1")]
    times: Vec<i64>,
}

const fn after(time: Option<Timestamp>) -> i64 {
    match time {
        Some(time) => time.micros().saturating_add(1),
        None => 0,
    }
}

const fn before(stored: i64) -> Option<Timestamp> {
    if stored == 0 { None } else { Some(Timestamp::from_micros(stored - 1)) }
}

/// Chunks that anything is known of.
pub(super) fn chunks(dues: &Column<Due>) -> impl Iterator<Item = u32> {
    let mut known = Vec::new();
    for (ordinal, due) in (0_u32..).zip(dues.iter()) {
        if *due != Due::default() && known.last() != Some(&(ordinal / CHUNK)) {
            known.push(ordinal / CHUNK);
        }
    }
    known.into_iter()
}

/// A chunk as a row; `None` when nothing is known of its devices.
pub(super) fn encode(
    chunk: u32,
    dues: &Column<Due>,
    known_ages: &Ages,
    resolutions: &Resolutions,
    words: &Words,
) -> Option<Vec<u8>> {
    let first = chunk.checked_mul(CHUNK)?;
    let dues: Vec<Due> = (first..first + CHUNK).map_while(|at| dues.get(at as usize).copied()).collect();
    let known = dues.iter().rposition(|due| *due != Due::default())?;
    let mut row = DuesRow::default();
    let mut places: FxHashMap<Digest, u32> = FxHashMap::default();
    let mut aged: FxHashMap<u32, u32> = FxHashMap::default();
    for due in &dues[..=known] {
        let mut place = |digest: &Digest| {
            *places.entry(*digest).or_insert_with(|| {
                row.digests.push(digest.to_vec());
                u32::try_from(row.digests.len()).unwrap_or(u32::MAX)
            })
        };
        let Due { desired, since, ages, delivery, seen } = due;
        let desired = match desired {
            Desired::Unknown => 0,
            Desired::Nothing => 1,
            Desired::Resolved(at) => place(&resolutions.of(*at).id) + 1,
        };
        let delivered = delivery.map_or(0, |delivery| place(words.digests.of(delivery.etag)));
        row.desired.push(desired);
        row.since.push(since.micros());
        row.aged.push(if *ages == NONE {
            0
        } else {
            *aged.entry(*ages).or_insert_with(|| {
                let times = known_ages.all(*ages).iter().map(|time| time.micros()).collect();
                row.ages.push(AgesRow { times });
                u32::try_from(row.ages.len()).unwrap_or(u32::MAX)
            })
        });
        row.delivered.push(delivered);
        row.steps.push(delivery.map_or(0, |delivery| u32::from(delivery.step as u8)));
        row.sent.push(after(delivery.and_then(|delivery| delivery.sent)));
        row.step_times.push(delivery.map_or(0, |delivery| delivery.time.micros()));
        row.seen.push(after(*seen));
    }
    Some(row.encode_to_vec())
}

/// The dues of a chunk's row; resolutions are known already, and etags and ages are held once for each device.
///
/// # Errors
/// What is wrong with the row.
pub(super) fn decode(
    value: &[u8],
    known_ages: &mut Ages,
    resolutions: &Resolutions,
    words: &mut Words,
) -> Result<Vec<Due>, String> {
    let row = DuesRow::decode(value).map_err(text)?;
    let times = |row: AgesRow| row.times.into_iter().map(Timestamp::from_micros).collect::<Box<[_]>>();
    let ages: Vec<_> = row.ages.into_iter().map(times).collect();
    let digests = row.digests.into_iter().map(|digest| digest.try_into().map_err(|_| "a digest is cut off"));
    let digests: Vec<Digest> = digests.collect::<Result<_, _>>()?;
    let digest = |place: u32| digests.get(place as usize).ok_or("a digest is missing");
    let mut dues = Vec::with_capacity(row.desired.len());
    for (at, desired) in row.desired.iter().enumerate() {
        let column = |column: &[i64]| column.get(at).copied().ok_or("a column ends too early");
        let desired = match desired {
            0 => Desired::Unknown,
            1 => Desired::Nothing,
            place => {
                let resolution = resolutions.find(digest(place - 2)?);
                Desired::Resolved(resolution.ok_or("a resolution is missing")?)
            }
        };
        let step = match row.steps.get(at) {
            Some(1) => Some(Step::Sent),
            Some(2) => Some(Step::Applying),
            Some(3) => Some(Step::Refused),
            Some(_) | None => None,
        };
        let delivered = row.delivered.get(at).copied().unwrap_or(0);
        let etag = if delivered == 0 { NONE } else { words.digests.intern(*digest(delivered - 1)?) };
        let (sent, time) = (before(column(&row.sent)?), Timestamp::from_micros(column(&row.step_times)?));
        let ages = match row.aged.get(at) {
            Some(0) => NONE,
            Some(place) => known_ages.keep(ages.get(*place as usize - 1).ok_or("ages are missing")?.clone()),
            None => return Err("a column ends too early".to_owned()),
        };
        dues.push(Due {
            desired,
            ages,
            since: Timestamp::from_micros(column(&row.since)?),
            delivery: step.map(|step| Delivery { etag, step, sent, time }),
            seen: before(column(&row.seen)?),
        });
    }
    Ok(dues)
}
