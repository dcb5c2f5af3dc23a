//! What holds for any policy of the catalogue.

use std::collections::BTreeMap;

use muster_catalog::{Field, Kind, Platform, Setting, TextItems};
use muster_managed::{Form, registry};
use muster_types::SettingValue;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::samples::plain;
use crate::{Settings, catalogue, found, read, rendered, settings};

/// Items of a made-up list.
const ITEMS: usize = 4;

fn texts(items: &TextItems) -> BoxedStrategy<String> {
    let named = items.values.iter().map(|value| value.id.clone()).collect::<Vec<_>>();
    if !items.open {
        return select(named).boxed();
    }
    let (least, most) = (items.min_length as usize, items.max_length.min(12) as usize);
    let any = vec(any::<char>(), least..=most).prop_map(String::from_iter);
    // What is read otherwise than it is written, in some form.
    let odd = select(vec!["true", "1", " a ", "<&>\"'", "]]>", "é\t\n", "a,b", "/a b", ".pdf", "C:\\x|y"]);
    let text = prop_oneof![any, odd.prop_map(str::to_owned), "[a-z/]{1,12}"];
    if named.is_empty() { text.boxed() } else { prop_oneof![select(named), text].boxed() }
}

fn values(kind: &Kind) -> BoxedStrategy<SettingValue> {
    match kind {
        Kind::Bool { .. } => any::<bool>().prop_map(SettingValue::Boolean).boxed(),
        Kind::Enum { values } => {
            let ids = values.iter().map(|value| value.id.clone()).collect::<Vec<_>>();
            select(ids).prop_map(SettingValue::Text).boxed()
        }
        Kind::Flags { values } => {
            let bits = values.iter().map(|flag| flag.bits).collect::<Vec<_>>();
            let count = bits.len();
            subsequence(bits, 0..=count)
                .prop_map(|bits| SettingValue::Integer(bits.into_iter().fold(0, |all, bit| all | bit)))
                .boxed()
        }
        Kind::Integer { min, max, .. } => (*min..=*max).prop_map(SettingValue::Integer).boxed(),
        Kind::Text(items) => texts(items).prop_map(SettingValue::Text).boxed(),
        Kind::TextList { items, .. } => vec(texts(items), 0..=ITEMS).prop_map(SettingValue::Strings).boxed(),
        Kind::ObjectList { schema, .. } => {
            let fields: Vec<_> = schema.fields.iter().map(fields).collect();
            let object = fields.prop_map(|fields| fields.into_iter().flatten().collect::<BTreeMap<_, _>>());
            vec(object, 0..=ITEMS).prop_map(SettingValue::Objects).boxed()
        }
    }
}

fn fields(field: &Field) -> BoxedStrategy<Option<(String, SettingValue)>> {
    let id = field.id.clone();
    let value = values(&field.kind).prop_map(move |value| (id.clone(), value));
    if field.required && field.used_when.is_none() {
        value.prop_map(Some).boxed()
    } else {
        proptest::option::of(value).boxed()
    }
}

/// As much of a value as the setting allows, item by item; nothing if nothing is left of it.
fn allowed(setting: &Setting, value: SettingValue) -> Option<SettingValue> {
    let fits = |value: SettingValue| setting.check(&value).ok();
    match value {
        SettingValue::Strings(items) => {
            let mut kept = Vec::new();
            for item in items {
                kept.push(item);
                if fits(SettingValue::Strings(kept.clone())).is_none() {
                    kept.pop();
                }
            }
            fits(SettingValue::Strings(kept))
        }
        SettingValue::Objects(items) => {
            let mut kept: Vec<BTreeMap<String, SettingValue>> = Vec::new();
            for mut item in items {
                if let Kind::ObjectList { schema, .. } = &setting.kind {
                    for field in &schema.fields {
                        let unused = field.used_when.as_ref().is_some_and(|when| {
                            item.get(&when.field) != Some(&SettingValue::Text(when.value.clone()))
                        });
                        if unused {
                            item.remove(&field.id);
                        }
                    }
                }
                let is_new = !kept.contains(&item);
                kept.push(item);
                if !is_new || fits(SettingValue::Objects(kept.clone())).is_none() {
                    kept.pop();
                }
            }
            fits(SettingValue::Objects(kept))
        }
        SettingValue::Boolean(_) | SettingValue::Integer(_) | SettingValue::Text(_) => fits(value),
    }
}

/// Policies of a platform's profiles that pass the catalogue's check.
fn policies(platform: Platform) -> impl Strategy<Value = Settings> {
    let of_platform = catalogue().profiles().filter(move |profile| profile.platform == platform);
    let all: Vec<&'static Setting> =
        of_platform.flat_map(|profile| &profile.settings).filter(|setting| setting.settable()).collect();
    let most = all.len().min(24);
    subsequence(all, 1..=most).prop_flat_map(|chosen| {
        let values: Vec<_> = chosen.iter().map(|setting| values(&setting.kind)).collect();
        values.prop_map(move |values| {
            let given = chosen.iter().zip(values);
            let settings: Settings = given
                .filter_map(|(setting, value)| Some((setting.id.clone(), allowed(setting, value)?)))
                .collect();
            consistent(settings)
        })
    })
}

/// Without what contradicts something else.
fn consistent(settings: Settings) -> Settings {
    let mut kept = Settings::new();
    for (id, value) in settings {
        let profile = id.profile().to_owned();
        kept.insert(id.clone(), value);
        let of_profile = kept.iter().filter(|(id, _)| id.profile() == profile);
        let of_profile = of_profile.map(|(id, value)| (id.clone(), value.clone()));
        if catalogue().check(&profile, of_profile).is_err() {
            kept.remove(&id);
        }
    }
    kept
}

/// An exclusion of scope `epp` alone is moved on the way back: there and back again it stays.
fn has_moved(settings: &Settings) -> bool {
    let epp = SettingValue::Strings(vec!["epp".into()]);
    let none = SettingValue::Strings(Vec::new());
    settings.values().any(|value| match value {
        SettingValue::Objects(items) => items
            .iter()
            .any(|item| item.get("scopes").is_some_and(|scopes| *scopes == epp || *scopes == none)),
        SettingValue::Boolean(_)
        | SettingValue::Integer(_)
        | SettingValue::Text(_)
        | SettingValue::Strings(_) => false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_rendered_json_file_reads_back_as_what_it_was_made_of(policy in policies(Platform::Linux)) {
        let text = rendered(Form::MdatpJson, &policy);
        let imported = read(Form::MdatpJson, text.as_bytes()).unwrap();
        if !has_moved(&policy) {
            prop_assert_eq!(&settings(&imported), &policy, "{:?}", found(&imported));
            prop_assert_eq!(&rendered(Form::MdatpJson, &settings(&imported)), &text);
        }
        let again = rendered(Form::MdatpJson, &settings(&imported));
        let imported = read(Form::MdatpJson, again.as_bytes()).unwrap();
        prop_assert_eq!(rendered(Form::MdatpJson, &settings(&imported)), again);
    }

    #[test]
    fn a_rendered_property_list_reads_back_as_what_it_was_made_of(policy in policies(Platform::Macos)) {
        let rendered = muster_managed::render::file(catalogue(), Form::WdavPlist, &policy);
        let imported = read(Form::WdavPlist, rendered.text.as_bytes()).unwrap();
        let mut expected = policy;
        expected.retain(|id, _| !rendered.left_out.contains_key(id));
        prop_assert_eq!(&settings(&imported), &expected, "{:?}", found(&imported));
        // Another reader sees the same.
        let other = plist::Value::from_reader_xml(rendered.text.as_bytes()).unwrap();
        let json = muster_managed::render::file(catalogue(), Form::WdavPlist, &settings(&imported));
        prop_assert_eq!(json.text, rendered.text);
        let mut binary = Vec::new();
        other.to_writer_binary(&mut binary).unwrap();
        prop_assert_eq!(settings(&read(Form::WdavPlist, &binary).unwrap()), expected);
        prop_assert!(plain(&other).is_object());
    }

    #[test]
    fn every_windows_setting_lands_or_has_a_reason(policy in policies(Platform::Windows)) {
        let rendered = registry::listing(catalogue(), &policy);
        for (id, value) in &policy {
            let alone = registry::listing(catalogue(), &[(id.clone(), value.clone())].into());
            let is_empty = matches!(value, SettingValue::Strings(items) if items.is_empty());
            prop_assert!(is_empty || alone.text.is_empty() == alone.left_out.contains_key(id), "{}", id);
            prop_assert!(alone.text.lines().all(|line| rendered.text.lines().any(|other| other == line)));
        }
        let mut sorted: Vec<_> = rendered.text.lines().collect();
        sorted.sort_unstable();
        sorted.dedup();
        prop_assert_eq!(sorted.len(), rendered.text.lines().count());
    }
}
