//! The rules for readers, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{
    Basis, Distribution, Edition, Excluded, Minimum, Platforms, ServerCore, WindowsClass, WindowsRule,
};
use crate::model::Confidence;

const HEAD: &str = "\
# Supported platforms

Which devices this channel can manage. A tenant holds to the current rules or to those of 2023-09 (`muster scope set`).
This page comes from `catalog/platforms.yaml`; *source* is the date of the documentation that says so, listed at the end.

What a device did not report counts as absent, except what a minimum is measured by: a Windows device must say whether it
is a server, and its build; where the unified agent is needed, whether it runs that; where rules name distributions or
releases, a Linux device or a Mac must say which it has. Otherwise it is refused as
[FACTS_INCOMPLETE](FACTS_INCOMPLETE.md), with what is missing.
";

const SENSOR: &str = "
The minimum is that of the security product's sensor (`mdatp`, `sense`), not of `muster-agent`. A device without that
product is managed by the agent's own engines and has no sensor minimum; nor has one whose sensor does not tell its
version. A Linux device that shows no board vendor (`/sys/class/dmi/id/board_vendor`) enrols like any other.
";

/// The page.
#[must_use]
pub fn page(platforms: &Platforms) -> String {
    let mut page = String::from(HEAD);
    for edition in Edition::ALL.into_iter().rev() {
        let title = match edition {
            Edition::Current => "Current rules",
            Edition::September2023 => "Rules of 2023-09",
        };
        line(&mut page, format_args!("\n## {title}\n"));
        windows(&mut page, platforms, edition);
        others(&mut page, platforms, edition);
        excluded(&mut page, platforms, edition);
    }
    sources(&mut page, platforms);
    page
}

fn windows(page: &mut String, platforms: &Platforms, edition: Edition) {
    page.push_str("### Windows\n\n");
    page.push_str(
        "| release | needs at least | Server Core | unified agent | source |\n|---|---|---|---|---|\n",
    );
    for class in [WindowsClass::Client, WindowsClass::Server] {
        for rule in platforms.releases(edition, class) {
            let WindowsRule { name, class, minimums, unified_agent, server_core, basis, .. } = rule;
            let core = match (class, server_core) {
                (WindowsClass::Client, _) => "",
                (_, ServerCore::Supported) => "yes",
                (_, ServerCore::AppCompatibility) => "with App Compatibility",
                (_, ServerCore::Unsupported) => "no",
            };
            let agent = if *unified_agent { "needed" } else { "" };
            let minimums = minimum_cell(minimums);
            line(page, format_args!("| {name} | {minimums} | {core} | {agent} | {} |", cell(basis)));
        }
    }
    page.push_str(
        "\nA later revision of the same branch counts, so does a branch newer than all that are named, and so does the \
         update where it is\nlisted as installed.\n",
    );
    let releases =
        [WindowsClass::Client, WindowsClass::Server].into_iter().flat_map(|c| platforms.releases(edition, c));
    notes(page, releases.map(|rule| (rule.name.as_str(), &rule.basis)));
}

fn minimum_cell(minimums: &[Minimum]) -> String {
    if minimums.is_empty() {
        return "any build".to_owned();
    }
    let builds = minimums.iter().map(|Minimum { branch, revision, update, confidence }| {
        format!("{branch}.{revision} (KB{update}{})", mark(*confidence))
    });
    builds.collect::<Vec<_>>().join(", ")
}

fn others(page: &mut String, platforms: &Platforms, edition: Edition) {
    page.push_str("\n### Linux and macOS\n\n| platform | release | sensor | source |\n|---|---|---|---|\n");
    if let Some(rule) = platforms.linux(edition) {
        let releases = rule.distributions.as_ref().map_or_else(
            || "any distribution".to_owned(),
            |list| list.iter().map(distribution).collect::<Vec<_>>().join(", "),
        );
        let (sensor, source) = (&rule.minimum_sensor, cell(&rule.basis));
        line(page, format_args!("| Linux | {releases} | {sensor} or later | {source} |"));
    }
    if let Some(rule) = platforms.macos(edition) {
        let release = rule
            .minimum_release
            .map_or_else(|| "any release".to_owned(), |minimum| format!("macOS {minimum} or later"));
        let (sensor, source) = (&rule.minimum_sensor, cell(&rule.basis));
        line(page, format_args!("| macOS | {release} | {sensor} or later | {source} |"));
    }
    page.push_str(SENSOR);
    let linux = platforms.linux(edition).map(|rule| ("Linux", &rule.basis));
    notes(page, linux.into_iter().chain(platforms.macos(edition).map(|rule| ("macOS", &rule.basis))));
}

fn distribution(distribution: &Distribution) -> String {
    let Distribution { name, ids: _, minimum, except } = distribution;
    let except =
        except.map(|(from, below)| format!(" but not from {from} to before {below}")).unwrap_or_default();
    format!("{name} {minimum} or later{except}")
}

fn excluded(page: &mut String, platforms: &Platforms, edition: Edition) {
    page.push_str("\n### Not managed\n\n| what | code | source |\n|---|---|---|\n");
    let rows = || platforms.excluded.iter().filter(|row| row.basis.as_of.contains(&edition));
    for row in rows() {
        let (what, code) = named(row.what);
        line(page, format_args!("| {what} | [{code}]({code}.md) | {} |", cell(&row.basis)));
    }
    notes(page, rows().map(|row| (named(row.what).0, &row.basis)));
}

/// Words for it, and the enrollment code it leads to.
const fn named(what: Excluded) -> (&'static str, &'static str) {
    match what {
        Excluded::NonPersistentVdi => ("Non-persistent virtual desktops", "NON_PERSISTENT_VDI"),
        Excluded::AzureVirtualDesktop => ("Azure Virtual Desktop", "AZURE_VIRTUAL_DESKTOP"),
        Excluded::Architecture32Bit => ("32-bit Windows", "ARCHITECTURE_32_BIT"),
        Excluded::ConstrainedLanguage => {
            ("Windows whose PowerShell is in ConstrainedLanguage mode", "CONSTRAINED_LANGUAGE")
        }
        Excluded::DomainController => ("Domain controllers", "DOMAIN_CONTROLLER_EXCLUDED"),
    }
}

fn cell(basis: &Basis) -> String {
    format!("{}{}", basis.source_date, mark(basis.confidence))
}

fn sources(page: &mut String, platforms: &Platforms) {
    page.push_str("\n## Sources\n\n| date | title |\n|---|---|\n");
    let Platforms { windows, linux, macos, excluded } = platforms;
    let windows = windows.iter().map(|rule| &rule.basis);
    let others = linux.iter().map(|rule| &rule.basis).chain(macos.iter().map(|rule| &rule.basis));
    let rules = windows.chain(others).chain(excluded.iter().map(|row| &row.basis));
    let listed: BTreeSet<_> = rules.map(|basis| (&basis.source_date, &basis.source)).collect();
    for (date, title) in listed.into_iter().rev() {
        line(page, format_args!("| {date} | {title} |"));
    }
    page.push_str("\nThe build that an update brought stands in the title of its support page.\n");
}

const fn mark(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Verified => "",
        Confidence::Derived => ", derived",
        Confidence::AuthorKnowledge => ", not found in a source",
    }
}

fn notes<'a>(page: &mut String, rows: impl Iterator<Item = (&'a str, &'a Basis)>) {
    let mut rows = rows.filter_map(|(name, basis)| basis.notes.as_ref().map(|note| (name, note))).peekable();
    if rows.peek().is_some() {
        page.push('\n');
    }
    for (name, note) in rows {
        line(page, format_args!("- {name}: {note}"));
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    writeln!(page, "{text}").unwrap_or_default();
}
