//! `--tls` alone: a certificate for the names of this machine alone, made once and kept where the user's
//! things are.
//!
//! ```text
//!  ~/.local/share/kolk/localhost.pem    certificate and key: another one 30 days before its end
//! ```
//! Its authority is itself: who wants to trust it compares its fingerprint.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kolk::Tls;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use super::clock;
use super::failure::{Exit, Failure};

/// Whom it names.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const FILE: &str = "localhost.pem";

const DAY_SECONDS: i64 = 24 * 60 * 60;
const VALID_DAYS: i64 = 365;
/// With fewer days left, there is another one.
const LEFT_DAYS_MIN: i64 = 30;

/// The file with the certificate and its key, which is made if there is none of use.
pub(crate) fn file() -> Result<PathBuf, Failure> {
    let folder = folder(|name| std::env::var_os(name).map(PathBuf::from)).ok_or_else(|| {
        let message =
            "--tls: no folder to keep a certificate in: set HOME, or as in: --tls chain.pem,key.pem";
        Failure::new(Exit::Configuration, message)
    })?;
    let file = folder.join(FILE);
    if !is_of_use(&file, clock::unix_seconds()) {
        make(&folder, &file, clock::unix_seconds()).map_err(|error| {
            let message = format!("--tls: cannot keep a certificate in {}: {error}", folder.display());
            Failure::new(Exit::Configuration, message)
        })?;
    }
    Ok(file)
}

/// Where the user's things are. <https://specifications.freedesktop.org/basedir/latest/>
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    let above = absolute("XDG_DATA_HOME").or_else(|| {
        let home = absolute("HOME")?;
        let is_mac = std::env::consts::OS == "macos";
        Some(home.join(if is_mac { "Library/Application Support" } else { ".local/share" }))
    });
    above.map(|above| above.join("kolk"))
}

/// Whether it is there, nobody else could read it, and it lasts for a while.
fn is_of_use(file: &Path, now: i64) -> bool {
    let is_private =
        fs::symlink_metadata(file).is_ok_and(|found| found.is_file() && found.mode() & 0o077 == 0);
    let read = if is_private { Tls::from_files(file, file).ok() } else { None };
    let valid = read.and_then(|tls| tls.certificates().first()?.validity());
    valid.is_some_and(|valid| valid.until.unix_seconds() - now > LEFT_DAYS_MIN * DAY_SECONDS)
}

/// Puts another one there, at once.
fn make(folder: &Path, file: &Path, now: i64) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if fs::metadata(folder)?.mode() & 0o077 != 0 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    let text = certificate(now).map_err(io::Error::other)?;
    let begun = folder.join(format!("{FILE}.{}", std::process::id()));
    // One of a process that had this number and did not come to an end.
    let _ = fs::remove_file(&begun);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&begun);
    let written = opened.and_then(|mut opened: File| {
        opened.write_all(text.as_bytes())?;
        opened.sync_all()
    });
    written.and_then(|()| fs::rename(&begun, file)).inspect_err(|_| _ = fs::remove_file(&begun))
}

/// A certificate and its key, one behind the other in PEM.
fn certificate(now: i64) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(NAMES.map(String::from))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "kolk on this machine");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    let at = |seconds: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    // Clocks differ.
    params.not_before = at(now - DAY_SECONDS);
    params.not_after = at(now + VALID_DAYS * DAY_SECONDS);
    let key = KeyPair::generate()?;
    Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    #[test]
    fn it_is_kept_where_the_user_has_things() {
        let folder = |data: &str, home: &str| {
            folder(|name| match name {
                "XDG_DATA_HOME" => Some(data.into()),
                _ => Some(home.into()),
            })
        };
        assert_eq!(folder("/data", "/users/a"), Some("/data/kolk".into()));
        let own = folder("relative", "/users/a").unwrap();
        assert!(own.starts_with("/users/a") && own.ends_with("kolk"), "{own:?}");
        assert_eq!(folder("", ""), None);
    }

    #[test]
    fn it_is_used_again_until_thirty_days_are_left() {
        let scratch = Scratch::new("development");
        let (folder, now) = (scratch.join("a/kolk"), clock::unix_seconds());
        let file = folder.join(FILE);
        assert!(!is_of_use(&file, now));
        make(&folder, &file, now).unwrap();
        assert!(is_of_use(&file, now));
        for (path, mode) in [(&folder, 0o700), (&scratch.join("a"), 0o700), (&file, 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, mode, "{path:?}");
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(is_of_use(&file, now + 334 * DAY_SECONDS) && !is_of_use(&file, now + 335 * DAY_SECONDS));
        let tls = Tls::from_files(&file, &file).unwrap();
        assert_eq!(tls.certificates()[0].subject(), "CN=kolk on this machine");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert!(!is_of_use(&file, now), "somebody may have read it");
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        make(&folder, &file, now).unwrap();
        assert!(is_of_use(&file, now));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    }
}
