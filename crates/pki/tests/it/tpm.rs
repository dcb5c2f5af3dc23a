//! Attestation against a TPM 2.0 in software (swtpm) and the tools that drive it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use muster_pki::attestation::{
    Answer, Attestation as _, AttestationError, Attested, Challenge, Pending, Wish,
};
use muster_pki::proof::{AnchorCertificate, ChainError};
use muster_pki::tpm::{self, EndorsementKey, Tpm};
use muster_types::Timestamp;
use tempfile::TempDir;

use crate::fixture::{now, put, run};

const CSR_DIGEST: [u8; 32] = [0xa5; 32];
/// Longest a program may take.
const PROGRAM_WAIT_SECONDS: &str = "60";

/// A TPM in software, with an endorsement key and its certificate.
struct SoftTpm {
    dir: TempDir,
    process: Child,
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl SoftTpm {
    #[expect(clippy::print_stdout, reason = "says why a test is skipped")]
    /// Starts one; `None`, and says so, where the programs are missing.
    fn start() -> Option<Self> {
        for program in ["swtpm", "swtpm_setup", "tpm2_quote"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
            if !found.status.success() {
                println!("skipped: there is no {program}; `cargo xtask setup` installs it where run as root");
                return None;
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::create_dir(dir.path().join("ca")).unwrap();
        let authority = format!(
            "statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\ncertserial = {ca}/serial\n",
            ca = at("ca")
        );
        put(dir.path(), "authority.conf", authority);
        put(
            dir.path(),
            "options",
            "--platform-manufacturer Muster\n--platform-version 1\n--platform-model test\n",
        );
        let setup = format!(
            "create_certs_tool=swtpm_localca\ncreate_certs_tool_config={}\ncreate_certs_tool_options={}\n",
            at("authority.conf"),
            at("options")
        );
        put(dir.path(), "setup.conf", setup);
        let (made, said) = run(Command::new("timeout")
            .args([
                PROGRAM_WAIT_SECONDS,
                "swtpm_setup",
                "--tpm2",
                "--create-ek-cert",
                "--tpmstate",
                &at("state"),
            ])
            .args(["--config", &at("setup.conf")]));
        assert!(made, "{said}");
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", at("state"))])
            .args(["--server", &format!("type=unixio,path={}", at("socket"))])
            .args(["--ctrl", &format!("type=unixio,path={}", at("socket.ctrl"))])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { dir, process };
        let begun = Instant::now();
        while !this.tool("tpm2_getrandom", "--hex 1").0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "swtpm does not answer");
        }
        Some(this)
    }

    /// Runs a tool in the folder.
    fn tool(&self, name: &str, arguments: &str) -> (bool, String) {
        let outcome = run(Command::new("timeout")
            .args([PROGRAM_WAIT_SECONDS, name])
            .args(arguments.split_whitespace())
            .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", self.path("socket").display()))
            .current_dir(self.dir.path()));
        // There is no resource manager that would make room.
        run(Command::new("timeout")
            .args([PROGRAM_WAIT_SECONDS, "tpm2_flushcontext", "-t"])
            .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", self.path("socket").display())));
        outcome
    }

    fn must(&self, name: &str, arguments: &str) {
        let (done, said) = self.tool(name, arguments);
        assert!(done, "{name} {arguments}: {said}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// DER of a certificate that the TPM's maker keeps.
    fn certificate(&self, name: &str) -> Vec<u8> {
        let pem = fs::read_to_string(self.path("ca").join(name)).unwrap();
        muster_pki::identity::certs_from_pem(&pem).unwrap()[0].to_vec()
    }

    fn anchors(&self) -> Vec<AnchorCertificate> {
        vec![AnchorCertificate::read(&self.certificate("swtpm-localca-rootca-cert.pem")).unwrap()]
    }

    /// Certificate of the endorsement key, and its intermediate.
    fn chain(&self) -> Vec<Vec<u8>> {
        self.must("tpm2_nvread", "0x1c00002 -o ek.der");
        vec![self.read("ek.der"), self.certificate("issuercert.pem")]
    }

    /// An attestation key under `ek.ctx`; its public area.
    fn attestation_key(&self, name: &str, kind: &str) -> Vec<u8> {
        self.must("tpm2_createak", &format!("-C ek.ctx -c {name}.ctx -g sha256 {kind} -f tss -u {name}.pub"));
        self.read(&format!("{name}.pub"))
    }

    /// Lets the TPM recover the secret of a challenge.
    fn recover(&self, challenge: &Challenge, ek: &str, ak: &str) -> Option<Vec<u8>> {
        let header = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        let file = [&header[..], &challenge.credential_blob, &challenge.encrypted_secret].concat();
        put(self.dir.path(), "credential", file);
        drop(fs::remove_file(self.path("secret")));
        self.must("tpm2_startauthsession", "--policy-session -S session.ctx");
        self.must("tpm2_policysecret", "-S session.ctx -c e");
        let arguments = format!("-c {ak}.ctx -C {ek}.ctx -i credential -o secret -P session:session.ctx");
        let (recovered, _) = self.tool("tpm2_activatecredential", &arguments);
        self.must("tpm2_flushcontext", "session.ctx");
        recovered.then(|| self.read("secret"))
    }

    /// A quote and its signature.
    fn quote(&self, ak: &str, qualifying: &[u8]) -> (Vec<u8>, Vec<u8>) {
        // The tool does not ask the key for its scheme.
        let scheme = if ak == "rsapss" { "--scheme rsapss" } else { "" };
        let hex: String = qualifying.iter().map(|byte| format!("{byte:02x}")).collect();
        self.must(
            "tpm2_quote",
            &format!("-c {ak}.ctx {scheme} -l sha256:0,7 -q {hex} -m quote -s signature -g sha256"),
        );
        (self.read("quote"), self.read("signature"))
    }
}

fn verify(
    pending: &Pending,
    secret: &[u8],
    (quote, signature): &(Vec<u8>, Vec<u8>),
) -> Result<Attested, AttestationError> {
    Tpm.verify(pending, &Answer { recovered_secret: secret, quote, signature }, &CSR_DIGEST)
}

#[test]
fn a_tpm_attests_and_nothing_else_passes_for_it() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let (chain, anchors) = (tpm.chain(), tpm.anchors());
    let ak = tpm.attestation_key("ak", "-G ecc -s ecdsa");
    let wish = Wish { chain_der: &chain, attestation_key: &ak };
    let (challenge, pending) = Tpm.challenge(&wish, &anchors, now()).unwrap();
    let secret = tpm.recover(&challenge, "ek", "ak").unwrap();
    let quote = tpm.quote("ak", &CSR_DIGEST);
    let attested = verify(&pending, &secret, &quote).unwrap();
    assert_eq!(&attested, pending.attested());
    let again = Tpm.challenge(&wish, &anchors, now()).unwrap();
    assert_ne!(again.0, challenge);
    assert_eq!(again.1.attested(), &attested, "the same hardware");
    assert_eq!(verify(&again.1, &secret, &quote), Err(AttestationError::Secret), "of another challenge");

    let other_nonce = verify(&pending, &secret, &tpm.quote("ak", &[0xa6; 32]));
    assert!(matches!(other_nonce, Err(AttestationError::Quote { .. })), "{other_nonce:?}");
    tpm.attestation_key("other", "-G ecc -s ecdsa");
    assert_eq!(verify(&pending, &secret, &tpm.quote("other", &CSR_DIGEST)), Err(AttestationError::Signature));
    assert_eq!(tpm.recover(&challenge, "ek", "other"), None, "the secret is for the one key only");
    let mut tampered = quote.clone();
    *tampered.0.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&pending, &secret, &tampered), Err(AttestationError::Signature));
    tampered = quote.clone();
    tampered.0[0] ^= 1;
    assert!(matches!(verify(&pending, &secret, &tampered), Err(AttestationError::Quote { .. })));
    for (cut, part) in [(1, "quote"), (0, "signature")] {
        let mut short = quote.clone();
        let bytes = if part == "quote" { &mut short.0 } else { &mut short.1 };
        bytes.truncate(bytes.len() - 1 - cut);
        assert!(
            matches!(verify(&pending, &secret, &short), Err(AttestationError::Malformed { .. })),
            "{part}"
        );
    }
}

#[test]
fn keys_and_certificates_that_prove_nothing_get_no_challenge() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let (chain, anchors) = (tpm.chain(), tpm.anchors());
    let ak = tpm.attestation_key("ak", "-G ecc -s ecdsa");
    let challenge = |chain_der: &[Vec<u8>], attestation_key: &[u8], anchors: &[AnchorCertificate]| {
        Tpm.challenge(&Wish { chain_der, attestation_key }, anchors, now()).map(|_| ())
    };
    assert_eq!(challenge(&chain, &ak, &anchors), Ok(()));
    assert_eq!(challenge(&chain, &ak, &[]), Err(ChainError::NoPath.into()));
    assert_eq!(challenge(&chain[..1], &ak, &anchors), Err(ChainError::NoPath.into()));
    assert_eq!(challenge(&[], &ak, &anchors), Err(ChainError::Empty.into()));
    let (_dir, trust) = crate::fixture::mk_trust();
    let key = rcgen::KeyPair::generate().unwrap();
    let device = [crate::fixture::issue(&trust, &crate::fixture::mk_id(1), &key)];
    let ours = [AnchorCertificate::read(&trust.ca_certs()[0]).unwrap()];
    assert_eq!(challenge(&device, &ak, &ours), Err(AttestationError::NotEndorsement));
    let wish = Wish { chain_der: &chain, attestation_key: &ak };
    let early = Tpm.challenge(&wish, &anchors, Timestamp::from_micros(0)).unwrap_err();
    assert!(matches!(early, AttestationError::Certificate(ChainError::NotYetValid { .. })), "{early}");

    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
    tpm.must("tpm2_createprimary", &format!("-C o -G ecc:ecdsa-sha256 -a {attributes} -c free.ctx"));
    tpm.must("tpm2_readpublic", "-c free.ctx -f tss -o free.pub");
    let free = challenge(&chain, &tpm.read("free.pub"), &anchors).unwrap_err();
    assert_eq!(free, AttestationError::AttestationKey { problem: "signs what it is given (not restricted)" });
    tpm.must("tpm2_readpublic", "-c ek.ctx -f tss -o ek.tss");
    let decrypting = challenge(&chain, &tpm.read("ek.tss"), &anchors);
    assert!(matches!(decrypting, Err(AttestationError::AttestationKey { .. })), "{decrypting:?}");
    for length in 0..ak.len() {
        let cut = challenge(&chain, &ak[..length], &anchors);
        assert!(matches!(cut, Err(AttestationError::Malformed { .. })), "{cut:?}");
    }
}

#[test]
fn every_kind_of_key_is_challenged_and_verified() {
    let Some(tpm) = SoftTpm::start() else { return };
    tpm.must("tpm2_createek", "-c ek.ctx -G rsa -u ek.pub");
    let (chain, anchors) = (tpm.chain(), tpm.anchors());
    for (name, kind) in [("rsassa", "-G rsa -s rsassa"), ("rsapss", "-G rsa -s rsapss")] {
        let ak = tpm.attestation_key(name, kind);
        let wish = Wish { chain_der: &chain, attestation_key: &ak };
        let (challenge, pending) = Tpm.challenge(&wish, &anchors, now()).unwrap();
        let secret = tpm.recover(&challenge, "ek", name).unwrap();
        verify(&pending, &secret, &tpm.quote(name, &CSR_DIGEST)).unwrap();
    }
    // Certificates of keys on P-256 are not made by the tool, so only the credential is tried.
    tpm.must("tpm2_createek", "-c ecc.ctx -G ecc -f der -u ecc.der");
    tpm.must("tpm2_createak", "-C ecc.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -f tss -u ak.pub -n ak.name");
    let ek = EndorsementKey::from_spki(&tpm.read("ecc.der")).unwrap();
    let name = tpm::name_of(&tpm.read("ak.pub")).unwrap();
    assert_eq!(name, tpm.read("ak.name"));
    let challenge = tpm::make_credential(&ek, &name, b"a secret on a curve").unwrap();
    assert_eq!(tpm.recover(&challenge, "ecc", "ak").unwrap(), b"a secret on a curve");
}
