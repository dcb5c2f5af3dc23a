//! Credentials: a secret that only the TPM of an endorsement key tells, and only if it holds the key of that name too
//! (TPM 2.0 Library, part 1, "Credential Protection" and "Key Derivation").

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use num_bigint::BigUint;
use ring::agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::endorsement::{EndorsementKey, Key};
use super::wire::sized;
use crate::attestation::{AttestationError, Challenge};
use crate::csr::sha256;

/// Bytes of SHA-256.
const DIGEST_BYTES: usize = 32;
/// Bytes of a key and a block of AES-128.
const BLOCK_BYTES: usize = 16;
/// Bytes of an RSA modulus with 2048 bits.
const MODULUS_BYTES: usize = 256;

/// Encrypts a secret of at most [`super::SECRET_BYTES`] bytes to an endorsement key, for the key of that name.
///
/// # Errors
/// [`AttestationError::Random`], or [`AttestationError::EndorsementKey`] for a point that is not on the curve.
pub fn make_credential(
    ek: &EndorsementKey,
    name: &[u8],
    secret: &[u8],
) -> Result<Challenge, AttestationError> {
    let (seed, encrypted_seed) = match &ek.key {
        Key::Rsa2048 { modulus, exponent } => {
            let seed = random::<DIGEST_BYTES>()?;
            (seed, oaep(modulus, exponent, &seed, b"IDENTITY\0")?)
        }
        Key::P256(point) => agree(point)?,
    };
    let mut blob = sized(secret);
    cfb_encrypt(&kdfa(&seed, "STORAGE", name), &mut blob);
    let integrity_key: [u8; DIGEST_BYTES] = kdfa(&seed, "INTEGRITY", &[]);
    let integrity = hmac_sha256(&integrity_key, &[&blob, name]);
    let credential_blob = sized(&[&sized(&integrity)[..], &blob].concat());
    Ok(Challenge { credential_blob, encrypted_secret: sized(&encrypted_seed) })
}

fn random<const N: usize>() -> Result<[u8; N], AttestationError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| AttestationError::Random)?;
    Ok(bytes)
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// `KDFa` of at most one round, with one context.
fn kdfa<const N: usize>(key: &[u8], label: &str, context: &[u8]) -> [u8; N] {
    const { assert!(N <= DIGEST_BYTES, "one round makes no more") };
    let size_bits = u32::try_from(N * 8).expect("at most 256");
    let made =
        hmac_sha256(key, &[&1_u32.to_be_bytes(), label.as_bytes(), &[0], context, &size_bits.to_be_bytes()]);
    made[..N].try_into().expect("it is that long")
}

/// Agrees on a seed with a key on P-256 (`KDFe` of the shared point), and tells what its holder needs for it.
fn agree(ek: &[u8; 65]) -> Result<([u8; DIGEST_BYTES], Vec<u8>), AttestationError> {
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .map_err(|_| AttestationError::Random)?;
    let public = own.compute_public_key().map_err(|_| AttestationError::Random)?;
    let (x, y) = public.as_ref()[1..].split_at(DIGEST_BYTES);
    let kdfe = |shared: &[u8]| {
        sha256(&[&1_u32.to_be_bytes(), shared, b"IDENTITY\0", x, &ek[1..=DIGEST_BYTES]].concat())
    };
    let seed = agreement::agree_ephemeral(own, &UnparsedPublicKey::new(&ECDH_P256, ek), kdfe)
        .map_err(|_| AttestationError::EndorsementKey)?;
    Ok((seed, [sized(x), sized(y)].concat()))
}

/// Encrypts by RSAES-OAEP with SHA-256 (RFC 8017, 7.1.1).
fn oaep(modulus: &[u8], exponent: &[u8], message: &[u8], label: &[u8]) -> Result<Vec<u8>, AttestationError> {
    let mut encoded = vec![0; MODULUS_BYTES];
    let (seed, data) = encoded[1..].split_at_mut(DIGEST_BYTES);
    seed.copy_from_slice(&random::<DIGEST_BYTES>()?);
    data[..DIGEST_BYTES].copy_from_slice(&sha256(label));
    let start = data.len() - message.len();
    data[start - 1] = 1;
    data[start..].copy_from_slice(message);
    mask(data, seed);
    mask(seed, data);
    let [number, exponent, modulus] = [&encoded[..], exponent, modulus].map(BigUint::from_bytes_be);
    let encrypted = number.modpow(&exponent, &modulus).to_bytes_be();
    let mut padded = vec![0; MODULUS_BYTES - encrypted.len()];
    padded.extend(encrypted);
    Ok(padded)
}

/// `MGF1` with SHA-256, laid over the target.
fn mask(target: &mut [u8], seed: &[u8]) {
    for (counter, part) in (0_u32..).zip(target.chunks_mut(DIGEST_BYTES)) {
        let digest = sha256(&[seed, &counter.to_be_bytes()].concat());
        part.iter_mut().zip(digest).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// AES-128 in CFB mode, beginning with zeros.
fn cfb_encrypt(key: &[u8; BLOCK_BYTES], text: &mut [u8]) {
    let cipher = Aes128::new(&(*key).into());
    let mut before = [0; BLOCK_BYTES];
    for part in text.chunks_mut(BLOCK_BYTES) {
        let mut block = before.into();
        cipher.encrypt_block(&mut block);
        part.iter_mut().zip(block).for_each(|(byte, mask)| *byte ^= mask);
        before[..part.len()].copy_from_slice(part);
    }
}
