//! Trust that changes while a device is managed: a full registration for a synthetic one, a new authority for the old.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use crate::deployment::{Agent, Deployment, Shape, eventually};

/// A corporate authority, and what it gave the device.
struct Corporate {
    issuer: Issuer<'static, KeyPair>,
    authority: String,
    certificate: String,
    key: String,
}

impl Corporate {
    fn for_device(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "Example Corporation");
        let ca_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&ca_key).unwrap().pem();
        Self::issue(Issuer::new(params, ca_key), authority, name)
    }

    /// Another certificate for the device.
    fn again(self, name: &str) -> Self {
        let Self { issuer, authority, certificate: _, key: _ } = self;
        Self::issue(issuer, authority, name)
    }

    fn issue(issuer: Issuer<'static, KeyPair>, authority: String, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        Self { issuer, authority, certificate, key: key.serialize_pem() }
    }
}

/// A device that will find a certificate in two files of its folder.
fn device(deployment: &Deployment) -> (Agent, String, [std::path::PathBuf; 2]) {
    let token = deployment.muster(&["token", "create"]);
    let folder = deployment.dir.path().join("corporate");
    fs::create_dir_all(&folder).unwrap();
    let files = [folder.join("device.pem"), folder.join("device.key")];
    let options = files.each_ref().map(|file| file.to_str().unwrap());
    let options = ["--registration-cert", options[0], "--registration-key", options[1]];
    let root = deployment.machine("device");
    let agent = deployment.agent_with(&root, "device", token["secret"].as_str().unwrap(), &options);
    let id = eventually("the device is enrolled", || {
        let devices = deployment.muster(&["device", "list"]);
        let device = devices["devices"].as_array()?.first()?.clone();
        (device["enrollment_code"] == "ENROLLED").then(|| device["id"].as_str().unwrap().to_owned())
    });
    (agent, id, files)
}

/// Gives the device the certificate; the key first, since a certificate without it proves nothing.
fn give(corporate: &Corporate, [certificate, key]: &[std::path::PathBuf; 2]) {
    fs::write(key, &corporate.key).unwrap();
    fs::write(certificate, &corporate.certificate).unwrap();
}

fn register(deployment: &Deployment, corporate: &Corporate) {
    let file = deployment.dir.path().join("corporate.pem");
    fs::write(&file, &corporate.authority).unwrap();
    let file = file.to_str().unwrap();
    deployment.muster(&["trust-anchor", "add", file, "--name", "Corporate", "--kind", "corporate-ca"]);
}

const CHECK_INS: &str = "muster_calls_total{method=\"/muster.policy.v1.DevicePolicyService/CheckIn\"";

/// Has the device check in. A device that changes its connection hears no hint for that moment, so it is asked again.
fn checks_in(deployment: &Deployment, id: &str) {
    let before = deployment.metric("serve", CHECK_INS);
    eventually("the device checks in", || {
        deployment.muster(&["device", "sync", id]);
        (deployment.metric("serve", CHECK_INS) > before).then_some(())
    });
}

#[test]
fn a_full_registration_replaces_a_synthetic_one_without_a_gap_in_check_ins() {
    let deployment = Deployment::start(Shape::OneProcess);
    let corporate = Corporate::for_device("laptop-7");
    register(&deployment, &corporate);
    let (agent, id, files) = device(&deployment);
    deployment.muster(&["group", "create", "--name", "g", "--static"]);
    deployment.muster(&["group", "add", "g", &id]);
    give(&corporate, &files);
    // Check-ins go on all the while, each answered.
    let registration = eventually("the registration is full", || {
        checks_in(&deployment, &id);
        let registration = deployment.muster(&["registration", "get", &id]);
        (registration["kind"] == "full").then_some(registration)
    });
    assert!(registration["registration"].as_str().unwrap().ends_with("laptop-7"), "{registration}");
    for _ in 0..3 {
        checks_in(&deployment, &id);
    }
    let all = deployment.metric("serve", CHECK_INS);
    let fine = deployment.metric("serve", &format!("{CHECK_INS},code=\"Ok\""));
    assert_eq!(all, fine, "a check-in was refused");
    assert_eq!(deployment.muster(&["group", "get", "g"])["member_count"], 1);
    let devices = deployment.muster(&["device", "list"]);
    let [device] = &devices["devices"].as_array().unwrap()[..] else {
        panic!("one device, one record: {devices}")
    };
    assert_eq!((&device["id"], &device["registration_kind"]), (&json!(id), &json!("full")));
    drop(agent);
}

#[test]
fn a_certificate_of_an_unknown_authority_proves_nothing_and_costs_nothing() {
    let deployment = Deployment::start(Shape::OneProcess);
    let (agent, id, files) = device(&deployment);
    give(&Corporate::for_device("laptop-7"), &files);
    deployment.muster(&["device", "sync", &id]);
    eventually("the agent is told", || agent.said("PROOF_INVALID"));
    let registration = deployment.muster(&["registration", "get", &id]);
    assert_eq!((&registration["kind"], &registration["state"]), (&json!("synthetic"), &json!("active")));
    checks_in(&deployment, &id);
}

#[test]
fn a_new_authority_takes_over_while_devices_stay_connected() {
    let mut deployment = Deployment::start(Shape::OneProcess);
    let corporate = Corporate::for_device("laptop-7");
    register(&deployment, &corporate);
    let (_agent, id, files) = device(&deployment);
    let renews = |deployment: &Deployment, corporate: &Corporate| {
        let serial = || deployment.muster(&["registration", "get", &id])["certificate_serial"].clone();
        let before = serial();
        give(corporate, &files);
        eventually("the certificate is renewed", || {
            deployment.muster(&["device", "sync", &id]);
            (serial() != before).then_some(())
        });
    };
    // Both authorities are told of; devices hear of the new one when they renew.
    deployment.rotate("prepare");
    deployment.kill_and_restart("serve");
    checks_in(&deployment, &id);
    renews(&deployment, &corporate);
    // The new one issues, the servers' certificates first of all.
    deployment.rotate("switch");
    deployment.kill_and_restart("serve");
    checks_in(&deployment, &id);
    renews(&deployment, &corporate.again("laptop-7"));
    // The old one is gone.
    deployment.rotate("retire");
    deployment.kill_and_restart("serve");
    checks_in(&deployment, &id);
}
