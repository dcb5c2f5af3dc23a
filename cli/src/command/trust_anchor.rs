//! `muster trust-anchor`.

use std::path::PathBuf;

use clap::Subcommand;
use muster_errors::{ErrorCode, Fault};
use muster_proto::identity::v1::{
    CreateTrustAnchorRequest, DeleteTrustAnchorRequest, ListTrustAnchorsRequest, TrustAnchor, TrustAnchorKind,
};

use crate::connect::{Api, once, request_id};
use crate::flags::{Page, Read, Write};
use crate::output::Data;
use crate::view::identity;

/// Trust anchors.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register an authority whose certificates prove full registrations
    Add(Add),
    /// List the authorities
    List {
        /// Which page
        #[command(flatten)]
        page: Page,
        /// How
        #[command(flatten)]
        how: Read,
    },
    /// Remove an authority; registrations it proved stay
    Remove {
        /// The authority's id or name
        anchor: String,
        /// How
        #[command(flatten)]
        how: Write,
    },
}

/// An authority to register.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// File with its certificates in PEM
    certificates: PathBuf,
    /// Name for people, unique in the tenant
    #[arg(long)]
    name: String,
    /// What kind of authority it is
    #[arg(long, value_enum)]
    kind: Kind,
    /// Directory tenant id that its certificates must name
    #[arg(long, default_value = "", value_name = "ID")]
    directory_tenant: String,
    /// How
    #[command(flatten)]
    how: Write,
}

/// What kind of authority.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// A corporate authority
    CorporateCa,
    /// A SPIRE trust domain
    Spire,
    /// A directory that issues device certificates
    Directory,
    /// Makers of TPMs
    Tpm,
}

impl From<Kind> for TrustAnchorKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::CorporateCa => Self::CorporateCa,
            Kind::Spire => Self::Spire,
            Kind::Directory => Self::Directory,
            Kind::Tpm => Self::Tpm,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The call's fault.
pub async fn run(command: Command) -> Result<(), Fault> {
    match command {
        Command::Add(anchor) => add(anchor).await,
        Command::List { page: Page { page_size, page_token }, how: Read { target, output } } => {
            let api = Api::connect(&target)?;
            let request = ListTrustAnchorsRequest { parent: api.parent(), page_size, page_token };
            let reply = api.call(api.registrations().list_trust_anchors(request)).await?;
            let items = reply.trust_anchors.iter().map(identity::trust_anchor).collect();
            Data::list("trust_anchors", items, reply.next_page_token, identity::TRUST_ANCHOR)
                .print(output.format)
        }
        Command::Remove { anchor, how: Write { dry_run, target, output } } => {
            let api = Api::connect(&target)?;
            let name = api.trust_anchor(&anchor).await?;
            let request = DeleteTrustAnchorRequest { name, request_id: request_id(), validate_only: dry_run };
            let anchor = api.call(api.registrations().delete_trust_anchor(once(request))).await?;
            Data::one(identity::trust_anchor(&anchor), identity::TRUST_ANCHOR).print(output.format)
        }
    }
}

async fn add(anchor: Add) -> Result<(), Fault> {
    let Add { certificates, name, kind, directory_tenant, how: Write { dry_run, target, output } } = anchor;
    let unreadable = |error: std::io::Error| {
        Fault::new(ErrorCode::ArgumentInvalid, format!("cannot read {}: {error}", certificates.display()))
    };
    let pem = std::fs::read_to_string(&certificates).map_err(unreadable)?;
    let certificates = muster_pki::identity::certs_from_pem(&pem).map_err(|error| {
        Fault::new(ErrorCode::TrustAnchorInvalid, format!("{}: {error}", certificates.display()))
    })?;
    let api = Api::connect(&target)?;
    let request = CreateTrustAnchorRequest {
        parent: api.parent(),
        trust_anchor: Some(TrustAnchor {
            display_name: name,
            kind: TrustAnchorKind::from(kind).into(),
            certificates_der: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            directory_tenant_id: directory_tenant,
            ..TrustAnchor::default()
        }),
        request_id: request_id(),
        validate_only: dry_run,
    };
    let anchor = api.call(api.registrations().create_trust_anchor(once(request))).await?;
    Data::one(identity::trust_anchor(&anchor), identity::TRUST_ANCHOR).print(output.format)
}
