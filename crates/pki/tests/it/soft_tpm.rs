//! A TPM 2.0 in software (swtpm), driven by tpm2-tools. Other crates take this file into their tests too.
#![expect(clippy::unwrap_used, reason = "a test fixture")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use muster_pki::attestation::Challenge;
use tempfile::TempDir;

/// Longest a program may take.
const PROGRAM_WAIT_SECONDS: &str = "60";

/// A TPM in software, with an endorsement key and its certificate.
pub(crate) struct SoftTpm {
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
    pub(crate) fn start() -> Option<Self> {
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
        fs::write(at("authority.conf"), authority).unwrap();
        fs::write(
            at("options"),
            "--platform-manufacturer Muster\n--platform-version 1\n--platform-model test\n",
        )
        .unwrap();
        let setup = format!(
            "create_certs_tool=swtpm_localca\ncreate_certs_tool_config={}\ncreate_certs_tool_options={}\n",
            at("authority.conf"),
            at("options")
        );
        fs::write(at("setup.conf"), setup).unwrap();
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
    pub(crate) fn tool(&self, name: &str, arguments: &str) -> (bool, String) {
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

    pub(crate) fn must(&self, name: &str, arguments: &str) {
        let (done, said) = self.tool(name, arguments);
        assert!(done, "{name} {arguments}: {said}");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// DER of a certificate that the TPM's maker keeps.
    pub(crate) fn certificate(&self, name: &str) -> Vec<u8> {
        let pem = fs::read_to_string(self.path("ca").join(name)).unwrap();
        muster_pki::identity::certs_from_pem(&pem).unwrap()[0].to_vec()
    }

    /// Certificate of the maker of the TPM.
    pub(crate) fn maker(&self) -> Vec<u8> {
        self.certificate("swtpm-localca-rootca-cert.pem")
    }

    /// Certificate of the endorsement key, and its intermediate.
    pub(crate) fn chain(&self) -> Vec<Vec<u8>> {
        self.must("tpm2_nvread", "0x1c00002 -o ek.der");
        vec![self.read("ek.der"), self.certificate("issuercert.pem")]
    }

    /// An attestation key under `ek.ctx`; its public area.
    pub(crate) fn attestation_key(&self, name: &str, kind: &str) -> Vec<u8> {
        self.must("tpm2_createak", &format!("-C ek.ctx -c {name}.ctx -g sha256 {kind} -f tss -u {name}.pub"));
        self.read(&format!("{name}.pub"))
    }

    /// Lets the TPM recover the secret of a challenge.
    pub(crate) fn recover(&self, challenge: &Challenge, ek: &str, ak: &str) -> Option<Vec<u8>> {
        let header = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        let file = [&header[..], &challenge.credential_blob, &challenge.encrypted_secret].concat();
        fs::write(self.path("credential"), file).unwrap();
        drop(fs::remove_file(self.path("secret")));
        self.must("tpm2_startauthsession", "--policy-session -S session.ctx");
        self.must("tpm2_policysecret", "-S session.ctx -c e");
        let arguments = format!("-c {ak}.ctx -C {ek}.ctx -i credential -o secret -P session:session.ctx");
        let (recovered, _) = self.tool("tpm2_activatecredential", &arguments);
        self.must("tpm2_flushcontext", "session.ctx");
        recovered.then(|| self.read("secret"))
    }

    /// A quote and its signature.
    pub(crate) fn quote(&self, ak: &str, qualifying: &[u8]) -> (Vec<u8>, Vec<u8>) {
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

/// Runs a program and returns what it said, and whether it was content.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
