//! The catalogue for readers, in Markdown: one text per setting for the CLI, one page per profile for the documentation.

use std::fmt::Write as _;

use crate::check::describe;
use crate::model::{Confidence, EnumValue, Kind, MergeMode, Platform, Profile, Setting, Status, Tamper};

/// The page of a profile.
#[must_use]
pub fn page(profile: &Profile) -> String {
    let mut page = format!("# {} ({})\n\n", profile.name, platform(profile.platform));
    let settable = profile.settings.iter().filter(|setting| setting.settable()).count();
    line(&mut page, &format!("Profile `{}`, policy type `{}`.", profile.id, profile.policy_type));
    line(
        &mut page,
        &format!(
            "{settable} of {} settings can be delivered to devices without MDM.",
            profile.settings.len()
        ),
    );
    if let Some(file) = &profile.file {
        line(&mut page, &format!("The merged result lands in `{file}`."));
    }
    if let Some(max) = profile.max_items {
        line(&mut page, &format!("At most {max} items."));
    }
    list(&mut page, "Notes", &profile.notes);
    let mut group = "";
    for setting in &profile.settings {
        if setting.group != group {
            group = &setting.group;
            page.push_str(&format!("\n## {}\n", sentence(&group.replace('_', " "))));
        }
        page.push('\n');
        page.push_str(&setting.describe().replacen("# ", "### ", 1));
    }
    list(&mut page, "Sources", &profile.sources);
    page
}

impl Setting {
    /// Everything the catalogue knows of the setting, in Markdown.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("# {}\n\n`{}`\n\n", self.name, self.id);
        text.push_str("| | |\n|---|---|\n");
        row(&mut text, "Type", &format!("{}: {}", self.kind.type_name(), describe(&self.kind)));
        row(&mut text, "Default", &self.default_text());
        row(&mut text, "Without MDM", self.channels.ssm.explain());
        row(&mut text, "In an MDM", self.channels.mdm.explain());
        row(&mut text, "Merge", &format!("`{}`. {}", self.merge.as_str(), self.merge.explain()));
        row(&mut text, "Tamper protection", tamper(self.tamper_protected));
        self.rows_where_known(&mut text);
        if let Kind::ObjectList { schema, .. } = &self.kind {
            text.push_str("\n| field | on the device | type | |\n|---|---|---|---|\n");
            for field in &schema.fields {
                let when = match (&field.used_when, field.required) {
                    (Some(when), true) => format!("required where {} is {}", when.field, when.value),
                    (Some(when), false) => format!("where {} is {}", when.field, when.value),
                    (None, true) => "required".to_owned(),
                    (None, false) => String::new(),
                };
                line(
                    &mut text,
                    &format!("| {} | {} | {} | {when} |", field.id, field.key, cell(&describe(&field.kind))),
                );
            }
        }
        if let Kind::Enum { values } = &self.kind
            && values.iter().any(|EnumValue { id, wire }| *id != wire.to_string())
        {
            text.push_str("\n| value | on the device |\n|---|---|\n");
            for EnumValue { id, wire } in values {
                line(&mut text, &format!("| {id} | {wire} |"));
            }
        }
        if let Some(notes) = &self.notes {
            text.push_str(&format!("\n{}\n", full_stop(&sentence(notes))));
        }
        text
    }

    fn rows_where_known(&self, text: &mut String) {
        if let Some(note) = &self.merge_note {
            row(text, "Merge note", note);
        }
        if let Some(version) = &self.min_agent {
            row(text, "Since agent", version);
        }
        if let Some(depends) = &self.depends_on {
            let values: Vec<_> = depends.values.iter().map(ToString::to_string).collect();
            row(text, "Means something where", &format!("`{}` is {}", depends.setting, values.join(" or ")));
        }
        for constraint in &self.constraints {
            row(text, "Rule", constraint);
        }
        match self.status {
            Status::Current => {}
            Status::Legacy => row(text, "Status", "legacy"),
            Status::Deprecated => row(text, "Status", "deprecated"),
        }
        if self.read_only {
            row(text, "Status", "can be read, not set");
        }
        for (name, fact) in &self.rule_facts {
            row(text, &sentence(&name.replace('_', " ")), &fact.replace('_', " "));
        }
        let lands = &self.lands;
        for (name, place) in [
            ("JSON path", &lands.json_path),
            ("Property list key", &lands.plist_key),
            ("CSP", &lands.csp),
            ("Registry", &lands.registry),
            ("Rule GUID", &self.rule_guid),
            ("PowerShell", &lands.mp_preference),
            ("Definition", &lands.definition_id),
        ] {
            if let Some(place) = place {
                row(text, name, &format!("`{place}`"));
            }
        }
        match self.confidence {
            Confidence::Verified => {}
            Confidence::Derived => row(text, "Known", "derived from a source, not stated in it"),
            Confidence::AuthorKnowledge => row(text, "Known", "to the authors; in no source"),
        }
    }

    fn default_text(&self) -> String {
        match &self.default {
            Some(value) => match value.to_string() {
                empty if empty.is_empty() => "empty".to_owned(),
                value => format!("`{value}`"),
            },
            None if self.merge == MergeMode::PartOfItem => "none".to_owned(),
            None => "none; unset leaves it to the product".to_owned(),
        }
    }
}

const fn platform(platform: Platform) -> &'static str {
    match platform {
        Platform::Linux => "Linux",
        Platform::Macos => "macOS",
        Platform::Windows => "Windows",
    }
}

const fn tamper(tamper: Tamper) -> &'static str {
    match tamper {
        Tamper::No => "does not lock it",
        Tamper::Yes => "locks it",
        Tamper::Conditional => "locks it under conditions",
        Tamper::Switch => "this is its switch",
    }
}

fn line(text: &mut String, words: &str) {
    // Writing to a String cannot fail.
    writeln!(text, "{words}").unwrap_or_default();
}

fn row(text: &mut String, name: &str, value: &str) {
    line(text, &format!("| {name} | {} |", cell(value)));
}

fn cell(value: &str) -> String {
    value.replace('|', "\\|").replace('\n', " ")
}

fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    text.push_str(&format!("\n## {title}\n\n"));
    items.iter().for_each(|item| line(text, &format!("- {item}")));
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn full_stop(words: &str) -> String {
    if words.ends_with(['.', '!', '?']) { words.to_owned() } else { format!("{words}.") }
}
