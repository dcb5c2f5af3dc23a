//! Samples of all logs: where they were when.

use muster_types::{Positions, Service, Timestamp};

use crate::Envelope;
use crate::project::{Dirty, FoldError, View};

/// Events between two samples, at first.
pub const SAMPLE_EVERY: u64 = 256;
/// Most samples of one log: 1 MiB. When there would be more, every other is dropped, and from then on they are taken half
/// as often.
pub const SAMPLES_MAX: usize = 65_536;

/// An event, and the latest time of those up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) position: u64,
    pub(super) time: Timestamp,
}

impl Sample {
    /// Before all events.
    pub(super) const NONE: Self = Self { position: 0, time: Timestamp::from_micros(i64::MIN) };

    /// After one more event.
    pub(super) fn with(self, position: u64, time: Timestamp) -> Self {
        Self { position, time: self.time.max(time) }
    }
}

/// The samples of one log.
#[derive(Debug)]
struct Part {
    /// In the order of the log; positions and times rise. The first is of the first event.
    samples: Vec<Sample>,
    head: Sample,
    /// Events seen.
    events: u64,
    /// Events between two samples.
    every: u64,
}

impl Part {
    const fn new(every: u64) -> Self {
        Self { samples: Vec::new(), head: Sample::NONE, events: 0, every }
    }

    /// The last sample that is not after what `is_after` says.
    fn before(&self, is_after: impl Fn(&Sample) -> bool) -> Sample {
        let count = self.samples.partition_point(|sample| !is_after(sample));
        count.checked_sub(1).map_or(Sample::NONE, |last| self.samples[last])
    }
}

/// The view.
#[derive(Debug)]
pub struct Index {
    parts: [Part; 4],
    samples_max: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self::sampled(SAMPLE_EVERY, SAMPLES_MAX)
    }
}

impl Index {
    /// With samples that are so many events apart, and at most so many of one log.
    pub(super) fn sampled(every: u64, samples_max: usize) -> Self {
        Self { parts: std::array::from_fn(|_| Part::new(every)), samples_max }
    }

    /// The time of the first event of all; `None` when there is none.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.parts.iter().filter_map(|part| part.samples.first()).map(|sample| sample.time).min()
    }

    /// The latest time of all events; `None` when there is none.
    #[must_use]
    pub fn latest(&self) -> Option<Timestamp> {
        self.parts.iter().map(|part| part.head).filter(|head| head.position > 0).map(|head| head.time).max()
    }

    /// Last positions seen.
    #[must_use]
    pub fn heads(&self) -> Positions {
        let of = |service| Positions::of(service, self.head(service).position);
        Service::ALL.into_iter().map(of).fold(Positions::ZERO, Positions::join)
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.parts.iter().map(|part| part.samples.len()).sum()
    }

    /// Most samples of a log.
    #[cfg(test)]
    pub(super) fn parts_max(&self) -> usize {
        self.parts.iter().map(|part| part.samples.len()).max().unwrap_or_default()
    }

    pub(super) fn head(&self, service: Service) -> Sample {
        self.part(service).head
    }

    pub(super) fn before_time(&self, service: Service, time: Timestamp) -> Sample {
        self.part(service).before(|sample| sample.time > time)
    }

    pub(super) fn before_position(&self, service: Service, position: u64) -> Sample {
        self.part(service).before(|sample| sample.position > position)
    }

    fn part(&self, service: Service) -> &Part {
        &self.parts[service as usize - 1]
    }

    fn thin(part: &mut Part, service: Service, dirty: &mut Dirty) {
        let mut kept = false;
        part.samples.retain(|sample| {
            kept = !kept;
            if !kept {
                dirty.mark(sample_key(service, sample.position));
            }
            kept
        });
        part.every *= 2;
    }
}

/// Keys: `0, service` for how far a log is sampled, `service, position` for a sample.
fn head_key(service: Service) -> [u8; 2] {
    [0, service as u8]
}

fn sample_key(service: Service, position: u64) -> [u8; 9] {
    let mut key = [service as u8; 9];
    key[1..].copy_from_slice(&position.to_be_bytes());
    key
}

fn service_of(byte: u8) -> Option<Service> {
    Service::ALL.into_iter().find(|service| *service as u8 == byte)
}

impl View for Index {
    const NAME: &'static str = "moments";
    const CONTRACT: u32 = 1;
    const SOURCES: &'static [Service] = &Service::ALL;

    fn apply(&mut self, event: &Envelope, dirty: &mut Dirty) -> Result<(), FoldError> {
        let service = event.stream.service();
        let samples_max = self.samples_max;
        let part = &mut self.parts[service as usize - 1];
        part.head = part.head.with(event.position, event.context.time);
        if part.events.is_multiple_of(part.every) {
            if part.samples.len() >= samples_max {
                Self::thin(part, service, dirty);
            }
            // After thinning this event may fall between two samples.
            if part.events.is_multiple_of(part.every) {
                part.samples.push(part.head);
                dirty.mark(sample_key(service, event.position));
            }
        }
        part.events += 1;
        dirty.mark(head_key(service));
        Ok(())
    }

    fn row_keys(&self, row: &mut dyn FnMut(&[u8])) {
        for service in Service::ALL {
            let part = self.part(service);
            if part.events > 0 {
                row(&head_key(service));
            }
            part.samples.iter().for_each(|sample| row(&sample_key(service, sample.position)));
        }
    }

    fn encode_row(&self, key: &[u8]) -> Option<Vec<u8>> {
        let (first, rest) = key.split_first()?;
        if *first == 0 {
            let part = self.part(service_of(*rest.first()?)?);
            let Part { samples: _, head: Sample { position, time }, events, every } = part;
            let numbers = [
                position.to_be_bytes(),
                time.micros().to_be_bytes(),
                events.to_be_bytes(),
                every.to_be_bytes(),
            ];
            return (*events > 0).then(|| numbers.concat());
        }
        let position = u64::from_be_bytes(rest.try_into().ok()?);
        let samples = &self.part(service_of(*first)?).samples;
        let place = samples.binary_search_by_key(&position, |sample| sample.position).ok()?;
        Some(samples[place].time.micros().to_be_bytes().into())
    }

    fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let wrong = || "not a row of this view".to_owned();
        let (first, rest) = key.split_first().ok_or_else(wrong)?;
        let mut numbers = value.chunks_exact(8).filter_map(|bytes| bytes.first_chunk().copied());
        let mut number = || numbers.next().ok_or_else(wrong);
        if *first == 0 {
            let service = rest.first().and_then(|byte| service_of(*byte)).ok_or_else(wrong)?;
            let part = &mut self.parts[service as usize - 1];
            let position = u64::from_be_bytes(number()?);
            let time = Timestamp::from_micros(i64::from_be_bytes(number()?));
            part.head = Sample { position, time };
            part.events = u64::from_be_bytes(number()?);
            part.every = u64::from_be_bytes(number()?).max(1);
            return Ok(());
        }
        let service = service_of(*first).ok_or_else(wrong)?;
        let position = u64::from_be_bytes(rest.try_into().map_err(|_| wrong())?);
        let time = Timestamp::from_micros(i64::from_be_bytes(number()?));
        self.parts[service as usize - 1].samples.push(Sample { position, time });
        Ok(())
    }
}
