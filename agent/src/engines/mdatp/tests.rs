use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;

use super::*;
use crate::core::message::{Outcome, SettingState};
use crate::engine::enforce;

struct Device {
    dir: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn with_file(text: &str) -> Self {
        let device = Self::new();
        fs::create_dir_all(device.file().parent().unwrap()).unwrap();
        fs::write(device.file(), text).unwrap();
        device
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    fn engine(&self) -> Mdatp {
        Mdatp::new(self.dir.path(), self.dir.path().join("state/owned-mdatp.json"))
    }

    fn enforce(&self, settings: &[(&str, SettingValue)]) -> Vec<Outcome> {
        let settings: Vec<_> =
            settings.iter().map(|(id, value)| (id.parse().unwrap(), value.clone())).collect();
        enforce(&mut [Box::new(self.engine())], &settings)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&fs::read(self.file()).unwrap()).unwrap()
    }
}

fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.into())
}

fn states(outcomes: &[Outcome]) -> Vec<(SettingState, Option<ErrorCode>)> {
    outcomes.iter().map(|outcome| (outcome.state, outcome.reason)).collect()
}

const DONE: (SettingState, Option<ErrorCode>) = (SettingState::Succeeded, None);
const FAILED: (SettingState, Option<ErrorCode>) = (SettingState::Error, Some(ErrorCode::ApplyFailed));

fn object(fields: &[(&str, SettingValue)]) -> BTreeMap<String, SettingValue> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

#[test]
fn settings_of_every_type_land_where_the_catalogue_says_and_are_read_back() {
    let device = Device::new();
    let outcomes = device.enforce(&[
        ("linux-antivirus/enforcement_level", text("real_time")),
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("linux-antivirus/maximum_on_demand_scan_threads", SettingValue::Integer(2)),
        ("linux-antivirus/allowed_threats", SettingValue::Strings(vec!["EICAR-Test-File".into()])),
        (
            "linux-antivirus/threat_type_settings",
            SettingValue::Objects(vec![object(&[("key", text("archive_bomb")), ("value", text("audit"))])]),
        ),
        (
            "linux-antivirus-exclusions/exclusions",
            SettingValue::Objects(vec![object(&[
                ("type", text("excluded_path")),
                ("is_directory", SettingValue::Boolean(true)),
                ("path", text("/run")),
            ])]),
        ),
        (
            "linux-edr/edr_tags",
            SettingValue::Objects(vec![object(&[("key", text("group")), ("value", text("web"))])]),
        ),
    ]);
    assert_eq!(states(&outcomes), [DONE; 7], "{outcomes:#?}");
    assert_eq!(
        device.json(),
        json!({
            "antivirusEngine": {
                "enforcementLevel": "real_time",
                "scanArchives": true,
                "maximumOnDemandScanThreads": 2,
                "allowedThreats": ["EICAR-Test-File"],
                "threatTypeSettings": [{"key": "archive_bomb", "value": "audit"}],
                "exclusions": [{"$type": "excludedPath", "isDirectory": true, "path": "/run"}],
            },
            "edr": {"tags": [{"key": "GROUP", "value": "web"}]},
        })
    );
    assert_eq!(fs::metadata(device.file()).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn only_keys_of_ours_are_ever_removed() {
    let device = Device::with_file(
        r#"{"cloudService": {"proxy": "http://p:1/"}, "antivirusEngine": {"scanArchives": false, "passiveMode": true}}"#,
    );
    device.enforce(&[
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("linux-antivirus/cloud_enabled", SettingValue::Boolean(true)),
        ("linux-antivirus/network_protection_enforcement_level", text("block")),
    ]);
    assert_eq!(
        device.json(),
        json!({
            "cloudService": {"proxy": "http://p:1/", "enabled": true},
            "antivirusEngine": {"scanArchives": true, "passiveMode": true},
            "networkProtection": {"enforcementLevel": "block"},
        })
    );
    assert_eq!(device.enforce(&[]), []);
    assert_eq!(
        device.json(),
        json!({"cloudService": {"proxy": "http://p:1/"}, "antivirusEngine": {"passiveMode": true}}),
        "also after a restart, by the record"
    );
}

#[test]
fn what_stands_there_already_is_not_written_again() {
    let device = Device::new();
    let settings = [("linux-antivirus/scan_archives", SettingValue::Boolean(true))];
    device.enforce(&settings);
    let desired = settings.iter().map(|(id, value)| (id.parse().unwrap(), value.clone())).collect();
    assert_eq!(device.engine().plan(&desired).unwrap().write, None);
    let untouched = Device::new();
    assert_eq!(untouched.enforce(&[]), []);
    assert!(!untouched.file().exists());
}

#[test]
fn a_file_that_is_not_strict_json_is_left_untouched() {
    let twice = r#"{"antivirusEngine": {"info": "a", "info": "b", "scanArchives": true}}"#;
    for before in [twice, "{", "[]", "", "{} trailing", "\u{feff}{}"] {
        let device = Device::with_file(before);
        let outcomes = device.enforce(&[("linux-antivirus/scan_archives", SettingValue::Boolean(true))]);
        assert_eq!(states(&outcomes), [FAILED], "{before}");
        assert!(outcomes[0].message.contains("left untouched"), "{}", outcomes[0].message);
        assert_eq!(fs::read_to_string(device.file()).unwrap(), before);
    }
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let device = Device::with_file("{}");
    let elsewhere = device.dir.path().join("elsewhere.json");
    fs::rename(device.file(), &elsewhere).unwrap();
    symlink(&elsewhere, device.file()).unwrap();
    let outcomes = device.enforce(&[("linux-antivirus/scan_archives", SettingValue::Boolean(true))]);
    assert_eq!(states(&outcomes), [FAILED]);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "{}");
}

#[test]
fn one_setting_in_the_way_does_not_hold_up_the_others() {
    let device = Device::with_file(r#"{"edr": "mine"}"#);
    let tags = SettingValue::Objects(vec![object(&[("key", text("group")), ("value", text("web"))])]);
    let outcomes = device.enforce(&[
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("linux-edr/edr_tags", tags),
    ]);
    assert_eq!(states(&outcomes), [DONE, FAILED]);
    assert_eq!(device.json(), json!({"edr": "mine", "antivirusEngine": {"scanArchives": true}}));
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_of_every_setting() {
    let device = Device::new();
    fs::write(device.dir.path().join("etc"), "a file where a folder should be").unwrap();
    let outcomes = device.enforce(&[("linux-antivirus/scan_archives", SettingValue::Boolean(true))]);
    assert_eq!(states(&outcomes), [FAILED]);
}

#[test]
fn another_value_read_back_is_no_success() {
    let device = Device::with_file(r#"{"antivirusEngine": {"scanArchives": "yes"}}"#);
    let id: SettingId = "linux-antivirus/scan_archives".parse().unwrap();
    let observed = device.engine().read_back(std::slice::from_ref(&id));
    assert_eq!(observed[&id].as_ref().unwrap_err().code, ErrorCode::ReadBackDiffers);
}

#[test]
fn a_setting_without_an_engine_is_not_applicable() {
    let device = Device::new();
    let outcomes = device.enforce(&[
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("windows-antivirus/allow_archive_scanning", SettingValue::Boolean(true)),
    ]);
    let missing = (SettingState::NotApplicable, Some(ErrorCode::EngineMissing));
    assert_eq!(states(&outcomes), [DONE, missing]);
}

#[test]
fn the_record_survives_and_an_interrupted_write_is_finished() {
    let device = Device::new();
    let mut engine = device.engine();
    let desired: BTreeMap<SettingId, SettingValue> =
        [("linux-antivirus/scan_archives".parse().unwrap(), SettingValue::Boolean(true))].into();
    let plan = engine.plan(&desired).unwrap();
    // The record was written, the file was not.
    replace::replace(&engine.record, &plan.owned_meanwhile, 0o600, 0o700).unwrap();
    drop(replace::stage(&engine.file, &plan.write.as_ref().unwrap().1, 0o644, 0o755).unwrap());
    let again = engine.plan(&desired).unwrap();
    engine.apply(&again).unwrap();
    assert_eq!(device.json(), json!({"antivirusEngine": {"scanArchives": true}}));
}

#[test]
fn all_is_taken_back_but_what_is_kept() {
    let device = Device::with_file(r#"{"cloudService": {"proxy": "http://p:1/"}}"#);
    let settings = [
        ("linux-antivirus/scan_archives", SettingValue::Boolean(true)),
        ("linux-antivirus/cloud_enabled", SettingValue::Boolean(true)),
    ];
    device.enforce(&settings);
    let enforced: Vec<(SettingId, SettingValue)> =
        settings.iter().map(|(id, value)| (id.parse().unwrap(), value.clone())).collect();
    let ids = |from: usize| vec![enforced[from].0.clone()];
    let take_back = |kept: Vec<SettingId>| {
        let kept = kept.into_iter().collect();
        crate::engine::take_back(&mut [Box::new(device.engine())], &enforced, &kept)
    };
    let first = take_back(ids(0));
    assert_eq!((first.reverted, first.kept, first.failed), (ids(1), ids(0), Vec::new()));
    let proxy = json!({"proxy": "http://p:1/"});
    assert_eq!(device.json(), json!({"cloudService": proxy, "antivirusEngine": {"scanArchives": true}}));
    assert_eq!(take_back(Vec::new()).reverted.len(), 2);
    assert_eq!(device.json(), json!({"cloudService": proxy}));
    fs::write(device.file(), "{").unwrap();
    let failed = take_back(Vec::new()).failed;
    assert!(failed.len() == 2 && failed[0].1.contains("left untouched"), "{failed:?}");
}
