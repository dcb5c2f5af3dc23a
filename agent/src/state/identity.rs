//! Keys and certificates: the present ones, and those that will take their place.
//!
//! The present certificate names its key: whichever key file holds it belongs to it. So one rename, that of
//! `enrollment.pb`, is the moment at which the new identity takes the old one's place; what a crash leaves undone
//! besides, [`StateDir::take_up`] does.

use std::fs;

use muster_errors::ErrorCode;
use muster_pki::csr;
use muster_proto::enroll::v1::OnboardResponse;
use muster_proto::identity::v1::RenewCertificateResponse;
use prost::Message as _;

use super::{StateDir, damaged, read, unwritable, write};
use crate::certificate;
use crate::error::Error;

const KEY: &str = "key.pkcs8";
const NEXT_KEY: &str = "next-key.pkcs8";
const ENROLLMENT: &str = "enrollment.pb";
const NEXT: &str = "next.pb";

/// Who the device is.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The answer to onboarding, with the present certificate.
    pub response: OnboardResponse,
    /// Its key in PKCS #8.
    pub key: Vec<u8>,
    /// The certificate that was got and not used yet.
    pub next: Option<Next>,
}

/// A certificate that was got and not used yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// The answer that brought it.
    pub response: RenewCertificateResponse,
    /// Its key in PKCS #8.
    pub key: Vec<u8>,
}

impl StateDir {
    /// The device's key in PKCS #8; made now if there is none.
    ///
    /// # Errors
    /// `INTERNAL` when no key can be made of it, otherwise as [`StateDir::open`].
    pub fn key(&self) -> Result<Vec<u8>, Error> {
        self.key_at(KEY)
    }

    /// The key of the certificate to get, in PKCS #8; made now if there is none. A lost answer is asked for again with the
    /// same one.
    ///
    /// # Errors
    /// As [`StateDir::key`].
    pub fn next_key(&self) -> Result<Vec<u8>, Error> {
        self.key_at(NEXT_KEY)
    }

    /// A certificate request for the device's key.
    ///
    /// # Errors
    /// As [`StateDir::key`].
    pub fn certificate_request(&self) -> Result<Vec<u8>, Error> {
        request(KEY, &self.key()?)
    }

    /// A certificate request for the next key.
    ///
    /// # Errors
    /// As [`StateDir::key`].
    pub fn next_certificate_request(&self) -> Result<Vec<u8>, Error> {
        request(NEXT_KEY, &self.next_key()?)
    }

    /// The answer to onboarding, whether or not its certificate is of any use.
    ///
    /// # Errors
    /// `INTERNAL` when the file is damaged.
    pub fn enrollment(&self) -> Result<Option<OnboardResponse>, Error> {
        self.message(ENROLLMENT)
    }

    /// Who the device is, as far as it can be told without changing anything: the certificate is of a key at hand.
    ///
    /// # Errors
    /// `INTERNAL` when a file is damaged or cannot be read.
    pub fn identity(&self) -> Result<Option<Kept>, Error> {
        if self.offboarded()?.is_some() {
            return Ok(None);
        }
        let Some(response) = self.enrollment()? else { return Ok(None) };
        let Some(own) = response.certificate_chain_der.first() else { return Ok(None) };
        let own_key = |name| -> Result<_, Error> {
            Ok(read(&self.dir.join(name))?.filter(|key| certificate::belongs(own, key)))
        };
        if let Some(key) = own_key(KEY)? {
            let next = self.next()?;
            return Ok(Some(Kept { response, key, next }));
        }
        Ok(own_key(NEXT_KEY)?.map(|key| Kept { response, key, next: None }))
    }

    /// Who the device is. Finishes what the last run left undone.
    ///
    /// # Errors
    /// `INTERNAL` when a file is damaged, otherwise as [`StateDir::open`].
    pub fn take_up(&self) -> Result<Option<Kept>, Error> {
        if self.offboarded()?.is_some() {
            self.forget()?;
            return Ok(None);
        }
        let kept = self.identity()?;
        if let Some(kept) = &kept
            && read(&self.dir.join(KEY))?.as_ref() != Some(&kept.key)
        {
            self.take_next_key()?;
        }
        if kept.as_ref().is_none_or(|kept| kept.next.is_none()) {
            self.remove(NEXT)?;
        }
        Ok(kept)
    }

    /// Keeps the answer to onboarding; what was of another life is forgotten.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_enrollment(&self, response: &OnboardResponse) -> Result<(), Error> {
        // In this order: with both files, the device has left.
        self.remove("offboarded.json")?;
        self.remove("standing.json")?;
        self.drop_next()?;
        write(&self.dir.join(ENROLLMENT), &response.encode_to_vec())
    }

    /// Keeps a certificate for the next key beside the present one.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_next(&self, response: &RenewCertificateResponse) -> Result<(), Error> {
        write(&self.dir.join(NEXT), &response.encode_to_vec())
    }

    /// Forgets the certificate beside the present one, and its key.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn drop_next(&self) -> Result<(), Error> {
        self.remove(NEXT)?;
        self.remove(NEXT_KEY)
    }

    /// Puts the next certificate in the place of the present one.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn switch(&self, response: &OnboardResponse) -> Result<(), Error> {
        write(&self.dir.join(ENROLLMENT), &response.encode_to_vec())?;
        self.take_next_key()?;
        self.remove(NEXT)
    }

    /// Keeps what the services told since of what they answered to onboarding. The certificate must be the present one.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn keep_told(&self, response: &OnboardResponse) -> Result<(), Error> {
        write(&self.dir.join(ENROLLMENT), &response.encode_to_vec())
    }

    /// Makes a new key for the next onboarding: the present certificate is of no use without the old one.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn drop_identity(&self) -> Result<(), Error> {
        self.drop_next()?;
        let _: Vec<u8> = self.new_key(KEY)?;
        Ok(())
    }

    /// The certificate that was got and not used yet, if it is of the next key.
    fn next(&self) -> Result<Option<Next>, Error> {
        let Some(key) = read(&self.dir.join(NEXT_KEY))? else { return Ok(None) };
        // Damaged, it is got again.
        let response: Option<RenewCertificateResponse> = self.message(NEXT).ok().flatten();
        let usable = |response: &RenewCertificateResponse| {
            response.certificate_chain_der.first().is_some_and(|own| certificate::belongs(own, &key))
        };
        Ok(response.filter(usable).map(|response| Next { response, key }))
    }

    fn take_next_key(&self) -> Result<(), Error> {
        let path = self.dir.join(KEY);
        let moved =
            fs::rename(self.dir.join(NEXT_KEY), &path).and_then(|()| fs::File::open(&self.dir)?.sync_all());
        moved.map_err(|error| unwritable(&path, error))
    }

    fn key_at(&self, name: &str) -> Result<Vec<u8>, Error> {
        match read(&self.dir.join(name))? {
            Some(key) => Ok(key),
            None => self.new_key(name),
        }
    }

    fn new_key(&self, name: &str) -> Result<Vec<u8>, Error> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| Error::new(ErrorCode::Internal, format!("no key could be made: {error}")))?;
        write(&self.dir.join(name), key.serialized_der())?;
        Ok(key.serialize_der())
    }

    fn message<M: prost::Message + Default>(&self, name: &str) -> Result<Option<M>, Error> {
        let path = self.dir.join(name);
        read(&path)?.map(|bytes| M::decode(&*bytes).map_err(|_| damaged(&path))).transpose()
    }
}

fn request(name: &str, key: &[u8]) -> Result<Vec<u8>, Error> {
    let unusable = |error: rcgen::Error| {
        Error::new(ErrorCode::Internal, format!("{name} in the state folder is no usable key: {error}"))
    };
    let key = rcgen::KeyPair::try_from(key).map_err(unusable)?;
    csr::create(&key).map_err(unusable)
}
