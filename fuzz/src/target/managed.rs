//! What holds for any managed configuration that could be read.

use std::collections::BTreeMap;

use muster_catalog::Catalogue;
use muster_managed::import::Imported;
use muster_managed::report::FINDINGS_MAX;
use muster_managed::{Form, Invalid, render};
use muster_types::{SettingId, SettingValue};

/// Holds what was taken over to the rules.
pub(super) fn holds(form: Form, imported: &Imported, read: impl Fn(&[u8]) -> Result<Imported, Invalid>) {
    let catalogue = Catalogue::builtin();
    assert!(imported.findings.len() <= FINDINGS_MAX);
    assert!(imported.findings.iter().all(|finding| !finding.message.is_empty()));
    let mut settings: BTreeMap<SettingId, SettingValue> = BTreeMap::new();
    for draft in &imported.drafts {
        let given = draft.settings.clone();
        assert_eq!(catalogue.check(&draft.profile, given).as_ref(), Ok(&draft.settings));
        settings.extend(draft.settings.clone());
    }
    let rendered = render::file(catalogue, form, &settings);
    settings.retain(|id, _| !rendered.left_out.contains_key(id));
    let again = read(rendered.text.as_bytes()).expect("what was rendered can be read");
    let again: BTreeMap<_, _> = again.drafts.into_iter().flat_map(|draft| draft.settings).collect();
    assert_eq!(again, settings, "{}", rendered.text);
}
