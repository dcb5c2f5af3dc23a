//! Why a setting is what it is, in sentences.

use std::fmt;

use muster_catalog::{Catalogue, MergeMode};
use muster_types::{PolicyId, SettingId, SettingValue, WithheldReason};

use super::{Explained, Subject};
use crate::domain::resolve::{Candidate, InForce, Source, Withheld};

/// Longest value that is written out, in characters.
const VALUE_CHARS_MAX: usize = 60;
/// Most policies that are named.
const NAMED_MAX: usize = 5;

/// What there is to say of a setting.
pub(super) struct Said<'a> {
    pub(super) explained: &'a Explained,
    pub(super) in_force: Option<&'a InForce>,
    pub(super) withheld: Option<&'a Withheld>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) subject: &'a Subject,
    pub(super) name: &'a dyn Fn(PolicyId) -> String,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.in_force, self.withheld) {
            (None, None) => self.nothing(f),
            (None, Some(withheld)) => self.withheld(f, withheld),
            (Some(setting), withheld) => {
                self.set(f, setting)?;
                if let Some(withheld) = withheld {
                    let candidates = self.candidates(&withheld.candidates);
                    write!(
                        f,
                        " Part of it is withheld, since policies want different values: {candidates}."
                    )?;
                }
                if !self.explained.waivers.is_empty() {
                    f.write_str(" A waiver takes the value of another policy out.")?;
                }
                if self.explained.tamper_guarded {
                    f.write_str(" Tamper protection guards it: it holds only if the device reads it back.")?;
                }
                Ok(())
            }
        }
    }
}

impl Said<'_> {
    fn nothing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subject.facts.is_none() {
            write!(f, "Nothing is set: {}.", self.subject.idle)?;
        } else {
            f.write_str("No assigned policy sets it")?;
            match self.catalogue.setting(&self.explained.id).and_then(|setting| setting.default.as_ref()) {
                Some(default) => write!(f, "; the product's default is {}.", self.value(default))?,
                None => f.write_str("; the product decides.")?,
            }
        }
        Ok(())
    }

    fn withheld(&self, f: &mut fmt::Formatter<'_>, withheld: &Withheld) -> fmt::Result {
        match withheld.reason {
            WithheldReason::Conflict => write!(
                f,
                "Withheld: policies want different values and no priority decides: {}.",
                self.candidates(&withheld.candidates)
            ),
            WithheldReason::Waived => {
                let carried = self.policies(withheld.candidates.iter().map(|candidate| &*candidate.source));
                write!(f, "Withheld: a waiver exempts the device from what {carried} would set.")
            }
            WithheldReason::Platform
            | WithheldReason::Channel
            | WithheldReason::DomainController
            | WithheldReason::AgentVersion
            | WithheldReason::TamperProtected
            | WithheldReason::Rules => {
                let facts = self.subject.facts.as_ref();
                let why = facts.and_then(|facts| self.catalogue.why_withheld(&self.explained.id, facts));
                write!(f, "Withheld: {}", why.unwrap_or_default())
            }
        }
    }

    fn set(&self, f: &mut fmt::Formatter<'_>, setting: &InForce) -> fmt::Result {
        let InForce { value, sources, losers, mode, .. } = setting;
        let value = self.value(value);
        let policies = self.policies(sources.iter().map(|source| &**source));
        let several = sources.len() > 1;
        let joins = matches!(mode, MergeMode::Union | MergeMode::Concatenate | MergeMode::ByKey);
        match (several, joins) {
            (true, true) => write!(f, "The lists of {policies} are brought together: {value}.")?,
            (true, false) => write!(f, "{} agree on {value}.", upper(&policies))?,
            (false, _) => write!(f, "{} sets it to {value}.", upper(&policies))?,
        }
        if losers.is_empty() {
            return Ok(());
        }
        let by = match sources.iter().filter_map(|source| source.priority).min() {
            Some(priority) => format!("Priority {} decides", priority.number()),
            None => "A priority decides".to_owned(),
        };
        write!(f, " {by} over {}.", self.candidates(losers))
    }

    fn candidates(&self, candidates: &[Candidate]) -> String {
        let candidate = |Candidate { value, source }: &Candidate| {
            let priority = source.priority.map(|priority| format!(", priority {}", priority.number()));
            format!(
                "\"{}\" ({}{})",
                (self.name)(source.policy),
                self.value(value),
                priority.unwrap_or_default()
            )
        };
        listed(candidates.iter().map(candidate))
    }

    fn policies<'a>(&self, sources: impl Iterator<Item = &'a Source>) -> String {
        let names: Vec<_> = sources.map(|source| format!("\"{}\"", (self.name)(source.policy))).collect();
        let word = if names.len() == 1 { "policy" } else { "policies" };
        format!("{word} {}", listed(names.into_iter()))
    }

    fn value(&self, value: &SettingValue) -> String {
        if is_secret(self.catalogue, &self.explained.id) {
            return "a value that is not shown".to_owned();
        }
        let text = value.to_string();
        match text.char_indices().nth(VALUE_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

fn is_secret(catalogue: &Catalogue, id: &SettingId) -> bool {
    catalogue.setting(id).is_some_and(|setting| setting.secret)
}

/// `a`, `a and b`, `a, b and c`; at most [`NAMED_MAX`].
fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<_> = items.collect();
    if items.len() > NAMED_MAX {
        let others = items.len() - NAMED_MAX;
        items.truncate(NAMED_MAX);
        items.push(format!("{others} more"));
    }
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn upper(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
