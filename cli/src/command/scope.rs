//! `muster scope`.

use clap::Subcommand;
use muster_errors::Fault;
use muster_proto::enroll::v1::{
    EnforcementScope, Entitlement, EntitlementKind, GetEnforcementScopeRequest, RulesAsOf, ScopeMode,
    UpdateEnforcementScopeRequest,
};
use serde_json::json;

use crate::connect::{Api, once, request_id};
use crate::flags::{Read, Write};
use crate::output::Data;
use crate::view::enroll;

/// The enforcement scope.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show which devices this channel may manage, and on what terms
    Get {
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Change it; what is not given stays. Exactly the devices whose outcome changes are decided again; --dry-run counts them
    Set(Box<Change>),
}

/// Which devices of a kind are in scope.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Mode {
    /// None
    Off,
    /// Those with the tag
    Tagged,
    /// All
    All,
}

/// Which product the tenant is entitled to.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Product {
    /// Endpoint licences
    Endpoint,
    /// Server licences only: does not qualify
    ServersOnly,
    /// None
    None,
}

/// Which edition of the platform rules counts.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Edition {
    /// Those of 2023-09
    #[value(name = "2023-09")]
    Of202309,
    /// The current ones
    Current,
}

/// A change of the enforcement scope.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Windows clients
    #[arg(long, value_enum)]
    windows_client: Option<Mode>,
    /// Windows Server
    #[arg(long, value_enum)]
    windows_server: Option<Mode>,
    /// Domain controllers; Windows Server has to be on
    #[arg(long, value_enum)]
    domain_controllers: Option<Mode>,
    /// Linux
    #[arg(long, value_enum)]
    linux: Option<Mode>,
    /// macOS
    #[arg(long, value_enum)]
    macos: Option<Mode>,
    /// The tag of tagged devices
    #[arg(long, default_value = "")]
    tag: String,
    /// Whether tags count that a device set itself
    #[arg(long, value_name = "BOOL")]
    trust_device_tags: Option<bool>,
    /// Whether this channel may manage at all
    #[arg(long, value_name = "BOOL")]
    allow_channel: Option<bool>,
    /// Whether Configuration Manager keeps authority over the devices that it manages
    #[arg(long, value_name = "BOOL")]
    config_mgr_authority: Option<bool>,
    /// Whether devices onboarded through a cloud defender may be managed
    #[arg(long, value_name = "BOOL")]
    include_cloud_defender: Option<bool>,
    /// Which product the tenant is entitled to
    #[arg(long, value_enum)]
    entitlement: Option<Product>,
    /// How many devices may be managed at a time; 0 means no limit
    #[arg(long)]
    seats: Option<u32>,
    /// Which edition of the platform rules counts
    #[arg(long, value_enum)]
    rules_as_of: Option<Edition>,
    /// Whether devices show the labels of the behaviour up to 2023-09-25
    #[arg(long, value_name = "BOOL")]
    legacy_labels: Option<bool>,
    /// Etag the scope must still have
    #[arg(long, default_value = "")]
    etag: String,
    /// How
    #[command(flatten)]
    how: Write,
}

impl From<Mode> for ScopeMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Off => Self::Off,
            Mode::Tagged => Self::Tagged,
            Mode::All => Self::All,
        }
    }
}

impl From<Product> for EntitlementKind {
    fn from(product: Product) -> Self {
        match product {
            Product::Endpoint => Self::Endpoint,
            Product::ServersOnly => Self::ServersOnly,
            Product::None => Self::None,
        }
    }
}

impl From<Edition> for RulesAsOf {
    fn from(edition: Edition) -> Self {
        match edition {
            Edition::Of202309 => Self::RulesAsOf202309,
            Edition::Current => Self::Current,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Get { how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let scope = get(&api).await?;
            Data::one(enroll::scope(&scope), enroll::SCOPE).print(output.format)
        }
        Command::Set(change) => set(*change).await,
    }
}

async fn get(api: &Api) -> Result<EnforcementScope, Fault> {
    let request = GetEnforcementScopeRequest { name: name(api) };
    api.call(api.enrollment_admin().get_enforcement_scope(request)).await
}

fn name(api: &Api) -> String {
    format!("{}/enforcementScope", api.parent())
}

async fn set(change: Change) -> Result<(), Fault> {
    let Write { dry_run, target, output } = change.how.clone();
    let api = Api::connect(&target)?;
    let mut scope = EnforcementScope { name: name(&api), ..change.scope() };
    if let Some(entitlement) = &mut scope.entitlement
        && change.seats.is_none()
    {
        // A limit of 0 means none, so one that is not given has to be told from what there is.
        entitlement.seats = get(&api).await?.entitlement.unwrap_or_default().seats;
    }
    let request = UpdateEnforcementScopeRequest {
        enforcement_scope: Some(scope),
        etag: change.etag,
        request_id: request_id(),
        validate_only: dry_run,
    };
    let reply = api.call(api.enrollment_admin().update_enforcement_scope(once(request))).await?;
    let mut item = enroll::scope(&reply.enforcement_scope.unwrap_or_default());
    item["devices_gained"] = json!(reply.devices_gained);
    item["devices_lost"] = json!(reply.devices_lost);
    item["devices_recoded"] = json!(reply.devices_recoded);
    Data::one(item, enroll::SCOPE).print(output.format)
}

impl Change {
    fn scope(&self) -> EnforcementScope {
        let mode = |mode: Option<Mode>| mode.map_or(ScopeMode::Unspecified, ScopeMode::from).into();
        let kind = self.entitlement.map_or(EntitlementKind::Unspecified, EntitlementKind::from);
        let entitlement = (self.entitlement.is_some() || self.seats.is_some()).then(|| Entitlement {
            kind: kind.into(),
            seats: self.seats.unwrap_or_default(),
            seats_used: 0,
        });
        EnforcementScope {
            windows_client: mode(self.windows_client),
            windows_server: mode(self.windows_server),
            domain_controllers: mode(self.domain_controllers),
            linux: mode(self.linux),
            macos: mode(self.macos),
            tag: self.tag.clone(),
            trust_device_tags: self.trust_device_tags,
            allow_channel: self.allow_channel,
            config_mgr_authority: self.config_mgr_authority,
            include_cloud_defender: self.include_cloud_defender,
            entitlement,
            rules_as_of: self.rules_as_of.map_or(RulesAsOf::Unspecified, RulesAsOf::from).into(),
            legacy_labels: self.legacy_labels,
            ..EnforcementScope::default()
        }
    }
}
