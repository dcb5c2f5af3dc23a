//! What a directory tells of a device, as rules read it.

use crate::domain::directory_device::Record;
use crate::domain::rule::{Attribute, Kind, Property};

/// What separates the items of a collection in a directory's attribute.
const SEPARATOR: char = ',';

/// Whether a directory may tell a property. Whose device it is, and what services know of it, is told by others.
#[must_use]
pub fn may_tell(property: Property) -> bool {
    !matches!(
        property.name(),
        "deviceId" | "deviceTrustType" | "enrollmentCode" | "managementType" | "memberOf" | "tags"
    )
}

/// What a record tells, by property. An attribute of another name is none of a rule, and one that is not of its
/// property's kind tells nothing.
#[must_use]
pub fn told(record: &Record) -> Vec<(Property, Attribute)> {
    let named = record.attributes.iter().filter_map(|(name, text)| {
        let property = Property::named(name).filter(|property| may_tell(*property))?;
        Some((property, attribute(property.kind(), text)?))
    });
    let mut told: Vec<_> = named.collect();
    if let Some(display_name) = Property::named("displayName")
        && !record.display_name.is_empty()
        && told.iter().all(|(property, _)| *property != display_name)
    {
        told.push((display_name, Attribute::Text(record.display_name.clone())));
    }
    told
}

fn attribute(kind: Kind, text: &str) -> Option<Attribute> {
    match kind {
        Kind::Text => (!text.is_empty()).then(|| Attribute::Text(text.into())),
        Kind::Bool if text.eq_ignore_ascii_case("true") => Some(Attribute::Bool(true)),
        Kind::Bool if text.eq_ignore_ascii_case("false") => Some(Attribute::Bool(false)),
        Kind::Bool => None,
        Kind::Collection | Kind::Groups => {
            let items = text.split(SEPARATOR).map(str::trim).filter(|item| !item.is_empty());
            let items: Box<[_]> = items.map(Into::into).collect();
            (!items.is_empty()).then_some(Attribute::Collection(items))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_by_the_kind_of_their_property() {
        let attributes = [
            ("DEVICEOWNERSHIP", "Company"),
            ("isRooted", "True"),
            ("accountEnabled", "perhaps"),
            ("devicePhysicalIds", "[OrderID]:7, [ZTDId]:1,"),
            ("tags", "self-made"),
            ("colour", "red"),
        ];
        let record = Record {
            directory_id: "9f0e".into(),
            display_name: "PC-7".into(),
            join_type: "AzureAD".into(),
            hardware_keys: Box::default(),
            attributes: attributes.map(|(name, text)| (name.into(), text.into())).into(),
        };
        let mut told: Vec<_> = told(&record).into_iter().map(|(property, a)| (property.name(), a)).collect();
        told.sort_by_key(|(name, _)| *name);
        let ids = Attribute::Collection(["[OrderID]:7".into(), "[ZTDId]:1".into()].into());
        let expected = [
            ("deviceOwnership", Attribute::Text("Company".into())),
            ("devicePhysicalIds", ids),
            ("displayName", Attribute::Text("PC-7".into())),
            ("isRooted", Attribute::Bool(true)),
        ];
        assert_eq!(told, expected);
    }
}
