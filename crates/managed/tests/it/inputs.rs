//! Odd and hostile input: each oddity is told, and what cannot be read is refused with its place.

use muster_managed::import::{self, Repeated};
use muster_managed::report::{FINDINGS_MAX, Outcome, Reason};
use muster_managed::{FILE_BYTES_MAX, Form};
use serde_json::{Value, json};

use crate::{catalogue, found, read, rendered, settings};

/// Findings of a configuration, and what it renders to.
fn checked(configuration: &Value) -> (Vec<(Reason, String)>, Value) {
    let imported = read(Form::MdatpJson, configuration.to_string().as_bytes()).unwrap();
    let found = found(&imported).into_iter().map(|(reason, path)| (reason, path.to_owned())).collect();
    let text = rendered(Form::MdatpJson, &settings(&imported));
    (found, serde_json::from_str(&text).unwrap())
}

fn case(configuration: &Value, findings: &[(Reason, &str)], becomes: &Value) {
    let (found, text) = checked(configuration);
    let findings: Vec<_> = findings.iter().map(|(reason, path)| (*reason, (*path).to_owned())).collect();
    assert_eq!((found, &text), (findings, becomes), "{configuration}");
}

#[test]
fn what_is_meant_beyond_doubt_is_taken_and_told() {
    let section = |key: &str, value: Value| json!({ "antivirusEngine": { key: value } });
    for (key, given, reason, becomes) in [
        ("scanArchives", json!("true"), Reason::TextForBoolean, json!(true)),
        ("scanArchives", json!(0), Reason::NumberForBoolean, json!(false)),
        ("behaviorMonitoring", json!(true), Reason::BooleanForWord, json!("enabled")),
        ("enforcementLevel", json!("Real_Time"), Reason::LetterCase, json!("real_time")),
        ("maximumOnDemandScanThreads", json!("4"), Reason::TextForNumber, json!(4)),
        ("maximumOnDemandScanThreads", json!(4.0), Reason::RealForInteger, json!(4)),
        ("disallowedThreatActions", json!("allow"), Reason::TextForList, json!(["allow"])),
    ] {
        let path = format!("antivirusEngine.{key}");
        case(&section(key, given), &[(reason, &path)], &section(key, becomes));
    }
    case(
        &section("unmonitoredFilesystems", json!(["nfs, fuse", "cifs"])),
        &[(Reason::CommaJoined, "antivirusEngine.unmonitoredFilesystems[0]")],
        &section("unmonitoredFilesystems", json!(["nfs", "fuse", "cifs"])),
    );
    case(
        &section("threatTypeSettings", json!([{"key": "Archive_Bomb", "value": "BLOCK"}])),
        &[
            (Reason::LetterCase, "antivirusEngine.threatTypeSettings[0].key"),
            (Reason::LetterCase, "antivirusEngine.threatTypeSettings[0].value"),
        ],
        &section("threatTypeSettings", json!([{"key": "archive_bomb", "value": "block"}])),
    );
    // A comma may be part of a threat's name.
    let names = section("allowedThreats", json!(["a, b"]));
    case(&names, &[], &names);
}

#[test]
fn what_cannot_be_taken_is_left_out_and_told() {
    let nothing = json!({});
    for (given, reason, path) in [
        (
            json!({"antivirusEngine": {"EnforcementLevel": "passive"}}),
            Reason::UnknownKey,
            "antivirusEngine.EnforcementLevel",
        ),
        (
            json!({"antivirusEngine": {"enforcementLevel": "pasive"}}),
            Reason::OutOfRange,
            "antivirusEngine.enforcementLevel",
        ),
        (
            json!({"antivirusEngine": {"scanArchives": "yes"}}),
            Reason::WrongType,
            "antivirusEngine.scanArchives",
        ),
        (
            json!({"antivirusEngine": {"scanArchives": null}}),
            Reason::WrongType,
            "antivirusEngine.scanArchives",
        ),
        (
            json!({"antivirusEngine": {"maximumOnDemandScanThreads": 65}}),
            Reason::OutOfRange,
            "antivirusEngine.maximumOnDemandScanThreads",
        ),
        (
            json!({"antivirusEngine": {"maximumOnDemandScanThreads": 2.5}}),
            Reason::WrongType,
            "antivirusEngine.maximumOnDemandScanThreads",
        ),
        (
            json!({"antivirusEngine": {"allowedThreats": {"a": 1}}}),
            Reason::WrongType,
            "antivirusEngine.allowedThreats",
        ),
        (
            json!({"antivirusEngine": {"allowedThreats": [1]}}),
            Reason::WrongType,
            "antivirusEngine.allowedThreats[0]",
        ),
        (json!({"antivirusEngine": [1]}), Reason::WrongType, "antivirusEngine"),
        (
            json!({"antivirusEngine.scanArchives": true}),
            Reason::UnknownKey,
            r#"["antivirusEngine.scanArchives"]"#,
        ),
        (
            json!({"antivirusEngine": {"scanFileModifyOwnership": true}}),
            Reason::NotOnChannel,
            "antivirusEngine.scanFileModifyOwnership",
        ),
        (
            json!({"antivirusEngine": {"exclusions": [{"$type": "excludedPath"}]}}),
            Reason::OutOfRange,
            "antivirusEngine.exclusions[0]",
        ),
        (
            json!({"antivirusEngine": {"exclusions": ["/a"]}}),
            Reason::WrongType,
            "antivirusEngine.exclusions[0]",
        ),
        (
            json!({"exclusionSettings": {"exclusions": [{"$type": "excludedFileExtension", "extension": "a"}]}}),
            Reason::OutOfRange,
            "exclusionSettings.exclusions[0]",
        ),
        (
            json!({"exclusionSettings": {"exclusions": [{"$type": "excludedFileName", "name": "/a", "scopes": []}]}}),
            Reason::OutOfRange,
            "exclusionSettings.exclusions[0]",
        ),
        (
            json!({"exclusionSettings": {"exclusions": [{"$type": "excludedFileName", "name": "/a", "scopes": ["all"]}]}}),
            Reason::OutOfRange,
            "exclusionSettings.exclusions[0]",
        ),
    ] {
        case(&given, &[(reason, path)], &nothing);
    }
}

#[test]
fn a_bad_item_does_not_take_its_list_with_it() {
    let item = |key: &str, value: &str| json!({"key": key, "value": value});
    case(
        &json!({"antivirusEngine": {"threatTypeSettings": [
            item("archive_bomb", "audit"), item("archive_bomb", "block"), item("nope", "off"),
        ]}}),
        &[
            (Reason::RepeatedItem, "antivirusEngine.threatTypeSettings[1]"),
            (Reason::OutOfRange, "antivirusEngine.threatTypeSettings[2]"),
        ],
        &json!({"antivirusEngine": {"threatTypeSettings": [item("archive_bomb", "audit")]}}),
    );
    case(
        &json!({"antivirusEngine": {"exclusions": [
            {"$type": "excludedFileExtension", "extension": "a", "isDirectory": false, "note": "x"},
            {"$type": "excludedPath", "path": "/a"},
        ]}}),
        &[
            (Reason::UnknownKey, "antivirusEngine.exclusions[0].note"),
            (Reason::UnusedField, "antivirusEngine.exclusions[0].isDirectory"),
            (Reason::DirectoryUnclear, "antivirusEngine.exclusions[1]"),
        ],
        &json!({"antivirusEngine": {"exclusions": [
            {"$type": "excludedFileExtension", "extension": "a"},
            {"$type": "excludedPath", "path": "/a"},
        ]}}),
    );
    let many: Vec<Value> =
        (0..602).map(|number| json!({"$type": "excludedFileName", "name": number.to_string()})).collect();
    let (found, text) = checked(&json!({"antivirusEngine": {"exclusions": many}}));
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], (Reason::TooManyItems, "antivirusEngine.exclusions[601]".to_owned()));
    assert_eq!(text["antivirusEngine"]["exclusions"].as_array().unwrap().len(), 600);
}

/// A list of exclusions can stand in two places: those of the antivirus engine come first, each once.
#[test]
fn exclusions_of_both_places_come_together() {
    let path = |path: &str| json!({"$type": "excludedPath", "path": path, "isDirectory": true});
    let scoped = |name: &str, scopes: Value| {
        let mut item = path(name);
        item["scopes"] = scopes;
        item
    };
    case(
        &json!({
            "exclusionSettings": {"exclusions": [
                scoped("/b", json!(["epp"])), scoped("/a", json!(["epp"])), scoped("/c/*", json!(["global"])),
            ]},
            "antivirusEngine": {"exclusions": [path("/a")]},
        }),
        &[
            (Reason::ExclusionMoved, "exclusionSettings.exclusions[0]"),
            (Reason::ExclusionMoved, "exclusionSettings.exclusions[1]"),
            (Reason::GlobalExclusionForm, "exclusionSettings.exclusions[2]"),
            (Reason::RepeatedItem, "exclusionSettings.exclusions[1]"),
        ],
        &json!({
            "antivirusEngine": {"exclusions": [path("/a"), path("/b")]},
            "exclusionSettings": {"exclusions": [scoped("/c/*", json!(["global"]))]},
        }),
    );
}

#[test]
fn an_empty_list_stays_one() {
    let empty = json!({"antivirusEngine": {"unmonitoredFilesystems": [], "exclusions": []}});
    let (found, text) = checked(&empty);
    assert_eq!(
        (found, text),
        (Vec::new(), json!({"antivirusEngine": {"exclusions": [], "unmonitoredFilesystems": []}}))
    );
}

#[test]
fn a_profile_is_opened_and_what_is_not_ours_is_told() {
    let settings_of = "<key>cloudService</key><dict><key>enabled</key><true/></dict>";
    let tags = "<key>edr</key><dict><key>tags</key><array><dict><key>key</key><string>GROUP</string>\
         <key>value</key><string>a</string></dict></array></dict>";
    let profile = format!(
        "<plist><dict><key>PayloadUUID</key><string>u</string><key>Odd</key><true/><key>PayloadContent</key><array>\
         <dict><key>PayloadType</key><string>com.microsoft.wdav</string><key>PayloadVersion</key><integer>1</integer>\
         {settings_of}</dict>\
         <dict><key>PayloadType</key><string>com.apple.ManagedClient.preferences</string><key>PayloadContent</key>\
         <dict><key>com.microsoft.wdav</key><dict><key>Forced</key><array><dict><key>mcx_preference_settings</key>\
         <dict>{settings_of}{tags}</dict></dict></array></dict><key>com.example</key><dict/></dict></dict>\
         <dict><key>PayloadType</key><string>com.apple.notificationsettings</string></dict>\
         </array></dict></plist>"
    );
    let imported = read(Form::WdavPlist, profile.as_bytes()).unwrap();
    let inside =
        r#"PayloadContent[1].PayloadContent["com.microsoft.wdav"].Forced[0].mcx_preference_settings"#;
    let twice = format!("{inside}.cloudService.enabled");
    assert_eq!(
        found(&imported),
        [
            (Reason::ProfileEnvelope, ""),
            (Reason::ProfileEnvelope, "PayloadContent[0]"),
            (Reason::ProfileEnvelope, "PayloadContent[1]"),
            (Reason::SetTwice, twice.as_str()),
            (Reason::OtherPayload, r#"PayloadContent[1].PayloadContent["com.example"]"#),
            (Reason::OtherPayload, "PayloadContent[2]"),
            (Reason::UnknownKey, "Odd"),
        ]
    );
    let profiles: Vec<_> = imported.drafts.iter().map(|draft| draft.profile.as_str()).collect();
    assert_eq!(profiles, ["macos-antivirus", "macos-edr"]);
    let bare = format!("<plist><dict>{settings_of}{tags}</dict></plist>");
    let bare = read(Form::WdavPlist, bare.as_bytes()).unwrap();
    assert_eq!((&bare.drafts, found(&bare)), (&imported.drafts, Vec::new()));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for (bytes, position, problem) in [
        (&b"{\n \"a\": \xff}"[..], Some((2, 7)), "not UTF-8"),
        (b"{\"a\":1,\n\"a\":2}", Some((2, 4)), "stands twice"),
        (b"{} {}", Some((1, 4)), "trailing"),
        (b"[]", None, "not a JSON object"),
        (b"\xef\xbb\xbf{}", Some((1, 1)), "not strict JSON"),
        (b"{'a': 1}", Some((1, 2)), "not strict JSON"),
        (b"{\"a\": \"\\ud800\"}", Some((1, 14)), "not strict JSON"),
        (deep.as_bytes(), Some((1, 65)), "nested too deeply"),
    ] {
        let error = read(Form::MdatpJson, bytes).unwrap_err();
        assert!(error.message.contains(problem), "{error}");
        assert_eq!(error.position.map(|(line, _)| line), position.map(|(line, _)| line), "{error}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(63), "]".repeat(63));
    assert_eq!(read(Form::MdatpJson, deep.as_bytes()).unwrap().findings.len(), 1);
    let large = vec![b' '; FILE_BYTES_MAX + 1];
    assert!(read(Form::MdatpJson, &large).unwrap_err().message.contains("larger"));
}

#[test]
fn a_file_of_another_kind_is_refused_and_not_told_in_full() {
    let other: serde_json::Map<_, _> =
        (0..=FINDINGS_MAX).map(|number| (number.to_string(), Value::Null)).collect();
    let error = read(Form::MdatpJson, Value::Object(other).to_string().as_bytes()).unwrap_err();
    assert!(error.message.contains("none of the product"), "{error}");
}

/// Paths do not make a small file large: each key is shown in part.
#[test]
fn long_keys_above_many_keys_are_refused_in_small_space() {
    let inside: String = (0..20_000).map(|_| r#""a":1,"#).collect();
    let text = format!(r#"{{"{}":{{{inside}"a":2}}}}"#, "k".repeat(3_000_000));
    let lenient = import::mdatp_json(catalogue(), text.as_bytes(), Repeated::LastCounts);
    assert!(lenient.unwrap_err().message.contains("none of the product"));
    assert!(read(Form::MdatpJson, text.as_bytes()).unwrap_err().message.len() < 400);
}

#[test]
fn a_key_that_differs_in_capitals_alone_is_named() {
    let imported = read(Form::MdatpJson, br#"{"AntivirusEngine": {"scanArchives": true}}"#).unwrap();
    assert!(imported.findings[0].message.ends_with("did you mean antivirusEngine?"), "{imported:?}");
}

#[test]
fn every_reason_has_an_outcome_and_a_name() {
    let names: std::collections::BTreeSet<_> =
        Reason::ALL.iter().map(|reason| serde_json::to_string(reason).unwrap()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    assert_eq!(Reason::ALL.iter().filter(|reason| reason.outcome() == Outcome::LeftOut).count(), 11);
}
