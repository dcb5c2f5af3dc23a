use super::*;
use crate::domain::facts::tests::{a_linux_device, a_mac, a_windows_client, a_windows_server};

#[test]
fn devices_of_every_kind_are_let_in_by_default() {
    for facts in [a_linux_device(), a_mac(), a_windows_client(), a_windows_server()] {
        let verdict = assess(&Traits::of(&facts), &[], &Scope::default());
        assert_eq!(verdict.code, EnrollmentCode::Enrolled, "{}", verdict.message);
        assert_eq!(verdict.authority, ManagedBy::Muster);
    }
}
