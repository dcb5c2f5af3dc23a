//! Managed configurations there and back.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up fails")]

mod inputs;
mod properties;
mod registry;
mod samples;

use std::collections::BTreeMap;

use muster_catalog::Catalogue;
use muster_managed::import::{self, Imported, Repeated};
use muster_managed::report::Reason;
use muster_managed::{Form, Invalid, render};
use muster_types::{SettingId, SettingValue};

type Settings = BTreeMap<SettingId, SettingValue>;

fn catalogue() -> &'static Catalogue {
    Catalogue::builtin()
}

fn read(form: Form, bytes: &[u8]) -> Result<Imported, Invalid> {
    match form {
        Form::MdatpJson => import::mdatp_json(catalogue(), bytes, Repeated::Refuse),
        Form::WdavPlist => import::wdav_plist(catalogue(), bytes),
    }
}

fn settings(imported: &Imported) -> Settings {
    imported.drafts.iter().flat_map(|draft| draft.settings.clone()).collect()
}

fn found(imported: &Imported) -> Vec<(Reason, &str)> {
    imported.findings.iter().map(|finding| (finding.reason, finding.path.as_str())).collect()
}

fn rendered(form: Form, settings: &Settings) -> String {
    let rendered = render::file(catalogue(), form, settings);
    assert_eq!(rendered.left_out, BTreeMap::new());
    rendered.text
}
