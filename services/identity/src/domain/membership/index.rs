//! What is known of all devices, by ordinal, as rules ask for it.

use std::borrow::Cow;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use muster_types::{DeviceId, GroupId};
use roaring::{MultiOps as _, RoaringBitmap};
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::column::{Cell, Column};
use super::sets::{Set, Truths};
use crate::domain::group::Verdict;
use crate::domain::rule::{
    Attribute, Described, Expression, Kind, Node, Predicate, Property, Rule, Test, Truth, Wanted,
};

/// Where what is known of a property comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The survey and the services; where that was not collected, the directory.
    OwnFirst,
    /// The survey and the services.
    Own,
    /// The directory; else the device's own id.
    Id,
    /// The directory alone: unknown while it has not told of a device that it has.
    Directory,
    /// Static groups.
    Groups,
}

fn source(property: Property) -> Source {
    match property.name() {
        "displayName" | "deviceOSType" | "deviceOSVersion" | "deviceManufacturer" | "deviceModel" => {
            Source::OwnFirst
        }
        "accountEnabled" | "deviceTrustType" | "managementType" | "tags" | "enrollmentCode" => Source::Own,
        "deviceId" | "objectId" => Source::Id,
        "memberOf" => Source::Groups,
        _ => Source::Directory,
    }
}

/// What is known of all devices. What was never told of a device is not collected, as far as the device itself or the
/// services must tell it, and absent, as far as a directory would have to.
#[derive(Debug)]
pub struct Index {
    devices: Vec<DeviceId>,
    by_device: HashTable<u32>,
    /// Devices that are registered now.
    present: RoaringBitmap,
    /// All that ever were.
    all: RoaringBitmap,
    /// Devices whose directory has not told of them.
    untold: RoaringBitmap,
    sources: [Source; Property::COUNT],
    own: [Column; Property::COUNT],
    directory: [Column; Property::COUNT],
    /// Members of static groups, by the groups' ids as rules write them.
    groups: FxHashMap<Box<str>, RoaringBitmap>,
}

impl Default for Index {
    fn default() -> Self {
        let mut sources = [Source::Directory; Property::COUNT];
        Property::all().for_each(|property| sources[property.index()] = source(property));
        let column =
            |number: usize| Column::new(Property::all().nth(number).map_or(Kind::Text, Property::kind));
        Self {
            devices: Vec::new(),
            by_device: HashTable::new(),
            present: RoaringBitmap::new(),
            all: RoaringBitmap::new(),
            untold: RoaringBitmap::new(),
            sources,
            own: std::array::from_fn(column),
            directory: std::array::from_fn(column),
            groups: FxHashMap::default(),
        }
    }
}

impl Index {
    /// A device's ordinal.
    #[must_use]
    pub fn ordinal(&self, device: DeviceId) -> Option<u32> {
        let is = |ordinal: &u32| self.devices[*ordinal as usize] == device;
        self.by_device.find(hash(device), is).copied()
    }

    /// The device with an ordinal.
    #[must_use]
    pub fn device(&self, ordinal: u32) -> Option<DeviceId> {
        self.devices.get(ordinal as usize).copied()
    }

    /// How many devices were ever trusted.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.devices.len()).expect("a view of 4 billion devices does not fit in memory")
    }

    /// Devices that are registered now.
    #[must_use]
    pub const fn present(&self) -> &RoaringBitmap {
        &self.present
    }

    /// Gives a device that has none the next ordinal. Nothing was collected of it yet.
    pub fn admit(&mut self, device: DeviceId) -> u32 {
        let ordinal = self.count();
        self.devices.push(device);
        let devices = &self.devices;
        let rehash = |ordinal: &u32| hash(devices[*ordinal as usize]);
        self.by_device.insert_unique(hash(device), ordinal, rehash);
        self.all.insert(ordinal);
        for property in Property::all() {
            if matches!(self.sources[property.index()], Source::OwnFirst | Source::Own) {
                self.own[property.index()].unknown.insert(ordinal);
            }
        }
        ordinal
    }

    /// Notes whether a device is registered now.
    pub fn set_present(&mut self, ordinal: u32, present: bool) {
        set(&mut self.present, ordinal, present);
    }

    /// Notes whether a directory has a device, but has not told of it.
    pub fn set_untold(&mut self, ordinal: u32, untold: bool) {
        set(&mut self.untold, ordinal, untold);
    }

    /// Whether a directory has a device, but has not told of it.
    #[must_use]
    pub fn is_untold(&self, ordinal: u32) -> bool {
        self.untold.contains(ordinal)
    }

    /// Puts what the device itself or a service tells in the place of what it told before; `None` is absent.
    pub fn tell(&mut self, ordinal: u32, property: Property, attribute: Option<&Attribute>) {
        self.own[property.index()].set(ordinal, attribute);
    }

    /// Puts what a directory tells in the place of what it told before; `None` is nothing.
    pub fn tell_by_directory(&mut self, ordinal: u32, property: Property, attribute: Option<&Attribute>) {
        self.directory[property.index()].set(ordinal, attribute);
    }

    /// What a directory told of a device's property.
    #[must_use]
    pub fn told_by_directory(&self, ordinal: u32, property: Property) -> Option<Attribute> {
        self.directory[property.index()].cell(ordinal).attribute()
    }

    /// Whether the device itself or a service tells of a property.
    #[must_use]
    pub fn is_own(property: Property) -> bool {
        matches!(source(property), Source::Own | Source::OwnFirst)
    }

    /// What the device itself or a service told of a property; `None` is absent.
    #[must_use]
    pub fn told(&self, ordinal: u32, property: Property) -> Option<Attribute> {
        self.own[property.index()].cell(ordinal).attribute()
    }

    /// The members of a static group.
    #[must_use]
    pub fn members(&self, group: GroupId) -> Option<&RoaringBitmap> {
        self.groups.get(&*group.to_string())
    }

    /// The members of a static group, to change them.
    pub fn members_mut(&mut self, group: GroupId) -> &mut RoaringBitmap {
        self.groups.entry(group.to_string().into()).or_default()
    }

    /// Forgets a static group.
    pub fn forget_group(&mut self, group: GroupId) {
        self.groups.remove(&*group.to_string());
    }

    /// What a device has of a property; `None` when it is absent. Groups are not told.
    #[must_use]
    pub fn attribute(&self, ordinal: u32, property: Property) -> Option<Attribute> {
        if self.is_own_id(ordinal, property) {
            return Some(Attribute::Text(self.devices[ordinal as usize].to_string().into()));
        }
        self.cell(ordinal, property).attribute()
    }

    /// Everything that is known of a device, as a rule is explained by.
    #[must_use]
    pub fn described(&self, ordinal: u32) -> Described {
        let mut described = Described::default();
        for property in Property::all() {
            let attribute = if self.sources[property.index()] == Source::Groups {
                let groups = self.groups.iter().filter(|(_, members)| members.contains(ordinal));
                let mut groups: Vec<_> = groups.map(|(group, _)| group.clone()).collect();
                groups.sort_unstable();
                Some(Attribute::Collection(groups.into()))
            } else {
                self.attribute(ordinal, property)
            };
            if let Some(attribute) = attribute {
                described.tell(property, attribute);
            }
        }
        described
    }

    /// Properties that a rule needs of a device and that were not collected.
    #[must_use]
    pub fn missing(&self, rule: &Rule, ordinal: u32) -> Vec<Property> {
        let mut missing = rule.reads();
        missing.retain(|property| matches!(self.cell(ordinal, *property), Cell::Unknown));
        missing
    }

    /// What a rule says of one device.
    #[must_use]
    pub fn says(&self, rule: &Rule, ordinal: u32) -> Truth {
        rule.says_by(&|test| self.test(test, ordinal))
    }

    /// What a rule said of one device when it had something else of one property; `None` is absent.
    #[must_use]
    pub fn said(&self, rule: &Rule, ordinal: u32, property: Property, had: Option<&Attribute>) -> Truth {
        rule.says_by(&|test| {
            if test.property == property { test.of_attribute(had) } else { self.test(test, ordinal) }
        })
    }

    /// What a rule says of all devices that are present.
    #[must_use]
    pub fn verdict(&self, rule: &Rule) -> Verdict {
        let Truths { yes, unknown } = self.truths(rule.root());
        // Mostly nobody has gone.
        let gone = self.present.len() < self.devices.len() as u64;
        let inside = if yes.inverted || gone { yes.among(&self.present) } else { yes.bits.into_owned() };
        let unknown = if unknown.is_empty() { RoaringBitmap::new() } else { &self.present & &*unknown };
        Verdict { within: None, inside, unknown }
    }

    /// What a rule says of some devices. One that is not present is out.
    #[must_use]
    pub fn verdict_of(&self, rule: &Rule, ordinals: &RoaringBitmap) -> Verdict {
        let (mut inside, mut unknown) = (RoaringBitmap::new(), RoaringBitmap::new());
        for ordinal in &self.present & ordinals {
            match self.says(rule, ordinal) {
                Truth::True => inside.insert(ordinal),
                Truth::Unknown => unknown.insert(ordinal),
                Truth::False => true,
            };
        }
        Verdict { within: Some(ordinals.clone()), inside, unknown }
    }

    /// Bytes that it takes, without what the allocator adds.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let bitmaps = [&self.present, &self.all, &self.untold].into_iter().chain(self.groups.values());
        self.devices.capacity() * size_of::<DeviceId>()
            + self.by_device.allocation_size()
            + self.own.iter().chain(&self.directory).map(Column::size_bytes).sum::<usize>()
            + bitmaps.map(RoaringBitmap::serialized_size).sum::<usize>()
    }

    /// Whether a device's property is its own id, since no directory has another.
    fn is_own_id(&self, ordinal: u32, property: Property) -> bool {
        let number = property.index();
        self.sources[number] == Source::Id && !self.directory[number].has.contains(ordinal)
    }

    /// What a device has of a property that is not its own id and not of groups.
    fn cell(&self, ordinal: u32, property: Property) -> Cell<'_> {
        let (own, directory) = (&self.own[property.index()], &self.directory[property.index()]);
        match self.sources[property.index()] {
            Source::Own => own.cell(ordinal),
            Source::OwnFirst => match own.cell(ordinal) {
                Cell::Unknown if directory.has.contains(ordinal) => directory.cell(ordinal),
                cell @ (Cell::Unknown | Cell::Absent | Cell::Bool(_) | Cell::Text(_) | Cell::Items(..)) => {
                    cell
                }
            },
            Source::Directory => match directory.cell(ordinal) {
                Cell::Absent if self.untold.contains(ordinal) => Cell::Unknown,
                cell @ (Cell::Unknown | Cell::Absent | Cell::Bool(_) | Cell::Text(_) | Cell::Items(..)) => {
                    cell
                }
            },
            Source::Id | Source::Groups => directory.cell(ordinal),
        }
    }

    fn test(&self, test: &Test, ordinal: u32) -> Truth {
        let passes = if self.is_own_id(ordinal, test.property) {
            test.predicate.of_text(id_text(self.devices[ordinal as usize], &mut id_buffer()))
        } else if self.sources[test.property.index()] == Source::Groups {
            self.sources_of(test).any(|members| members.contains(ordinal))
        } else {
            match self.cell(ordinal, test.property) {
                Cell::Unknown => return Truth::Unknown,
                cell @ (Cell::Absent | Cell::Bool(_) | Cell::Text(_) | Cell::Items(..)) => cell.passes(test),
            }
        };
        (passes != test.negated).into()
    }

    /// The members of the groups that a `memberOf` test names.
    fn sources_of<'a>(&'a self, test: &'a Test) -> impl Iterator<Item = &'a RoaringBitmap> {
        let groups = if let Predicate::In(groups) = &test.predicate { groups.as_slice() } else { &[] };
        groups.iter().filter_map(|group| self.groups.get(group))
    }

    fn truths(&self, node: &Node) -> Truths<'_> {
        match &node.expression {
            Expression::And(parts) => Truths::all(parts.iter().map(|part| self.truths(part)).collect()),
            Expression::Or(parts) => Truths::any(parts.iter().map(|part| self.truths(part)).collect()),
            Expression::Not(part) => self.truths(part).not(),
            Expression::Test(test) => self.tested(test),
        }
    }

    fn tested(&self, test: &Test) -> Truths<'_> {
        let (own, directory) = (&self.own[test.property.index()], &self.directory[test.property.index()]);
        let nothing = || Cow::Owned(RoaringBitmap::new());
        match self.sources[test.property.index()] {
            Source::Groups => {
                let yes = Cow::Owned(self.sources_of(test).union());
                Truths { yes: Set::of(yes), unknown: nothing() }
            }
            Source::Id => {
                let by_id = self.passing_by_id(test) - &directory.has;
                let yes = Set::of(join(directory.passing(test), by_id));
                let yes = if test.negated { yes.inverse() } else { yes };
                Truths { yes, unknown: nothing() }
            }
            Source::Own => {
                truths(test, own.passing(test), Cow::Borrowed(&own.has), Cow::Borrowed(&own.unknown))
            }
            Source::OwnFirst if directory.has.is_empty() || own.unknown.is_empty() => {
                truths(test, own.passing(test), Cow::Borrowed(&own.has), Cow::Borrowed(&own.unknown))
            }
            Source::OwnFirst => {
                let by_directory = &own.unknown & &directory.has;
                let passing = join(own.passing(test), &by_directory & &*directory.passing(test));
                let unknown = Cow::Owned(&own.unknown - &by_directory);
                truths(test, passing, Cow::Owned(&own.has | &by_directory), unknown)
            }
            Source::Directory => {
                let unknown = match self.untold.is_empty() {
                    true => Cow::Borrowed(&self.untold),
                    false => Cow::Owned(&self.untold - &directory.has),
                };
                truths(test, directory.passing(test), Cow::Borrowed(&directory.has), unknown)
            }
        }
    }

    /// Devices whose own ids pass a test.
    fn passing_by_id(&self, test: &Test) -> RoaringBitmap {
        let named = |text: &str| {
            let device: DeviceId = text.parse().ok()?;
            // Only one way of writing an id is its text.
            (device.to_string() == text).then(|| self.ordinal(device)).flatten()
        };
        match &test.predicate {
            Predicate::Equals(Wanted::Text(text)) => named(text).into_iter().collect(),
            Predicate::In(texts) => texts.iter().filter_map(|text| named(text)).collect(),
            Predicate::Equals(Wanted::Null | Wanted::Bool(_)) => RoaringBitmap::new(),
            predicate @ (Predicate::StartsWith(_)
            | Predicate::EndsWith(_)
            | Predicate::Contains(_)
            | Predicate::Matches(_)) => {
                let mut buffer = id_buffer();
                let mut passes = |device: &DeviceId| predicate.of_text(id_text(*device, &mut buffer));
                let passing = (0..).zip(&self.devices).filter(|(_, device)| passes(device));
                passing.map(|(ordinal, _)| ordinal).collect()
            }
        }
    }
}

/// What a test says, from the devices that have something which passes, that have something, and that are unknown.
fn truths<'a>(
    test: &Test,
    passing: Cow<'a, RoaringBitmap>,
    has: Cow<'a, RoaringBitmap>,
    unknown: Cow<'a, RoaringBitmap>,
) -> Truths<'a> {
    let yes = match (Cell::Absent.passes(test), test.negated) {
        (false, false) => Set::of(passing),
        (false, true) => Set::all_but(also(passing, &unknown)),
        (true, false) => Set::all_but(also(but(has, &passing), &unknown)),
        (true, true) => Set::of(but(has, &passing)),
    };
    Truths { yes, unknown }
}

fn also<'a>(bits: Cow<'a, RoaringBitmap>, more: &RoaringBitmap) -> Cow<'a, RoaringBitmap> {
    if more.is_empty() { bits } else { Cow::Owned(&*bits | more) }
}

fn but<'a>(bits: Cow<'a, RoaringBitmap>, less: &RoaringBitmap) -> Cow<'a, RoaringBitmap> {
    if less.is_empty() { bits } else { Cow::Owned(&*bits - less) }
}

fn join(bits: Cow<'_, RoaringBitmap>, more: RoaringBitmap) -> Cow<'_, RoaringBitmap> {
    if more.is_empty() {
        bits
    } else if bits.is_empty() {
        Cow::Owned(more)
    } else {
        Cow::Owned(more | &*bits)
    }
}

fn set(bitmap: &mut RoaringBitmap, ordinal: u32, is: bool) {
    if is {
        bitmap.insert(ordinal);
    } else {
        bitmap.remove(ordinal);
    }
}

fn hash(device: DeviceId) -> u64 {
    FxBuildHasher.hash_one(device)
}

const fn id_buffer() -> [u8; 36] {
    [0; 36]
}

/// An id as rules see it.
fn id_text(device: DeviceId, buffer: &mut [u8; 36]) -> &str {
    device.uuid().as_hyphenated().encode_lower(buffer)
}
