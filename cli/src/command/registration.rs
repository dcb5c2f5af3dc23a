//! `muster registration`.

mod feed;

use std::path::PathBuf;

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::identity::v1::{
    CloneResolution, DeleteDirectoryDeviceRequest, DeleteRegistrationRequest, GetRegistrationRequest,
    ListDirectoryDevicesRequest, ListRegistrationsRequest, PromoteRegistrationRequest, Registration,
    RegistrationKind, RegistrationState, ResolveCloneRequest, RevokeTrustRequest,
};

use crate::connect::{Api, once, request_id};
use crate::flags::{Output, Page, Read, Write};
use crate::output::Data;
use crate::view::identity;

/// Registrations of devices.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List registrations, or what a directory said of its devices
    List {
        /// What the directory feeds told, instead of our own registrations
        #[arg(long)]
        directory: bool,
        /// With --directory: only those that more than one device matches
        #[arg(long, requires = "directory")]
        ambiguous: bool,
        /// Only this kind
        #[arg(long, value_enum, conflicts_with = "directory")]
        kind: Option<Kind>,
        /// Only this state [default: all but removed ones]
        #[arg(long, value_enum, conflicts_with = "directory")]
        state: Option<State>,
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Show a device's registration
    Get {
        /// The device's id or host name
        device: String,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Take over a directory's devices from a file of JSON lines; devices of the same hardware are promoted
    ///
    /// Each line is an object with `id`, and as far as known `displayName`, `joinType` (AzureAD, ServerAD, Workplace),
    /// `smbiosUuid`, `serialNumber`, `machineId`, `hardwareKeys` ({kind, digest}) and `attributes` (texts by name).
    /// Numbers of the hardware leave this machine only as digests. Importing the same file again changes nothing.
    Import {
        /// The file; `-` for standard input
        file: PathBuf,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Forget what a directory said of a device
    Forget {
        /// The device's id in the directory, or the directory device's resource name
        directory_device: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Promote a device's synthetic registration to the directory's, where more than one device or none matched
    Promote {
        /// The device's id or host name
        device: String,
        /// The device's id in the directory
        #[arg(long, value_name = "DIRECTORY_ID")]
        to: String,
        /// Another device that is the same machine and is merged into this one; may be given again
        #[arg(long, value_name = "DEVICE")]
        merge: Vec<String>,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// End all certificates of a device at once; it must onboard again
    Revoke {
        /// The device's id or host name
        device: String,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Resolve a suspected clone
    Resolve {
        /// The device's id or host name
        device: String,
        /// It was none, or the copy is gone: policy flows again
        #[arg(long, required_unless_present = "reissue", conflicts_with = "reissue")]
        dismiss: bool,
        /// Believe neither: all certificates end, and each machine onboards again with a token
        #[arg(long)]
        reissue: bool,
        /// How
        #[command(flatten)]
        how: Write,
    },
    /// Remove a registration; the device is deleted everywhere
    Delete {
        /// The device's id or host name
        device: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
}

/// What a registration rests on.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// Made by this installation
    Synthetic,
    /// Proven, or known to the directory
    Full,
}

/// Where a registration stands.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum State {
    /// Trusted
    Active,
    /// Suspected of being cloned
    Quarantined,
    /// Its certificates were ended
    Revoked,
    /// Deleted, offboarded or merged
    Removed,
}

impl From<Kind> for RegistrationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Synthetic => Self::Synthetic,
            Kind::Full => Self::Full,
        }
    }
}

impl From<State> for RegistrationState {
    fn from(state: State) -> Self {
        match state {
            State::Active => Self::Active,
            State::Quarantined => Self::Quarantined,
            State::Revoked => Self::Revoked,
            State::Removed => Self::Removed,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::List { directory: true, ambiguous, page, how, .. } => directory(ambiguous, page, how).await,
        Command::List { kind, state, page, how, .. } => list(kind, state, page, how).await,
        Command::Get { device, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let name = registration(&api, &device).await?;
            print(
                &api.call(api.registrations().get_registration(GetRegistrationRequest { name })).await?,
                output,
            )
        }
        Command::Import { file, how } => feed::import(&file, how).await,
        Command::Forget { directory_device, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.directory_device(&directory_device);
            let request =
                DeleteDirectoryDeviceRequest { name, request_id: request_id(), validate_only: dry_run };
            let device = api.call(api.registrations().delete_directory_device(once(request))).await?;
            Data::one(identity::directory_device(&device), identity::DIRECTORY_DEVICE).print(output.format)
        }
        Command::Promote { device, to, merge, how } => promote(&device, &to, &merge, how).await,
        Command::Revoke { device, reason, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = registration(&api, &device).await?;
            let request =
                RevokeTrustRequest { name, reason, request_id: request_id(), validate_only: dry_run };
            print(&api.call(api.registrations().revoke_trust(once(request))).await?, output)
        }
        Command::Resolve { device, dismiss, reissue: _, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let resolution = if dismiss { CloneResolution::Dismiss } else { CloneResolution::Reissue };
            let request = ResolveCloneRequest {
                name: registration(&api, &device).await?,
                resolution: resolution.into(),
                request_id: request_id(),
                validate_only: dry_run,
            };
            print(&api.call(api.registrations().resolve_clone(once(request))).await?, output)
        }
        Command::Delete { device, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = registration(&api, &device).await?;
            let request =
                DeleteRegistrationRequest { name, request_id: request_id(), validate_only: dry_run };
            print(&api.call(api.registrations().delete_registration(once(request))).await?, output)
        }
    }
}

fn print(registration: &Registration, output: Output) -> Result<(), Fault> {
    Data::one(identity::registration(registration), identity::REGISTRATION_DETAIL).print(output.format)
}

/// The resource name of a device's registration.
async fn registration(api: &Api, device: &str) -> Result<String, Fault> {
    Ok(api.device(device).await?.replacen("/devices/", "/registrations/", 1))
}

async fn list(kind: Option<Kind>, state: Option<State>, page: Page, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let Page { page_size, page_token } = page;
    let request = ListRegistrationsRequest {
        parent: api.parent(),
        page_size,
        page_token,
        kind: kind.map_or(RegistrationKind::Unspecified, RegistrationKind::from).into(),
        state: state.map_or(RegistrationState::Unspecified, RegistrationState::from).into(),
    };
    let reply = api.call(api.registrations().list_registrations(request)).await?;
    let items = reply.registrations.iter().map(identity::registration).collect();
    Data::list("registrations", items, reply.next_page_token, identity::REGISTRATION).print(output.format)
}

async fn directory(ambiguous_only: bool, page: Page, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let Page { page_size, page_token } = page;
    let request = ListDirectoryDevicesRequest { parent: api.parent(), page_size, page_token, ambiguous_only };
    let reply = api.call(api.registrations().list_directory_devices(request)).await?;
    let items = reply.directory_devices.iter().map(identity::directory_device).collect();
    Data::list("directory_devices", items, reply.next_page_token, identity::DIRECTORY_DEVICE)
        .print(output.format)
}

async fn promote(device: &str, to: &str, merge: &[String], how: Write) -> Result<(), Fault> {
    let Write { dry_run, target, output } = how;
    let api = Api::connect(&target)?;
    let mut merge_devices = Vec::with_capacity(merge.len());
    for other in merge {
        merge_devices.push(api.device(other).await?);
    }
    let request = PromoteRegistrationRequest {
        name: registration(&api, device).await?,
        directory_device: api.directory_device(to),
        merge_devices,
        request_id: request_id(),
        validate_only: dry_run,
    };
    print(&api.call(api.registrations().promote_registration(once(request))).await?, output)
}
