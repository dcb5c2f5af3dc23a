//! Finding the server of a data folder on this machine.

use std::fs;
use std::io;
use std::path::Path;

use muster_errors::{ErrorCode, Fault};
use muster_pki::LocalTrust;
use serde::Deserialize;

use crate::ConnectOptions;

/// Where a server is that left no word.
pub const DEFAULT_ENDPOINT: &str = "https://127.0.0.1:7443";

/// File in the data folder in which a server leaves word where it is.
const ENDPOINT_FILE: &str = "endpoint.json";

#[derive(Debug, Deserialize)]
struct Word {
    endpoint: String,
}

/// How to call the server of a data folder as its admin: `endpoint` if given, else where the server said it is; the
/// authority from `pki/ca.pem` and the token from `pki/admin.token`.
///
/// # Errors
/// `CONFIG_INVALID` when the folder holds no authority, or something that cannot be read.
pub fn admin(data_dir: &Path, endpoint: Option<&str>) -> Result<ConnectOptions, Fault> {
    let endpoint = match endpoint {
        Some(endpoint) => endpoint.to_owned(),
        None => told(&data_dir.join(ENDPOINT_FILE))?.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()),
    };
    let dir = data_dir.join("pki");
    let trust = LocalTrust::open(&dir).map_err(|error| {
        let message = format!("{error}; is {} the data folder of a server (--data-dir)?", data_dir.display());
        Fault::new(ErrorCode::ConfigInvalid, message).with("data_dir", data_dir.display())
    })?;
    let options = ConnectOptions::new(endpoint, trust.ca_certs().to_vec());
    Ok(match trust.admin_token() {
        Some(token) => options.with_bearer(token.clone()),
        None => options,
    })
}

fn told(path: &Path) -> Result<Option<String>, Fault> {
    let unusable =
        |reason: String| Fault::new(ErrorCode::ConfigInvalid, format!("{}: {reason}", path.display()));
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let Word { endpoint } = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    Ok(Some(endpoint))
}
