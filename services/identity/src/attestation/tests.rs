use muster_pki::attestation::Attested;

use super::*;

/// Hardware whose number is its certificate, and whose answer to a challenge is its attestation key.
#[derive(Debug)]
struct Numbered;

impl Attestation for Numbered {
    fn challenge(
        &self,
        wish: &Wish<'_>,
        _: &[AnchorCertificate],
        _: Timestamp,
    ) -> Result<(Challenge, Pending), AttestationError> {
        let mut hardware_key_digest = [0; 32];
        hardware_key_digest[..8].copy_from_slice(&wish.chain_der[0]);
        let attested = Attested { hardware_key_digest, anchor: 0 };
        let challenge = Challenge { credential_blob: vec![1], encrypted_secret: vec![2] };
        Ok((challenge, Pending::new(vec![3], wish.attestation_key.to_vec(), attested)))
    }

    fn verify(
        &self,
        pending: &Pending,
        answer: &Answer<'_>,
        _: &Digest,
    ) -> Result<Attested, AttestationError> {
        if answer.recovered_secret == [3] {
            Ok(pending.attested().clone())
        } else {
            Err(AttestationError::Secret)
        }
    }
}

const CSR: Digest = [7; 32];

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn mk_attestations() -> Attestations {
    Attestations::new(Arc::new(Numbered))
}

fn begin(attestations: &Attestations, tpm: u64, now: Timestamp) -> Result<Uuid, Fault> {
    let chain = [tpm.to_be_bytes().to_vec()];
    let wish = Wish { chain_der: &chain, attestation_key: &[] };
    attestations.begin(TenantId::DEFAULT, &wish, &[], now).map(|(id, _)| id)
}

fn answer(
    attestations: &Attestations,
    id: Uuid,
    secret: u8,
    csr: &Digest,
    now: Timestamp,
) -> Result<Digest, ErrorCode> {
    let proof = pb::TpmProof {
        challenge_id: id.as_bytes().to_vec(),
        recovered_secret: vec![secret],
        ..Default::default()
    };
    attestations.verify(TenantId::DEFAULT, &proof, csr, now).map_err(|fault| fault.code)
}

const FAILED: Result<Digest, ErrorCode> = Err(ErrorCode::AttestationFailed);

#[test]
fn a_challenge_proves_one_request_as_often_as_it_is_asked() {
    let attestations = mk_attestations();
    let id = begin(&attestations, 1, at(0)).unwrap();
    let mut tpm = [0; 32];
    tpm[7] = 1;
    assert_eq!(answer(&attestations, id, 3, &CSR, at(1)), Ok(tpm));
    assert_eq!(answer(&attestations, id, 3, &CSR, at(2)), Ok(tpm));
    assert_eq!(answer(&attestations, id, 3, &[8; 32], at(3)), FAILED);
    assert_eq!(answer(&attestations, Uuid::nil(), 3, &CSR, at(3)), FAILED);
}

#[test]
fn a_wrong_answer_and_time_use_a_challenge_up() {
    let attestations = mk_attestations();
    let [wrong, late] = [1, 2].map(|tpm| begin(&attestations, tpm, at(0)).unwrap());
    assert_eq!(answer(&attestations, wrong, 4, &CSR, at(1)), FAILED);
    assert_eq!(answer(&attestations, wrong, 3, &CSR, at(1)), FAILED);
    assert_eq!(answer(&attestations, late, 3, &CSR, at(300)), FAILED);
    assert!(attestations.out.lock().challenges.is_empty() && attestations.out.lock().by_tpm.is_empty());
}

#[test]
fn another_tenant_s_challenge_is_unknown() {
    let attestations = mk_attestations();
    let id = begin(&attestations, 1, at(0)).unwrap();
    let proof = pb::TpmProof {
        challenge_id: id.as_bytes().to_vec(),
        recovered_secret: vec![3],
        ..Default::default()
    };
    let other = "other".parse().unwrap();
    assert!(attestations.verify(other, &proof, &CSR, at(1)).is_err());
    assert!(answer(&attestations, id, 3, &CSR, at(1)).is_ok(), "and is not used up by being asked for");
}

#[test]
fn one_tpm_does_not_take_the_others_places() {
    let attestations = mk_attestations();
    let ids: Vec<_> = (0..=CHALLENGES_PER_TPM_MAX).map(|_| begin(&attestations, 1, at(0)).unwrap()).collect();
    assert_eq!(attestations.out.lock().challenges.len(), CHALLENGES_PER_TPM_MAX);
    assert_eq!(answer(&attestations, ids[0], 3, &CSR, at(1)), FAILED);
    assert!(answer(&attestations, ids[1], 3, &CSR, at(1)).is_ok());
}

#[test]
fn challenges_have_a_limit_that_time_frees() {
    let attestations = mk_attestations();
    let most = u64::try_from(CHALLENGES_MAX).unwrap();
    for tpm in 0..most {
        begin(&attestations, tpm, at(0)).unwrap();
    }
    assert_eq!(begin(&attestations, most, at(299)).unwrap_err().code, ErrorCode::Overloaded);
    begin(&attestations, most, at(300)).unwrap();
    assert_eq!(attestations.out.lock().challenges.len(), 1);
}
