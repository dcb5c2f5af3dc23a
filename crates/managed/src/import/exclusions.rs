//! Exclusions on Linux, which can stand in two places: `antivirusEngine.exclusions`, and `exclusionSettings.exclusions` with
//! scopes. An exclusion of scope `epp` alone is one of the antivirus engine, wherever it stands.

use muster_catalog::{Kind, Setting};
use serde_json::Value;

use super::list::Item;
use super::{Import, value};
use crate::place::{Form, Place};
use crate::report::{Finding, Reason};

/// The exclusions of the antivirus engine.
const ANTIVIRUS: &str = "antivirusEngine.exclusions";
/// The exclusions with scopes.
const SCOPED: &str = "exclusionSettings.exclusions";
const SCOPES: &str = "scopes";
const EPP: &str = "epp";
const BY_EXTENSION: &str = "excludedFileExtension";

/// One of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Antivirus,
    Scoped,
}

/// Which of the two lists a setting is.
pub(super) fn list(form: Form, setting: &Setting) -> Option<List> {
    if form != Form::MdatpJson {
        return None;
    }
    match form.path(setting)? {
        ANTIVIRUS => Some(List::Antivirus),
        SCOPED => Some(List::Scoped),
        _ => None,
    }
}

impl<'c> Import<'c> {
    pub(super) fn take_exclusions(
        &mut self,
        setting: &'c Setting,
        list: List,
        value: &Value,
        place: &Place<'_>,
    ) {
        match list {
            List::Antivirus => {
                if let Some(items) = self.items(setting, value, place) {
                    let mut moved = self.exclusions.take().unwrap_or_default();
                    let mut all = items;
                    all.append(&mut moved);
                    self.exclusions = Some(all);
                }
            }
            List::Scoped => self.take_scoped(setting, value, place),
        }
    }

    fn take_scoped(&mut self, setting: &'c Setting, value: &Value, place: &Place<'_>) {
        let Value::Array(values) = value else {
            let (reason, message) = value::refusal(setting, value);
            return self.find(Finding::new(place, reason, message).about(&setting.id));
        };
        let Kind::ObjectList { schema, .. } = &setting.kind else { return };
        let mut global = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let place = Place::Item(place, index);
            match scope(value) {
                Scope::Epp => self.move_exclusion(value, &place),
                Scope::None => {
                    let message = "names no scope at all";
                    self.find(Finding::new(&place, Reason::OutOfRange, message).about(&setting.id));
                }
                Scope::Global | Scope::Missing if is_by_extension(value) => {
                    let message = "an exclusion by extension is possible with scope epp alone";
                    self.find(Finding::new(&place, Reason::OutOfRange, message).about(&setting.id));
                }
                scope @ (Scope::Global | Scope::Missing) => {
                    if scope == Scope::Missing {
                        let message = "names no scopes: it counts as global";
                        self.find(Finding::new(&place, Reason::ScopesMissing, message).about(&setting.id));
                    }
                    let item = self.object(setting, schema, value, &place);
                    if let Some(message) = not_honoured(&item.value) {
                        self.find(
                            Finding::new(&place, Reason::GlobalExclusionForm, message).about(&setting.id),
                        );
                    }
                    global.push(item);
                }
            }
        }
        // A list of which all was moved sets nothing by itself.
        if !global.is_empty() || values.is_empty() {
            self.take_list(setting, global, place.to_string());
        }
    }

    fn move_exclusion(&mut self, value: &Value, place: &Place<'_>) {
        let Some(setting) = self.known.get(ANTIVIRUS).copied() else { return };
        let Kind::ObjectList { schema, .. } = &setting.kind else { return };
        let mut value = value.clone();
        if let Some(object) = value.as_object_mut() {
            object.shift_remove(SCOPES);
        }
        let message = format!("of scope {EPP} alone: it stands in {ANTIVIRUS}, where it means the same");
        self.find(Finding::new(place, Reason::ExclusionMoved, message).about(&setting.id));
        let item = self.object(setting, schema, &value, place);
        self.exclusions.get_or_insert_default().push(item);
    }

    pub(super) fn finish_exclusions(&mut self) {
        let Some(setting) = self.known.get(ANTIVIRUS).copied() else { return };
        if let Some(items) = self.exclusions.take() {
            let path = items.first().map_or_else(|| ANTIVIRUS.to_owned(), |item: &Item| item.path.clone());
            self.take_list(setting, items, path);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// `epp` alone.
    Epp,
    /// `global` too, or something that the catalogue will refuse.
    Global,
    /// An empty list.
    None,
    /// No list.
    Missing,
}

fn scope(item: &Value) -> Scope {
    match item.get(SCOPES) {
        None => Scope::Missing,
        Some(Value::Array(scopes)) if scopes.is_empty() => Scope::None,
        Some(Value::Array(scopes)) => {
            let is_epp =
                |scope: &Value| scope.as_str().is_some_and(|scope| scope.trim().eq_ignore_ascii_case(EPP));
            if scopes.iter().all(is_epp) { Scope::Epp } else { Scope::Global }
        }
        Some(_) => Scope::Global,
    }
}

fn is_by_extension(item: &Value) -> bool {
    item.get("$type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case(BY_EXTENSION))
}

/// Why the product does not honour a global exclusion, if its form says so.
fn not_honoured(item: &Value) -> Option<&'static str> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    if ["path", "name"].into_iter().filter_map(text).any(|text| text.contains(['*', '?'])) {
        return Some("a global exclusion has no wildcards");
    }
    let is_full = text("name").is_none_or(|name| name.starts_with('/'));
    (!is_full).then_some("a global exclusion of a process needs its full path")
}
