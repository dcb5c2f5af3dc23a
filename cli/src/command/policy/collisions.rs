//! `muster policy collisions`, and what is said of them after a change.

use std::collections::BTreeMap;

use muster_errors::Fault;
use muster_proto::policy::v1::{Collision, GetPolicyRequest, ListCollisionsRequest};

use crate::connect::Api;
use crate::flags::Read;
use crate::output::{Data, note};
use crate::view::policy as view;

/// Most collisions that are told after a change; the command tells all.
const TOLD_MAX: usize = 5;

/// Tells on stderr with which policies a policy collides. The change is made: that this cannot be told is no failure.
pub(super) async fn tell(api: &Api, policy: &str) {
    match find(api, policy).await {
        Ok(collisions) => {
            let names = names(api, collisions.iter().take(TOLD_MAX)).await;
            for collision in collisions.iter().take(TOLD_MAX) {
                note(&view::collides(policy, collision, &names));
            }
            if collisions.len() > TOLD_MAX {
                let rest = collisions.len() - TOLD_MAX;
                note(&format!("and {rest} more: muster policy collisions"));
            }
        }
        Err(fault) => note(&format!("collisions with other policies cannot be told now: {fault}")),
    }
}

pub(super) async fn list(policy: Option<&str>, how: Read) -> Result<(), Fault> {
    let Read { target, output } = how;
    let api = Api::connect(&target)?;
    let policy = match policy {
        Some(policy) => api.policy(policy).await?,
        None => String::new(),
    };
    let collisions = find(&api, &policy).await?;
    let names = names(&api, collisions.iter()).await;
    let items = collisions.iter().map(|collision| view::collision(collision, &names)).collect();
    Data::list("collisions", items, String::new(), view::COLLISION).print(output.format)
}

async fn find(api: &Api, policy: &str) -> Result<Vec<Collision>, Fault> {
    let request = ListCollisionsRequest { parent: api.parent(), policy: policy.to_owned() };
    Ok(api.call(api.policies().list_collisions(request)).await?.collisions)
}

/// Names for people of the policies that collide, by their ids; those that cannot be read are told by their id.
async fn names(api: &Api, collisions: impl Iterator<Item = &Collision>) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for assignment in collisions.flat_map(|collision| &collision.assignments) {
        let id = view::policy_of(assignment);
        if names.contains_key(id) {
            continue;
        }
        let request = GetPolicyRequest { name: api.name("policies", id) };
        let name = api.call(api.policies().get_policy(request)).await.map(|policy| policy.display_name);
        names.insert(id.to_owned(), name.unwrap_or_else(|_| id.to_owned()));
    }
    names
}
