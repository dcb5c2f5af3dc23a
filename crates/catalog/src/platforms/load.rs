//! From the file to the rules; every mistake is found in one reading.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{
    DistributionFile, ExcludedFile, LinuxFile, MacosFile, MinimumFile, PlatformsFile, RangeFile, SCHEMA,
    SourceFile, WindowsFile,
};
use super::{
    Basis, Distribution, Edition, Exclusion, LinuxRule, MacosRule, Minimum, Platforms, STEM, ServerCore,
    VersionNumbers, WindowsClass, WindowsRule,
};
use crate::load::{CatalogueInvalid, Findings};
use crate::model::Confidence;

impl Platforms {
    /// Reads and checks the rules.
    ///
    /// # Errors
    /// [`CatalogueInvalid`] with every mistake.
    pub fn load(text: &str) -> Result<Self, CatalogueInvalid> {
        let mut mistakes = Vec::new();
        let mut findings = Findings::of_file(STEM, &mut mistakes);
        let loaded = match serde_saphyr::from_str::<PlatformsFile>(text) {
            Ok(file) => Some(platforms(file, &mut findings)),
            Err(error) => {
                findings.add("", error.to_string());
                None
            }
        };
        match loaded {
            Some(platforms) if mistakes.is_empty() => Ok(platforms),
            _ => Err(CatalogueInvalid { mistakes }),
        }
    }
}

type Sources = BTreeMap<String, SourceFile>;

fn platforms(file: PlatformsFile, findings: &mut Findings<'_>) -> Platforms {
    let PlatformsFile { schema, sources, windows, linux, macos, excluded } = file;
    if schema != SCHEMA {
        findings.add("schema", format!("expected {SCHEMA}, found {schema}"));
    }
    for (name, SourceFile { title, date }) in &sources {
        if title.is_empty() || !is_date(date) {
            findings.add("sources", format!("{name}: needs a title and a date such as 2023-09-25"));
        }
    }
    let platforms = Platforms {
        windows: windows.into_iter().map(|row| windows_rule(row, &sources, findings)).collect(),
        linux: linux.into_iter().map(|row| linux_rule(row, &sources, findings)).collect(),
        macos: macos.into_iter().map(|row| macos_rule(row, &sources, findings)).collect(),
        excluded: excluded.into_iter().map(|row| exclusion(row, &sources, findings)).collect(),
    };
    sound(&platforms, findings);
    platforms
}

/// What lies across rows.
fn sound(platforms: &Platforms, findings: &mut Findings<'_>) {
    let Platforms { windows, linux, macos, excluded } = platforms;
    let mut ids = BTreeSet::new();
    let rows = windows.iter().map(|rule| &rule.id);
    for id in rows.chain(linux.iter().map(|rule| &rule.id)).chain(macos.iter().map(|rule| &rule.id)) {
        if !ids.insert(id) {
            findings.add("id", format!("{id} occurs twice"));
        }
    }
    for edition in Edition::ALL {
        for class in [WindowsClass::Client, WindowsClass::Server] {
            releases_in_order(platforms, edition, class, findings);
        }
        once("linux", edition, linux.iter().map(|rule| &rule.basis), findings);
        once("macos", edition, macos.iter().map(|rule| &rule.basis), findings);
    }
    let mut named = BTreeSet::new();
    let each = excluded.iter().flat_map(|row| row.basis.as_of.iter().map(|edition| (*edition, row.what)));
    if !each.into_iter().all(|pair| named.insert(pair)) {
        findings.add("excluded", "names something twice");
    }
}

fn releases_in_order(
    platforms: &Platforms,
    edition: Edition,
    class: WindowsClass,
    findings: &mut Findings<'_>,
) {
    let releases: Vec<_> = platforms.releases(edition, class).collect();
    if releases.is_empty() {
        findings.add("windows", format!("{edition} has no release of this class"));
    }
    for (i, rule) in releases.iter().enumerate() {
        let next = releases.get(i + 1).map(|next| next.from_branch);
        if rule.below_branch != next {
            let problem = match next {
                Some(next) => format!("the next release of {edition} begins at {next}"),
                None => format!("no later release follows in {edition}"),
            };
            findings.enter(&rule.id);
            findings.add("below_branch", problem);
            findings.leave();
        }
    }
}

fn once<'a>(
    field: &str,
    edition: Edition,
    rules: impl Iterator<Item = &'a Basis>,
    findings: &mut Findings<'_>,
) {
    let found = rules.filter(|basis| basis.as_of.contains(&edition)).count();
    if found != 1 {
        findings.add(field, format!("{edition} needs one rule, found {found}"));
    }
}

fn windows_rule(file: WindowsFile, sources: &Sources, findings: &mut Findings<'_>) -> WindowsRule {
    let WindowsFile {
        id,
        name,
        class,
        as_of,
        from_branch,
        below_branch,
        minimums,
        unified_agent,
        server_core,
        source,
        confidence,
        notes,
    } = file;
    findings.enter(&id);
    let below = below_branch.unwrap_or(u32::MAX);
    if from_branch >= below {
        findings.add("below_branch", format!("must be above from_branch {from_branch}"));
    }
    if server_core.is_none() == (class == WindowsClass::Server) {
        findings.add("server_core", "is for servers, and each of them needs it");
    }
    if minimums.windows(2).any(|pair| pair[0].branch >= pair[1].branch) {
        findings.add("minimums", "must rise from branch to branch");
    }
    if minimums.iter().any(|minimum| !(from_branch..below).contains(&minimum.branch)) {
        findings.add("minimums", "name a branch of another release");
    }
    let minimums = minimums.into_iter().filter_map(|file| minimum(file, findings)).collect();
    let basis = basis(as_of, source, confidence, notes, sources, findings);
    findings.leave();
    WindowsRule {
        id,
        name,
        class,
        from_branch,
        below_branch,
        minimums,
        unified_agent,
        server_core: server_core.unwrap_or(ServerCore::Supported),
        basis,
    }
}

fn minimum(file: MinimumFile, findings: &mut Findings<'_>) -> Option<Minimum> {
    let MinimumFile { branch, update, revision, confidence } = file;
    let digits = update.strip_prefix("KB").filter(|digits| (6..=8).contains(&digits.len()));
    let Some(update) = digits.and_then(|digits| digits.parse().ok()) else {
        findings.add("minimums", format!("{update:?} is no update: expected KB and 6 to 8 digits"));
        return None;
    };
    Some(Minimum { branch, revision, update, confidence })
}

fn linux_rule(file: LinuxFile, sources: &Sources, findings: &mut Findings<'_>) -> LinuxRule {
    let LinuxFile { id, as_of, minimum_sensor, distributions, source, confidence, notes } = file;
    findings.enter(&id);
    let distributions = distributions
        .map(|files| files.into_iter().map(|file| distribution(file, findings)).collect::<Vec<_>>());
    let mut ids = BTreeSet::new();
    if !distributions.iter().flatten().flat_map(|distribution| &distribution.ids).all(|id| ids.insert(id)) {
        findings.add("distributions", "name an id twice");
    }
    let rule = LinuxRule {
        minimum_sensor: version(&minimum_sensor, "minimum_sensor", findings),
        distributions,
        basis: basis(as_of, source, confidence, notes, sources, findings),
        id,
    };
    findings.leave();
    rule
}

fn distribution(file: DistributionFile, findings: &mut Findings<'_>) -> Distribution {
    let DistributionFile { name, ids, minimum, except } = file;
    if ids.is_empty() || ids.iter().any(|id| id.is_empty() || *id != id.to_ascii_lowercase()) {
        findings.add("distributions", format!("{name}: needs ids in lower case"));
    }
    let minimum = version(&minimum, "distributions", findings);
    let except = except.map(|RangeFile { from, below }| {
        (version(&from, "distributions", findings), version(&below, "distributions", findings))
    });
    Distribution { name, ids, minimum, except }
}

fn macos_rule(file: MacosFile, sources: &Sources, findings: &mut Findings<'_>) -> MacosRule {
    let MacosFile { id, as_of, minimum_sensor, minimum_release, source, confidence, notes } = file;
    findings.enter(&id);
    let rule = MacosRule {
        minimum_sensor: version(&minimum_sensor, "minimum_sensor", findings),
        minimum_release: minimum_release.map(|text| version(&text, "minimum_release", findings)),
        basis: basis(as_of, source, confidence, notes, sources, findings),
        id,
    };
    findings.leave();
    rule
}

fn exclusion(file: ExcludedFile, sources: &Sources, findings: &mut Findings<'_>) -> Exclusion {
    let ExcludedFile { what, as_of, source, confidence, notes } = file;
    Exclusion { what, basis: basis(as_of, source, confidence, notes, sources, findings) }
}

fn basis(
    as_of: Vec<Edition>,
    source: String,
    confidence: Confidence,
    notes: Option<String>,
    sources: &Sources,
    findings: &mut Findings<'_>,
) -> Basis {
    if as_of.is_empty() {
        findings.add("as_of", "names no edition");
    }
    let (source, source_date) = match sources.get(&source) {
        Some(SourceFile { title, date }) => (title.clone(), date.clone()),
        None => {
            findings.add("source", format!("{source:?} is none of the sources"));
            (source, String::new())
        }
    };
    Basis { as_of, source, source_date, confidence, notes }
}

fn version(text: &str, field: &str, findings: &mut Findings<'_>) -> VersionNumbers {
    VersionNumbers::parse(text).unwrap_or_else(|| {
        findings.add(field, format!("{text:?} is no version"));
        VersionNumbers::ZERO
    })
}

fn is_date(text: &str) -> bool {
    let form = |i: usize, byte: u8| if [4, 7].contains(&i) { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(|(i, byte)| form(i, byte))
}
