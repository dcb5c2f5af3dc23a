//! The properties of devices that rules may read.

use std::fmt;

/// What a property holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// True or false.
    Bool,
    /// Any number of texts.
    Collection,
    /// The groups that the device is a direct member of.
    Groups,
}

/// A property, by its place in [`Property::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Property(u8);

/// Name and kind of each, by name. Source: Entra's "dynamic membership rules" page of 2024-12-19.
const PROPERTIES: [(&str, Kind); 36] = [
    ("accountEnabled", Kind::Bool),
    ("deviceCategory", Kind::Text),
    ("deviceId", Kind::Text),
    ("deviceManagementAppId", Kind::Text),
    ("deviceManufacturer", Kind::Text),
    ("deviceModel", Kind::Text),
    ("deviceOSType", Kind::Text),
    ("deviceOSVersion", Kind::Text),
    ("deviceOwnership", Kind::Text),
    ("devicePhysicalIds", Kind::Collection),
    ("deviceTrustType", Kind::Text),
    ("displayName", Kind::Text),
    ("enrollmentProfileName", Kind::Text),
    ("extensionAttribute1", Kind::Text),
    ("extensionAttribute2", Kind::Text),
    ("extensionAttribute3", Kind::Text),
    ("extensionAttribute4", Kind::Text),
    ("extensionAttribute5", Kind::Text),
    ("extensionAttribute6", Kind::Text),
    ("extensionAttribute7", Kind::Text),
    ("extensionAttribute8", Kind::Text),
    ("extensionAttribute9", Kind::Text),
    ("extensionAttribute10", Kind::Text),
    ("extensionAttribute11", Kind::Text),
    ("extensionAttribute12", Kind::Text),
    ("extensionAttribute13", Kind::Text),
    ("extensionAttribute14", Kind::Text),
    ("extensionAttribute15", Kind::Text),
    ("isRooted", Kind::Bool),
    ("managementType", Kind::Text),
    ("memberOf", Kind::Groups),
    ("objectId", Kind::Text),
    ("profileType", Kind::Text),
    ("systemLabels", Kind::Collection),
    // Muster's own: what admins and tokens set on a device.
    ("tags", Kind::Collection),
    // Muster's own: the enrollment code.
    ("enrollmentCode", Kind::Text),
];

impl Property {
    /// How many there are.
    pub const COUNT: usize = PROPERTIES.len();

    /// Every one, in a fixed order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(Self::COUNT).map(Self)
    }

    /// The property of this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|property| property.name().eq_ignore_ascii_case(name))
    }

    /// Its name as the original writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        PROPERTIES[self.0 as usize].0
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(self) -> Kind {
        PROPERTIES[self.0 as usize].1
    }

    /// Its place in a fixed order, below [`Property::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// What it is taken to hold when the device has none.
    #[must_use]
    pub fn when_absent(self) -> Option<&'static str> {
        (self.name() == "profileType").then_some("RegisteredDevice")
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
