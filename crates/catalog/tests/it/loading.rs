//! Mistakes in the files.

use muster_catalog::Catalogue;
use muster_errors::ErrorCode;

const SOUND: &str = "\
schema: catalog/1
policy_type: antivirus
profile: p
profile_name: P
platform: linux
template_id: null
template_technologies: []
profile_channels: {ssm: supported, mdm: not_supported}
file: /etc/p.json
sources: []
setting_count: 1
settings:
  - id: level
    key: level
    name: Level
    group: engine
    type: enum
    default: low
    values:
      - {value: low, id: low}
      - {value: high, id: high}
    lands: {json_path: engine.level}
    merge: {mode: conflict}
    tamper_protected: 'no'
    channels: {ssm: supported, mdm: n/a}
    confidence: verified
";

fn mistakes(text: &str) -> Vec<String> {
    match Catalogue::load([("p", text)]) {
        Ok(_) => Vec::new(),
        Err(invalid) => {
            assert_eq!(invalid.code(), ErrorCode::CatalogueInvalid);
            invalid.mistakes.iter().map(ToString::to_string).collect()
        }
    }
}

#[test]
fn the_sound_file_loads() {
    assert_eq!(mistakes(SOUND), [""; 0]);
}

#[test]
fn each_mistake_names_file_setting_and_field() {
    let cases = [
        ("default: low", "default: medium", "p.yaml: level: default: \"medium\" is not one of low, high"),
        ("setting_count: 1", "setting_count: 2", "p.yaml: setting_count: says 2, the file has 1 settings"),
        ("{json_path: engine.level}", "{}", "p.yaml: level: lands.json_path: is missing"),
        (
            "engine.level",
            "engine..level",
            "p.yaml: level: lands.json_path: \"engine..level\" has an empty part",
        ),
        ("id: high", "id: low", "p.yaml: level: values: low: id or value occurs twice"),
        ("id: high", "id: High", "p.yaml: level: values: \"High\": an id is made of a-z, 0-9 and _"),
        ("mode: conflict", "mode: union", "p.yaml: level: merge.mode: union needs a list"),
        ("type: enum", "type: bool", "p.yaml: level: values: has no meaning for this type"),
        (
            "    type: enum",
            "    min: 1\n    type: enum",
            "p.yaml: level: min, max: has no meaning for this type",
        ),
        ("catalog/1", "catalog/9", "p.yaml: schema: expected catalog/1, found catalog/9"),
    ];
    for (sound, broken, told) in cases {
        let found = mistakes(&SOUND.replacen(sound, broken, 1));
        assert!(found.iter().any(|mistake| mistake == told), "{broken}: {found:#?}");
    }
}

#[test]
fn an_unknown_or_missing_key_is_a_mistake() {
    let misspelt = SOUND.replace("tamper_protected", "tamper_protectd");
    assert!(mistakes(&misspelt)[0].contains("tamper_protectd"), "{:?}", mistakes(&misspelt));
    let omitted = SOUND.replace("    default: low\n", "");
    assert!(mistakes(&omitted)[0].contains("default"), "{:?}", mistakes(&omitted));
}

#[test]
fn two_settings_at_one_place_are_a_mistake() {
    let setting = SOUND.split_once("settings:\n").unwrap().1;
    let inner = setting.replace("id: level\n", "id: inner\n").replace("engine.level", "engine.level.inner");
    let twice = setting.replace("id: level\n", "id: twice\n");
    let text = format!("{}{inner}{twice}", SOUND.replace("setting_count: 1", "setting_count: 3"));
    assert_eq!(
        mistakes(&text),
        [
            "p.yaml: inner: lands.json_path: engine.level.inner lies inside p/level",
            "p.yaml: twice: lands.json_path: engine.level is also where p/level lands",
        ]
    );
}
