//! An authority is replaced without anyone losing trust.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_pki::local::{AuthorityRole, OVERLAP, RotationError, RotationStage, RotationStep};
use muster_pki::{AuthorityFiles, Identity, InitOptions, LocalTrust, TrustError, tls};
use muster_types::{Service, Timestamp};
use rcgen::KeyPair;
use rustls::{ClientConnection, ServerConnection};
use tempfile::TempDir;

use crate::fixture::{issue, mk_id, mk_trust, now, put};

/// A device: its certificate, and whom it believes.
struct Device {
    identity: Identity,
    authorities: Vec<rustls::pki_types::CertificateDer<'static>>,
}

fn mk_device(trust: &LocalTrust, algorithm: &'static rcgen::SignatureAlgorithm) -> Device {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = issue(trust, &mk_id(1), &key);
    let identity = Identity::from_der(vec![certificate], key.serialize_der());
    Device { identity, authorities: trust.ca_certs().to_vec() }
}

/// Whether a device and a server come together over TLS on a real connection, each showing its certificate.
fn meets(device: &Device, server: &LocalTrust) -> bool {
    let identity = server.service_identity(Service::Policy).unwrap();
    let serving = tls::server_config(server.ca_certs(), &identity).unwrap();
    let calling = tls::client_config(&device.authorities, Some(&device.identity)).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        let served = scope.spawn(move || serve(&listener, serving));
        let called = call(address, calling);
        served.join().unwrap() && called
    })
}

fn serve(listener: &TcpListener, config: Arc<rustls::ServerConfig>) -> bool {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut session = ServerConnection::new(config).unwrap();
    while session.is_handshaking() {
        if session.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    session.peer_certificates().is_some()
}

fn call(address: std::net::SocketAddr, config: Arc<rustls::ClientConfig>) -> bool {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    while session.is_handshaking() {
        if session.complete_io(&mut stream).is_err() {
            return false;
        }
    }
    true
}

fn restart(dir: &Path, now: Timestamp) -> LocalTrust {
    let trust = LocalTrust::init(dir, &InitOptions::local(now)).unwrap();
    trust.note_start(now).unwrap();
    trust
}

fn rotate(trust: &LocalTrust, step: RotationStep, at: Timestamp) -> Result<RotationStage, RotationError> {
    LocalTrust::rotate(trust.dir(), step, false, at).map(|status| status.stage)
}

#[test]
fn devices_and_servers_meet_through_a_whole_rotation() {
    let (_dir, first) = mk_trust();
    let old = mk_device(&first, &rcgen::PKCS_ECDSA_P256_SHA256);
    assert!(meets(&old, &first));

    // In the past, since the connections are made at this moment.
    let weeks = i64::try_from((OVERLAP * 2).as_micros()).unwrap();
    let start = Timestamp::from_micros(now().micros() - weeks);
    assert_eq!(rotate(&first, RotationStep::Prepare, start).unwrap(), RotationStage::Prepared);
    let prepared = restart(first.dir(), start);
    let told = mk_device(&prepared, &rcgen::PKCS_ED25519);
    assert_eq!(told.authorities.len(), 2);
    assert!(meets(&old, &prepared) && meets(&told, &prepared), "the old authority still issues");

    let later = start.plus(OVERLAP);
    assert_eq!(rotate(&first, RotationStep::Switch, later).unwrap(), RotationStage::Switched);
    let switched = restart(first.dir(), later);
    assert_ne!(switched.authority().unwrap().certificate(), prepared.authority().unwrap().certificate());
    let new = mk_device(&switched, &rcgen::PKCS_ECDSA_P256_SHA256);
    assert!(meets(&told, &switched), "by the old authority, and told of the new one");
    assert!(meets(&new, &switched));
    assert!(!meets(&old, &switched), "never told of the new authority: this is what the waiting time is for");
    assert!(meets(&new, &prepared), "a server that has not started again believes the new authority too");

    let end = later.plus(OVERLAP);
    assert_eq!(rotate(&first, RotationStep::Retire, end).unwrap(), RotationStage::Settled);
    let retired = restart(first.dir(), end);
    assert_eq!(retired.ca_certs().len(), 1);
    assert!(meets(&new, &retired));
    assert!(!meets(&told, &retired), "its certificate is by the retired authority");
    assert!(retired.bundle().sequence() > prepared.bundle().sequence());
}

#[test]
fn steps_wait_for_devices_unless_forced() {
    let (_dir, trust) = mk_trust();
    let (dir, start) = (trust.dir(), now());
    let at = |after: Duration| start.plus(after);
    let second = Duration::from_secs(1);
    rotate(&trust, RotationStep::Prepare, start).unwrap();
    let not_started = rotate(&trust, RotationStep::Switch, at(OVERLAP * 2));
    assert!(matches!(not_started, Err(RotationError::NotStarted)));
    restart(dir, at(second));
    restart(dir, at(second * 5));
    let early = rotate(&trust, RotationStep::Switch, at(OVERLAP));
    assert!(matches!(early, Err(RotationError::TooEarly { until, .. }) if until == at(OVERLAP + second)));
    rotate(&trust, RotationStep::Switch, at(OVERLAP + second)).unwrap();
    assert!(matches!(rotate(&trust, RotationStep::Retire, at(OVERLAP * 3)), Err(RotationError::NotStarted)));
    restart(dir, at(OVERLAP * 3));
    assert!(matches!(
        rotate(&trust, RotationStep::Retire, at(OVERLAP * 3)),
        Err(RotationError::TooEarly { .. })
    ));
    let forced = LocalTrust::rotate(dir, RotationStep::Retire, true, at(OVERLAP * 3)).unwrap();
    assert_eq!((forced.stage, forced.started_at), (RotationStage::Settled, None));
}

#[test]
fn a_step_out_of_order_is_refused_and_one_that_was_made_changes_nothing() {
    let (_dir, trust) = mk_trust();
    let step = |step| LocalTrust::rotate(trust.dir(), step, true, now());
    let contents = || fs::read(trust.dir().join("ca.pem")).unwrap();
    assert!(matches!(step(RotationStep::Switch), Err(RotationError::NothingPrepared)));
    let settled = step(RotationStep::Retire).unwrap();
    assert_eq!(settled.stage, RotationStage::Settled);
    for (now, stage) in [
        (RotationStep::Prepare, RotationStage::Prepared),
        (RotationStep::Switch, RotationStage::Switched),
        (RotationStep::Retire, RotationStage::Settled),
    ] {
        let made = step(now).unwrap();
        assert_eq!(made.stage, stage);
        let before = contents();
        assert_eq!(step(now).unwrap(), made);
        assert_eq!(contents(), before);
        match stage {
            RotationStage::Prepared => {
                assert!(matches!(step(RotationStep::Retire), Err(RotationError::NotSwitched)));
            }
            RotationStage::Switched => {
                assert!(matches!(step(RotationStep::Prepare), Err(RotationError::NotRetired)));
            }
            RotationStage::Settled => {}
        }
    }
    let done = LocalTrust::rotation(trust.dir()).unwrap();
    assert_ne!(done.authorities, settled.authorities);
    assert!(done.services.iter().all(|service| !service.by_issuing), "made anew at the next start");
    restart(trust.dir(), now());
    let started = LocalTrust::rotation(trust.dir()).unwrap();
    assert!(
        started.services.len() == Service::ALL.len() && started.services.iter().all(|one| one.by_issuing)
    );
}

#[test]
fn a_step_that_was_cut_off_is_either_done_or_can_be_said_again() {
    let (_dir, trust) = mk_trust();
    let dir = trust.dir();
    let path = |name: &str| dir.join(name);
    let step = |step| LocalTrust::rotate(dir, step, true, now()).unwrap();
    let first = fs::read(path("ca.pem")).unwrap();
    step(RotationStep::Prepare);
    let key = fs::read(path("ca-next.key")).unwrap();
    // Cut off after the key, before the certificate.
    fs::write(path("ca.pem"), &first).unwrap();
    assert_eq!(LocalTrust::rotation(dir).unwrap().stage, RotationStage::Settled);
    restart(dir, now());
    assert_eq!(step(RotationStep::Prepare).stage, RotationStage::Prepared);
    assert_eq!(fs::read(path("ca-next.key")).unwrap(), key);
    // Cut off while a file was written: the half of it has another name.
    put(dir, "ca.pem.new", "-----BEGIN");
    assert_eq!(step(RotationStep::Switch).stage, RotationStage::Switched);
    assert_eq!(fs::read(path("ca.key")).unwrap(), key);
    let restarted = restart(dir, now());
    assert_eq!(restarted.bundle().certificates().len(), 2);
    let starts = fs::read(path("ca.rotation")).unwrap();
    assert_eq!(step(RotationStep::Retire).stage, RotationStage::Settled);
    // Cut off after the bundle, before the record's end.
    fs::write(path("ca.rotation"), starts).unwrap();
    assert_eq!(LocalTrust::rotation(dir).unwrap().started_at, None);
    step(RotationStep::Retire);
    assert!(!path("ca.rotation").exists());
    // A key that belongs to none of the certificates is noticed at once.
    fs::write(path("ca.pem"), &first).unwrap();
    assert!(matches!(LocalTrust::open(dir), Err(TrustError::Mismatch { .. })));
}

#[test]
fn roles_are_told() {
    let (_dir, trust) = mk_trust();
    let roles = |step| {
        let status = LocalTrust::rotate(trust.dir(), step, true, now()).unwrap();
        status.authorities.iter().map(|authority| authority.role).collect::<Vec<_>>()
    };
    assert_eq!(roles(RotationStep::Prepare), [AuthorityRole::Next, AuthorityRole::Issuing]);
    assert_eq!(roles(RotationStep::Switch), [AuthorityRole::Issuing, AuthorityRole::Old]);
    assert_eq!(roles(RotationStep::Retire), [AuthorityRole::Issuing]);
    let reloaded = trust.reload().unwrap();
    assert_ne!(reloaded.bundle(), trust.bundle());
}

/// A folder to be, and an authority's files elsewhere.
fn mk_given() -> (TempDir, InitOptions) {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, source) = mk_trust();
    let files = AuthorityFiles {
        certificate: put(dir.path(), "tls.crt", fs::read(source.dir().join("ca.pem")).unwrap()),
        key: put(dir.path(), "tls.key", fs::read(source.dir().join("ca.key")).unwrap()),
    };
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o440)).unwrap();
    (dir, InitOptions { authority: Some(files), ..InitOptions::local(now()) })
}

#[test]
fn an_authority_given_by_files_is_used_and_believed() {
    let (dir, options) = mk_given();
    let pki = dir.path().join("given");
    let trust = LocalTrust::init(&pki, &options).unwrap();
    assert!(!pki.join("ca.key").exists());
    assert!(meets(&mk_device(&trust, &rcgen::PKCS_ECDSA_P256_SHA256), &trust));
    let before = fs::read(pki.join("policy.pem")).unwrap();
    let again = LocalTrust::init(&pki, &options).unwrap();
    assert_eq!((again.bundle(), fs::read(pki.join("policy.pem")).unwrap()), (trust.bundle(), before));
    assert_eq!(again.reload().unwrap().bundle(), trust.bundle());
    // Another one is believed beside the first, whose certificates are still about.
    let (other_dir, other) = mk_given();
    let switched = LocalTrust::init(&pki, &other).unwrap();
    assert_eq!(switched.ca_certs().len(), 2);
    let by = |trust: &LocalTrust| trust.authority().unwrap().certificate().clone();
    assert_eq!(by(&switched), switched.ca_certs()[0]);
    assert_ne!(by(&switched), by(&trust));
    drop(other_dir);
}

#[test]
fn files_that_make_no_authority_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, options) = mk_given();
    let pki = dir.path().join("given");
    let files = options.authority.clone().unwrap();
    let init = |files: &AuthorityFiles, now| {
        let options = InitOptions { authority: Some(files.clone()), now, ..options.clone() };
        LocalTrust::init(&pki, &options).unwrap_err()
    };
    let late = now().plus(Duration::from_secs(11 * 365 * 24 * 3600));
    assert!(matches!(init(&files, late), TrustError::Ended { .. }));
    let source = dir.path().join("pki");
    let leaf = AuthorityFiles { certificate: source.join("policy.pem"), key: source.join("policy.key") };
    assert!(init(&leaf, now()).to_string().contains("may not issue others"));
    let mixed = AuthorityFiles { key: source.join("policy.key"), ..files.clone() };
    assert!(init(&mixed, now()).to_string().contains("the key is not that of the certificate"));
    let missing = AuthorityFiles { key: dir.path().join("none"), ..files.clone() };
    assert!(matches!(init(&missing, now()), TrustError::Missing { .. }));
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(matches!(init(&files, now()), TrustError::Exposed { .. }));
    assert!(!pki.join("ca.pem").exists(), "nothing was left by what was refused");
}
