//! What became of keys, for people.

use muster_managed::import::Imported;
use muster_managed::report::{Finding, Outcome};

/// Most findings that are shown; JSON has them all.
const FINDINGS_SHOWN_MAX: usize = 200;

/// The report of an import.
pub(super) fn text(file: &str, imported: &Imported) -> String {
    let settings: usize = imported.drafts.iter().map(|draft| draft.settings.len()).sum();
    let of = |outcome| imported.findings.iter().filter(move |finding| finding.outcome == outcome);
    let count = |outcome| of(outcome).count();
    let mut lines = vec![format!(
        "{file}: {} in {}; {} left out, {} changed, {} noted",
        counted(settings, "setting", "settings"),
        counted(imported.drafts.len(), "policy", "policies"),
        count(Outcome::LeftOut),
        count(Outcome::Changed),
        count(Outcome::Noted),
    )];
    let mut shown = 0;
    for (outcome, heading) in [
        (Outcome::LeftOut, "left out:"),
        (Outcome::Changed, "changed:"),
        (Outcome::Noted, "taken as it is, but look:"),
    ] {
        let room = FINDINGS_SHOWN_MAX.saturating_sub(shown);
        let told: Vec<_> = of(outcome).take(room).map(line).collect();
        shown += told.len();
        if !told.is_empty() {
            lines.push(heading.to_owned());
            lines.extend(told);
        }
    }
    if shown < imported.findings.len() {
        lines.push(format!("… and {} more: -o json tells all", imported.findings.len() - shown));
    }
    lines.join("\n")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn line(finding: &Finding) -> String {
    let path = if finding.path.is_empty() { "the profile" } else { &finding.path };
    format!("  {path}: {}", finding.message)
}

#[cfg(test)]
mod tests {
    use muster_catalog::Catalogue;
    use muster_managed::import::{self, Repeated};

    use super::*;

    fn told(configuration: &str) -> String {
        let imported =
            import::mdatp_json(Catalogue::builtin(), configuration.as_bytes(), Repeated::Refuse).unwrap();
        text("managed.json", &imported)
    }

    #[test]
    fn a_report_tells_every_key_that_was_not_taken_over_as_it_was() {
        let configuration =
            r#"{"antivirusEngine": {"scanArchives": "true", "nope": 1}, "cloudService": {"proxy": "x"}}"#;
        assert_eq!(
            told(configuration),
            "managed.json: 1 setting in 1 policy; 2 left out, 1 changed, 0 noted\n\
             left out:\n  \
               antivirusEngine.nope: no key of the product\n  \
               cloudService.proxy: no policy can set linux-antivirus/cloud_proxy: it is a key of the managed JSON \
               file only\n\
             changed:\n  \
               antivirusEngine.scanArchives: \"true\" is taken for true"
        );
    }

    #[test]
    fn a_long_report_says_how_much_longer_it_is() {
        let keys: Vec<_> = (0..300).map(|number| format!("\"k{number}\": 1")).collect();
        let text = told(&format!("{{{}}}", keys.join(",")));
        assert!(text.ends_with("… and 100 more: -o json tells all"), "{text}");
        assert_eq!(text.lines().count(), 203);
    }
}
