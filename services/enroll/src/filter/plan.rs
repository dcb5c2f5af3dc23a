//! What a filter comes to: sets of devices where an index knows them, and a question to each row where none does.

use std::borrow::Cow;

use muster_proto::enroll::v1 as pb;
use muster_types::TenantId;
use roaring::RoaringBitmap;

use super::fields::Test;
use super::parse::Expr;
use crate::projection::devices::{Devices, Facet};

/// A filter taken apart into what indexes answer and what they do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// All of these hold; indexed.
    sets: Vec<Expr<Test>>,
    /// And all of these; asked row by row.
    rest: Vec<Expr<Test>>,
    /// Whether devices that are gone are asked for.
    gone: bool,
}

impl Plan {
    /// Takes a filter apart.
    #[must_use]
    pub fn of(filter: Expr<Test>) -> Self {
        let gone = filter.mentions(&Test::asks_for_gone);
        let all = match filter {
            Expr::All(all) => all,
            one @ (Expr::Any(_) | Expr::Not(_) | Expr::Test(_)) => vec![one],
        };
        let (rest, sets) = all.into_iter().partition(|one| one.mentions(&|test| !test.is_indexed()));
        Self { sets, rest, gone }
    }

    /// Whether [`Plan::candidates`] are exactly what matches.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.rest.is_empty()
    }

    /// The devices of a tenant that match as far as indexes can tell. Deleted and merged ones are among them only when
    /// the filter names them.
    #[must_use]
    pub fn candidates(&self, devices: &Devices, tenant: TenantId) -> RoaringBitmap {
        let mut all = devices.of_tenant(tenant);
        if !self.gone {
            all -= devices.with(Facet::Status(pb::EnrollmentStatus::Deleted));
        }
        for set in &self.sets {
            all = within(set, devices, all);
        }
        all
    }

    /// Whether a candidate matches.
    #[must_use]
    pub fn holds(&self, devices: &Devices, number: u32) -> bool {
        self.rest.iter().all(|one| one.holds(&|test: &Test| test.holds(devices, number)))
    }
}

/// Those of `all` for which an indexed expression holds.
fn within(expr: &Expr<Test>, devices: &Devices, all: RoaringBitmap) -> RoaringBitmap {
    match expr {
        Expr::All(exprs) => exprs.iter().fold(all, |all, one| within(one, devices, all)),
        Expr::Any(exprs) => {
            exprs.iter().fold(RoaringBitmap::new(), |any, one| any | within(one, devices, all.clone()))
        }
        Expr::Not(one) => {
            let not = within(one, devices, all.clone());
            all - not
        }
        Expr::Test(test) => all & set(test, devices).as_ref(),
    }
}

fn set<'a>(test: &Test, devices: &'a Devices) -> Cow<'a, RoaringBitmap> {
    match test {
        Test::Has(facet) => Cow::Borrowed(devices.with(*facet)),
        Test::Tag(tag) => Cow::Borrowed(devices.tagged(tag.as_deref())),
        Test::Text(..) | Test::Version(..) | Test::Time(..) => {
            Cow::Owned((0..).take(devices.len()).filter(|number| test.holds(devices, *number)).collect())
        }
    }
}
