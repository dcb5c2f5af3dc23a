//! Authorities whose certificates prove full registrations, for admins.

use muster_errors::Fault;
use muster_eventlog::Actor;
use muster_proto::convert::timestamp;
use muster_proto::identity::v1 as pb;
use muster_runtime::request::page_token;
use muster_runtime::{caller, request};
use muster_types::{ResourceName, TenantId, TrustAnchorId};
use tonic::{Request, Response, Status};

use super::Grpc;
use crate::commands::Order;
use crate::commands::trust_anchor::{AddTrustAnchor, trust_anchor_id};
use crate::domain::trust_anchor::{Added, Error};
use crate::error::status;
use crate::projection::trust_anchors::AnchorRow;
use crate::queries::Rows;

pub(super) async fn create(
    grpc: &Grpc,
    request: Request<pb::CreateTrustAnchorRequest>,
) -> Result<Response<pb::TrustAnchor>, Status> {
    let actor = Actor::admin(&caller::admin(&request)?);
    let pb::CreateTrustAnchorRequest { parent, trust_anchor, request_id, validate_only } =
        request.into_inner();
    let tenant = request::parent(grpc.tenant, &parent)?;
    let add = new_anchor(tenant, trust_anchor)?;
    let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
    let done = grpc.commands.add_trust_anchor(add, &order, &grpc.queries).await.map_err(status)?;
    let id = trust_anchor_id(tenant, order.request);
    let added = done.state.added().ok_or(Error::Unknown).map_err(status)?;
    grpc.stamped(Response::new(message(&AnchorRow::new(tenant, id, added.clone()))), done.position).await
}

pub(super) async fn list(
    grpc: &Grpc,
    request: Request<pb::ListTrustAnchorsRequest>,
) -> Result<Response<pb::ListTrustAnchorsResponse>, Status> {
    caller::admin(&request)?;
    grpc.settled(&request).await?;
    let pb::ListTrustAnchorsRequest { parent, page_size, page_token: token } = request.into_inner();
    let tenant = request::parent(grpc.tenant, &parent)?;
    let page = request::page(page_size, &token, |bytes| TrustAnchorId::from_slice(bytes).ok())?;
    let Rows { rows, next } = grpc.queries.trust_anchors(tenant, page);
    Ok(Response::new(pb::ListTrustAnchorsResponse {
        trust_anchors: rows.iter().map(message).collect(),
        next_page_token: page_token(next.map(|id| *id.as_bytes())),
    }))
}

pub(super) async fn delete(
    grpc: &Grpc,
    request: Request<pb::DeleteTrustAnchorRequest>,
) -> Result<Response<pb::TrustAnchor>, Status> {
    let actor = Actor::admin(&caller::admin(&request)?);
    let pb::DeleteTrustAnchorRequest { name, request_id, validate_only } = request.into_inner();
    let id = request::trust_anchor(grpc.tenant, "name", &name)?;
    let order = Order::of(actor, request::id(&request_id)?).only_validated(validate_only);
    let done = grpc.commands.remove_trust_anchor((grpc.tenant, id), &order).await.map_err(status)?;
    let added = done.state.added().ok_or(Error::Unknown).map_err(status)?;
    grpc.stamped(Response::new(message(&AnchorRow::new(grpc.tenant, id, added.clone()))), done.position).await
}

/// The authority of a request; what the service says itself is not read.
fn new_anchor(tenant: TenantId, anchor: Option<pb::TrustAnchor>) -> Result<AddTrustAnchor, Fault> {
    let anchor = anchor.ok_or_else(|| Fault::invalid_field("trust_anchor", "must be set"))?;
    let kind = anchor.kind().try_into();
    let kind = kind.map_err(|_: &str| Fault::invalid_field("trust_anchor.kind", "must be set"))?;
    let pb::TrustAnchor {
        name: _,
        display_name,
        kind: _,
        certificates_der,
        directory_tenant_id,
        create_time: _,
        not_after: _,
    } = anchor;
    Ok(AddTrustAnchor { tenant, display_name, kind, certificates_der, directory_tenant_id })
}

fn message(row: &AnchorRow) -> pb::TrustAnchor {
    let AnchorRow { tenant, id, added, certificates: _ } = row;
    let Added { display_name, kind, certificates_der, directory_tenant_id, create_time, removed: _ } = added;
    pb::TrustAnchor {
        name: ResourceName::TrustAnchor(*tenant, *id).to_string(),
        display_name: display_name.clone(),
        kind: pb::TrustAnchorKind::from(*kind).into(),
        certificates_der: certificates_der.clone(),
        directory_tenant_id: directory_tenant_id.clone(),
        create_time: Some(timestamp(*create_time)),
        not_after: row.not_after().map(timestamp),
    }
}
