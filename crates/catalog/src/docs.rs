//! The catalogue for readers: one text per setting, one page per profile, one table of what is supported where.

mod json;
mod markdown;
mod setting;
mod support;

use crate::applicability::Channel;
use crate::model::{Catalogue, Profile};
use crate::platforms::Edition;

pub use json::explain as json;
use markdown::{line, list, sentence};
pub use setting::describe;
pub use support::{SupportRow, support};

/// All pages by their file names, sorted.
#[must_use]
pub fn pages(catalogue: &Catalogue) -> Vec<(String, String)> {
    let mut pages: Vec<_> =
        catalogue.profiles().map(|profile| (format!("{}.md", profile.id), page(profile))).collect();
    pages.push(("README.md".to_owned(), index(catalogue)));
    pages.push(("support.md".to_owned(), support::page(catalogue)));
    pages.sort();
    pages
}

/// The page of a profile. Each setting has an anchor of its id within the profile.
#[must_use]
pub fn page(profile: &Profile) -> String {
    let mut page = format!("# {} ({})\n\n", profile.name, profile.platform.name());
    line(&mut page, &format!("Profile `{}`, policy type `{}`.", profile.id, profile.policy_type));
    let count = |as_of| SupportRow::new(profile, Channel::Ssm, as_of).words();
    line(&mut page, &format!("Delivered to devices without MDM: {}.", count(Edition::Current)));
    if count(Edition::September2023) != count(Edition::Current) {
        line(&mut page, &format!("Under the rules of 2023-09: {}.", count(Edition::September2023)));
    }
    if profile.refused_on_domain_controllers(Channel::Ssm) {
        line(&mut page, "Not applied on domain controllers.");
    }
    if let Some(file) = &profile.file {
        line(&mut page, &format!("The merged result lands in `{file}`."));
    }
    if let Some(max) = profile.max_items {
        line(&mut page, &format!("At most {max} items in all lists of a policy together."));
    }
    list(&mut page, "Notes", &profile.notes);
    let mut group = "";
    for setting in &profile.settings {
        if setting.group != group {
            group = &setting.group;
            page.push_str(&format!("\n## {}\n", sentence(&group.replace('_', " "))));
        }
        page.push_str(&format!("\n<a id=\"{}\"></a>\n\n", setting.id.setting()));
        page.push_str(&describe(profile, setting).replacen("# ", "### ", 1));
    }
    list(&mut page, "Sources", &profile.sources);
    page
}

fn index(catalogue: &Catalogue) -> String {
    let mut page = String::from(
        "# Settings catalogue\n\nEvery setting that a policy can carry, made from `catalog/`. What is delivered to which devices: \
         [support](support.md).\n\n| profile | | platform | settings |\n|---|---|---|---|\n",
    );
    for profile in catalogue.profiles() {
        let settings = profile.settings.iter().filter(|setting| !setting.composed).count();
        let row = format!(
            "| [{id}]({id}.md) | {} | {} | {settings} |",
            profile.name,
            profile.platform.name(),
            id = profile.id
        );
        line(&mut page, &row);
    }
    page
}
