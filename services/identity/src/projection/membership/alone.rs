//! One device, folded alone from its own events by the same rules as all: what was known of it at any past moment, and
//! which event brought that.

use std::collections::BTreeMap;

use muster_eventlog::Envelope;
use muster_eventlog::command::State as _;
use muster_eventlog::project::{Dirty, FoldError, View as _};
use muster_types::{Aggregate, DeviceId, DirectoryDeviceId, GroupId, Service, Timestamp};
use roaring::RoaringBitmap;

use super::Membership;
use super::directory::BY_DIRECTORY;
use crate::domain::registration::{Event as RegistrationEvent, Registration};
use crate::domain::rule::{Attribute, Described, Explained, Kind, Property, Rule, Truth};

/// An event that brought a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brought {
    /// Whose log it is in.
    pub service: Service,
    /// Where.
    pub position: u64,
    /// When.
    pub time: Timestamp,
}

/// What a rule reads of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Which property.
    pub property: Property,
    /// What the device has; `None` when that is absent.
    pub has: Option<Attribute>,
    /// What brought it; `None` when nothing did.
    pub brought: Option<Brought>,
}

/// What a rule says of a device, part by part, and by which facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Whether it is in. A device that is not registered is out.
    pub verdict: Truth,
    /// What each part says, from the outside in.
    pub parts: Vec<Explained>,
    /// What it reads, by property.
    pub facts: Vec<Fact>,
}

/// The device.
#[derive(Debug)]
pub struct Alone<'a> {
    view: Membership,
    device: DeviceId,
    rule: &'a Rule,
    facts: BTreeMap<Property, (Option<Attribute>, Option<Brought>)>,
}

impl<'a> Alone<'a> {
    /// Of whom nothing is known, to be asked by a rule.
    #[must_use]
    pub fn new(device: DeviceId, rule: &'a Rule) -> Self {
        let unknown = |property| (property, (Some(Attribute::Unknown), None));
        let facts = rule.reads().into_iter().filter(|property| property.kind() != Kind::Groups).map(unknown);
        Self { view: Membership::new(Default::default()), device, rule, facts: facts.collect() }
    }

    /// The devices of directories that an event of a registration says the device is: what those tell counts too.
    ///
    /// # Errors
    /// [`FoldError`] when the event is damaged.
    pub fn directory_device(event: &Envelope) -> Result<Option<DirectoryDeviceId>, FoldError> {
        if event.stream.aggregate != Aggregate::Registration {
            return Ok(None);
        }
        let proven = match Registration::decode(event).map_err(|reason| FoldError::new(event, reason))? {
            Some(RegistrationEvent::TrustEstablished { proven, .. }) => proven,
            Some(RegistrationEvent::RegistrationPromoted(proven)) => Some(proven),
            _ => None,
        };
        let id = proven.as_ref().and_then(|proven| proven.registration.strip_prefix(BY_DIRECTORY));
        Ok(id.map(|id| DirectoryDeviceId::of(event.stream.tenant, id)))
    }

    /// Folds an event: of the device's enrollment or registration, or of a directory. Those of each service come in log
    /// order.
    ///
    /// # Errors
    /// [`FoldError`] when the event is damaged.
    pub fn fold(&mut self, event: &Envelope) -> Result<(), FoldError> {
        self.view.apply(event, &mut Dirty::everything())?;
        let brought =
            Brought { service: event.stream.service(), position: event.position, time: event.context.time };
        let (view, device) = (&self.view, self.device);
        for (property, (had, by)) in &mut self.facts {
            let has = view.known(device, *property);
            if *had != has {
                (*had, *by) = (has, Some(brought));
            }
        }
        Ok(())
    }

    /// What the rule says. `groups` are the static groups that it names and the device is in, with what brought it in.
    #[must_use]
    pub fn said(mut self, groups: &[(GroupId, Option<Brought>)]) -> Said {
        let ordinal = self.view.fleet.index().ordinal(self.device);
        for (group, _) in groups {
            let one: RoaringBitmap = ordinal.into_iter().collect();
            self.view.fleet.members_changed(*group, &one, &RoaringBitmap::new());
        }
        let index = self.view.fleet.index();
        let present = ordinal.filter(|ordinal| index.present().contains(*ordinal));
        let described = ordinal.map_or_else(
            || {
                let mut described = Described::default();
                for (property, (has, _)) in &self.facts {
                    has.clone().into_iter().for_each(|has| described.tell(*property, has));
                }
                described
            },
            |ordinal| index.described(ordinal),
        );
        let verdict = present.map_or(Truth::False, |ordinal| index.says(self.rule, ordinal));
        let mut facts: Vec<_> = self
            .facts
            .iter()
            .map(|(property, (has, brought))| Fact {
                property: *property,
                has: has.clone(),
                brought: *brought,
            })
            .collect();
        for property in self.rule.reads().into_iter().filter(|property| property.kind() == Kind::Groups) {
            let names: Box<[Box<str>]> = groups.iter().map(|(group, _)| group.to_string().into()).collect();
            let has = (!names.is_empty()).then_some(Attribute::Collection(names));
            let brought = groups.iter().filter_map(|(_, brought)| *brought).max_by_key(|it| it.position);
            facts.push(Fact { property, has, brought });
        }
        facts.sort_by_key(|fact| fact.property.name());
        Said { verdict, parts: self.rule.explain(&described), facts }
    }
}

impl Membership {
    /// What is known of a device, also before it is trusted; `None` when it is absent.
    fn known(&self, device: DeviceId, property: Property) -> Option<Attribute> {
        match self.fleet.index().ordinal(device) {
            Some(ordinal) => self.fleet.index().attribute(ordinal, property),
            None => self.told(device, property),
        }
    }
}
