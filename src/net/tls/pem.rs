//! [`Pem`]: certificates and keys as files or texts have them, and whether they are of use now. RFC 7468.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::TlsError;
use super::served;
use crate::base::{Certificate, Validity};
use crate::sys::{clock, regular};

/// A longer file has no certificates of this server, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A text, or a file with one.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Pem {
    /// What it is called, and what is in it.
    Text(&'static str, Vec<u8>),
    File(PathBuf),
}

impl Pem {
    pub(super) fn file(path: impl AsRef<Path>) -> Self {
        Self::File(path.as_ref().to_owned())
    }

    /// All certificates in it, of which there is one at least.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        let certificates = certificates.ok().filter(|certificates| !certificates.is_empty());
        certificates.ok_or_else(|| TlsError::NoCertificate(self.place()))
    }

    /// The key in it.
    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|_| TlsError::NoKey(self.place()))
    }

    /// How people find it.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Text(name, _) => (*name).to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Its file, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Text(..) => None,
            Self::File(path) => Some(path),
        }
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match self {
            Self::Text(_, text) => Ok(text.into()),
            Self::File(path) => match regular::read(path, FILE_BYTES_MAX) {
                Ok(text) => Ok(text.into()),
                Err(error) => Err(TlsError::File(path.clone(), error)),
            },
        }
    }
}

/// A certificate with the chain behind it, and its key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) chain: Pem,
    pub(super) key: Pem,
    /// Whom it is for, in lower case; `None`: for the names that are in it.
    pub(super) hosts: Option<Vec<String>>,
}

impl Pair {
    pub(super) const fn new(chain: Pem, key: Pem) -> Self {
        Self { chain, key, hosts: None }
    }

    pub(super) const fn sources(&self) -> [&Pem; 2] {
        [&self.chain, &self.key]
    }

    /// What is in the files. What may not be read any more is as it was, if it is the same and in use: whom a
    /// process has become may see less than root.
    pub(super) fn read(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
        let seen = served::look(self.sources());
        match self.read_now(provider) {
            Ok(read) => {
                let read = Arc::new(read);
                served::remember(seen, &read);
                Ok(read)
            }
            Err(TlsError::File(path, error)) if error.kind() == ErrorKind::PermissionDenied => {
                let known = served::recall(&seen).ok_or(TlsError::File(path, error))?;
                check_dates(&known.cert[0], &self.chain)?;
                Ok(known)
            }
            Err(error) => Err(error),
        }
    }

    fn read_now(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = self.chain.certificates()?;
        check_dates(&chain[0], &self.chain)?;
        CertifiedKey::from_der(chain, self.key.key()?, provider).map_err(|error| match error {
            Error::InconsistentKeys(_) => TlsError::Mismatch(self.chain.place(), self.key.place()),
            error => TlsError::Refused(format!("{}, {}: {error}", self.chain.place(), self.key.place())),
        })
    }
}

/// No client accepts a certificate before its time or after it.
fn check_dates(certificate: &CertificateDer<'_>, from: &Pem) -> Result<(), TlsError> {
    let Some(valid) = Validity::of(certificate) else { return Ok(()) };
    let now = clock::unix_time().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if now > valid.until.unix_seconds() {
        Err(TlsError::Expired(from.place(), valid.until))
    } else if now < valid.from.unix_seconds() {
        Err(TlsError::NotYetValid(from.place(), valid.from))
    } else {
        Ok(())
    }
}

/// What a certificate says, and its SHA-256.
pub(super) fn described(certificate: &CertificateDer<'_>) -> Option<Certificate> {
    Some(Certificate::new(certificate, sha256(certificate)?))
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    let suite = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
    suite?.common.hash_provider.hash(bytes).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, its first example.
    #[test]
    fn a_fingerprint_is_a_sha_256() {
        let digest: String = sha256(b"abc").unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
