//! `muster verify-policy`: whether a signed policy would be obeyed, offline.

mod keys;
mod read;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use muster_envelope::{Document, Expected, Refusal, Trust};
use muster_errors::{ErrorCode, Fault};
use muster_types::{Clock as _, DeviceId, ResourceName, SystemClock, Timestamp};
use serde_json::{Value, json};

use crate::flags::Output;
use crate::output::{Data, Format, print_text, table};

/// How far the clocks of signer and device may be apart.
const SKEW: Duration = Duration::from_secs(5 * 60);
/// What is told of a policy, without its settings.
const COLUMNS: &[(&str, &str)] = &[
    ("device", "/device"),
    ("tenant", "/tenant"),
    ("version", "/version"),
    ("etag", "/etag"),
    ("issued", "/issued_at"),
    ("expires", "/expires_at"),
    ("signed by", "/key_id"),
];

/// What to verify.
#[derive(Debug, Args)]
pub struct Options {
    /// The envelope: policy.pb of an agent's state folder, or a DSSE envelope in protobuf or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Keys to believe: policy-signing.pub, or enrollment.pb of an agent's state folder [default: enrollment.pb beside
    /// FILE, else pki/policy-signing.pub of the data folder]
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// The device it must be for: its id or resource name [default: whichever it names]
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub device: Option<DeviceId>,
    /// The moment at which it must be valid, for example 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// The server's data folder
    #[arg(long, env = "MUSTER_DATA_DIR", default_value = "./muster-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// How to print
    #[command(flatten)]
    pub output: Output,
}

/// Runs the command.
///
/// # Errors
/// `POLICY_…` when the policy would not be obeyed; `CONFIG_INVALID` when a file cannot be read.
pub fn run(options: &Options) -> Result<(), Fault> {
    let Options { file, keys, device, at, data_dir, output } = options;
    let trust = keys::find(file, keys.as_deref(), data_dir)?;
    let bytes = read::file(file)?;
    match verify(&bytes, &trust, *device, at.unwrap_or_else(|| SystemClock.now())) {
        Ok(document) => print(&document, output.format),
        Err(Refusal { code, message, etag }) => {
            if output.format == Format::Json {
                let etag = etag.map(|etag| hex(&etag));
                let told =
                    json!({"verified": false, "code": code.as_str(), "message": message, "etag": etag});
                print_text(&format!("{told:#}"))?;
            }
            Err(Fault::new(code, message))
        }
    }
}

fn verify(
    bytes: &[u8],
    trust: &Trust,
    device: Option<DeviceId>,
    now: Timestamp,
) -> Result<Document, Refusal> {
    let document = Document::open(&read::envelope(bytes)?, trust)?;
    let device = device.unwrap_or(document.device);
    document.check(&Expected { tenant: document.tenant, device, last: None, now, skew: SKEW })?;
    Ok(document)
}

fn print(document: &Document, format: Format) -> Result<(), Fault> {
    let value = value(document);
    if format != Format::Table {
        return Data::one(value, COLUMNS).print(format);
    }
    let about = COLUMNS
        .iter()
        .map(|(heading, pointer)| vec![(*heading).to_owned(), crate::output::cell(&value, pointer)]);
    let settings = document.settings.iter().map(|(id, value)| vec![id.to_string(), value.to_string()]);
    let withheld = document.withheld.iter().map(|(id, reason)| {
        vec![id.to_string(), serde_json::to_value(reason).map_or_else(|_| String::new(), |r| text(&r))]
    });
    let mut parts = vec![table(&[], about), table(&["setting", "value"], settings)];
    if !document.withheld.is_empty() {
        parts.push(table(&["withheld", "because of"], withheld));
    }
    print_text(&parts.join("\n\n"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn value(document: &Document) -> Value {
    let Document {
        tenant,
        device,
        etag,
        version,
        issued_at,
        expires_at,
        settings,
        withheld,
        key_id,
        signed: _,
    } = document;
    json!({
        "verified": true,
        "name": ResourceName::Device(*tenant, *device).to_string(),
        "tenant": tenant.to_string(),
        "device": device.to_string(),
        "version": version,
        "etag": hex(etag),
        "issued_at": issued_at.to_string(),
        "expires_at": expires_at.to_string(),
        "key_id": key_id,
        "settings": settings.iter().map(|(id, value)| json!({"id": id, "value": value})).collect::<Vec<_>>(),
        "withheld": withheld.iter().map(|(id, reason)| json!({"id": id, "reason": reason})).collect::<Vec<_>>(),
    })
}

fn device(text: &str) -> Result<DeviceId, String> {
    let id = text.rsplit('/').next().unwrap_or_default();
    id.parse().map_err(|_| format!("expected a device's id or resource name, found {text:?}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unreadable(path: &Path, problem: impl std::fmt::Display) -> Fault {
    Fault::new(ErrorCode::ConfigInvalid, format!("{} cannot be read: {problem}", path.display()))
}

#[cfg(test)]
mod tests;
