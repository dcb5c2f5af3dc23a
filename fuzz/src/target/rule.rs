//! Rules of dynamic groups, up to who is in: by set algebra, for each device alone, and by a reference that is as simple as
//! can be.

use std::sync::LazyLock;

use muster_identity::domain::membership::Fleet;
use muster_identity::domain::rule::{
    Attribute, Described, Expression, Kind, Node, Predicate, Property, Quantifier, RULE_CHARS_MAX, Rule,
    Test, Wanted,
};
use muster_types::{DeviceId, GroupId};
use roaring::RoaringBitmap;
use uuid::Uuid;

/// Devices in the fleet that rules are asked about.
const DEVICES: u32 = 24;
const TEXTS: [&str; 4] = ["Linux", "web-1", "a", "registereddevice"];

static FLEET: LazyLock<(Fleet, Vec<Described>)> = LazyLock::new(fleet);

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Rule::parse(text) {
        Ok(rule) => {
            assert!(text.chars().count() <= RULE_CHARS_MAX);
            holds(&rule);
            true
        }
        Err(refused) => {
            let chars = text.chars().count();
            assert!(refused.offset + refused.length <= chars, "{refused} in {text:?}");
            assert!(!refused.message.is_empty());
            false
        }
    }
}

/// Asks the rule in three ways.
fn holds(rule: &Rule) {
    let (fleet, described) = &*FLEET;
    let verdict = fleet.index().verdict(rule);
    for (ordinal, device) in (0..).zip(described) {
        let expected = says(rule.root(), device);
        let text = rule.text();
        assert_eq!(rule.says_of(device).known(), expected, "{text} of {device:?}");
        assert_eq!(fleet.index().says(rule, ordinal).known(), expected, "{text} of {device:?}");
        assert!(verdict.inside.is_disjoint(&verdict.unknown));
        let by_sets = match (verdict.inside.contains(ordinal), verdict.unknown.contains(ordinal)) {
            (is, false) => Some(is),
            (_, true) => None,
        };
        assert_eq!(by_sets, expected, "{text} of {device:?}");
        let explained = rule.explain(device);
        assert_eq!(explained.first().map(|part| part.result.known()), Some(expected));
        assert!(explained.iter().all(|part| part.offset + part.length <= text.chars().count()));
    }
}

/// What a rule says, without care for time: `None` when it cannot be known.
fn says(node: &Node, device: &Described) -> Option<bool> {
    match &node.expression {
        Expression::Not(part) => says(part, device).map(|is| !is),
        Expression::And(parts) => {
            let says: Vec<_> = parts.iter().map(|part| says(part, device)).collect();
            if says.contains(&Some(false)) {
                Some(false)
            } else {
                says.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
            }
        }
        Expression::Or(parts) => {
            let says: Vec<_> = parts.iter().map(|part| says(part, device)).collect();
            if says.contains(&Some(true)) {
                Some(true)
            } else {
                says.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
            }
        }
        Expression::Test(test) => {
            let attribute = device.told().find(|(told, _)| *told == test.property).map(|(_, told)| told);
            tested(test, attribute).map(|passes| passes != test.negated)
        }
    }
}

fn tested(test: &Test, attribute: Option<&Attribute>) -> Option<bool> {
    let passes = |text: &str| passes(&test.predicate, &text.to_lowercase());
    Some(match attribute {
        Some(Attribute::Unknown) => return None,
        Some(Attribute::Bool(value)) => {
            matches!(test.predicate, Predicate::Equals(Wanted::Bool(wanted)) if wanted == *value)
        }
        Some(Attribute::Text(text)) if !text.is_empty() => passes(text),
        Some(Attribute::Collection(items)) if !items.is_empty() => {
            let count = items.iter().filter(|item| passes(item)).count();
            if test.quantifier == Quantifier::All { count == items.len() } else { count > 0 }
        }
        None | Some(Attribute::Text(_) | Attribute::Collection(_)) => {
            if test.property.name() == "profileType" {
                passes("RegisteredDevice")
            } else {
                test.quantifier == Quantifier::All
                    || matches!(test.predicate, Predicate::Equals(Wanted::Null))
                    || matches!(&test.predicate, Predicate::Equals(Wanted::Text(text)) if text.is_empty())
                    || matches!(&test.predicate, Predicate::In(texts) if texts.contains(&"".into()))
            }
        }
    })
}

fn passes(predicate: &Predicate, text: &str) -> bool {
    match predicate {
        Predicate::Equals(Wanted::Text(wanted)) => text == &**wanted,
        Predicate::Equals(Wanted::Bool(_) | Wanted::Null) => false,
        Predicate::StartsWith(part) => text.find(&**part) == Some(0),
        Predicate::EndsWith(part) => text.strip_suffix(&**part).is_some(),
        Predicate::Contains(part) => text.contains(&**part),
        Predicate::Matches(regex) => regex.find(text).is_some(),
        Predicate::In(texts) => texts.contains(&text.into()),
    }
}

/// Devices that have everything in all combinations that are told apart, as the index knows them and as they were told.
fn fleet() -> (Fleet, Vec<Described>) {
    let mut fleet = Fleet::default();
    for number in 0..DEVICES {
        let ordinal = fleet.admit(DeviceId::from_uuid(Uuid::from_u128(u128::from(number))));
        fleet.set_present(ordinal, true);
        // A directory does not tell what it does not know: it has not told of some devices at all.
        fleet.set_untold(ordinal, number.is_multiple_of(3));
        for property in Property::all() {
            let place = (number as usize * 7 + property.index() * 5) % 6;
            let text = || TEXTS.get(place % TEXTS.len()).copied().unwrap_or_default();
            let attribute = match (place, property.kind()) {
                (4, _) => None,
                (5, _) => Some(Attribute::Unknown),
                (_, Kind::Text) => Some(Attribute::Text(text().into())),
                (_, Kind::Bool) => Some(Attribute::Bool(place.is_multiple_of(2))),
                (_, Kind::Collection | Kind::Groups) => {
                    Some(Attribute::Collection(TEXTS[..=place].iter().map(|text| (*text).into()).collect()))
                }
            };
            fleet.tell(ordinal, property, attribute.as_ref());
            let told = attribute.as_ref().filter(|attribute| **attribute != Attribute::Unknown);
            fleet.tell_by_directory(ordinal, property, told);
        }
    }
    let group = GroupId::from_uuid(Uuid::from_u128(1));
    fleet.members_changed(group, &(0..DEVICES / 2).collect(), &RoaringBitmap::new());
    let described = (0..DEVICES).map(|ordinal| fleet.index().described(ordinal)).collect();
    (fleet, described)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"(device.deviceOSType -eq "Linux") -and -not (device.displayName -contains "web")"#,
        r#"device.tags -any (_ -startsWith "a") -or device.systemLabels -all (_ -ne "b")"#,
        r#"device.accountEnabled -eq true -and device.deviceOwnership -ne null"#,
        r#"device.displayName -match "^web-[0-9]+$" or device.deviceModel -notIn ["a",'it''s']"#,
        r#"device.profileType -eq "RegisteredDevice" –and device.extensionAttribute7 -endsWith "`"x""#,
        "device.memberOf -any (group.objectId -in ['00000000-0000-0000-0000-000000000001'])",
        r#"-not -not ((device.objectId -ne null))"#,
        r#"device.deviceOsTyp -eq "Linux""#,
        r#"device.displayName -eq "open"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
