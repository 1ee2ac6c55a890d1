//! `--tls` and its kin on the program as a process: what it says of bad certificates, how it gets new ones
//! and makes one of its own, whom it lets in, and how it is asked whether it is well.

#![expect(clippy::unwrap_used, reason = "a failed expectation of a test is its message")]

#[path = "tls/identity.rs"]
mod identity;
#[path = "support/program.rs"]
mod program;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::TLS13;

use identity::{Authority, Identity, connect};
use program::scratch::Scratch;
use program::{Kolk, PATIENCE, command, eventually, run};

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
fn a_file_that_is_read_again_has_other_certificates_and_those_are_watched() {
    let folder = Scratch::new("certificates-file");
    let [first, second, third] = [(); 3].map(|()| Identity::new(&["localhost"]));
    let put = |name: &str, identity: &Identity| {
        folder.put(format!("{name}.pem"), &identity.chain);
        folder.put(format!("{name}.key"), &identity.key);
    };
    let site = "[[site]]\nhosts = \"*\"\nrespond = { text = \"Hello, World!\" }\n";
    let file = |tls: bool, certificates: &str| {
        let listen = format!("[[listen]]\naddr = \"127.0.0.1:0\"\ntls = {tls}\n");
        folder.put("kolk.toml", format!("{listen}{certificates}{site}"));
    };
    let pair = |name: &str| format!("[[tls.cert]]\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\n");
    file(false, "");
    let path = folder.join("kolk.toml");
    let kolk = Kolk::spawn(&mut command(&["serve", "-c", path.to_str().unwrap()]));
    assert_eq!(kolk.get("/plaintext").status(), 200);
    put("one", &first);
    put("two", &second);
    for (name, identity) in [("one", &first), ("two", &second)] {
        file(true, &pair(name));
        kolk.signal("HUP");
        kolk.says("was read again and is served");
        assert!(eventually(|| is(&kolk, identity)), "{name}");
    }
    put("two", &third);
    assert!(eventually(|| is(&kolk, &third)), "nobody told it");
    put("two", &Identity::valid_in(2001));
    kolk.says("two.pem: the certificate expired at");
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

#[test]
fn without_a_certificate_it_makes_one_and_keeps_it() {
    let folder = Scratch::new("own");
    let file = folder.join("kolk/localhost.pem");
    let mut kept = None;
    for _ in 0..2 {
        let mut command = command(&["serve", "--tls", "-w", "1", "-l", "127.0.0.1:0"]);
        let kolk = Kolk::spawn(command.env("XDG_DATA_HOME", &*folder));
        kolk.says(&format!("certificate {}", file.display()));
        kolk.says("SHA-256 ");
        let text = fs::read(&file).unwrap();
        assert_eq!(*kept.get_or_insert_with(|| text.clone()), text, "the same again");
        let own = Identity {
            der: CertificateDer::from_pem_slice(&text).unwrap(),
            chain: String::new(),
            key: String::new(),
        };
        for name in ["localhost", "127.0.0.1", "::1"] {
            let config = own.trusted_by(&[&TLS13]);
            let mut client = connect(kolk.address.parse().unwrap(), &config, name, usize::MAX);
            client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        }
    }
    let mut command = command(&["--tls", "-l", "127.0.0.1:0"]);
    folder.put("file", "no folder");
    let (code, _, said) = run(command.env("XDG_DATA_HOME", folder.join("file")));
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.starts_with("kolk: --tls: cannot keep a certificate in ") && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_handshake_has_the_time_that_it_is_given() {
    let pair = Pair::of(&Identity::new(&["localhost"]));
    // Whoever has shaken hands has more of it.
    let kolk = Kolk::start(&["--tls", &pair.argument, "--handshake-timeout", "200ms", "--keepalive", "1h"]);
    let mut silent = kolk.connect();
    let mut rest = Vec::new();
    silent.reader.get_ref().set_read_timeout(Some(PATIENCE / 2)).unwrap();
    let ended = silent.reader.read_to_end(&mut rest);
    assert!(ended.is_ok(), "ten seconds are nobody's wish: {ended:?}");

    let (code, _, said) = run(&mut command(&["--handshake-timeout", "3s"]));
    assert_eq!((code, &*said), (Some(2), "kolk: --handshake-timeout says nothing without --tls: add it\n"));
    let (code, _, said) = run(&mut command(&["--tls", "--handshake-timeout", "3"]));
    assert!(code == Some(2) && said.contains("the unit is missing: 3s?"), "{said}");
}

#[test]
fn only_who_is_known_is_let_in() {
    let (identity, authority) = (Identity::new(&["localhost"]), Authority::new("Root"));
    let pair = Pair::of(&identity);
    let ca = pair.folder.join("ca.pem");
    fs::write(&ca, &authority.pem).unwrap();
    let ca = ca.to_str().unwrap();
    let kolk = Kolk::start(&["--tls", &pair.argument, "--tls-client-ca", ca]);
    let ask = |config| {
        let mut client = connect(kolk.address.parse().unwrap(), &config, "localhost", usize::MAX);
        let sent = client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        sent.is_ok() && client.read(&mut [0; 8]).is_ok_and(|count| count > 0)
    };
    let ada = identity.trusted_by_client(&[&TLS13], Some(&authority.admit("Ada")));
    assert!(ask(ada.clone()) && !ask(identity.trusted_by(&[&TLS13])));
    // Its file is watched, too.
    fs::write(ca, Authority::new("Other").pem).unwrap();
    assert!(eventually(|| !ask(ada.clone())));
    let kolk = Kolk::start(&["--tls", &pair.argument, "--tls-client-ca-optional", ca]);
    assert!(is(&kolk, &identity));

    let refused = |arguments: &[&str], expected| {
        let (code, _, said) = run(command(arguments).args(["-l", "127.0.0.1:0"]));
        assert_eq!((code, said.lines().count()), (Some(expected), 1), "{said}");
        said
    };
    fs::write(ca, "nobody").unwrap();
    let said = refused(&["--tls", &pair.argument, "--tls-client-ca", ca], 3);
    assert!(said.contains("--tls-client-ca: ") && said.contains("ca.pem: no certificate"), "{said}");
    let said = refused(&["--tls-client-ca", ca], 2);
    assert_eq!(said, "kolk: --tls-client-ca says nothing without --tls: add it\n");
}

#[test]
fn each_listener_of_a_file_is_announced_with_its_own_scheme() {
    let pair = Pair::of(&Identity::new(&["localhost"]));
    let listen = ["", "tls = true", ""].map(|way| format!("[[listen]]\naddr = \"127.0.0.1:0\"\n{way}\n"));
    let rest = "[[tls.cert]]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
                [[site]]\nhosts = \"*\"\nrespond = 204\n";
    pair.folder.put("kolk.toml", listen.concat() + rest);
    let path = pair.folder.join("kolk.toml");
    let kolk = Kolk::spawn(&mut command(&["serve", "-w", "1", "-c", path.to_str().unwrap()]));
    for scheme in ["https", "http"] {
        let line = kolk.stdout.recv_timeout(PATIENCE).unwrap();
        assert!(line.starts_with(&format!("listening {scheme}://127.0.0.1:")), "{line}");
    }
    for scheme in ["http", "https", "http"] {
        kolk.says(&format!("  {scheme}://127.0.0.1:"));
    }
}

#[test]
fn visitors_are_brought_to_https_and_kept_there() {
    let identity = Identity::new(&["localhost"]);
    let pair = Pair::of(&identity);
    let kolk = Kolk::start(&[
        "--tls",
        &pair.argument,
        "--hsts",
        "2d",
        "--redirect-to-https",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    let lines = std::iter::from_fn(|| kolk.stderr.recv_timeout(PATIENCE).ok());
    let line = lines.into_iter().find(|line| line.contains("sends to https")).unwrap();
    let redirect = line.trim().trim_start_matches("http://").split(' ').next().unwrap();
    let answer = program::Client::new(redirect).get("/a?b");
    let port = kolk.address.rsplit_once(':').unwrap().1;
    assert_eq!(
        (answer.status(), answer.field("location")),
        (308, Some(&*format!("https://test:{port}/a?b")))
    );
    let address = kolk.address.parse().unwrap();
    let mut client = connect(address, &identity.trusted_by(&[&TLS13]), "localhost", usize::MAX);
    client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\r\nStrict-Transport-Security: max-age=172800\r\n"), "{answer}");
}

#[test]
fn an_encrypted_server_is_asked_whether_it_is_well() {
    let (identity, other) = (Identity::new(&["localhost"]), Identity::new(&["localhost"]));
    let pair = Pair::of(&identity);
    pair.folder.put("other.pem", &other.chain);
    let kolk = Kolk::start(&["--tls", &pair.argument]);
    let asked = |arguments: &[&str]| run(command(&["healthcheck"]).args(arguments));
    let url = format!("https://{}/json", kolk.address);
    let (code, stdout, stderr) = asked(&[&url]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.starts_with(&format!("{url} is well: 200 in ")), "{stdout}");
    let (code, stdout, _) = asked(&["-l", &kolk.address, "--tls", &pair.argument]);
    assert_eq!(code, Some(0), "{stdout}: where kolk would listen, and how");
    let url = url.replace("127.0.0.1", "localhost");
    let (own, other) = (pair.folder.join("cert.pem"), pair.folder.join("other.pem"));
    assert_eq!(asked(&[&url, "--ca", own.to_str().unwrap()]).0, Some(0));
    let (code, _, stderr) = asked(&[&url, "--ca", other.to_str().unwrap()]);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains("is not well: invalid peer certificate"), "{stderr}");
    assert_eq!(asked(&[&url.replace("https", "http")]).0, Some(1), "it answers 400");
}

/// Who may read a file.
fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// As certbot leaves them: root's alone. Others cannot become somebody else.
#[test]
fn a_key_that_only_root_may_read_is_told_and_keeps_no_other_change_away() {
    if !fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nUid:\t0\t")) {
        return;
    }
    let folder = Scratch::new("certificates-root");
    let [first, second] = [(); 2].map(|()| Identity::new(&["localhost"]));
    let put = |identity: &Identity| {
        // As a renewal does: another file under the same name.
        for (name, text, mode) in [("cert.pem", &identity.chain, 0o644), ("key.pem", &identity.key, 0o600)] {
            folder.put("new.pem", text);
            allow(&folder.join("new.pem"), mode);
            fs::rename(folder.join("new.pem"), folder.join(name)).unwrap();
        }
    };
    let site = |text: &str| {
        let listen = "[[listen]]\naddr = \"127.0.0.1:0\"\ntls = true\n";
        let pair = "[[tls.cert]]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
        let site =
            format!("[[site]]\nhosts = \"*\"\nrespond = {{ text = \"Hello, World!\", type = \"{text}\" }}\n");
        folder.put("kolk.toml", format!("[server]\nuser = \"12345:23456\"\n{listen}{pair}{site}"));
    };
    put(&first);
    site("text/one");
    let path = folder.join("kolk.toml");
    let path = path.to_str().unwrap();
    let told = format!("key.pem ({path}:8) may not be read by the user 12345:23456, whom kolk becomes");
    let (code, stdout, stderr) = run(&mut command(&["check", "-c", path]));
    assert_eq!((code, stdout.contains(": fine")), (Some(0), true), "{stdout}{stderr}");
    if cfg!(all(target_os = "linux", target_pointer_width = "64")) {
        assert!(stderr.contains(&told) && !stderr.contains("cert.pem ("), "{stderr}");
    }

    let kolk = Kolk::spawn(&mut command(&["serve", "-c", path]));
    kolk.says(&told);
    assert!(is(&kolk, &first));
    site("text/two");
    kolk.signal("HUP");
    kolk.says("was read again and is served");
    assert!(is(&kolk, &first), "nothing is new in the key");

    put(&second);
    kolk.says("key.pem: this user may not read it: let a group of that user, or give it an ACL");
    assert!(is(&kolk, &first));
    kolk.signal("HUP");
    kolk.says("key.pem: this user may not read it");
    kolk.says("what was served before still is");
    // What a deploy hook does.
    std::os::unix::fs::chown(folder.join("key.pem"), None, Some(23456)).unwrap();
    allow(&folder.join("key.pem"), 0o640);
    kolk.signal("HUP");
    kolk.says("was read again and is served");
    assert!(eventually(|| is(&kolk, &second)));

    allow(&folder.join("kolk.toml"), 0o600);
    kolk.signal("HUP");
    kolk.says("it may not be read by this user: let a group of that user read it, or give it an ACL");
}
