//! `muster report`.

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::report::v1::{GetDeviceReportRequest, GetPolicyReportRequest};
use serde_json::Value;

use crate::connect::Api;
use crate::flags::{Output, Target};
use crate::output::{Data, Format, note, print_json};
use crate::view;

/// How devices stand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What a device last said of each setting
    Device {
        /// The device's id or host name
        device: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
    /// How the devices of a policy stand
    Policy {
        /// The policy's id or name
        policy: String,
        /// How to find the server
        #[command(flatten)]
        target: Target,
        /// How to print
        #[command(flatten)]
        output: Output,
    },
}

/// Columns of a policy's report.
const POLICY: &[(&str, &str)] = &[
    ("policy", "/policy"),
    ("targeted", "/targeted"),
    ("succeeded", "/counts/succeeded"),
    ("error", "/counts/error"),
    ("conflict", "/counts/conflict"),
    ("pending", "/counts/pending"),
    ("not applicable", "/counts/not_applicable"),
    ("at", "/position"),
];

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Device { device, target, output } => {
            let api = Api::connect(&target)?;
            let request = GetDeviceReportRequest { device: api.device(&device).await?, ..Default::default() };
            let report = api.call(api.reports().get_device_report(request)).await?;
            let value = view::device_report(&report);
            if output.format == Format::Json {
                return print_json(&value);
            }
            note(&format!(
                "{}: {}, reported {}",
                view::id(&report.device),
                value["check_in_status"].as_str().unwrap_or_default(),
                value["report_time"].as_str().unwrap_or("never"),
            ));
            let settings = value["settings"].as_array().cloned().unwrap_or_default();
            Data::list("settings", settings, String::new(), view::SETTING).print(output.format)
        }
        Command::Policy { policy, target, output } => {
            let api = Api::connect(&target)?;
            let request = GetPolicyReportRequest { policy: api.policy(&policy).await? };
            let report = api.call(api.reports().get_policy_report(request)).await?;
            let mut value = view::policy_report(&report);
            for (_, pointer) in POLICY.iter().filter(|(_, pointer)| pointer.starts_with("/counts/")) {
                let counts = value["counts"].as_object_mut();
                let key = pointer.trim_start_matches("/counts/").to_owned();
                counts.map(|counts| counts.entry(key).or_insert(Value::from(0)));
            }
            Data::one(value, POLICY).print(output.format)
        }
    }
}
