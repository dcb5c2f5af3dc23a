//! `muster error`.

use clap::Subcommand;
use muster_errors::{ErrorCode, Fault};
use muster_types::enrollment::{Basis, EnrollmentCode};
use serde_json::{Value, json};

use crate::flags::Output;
use crate::output::{Data, print_text};

/// Error and enrollment codes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every code
    List {
        /// Enrollment codes, with those of Microsoft Defender for Endpoint, instead of error codes
        #[arg(long)]
        enrollment: bool,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// Say what a code means and what to do
    Explain {
        /// An error code such as TOKEN_EXPIRED, an enrollment code such as OUT_OF_SCOPE, or the number that Microsoft
        /// Defender for Endpoint shows as enrollment status, such as 15
        code: String,
    },
}

/// Runs the command.
///
/// # Errors
/// When there is no such code.
pub fn run(command: &Command) -> Result<(), Fault> {
    match command {
        Command::List { enrollment: true, output } => {
            let items = EnrollmentCode::ALL.iter().map(|code| enrollment(*code));
            let columns =
                &[("code", "/name"), ("defender codes", "/defender_codes_text"), ("meaning", "/title")];
            Data::list("enrollment_codes", items.collect(), String::new(), columns).print(output.format)
        }
        Command::List { enrollment: false, output } => {
            let items = ErrorCode::ALL.iter().map(|code| {
                let meaning = code.page().lines().nth(2).unwrap_or_default();
                json!({"name": code.as_str(), "meaning": meaning, "grpc_status": format!("{:?}", code.status())})
            });
            let columns = &[("code", "/name"), ("meaning", "/meaning")];
            Data::list("errors", items.collect(), String::new(), columns).print(output.format)
        }
        Command::Explain { code } => print_text(&explained(&code.to_uppercase())?),
    }
}

/// The pages of a code: some names are those of an error and of an enrollment code.
fn explained(text: &str) -> Result<String, Fault> {
    let error = text.parse::<ErrorCode>().ok().map(|code| code.page().to_owned());
    let enrollment = match text.parse::<u8>() {
        Ok(number) => EnrollmentCode::of_defender(number),
        Err(_) => text.parse().ok(),
    };
    let pages: Vec<_> = error.into_iter().chain(enrollment.map(page)).collect();
    if pages.is_empty() {
        let all = "`muster error list` and `muster error list --enrollment` show them all";
        return Err(Fault::invalid_field("code", format!("no code {text:?}; {all}")));
    }
    Ok(pages.join("\n"))
}

/// What an enrollment code means, in Markdown.
fn page(code: EnrollmentCode) -> String {
    let basis = match code.basis() {
        Basis::Documented => "documented by Microsoft",
        Basis::ThirdParty => "known from scripts and articles of others, not from Microsoft",
        Basis::Own => "a name of Muster's own",
    };
    let numbers = numbers(code);
    let shown = if numbers.is_empty() { String::new() } else { format!("enrollment status {numbers}, ") };
    let (title, cause, action) = (code.title(), code.cause(), code.action());
    let action = if action.is_empty() { "Nothing has to be done." } else { action };
    format!(
        "# {code}\n\n{title} ({shown}{basis})\n\n## What led to it\n\n{cause}\n\n## What to do\n\n{action}\n"
    )
}

fn numbers(code: EnrollmentCode) -> String {
    code.defender_codes().iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

fn enrollment(code: EnrollmentCode) -> Value {
    json!({
        "name": code.as_str(),
        "defender_codes": code.defender_codes(),
        "defender_codes_text": numbers(code),
        "title": code.title(),
        "cause": code.cause(),
        "action": code.action(),
        "severity": format!("{:?}", code.severity()).to_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_by_name_and_by_number() {
        assert!(explained("TOKEN_EXPIRED").is_ok_and(|page| page.contains("## What to do")));
        let by_number = explained("15").expect("a documented number");
        assert!(by_number.starts_with("# TENANT_MISMATCH"), "{by_number}");
        assert_eq!(explained("TENANT_MISMATCH").map(|page| page.contains("documented")), Ok(true));
        for unknown in ["", "NO_SUCH", "45", "-1"] {
            assert_eq!(explained(unknown).unwrap_err().code, ErrorCode::ArgumentInvalid, "{unknown:?}");
        }
    }
}
