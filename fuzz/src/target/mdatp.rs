//! Managed configurations of Defender on Linux: what is taken over passes the catalogue, all else is told, and what is
//! rendered reads back the same.

use muster_catalog::Catalogue;
use muster_managed::import::{self, Repeated};
use muster_managed::{Form, Invalid};

use super::managed;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| import::mdatp_json(Catalogue::builtin(), bytes, Repeated::Refuse);
    let lenient = import::mdatp_json(Catalogue::builtin(), bytes, Repeated::LastCounts);
    match read(bytes) {
        Ok(imported) => {
            // Keys that stand once say the same to both.
            assert_eq!(lenient.as_ref(), Ok(&imported));
            managed::holds(Form::MdatpJson, &imported, read);
            true
        }
        Err(Invalid { message, position }) => {
            assert!(!message.is_empty() && position.is_none_or(|(line, _)| line > 0));
            if let Ok(imported) = lenient {
                managed::holds(Form::MdatpJson, &imported, read);
            }
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"antivirusEngine":{"enforcementLevel":"real_time","behaviorMonitoring":true,"scanArchives":"True",
            "maximumOnDemandScanThreads":"2","scanResultsRetentionDays":90.0,"unmonitoredFilesystems":["nfs,fuse"],
            "threatTypeSettings":[{"key":"archive_bomb","value":"Audit"}],"disallowedThreatActions":"allow"}}"#,
        r#"{"exclusionSettings":{"mergePolicy":"merge","exclusions":[
            {"$type":"excludedPath","isDirectory":true,"path":"/a/*","scopes":["epp","global"]},
            {"$type":"excludedFileExtension","extension":".pdf","scopes":["epp"]},
            {"$type":"excludedFileName","name":"cat"}]},
            "antivirusEngine":{"exclusions":[{"$type":"excludedFileExtension","extension":".pdf","isDirectory":1}]}}"#,
        r#"{"cloudService":{"enabled":true,"proxy":"http://p:1/"},"edr":{"tags":[{"key":"GROUP","value":"<EXAMPLE DO NOT USE>"}]},
            "features":{"nope":[1,2.5e9,null,{"a":{}}]},"networkProtection":7}"#,
        r#"{"antivirusEngine":{"info":"a","info":"b","passiveMode":false}}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
