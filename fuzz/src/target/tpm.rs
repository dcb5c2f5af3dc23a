//! Structures of TPMs: public areas, quotes and signatures. The input is taken as each of them, and as a quote and a
//! signature one after the other, with the first byte saying where the second begins.

use muster_pki::attestation::{Answer, Attestation as _, Attested, Pending};
use muster_pki::tpm::{self, EndorsementKey, Tpm};

pub(crate) fn run(bytes: &[u8]) -> bool {
    let mut taken = false;
    if let Ok(name) = tpm::name_of(bytes) {
        taken = true;
        assert_eq!(name.len(), 34);
    }
    if let Ok(key) = EndorsementKey::from_spki(bytes) {
        taken = true;
        drop(tpm::make_credential(&key, &[7; 34], &[1; tpm::SECRET_BYTES]));
    }
    let Some((at, rest)) = bytes.split_first() else { return taken };
    let (quote, signature) = rest.split_at(usize::from(*at).min(rest.len()));
    let attested = Attested { hardware_key_digest: [0; 32], anchor: 0 };
    let pending = Pending::new(vec![1], public_area(), attested);
    let answer = Answer { recovered_secret: &[1], quote, signature };
    assert!(Tpm.verify(&pending, &answer, &[2; 32]).is_err(), "nobody holds the key");
    taken
}

/// A restricted signing key on P-256, whose point is the curve's base.
fn public_area() -> Vec<u8> {
    let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    let y = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let area = format!("0023000b00050072000000100018000b000300100020{x}0020{y}");
    let area = hex(&area);
    [&u16::try_from(area.len()).unwrap_or(0).to_be_bytes()[..], &area].concat()
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or(0);
    (0..digits.len()).step_by(2).map(byte).collect()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let name = [&[0, 34, 0, 11][..], &[9; 32]].concat();
    let clock = [0; 25];
    let said = [&[0, 32][..], &[2; 32]].concat();
    let registers = hex("00000001000b03810000");
    let quote = [&hex("ff5443478018")[..], &name, &said, &clock, &registers, &[0, 32], &[3; 32]].concat();
    let signature = [&hex("0018000b0020")[..], &[4; 32], &[0, 32], &[5; 32]].concat();
    let at = u8::try_from(quote.len()).unwrap_or(u8::MAX);
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
    vec![public_area(), spki, [&[at][..], &quote, &signature].concat()]
}
