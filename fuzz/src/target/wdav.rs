//! Managed configurations of Defender on macOS: property lists, to the same rules as the JSON file.

use muster_catalog::Catalogue;
use muster_managed::{Form, Invalid, import};

use super::managed;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| import::wdav_plist(Catalogue::builtin(), bytes);
    match read(bytes) {
        Ok(imported) => {
            managed::holds(Form::WdavPlist, &imported, read);
            true
        }
        Err(Invalid { message, position }) => {
            assert!(!message.is_empty() && position.is_none_or(|(line, _)| line > 0));
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let bare = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"x\">\n\
        <plist version=\"1.0\"><dict><key>antivirusEngine</key><dict><key>enforcementLevel</key><string>Passive</string>\
        <key>maximumOnDemandScanThreads</key><integer>0x4</integer><key>allowedThreats</key><array>\
        <string>a &amp; b</string><string><![CDATA[<c>]]>&#100;</string></array><key>exclusions</key><array><dict>\
        <key>$type</key><string>excludedPath</string><key>path</key><string>/a</string><key>isDirectory</key>\
        <string>true</string></dict></array></dict><key>nope</key><date>2026-01-01T00:00:00Z</date></dict></plist>";
    let profile = "<plist><dict><key>PayloadContent</key><array><dict><key>PayloadType</key>\
        <string>com.microsoft.wdav</string><key>tamperProtection</key><dict><key>enforcementLevel</key>\
        <string>block</string></dict></dict><dict><key>PayloadType</key>\
        <string>com.apple.ManagedClient.preferences</string><key>PayloadContent</key><dict>\
        <key>com.microsoft.wdav</key><dict><key>Forced</key><array><dict><key>mcx_preference_settings</key><dict>\
        <key>cloudService</key><dict><key>enabled</key><real>1.0</real></dict></dict></dict></array></dict></dict></dict>\
        </array><key>PayloadUUID</key><data>AAAA</data></dict></plist>";
    let mut seeds = vec![bare.as_bytes().to_vec(), profile.as_bytes().to_vec(), binary()];
    seeds.push(b"<plist><dict><key>a</key></plist>".to_vec());
    seeds
}

/// `{"edr": {"tags": [{"key": "GROUP", "value": "a"}]}}` in binary form.
fn binary() -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    let objects: [&[u8]; 9] = [
        b"\xd1\x01\x02",
        b"\x53edr",
        b"\xd1\x03\x04",
        b"\x54tags",
        b"\xa1\x05",
        b"\xd2\x06\x07\x08\x06",
        b"\x53key",
        b"\x55value",
        b"\x55GROUP",
    ];
    for object in objects {
        offsets.push(u8::try_from(bytes.len()).expect("the list is short"));
        bytes.extend_from_slice(object);
    }
    let table = bytes.len() as u64;
    bytes.extend_from_slice(&offsets);
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 1]);
    for number in [offsets.len() as u64, 0, table] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes
}
