//! `--tls` on the program as a process: what it says of bad certificates, and how it gets new ones.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
#[path = "support/program.rs"]
mod program;

use std::io::{Read, Write};

use rustls::version::TLS13;

use identity::{Identity, connect};
use program::scratch::Scratch;
use program::{Kolk, command, eventually, run};

/// A folder with a certificate and its key, and the argument that names them.
struct Pair {
    folder: Scratch,
    argument: String,
}

impl Pair {
    fn of(identity: &Identity) -> Self {
        let folder = Scratch::new("certificates");
        let argument = format!("{},{}", folder.join("cert.pem").display(), folder.join("key.pem").display());
        let pair = Self { folder, argument };
        pair.put(&identity.chain, &identity.key);
        pair
    }

    fn put(&self, chain: &str, key: &str) {
        self.folder.put("cert.pem", chain);
        self.folder.put("key.pem", key);
    }
}

/// Whether `kolk` is `identity` to a new client, which asks for a page then.
fn is(kolk: &Kolk, identity: &Identity) -> bool {
    let address = kolk.address.parse().unwrap();
    let mut client = connect(address, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    if client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_err() {
        return false;
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("Hello, World!"), "{answer}");
    true
}

#[test]
fn new_certificates_are_taken_when_told_and_when_seen() {
    let [first, second, third] = [(); 3].map(|()| Identity::new(&["localhost"]));
    let pair = Pair::of(&first);
    let kolk = Kolk::start(&["--tls", &pair.argument]);
    assert!(is(&kolk, &first));
    pair.put(&second.chain, &second.key);
    kolk.signal("HUP");
    assert!(eventually(|| is(&kolk, &second)));
    pair.put(&third.chain, &third.key);
    assert!(eventually(|| is(&kolk, &third)), "nobody told it");
    pair.put(&first.chain, &third.key);
    kolk.says("the certificates stay what they were: the key in ");
    assert!(is(&kolk, &third));
    let expired = Identity::valid_in(2001);
    pair.put(&expired.chain, &expired.key);
    kolk.signal("HUP");
    kolk.says("cert.pem: the certificate expired at 2001-03-04 00:00:00 UTC");
    assert!(is(&kolk, &third));
}

#[test]
fn who_cannot_be_who_it_is_told_to_does_not_start() {
    let (one, other) = (Identity::new(&["localhost"]), Identity::new(&["localhost"]));
    let pair = Pair::of(&one);
    for (chain, key, said) in [
        (&one.chain, &other.key, "is not that of the certificate in"),
        (&one.key, &one.key, "cert.pem: no certificate: PEM begins with -----BEGIN CERTIFICATE-----"),
        (&one.chain, &one.chain, "key.pem: no private key: PEM begins with -----BEGIN PRIVATE KEY-----"),
    ] {
        pair.put(chain, key);
        let (code, _, said_it) = run(&mut command(&["--tls", &pair.argument, "-l", "127.0.0.1:0"]));
        assert_eq!(code, Some(3), "{said_it}");
        assert!(said_it.starts_with("kolk: --tls: ") && said_it.contains(said), "{said_it}");
        assert_eq!(said_it.lines().count(), 1, "{said_it}");
    }
    for (year, said) in [
        (2001, "cert.pem: the certificate expired at 2001-03-04 00:00:00 UTC: renew it\n"),
        (
            2999,
            "cert.pem: the certificate is not valid before 2999-01-02 00:00:00 UTC: is the clock right?\n",
        ),
    ] {
        let other = Identity::valid_in(year);
        pair.put(&other.chain, &other.key);
        let (code, _, said_it) = run(&mut command(&["--tls", &pair.argument, "-l", "127.0.0.1:0"]));
        assert_eq!(code, Some(3), "{said_it}");
        assert!(said_it.starts_with("kolk: --tls: ") && said_it.ends_with(said), "{said_it}");
        assert_eq!(said_it.lines().count(), 1, "{said_it}");
    }
    let (code, _, said_it) = run(&mut command(&["--tls", "/none.pem,/none.key"]));
    assert_eq!(
        (code, &*said_it),
        (Some(3), "kolk: --tls: /none.pem: No such file or directory (os error 2)\n")
    );
    let (code, _, said_it) = run(&mut command(&["--tls", "/none.pem"]));
    assert_eq!(code, Some(2));
    assert!(said_it.contains("two files, as in: --tls chain.pem,key.pem"), "{said_it}");
}
