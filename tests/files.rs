//! Static files on real sockets: what a client gets while the files under it change, and what it costs.
//!
//! What conditions and ranges mean is settled in `src/app/files`, without a socket; here the file system and
//! the kernel take part: files that grow, shrink and are replaced, links that are swapped, paths that want
//! out. Readers that do not read are in `readers`.

mod support;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use kolk::sys::page_cache;
use kolk::{App, Running, StaticDir};

use support::scratch::Scratch;
use support::{Client, alone, get, now, start, until};

const LARGE_WORDS: u32 = 750_000;

/// A folder with a secret beside it, served.
struct Site {
    folder: Scratch,
    server: Running,
}

impl Site {
    fn new(name: &str) -> Self {
        let folder = Scratch::new(name);
        folder.put("secret", "SECRET");
        folder.put("root/small.txt", "0123456789");
        folder.put("root/sub/index.html", "<p>sub");
        folder.put("root/large.bin", large());
        let files = StaticDir::new(folder.join("root")).cache_control("*.txt", "public, max-age=60");
        let server = start(alone(App::new().get("/{*path}", files)));
        Self { folder, server }
    }

    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }
}

/// Bytes that are different wherever one looks.
fn large() -> Vec<u8> {
    (0..LARGE_WORDS).flat_map(|number| number.wrapping_mul(0x9E37_79B9).to_le_bytes()).collect()
}

fn request(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

#[test]
fn conditions_and_ranges_hold_for_small_files_and_large_ones() {
    let site = Site::new("conditions");
    let mut client = Client::to(&site.server);
    for (target, content) in [("/small.txt", b"0123456789".to_vec()), ("/large.bin", large())] {
        // The second time, the answer may come from memory.
        for _ in 0..2 {
            let whole = client.get(target);
            assert_eq!((whole.status, whole.body == content), (200, true), "{target}");
            assert_eq!(whole.field("accept-ranges"), Some("bytes"));
            let etag = whole.field("etag").unwrap().to_owned();
            let modified = whole.field("last-modified").unwrap().to_owned();

            client.send(request(target, &format!("If-None-Match: W/\"x\", {etag}\r\n")));
            let unchanged = client.answer();
            assert_eq!((unchanged.status, unchanged.field("etag")), (304, Some(&*etag)));
            assert_eq!(unchanged.field("cache-control"), whole.field("cache-control"));
            client.send(request(target, &format!("If-Modified-Since: {modified}\r\n")));
            assert_eq!(client.answer().status, 304);
            client.send(request(target, "If-Match: \"other\"\r\n"));
            assert_eq!(client.answer().status, 412);

            let last = content.len() - 1;
            client.send(request(target, "Range: bytes=2-5\r\n"));
            let part = client.answer();
            assert_eq!((part.status, &part.body[..]), (206, &content[2..6]));
            let expected = format!("bytes 2-5/{}", content.len());
            assert_eq!(part.field("content-range"), Some(&*expected));
            client.send(request(target, "Range: bytes=-3\r\n"));
            let part = client.answer();
            assert_eq!((part.status, &part.body[..]), (206, &content[last - 2..]));
            client.send(request(target, &format!("Range: bytes=4-\r\nIf-Range: {etag}\r\n")));
            assert_eq!(client.answer().body, content[4..]);
            client.send(request(target, "Range: bytes=4-\r\nIf-Range: \"other\"\r\n"));
            assert_eq!(client.answer().status, 200);
            client.send(request(target, &format!("Range: bytes={}-\r\n", content.len())));
            let beyond = client.answer();
            let expected = format!("bytes */{}", content.len());
            assert_eq!((beyond.status, beyond.field("content-range")), (416, Some(&*expected)));

            client.send(request(target, "Range: bytes=0-1,4-5\r\n"));
            let several = client.answer();
            assert_eq!(several.status, 206);
            let kind = several.field("content-type").unwrap();
            let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
            let text = &several.body;
            assert!(text.starts_with(format!("--{boundary}\r\n").as_bytes()));
            assert!(text.ends_with(format!("\r\n--{boundary}--\r\n").as_bytes()));

            client.send(request(target, "").replace("GET", "HEAD"));
            let head = client.answer_to_head();
            assert_eq!(head.status, 200);
            assert_eq!(head.field("content-length"), Some(&*content.len().to_string()));
        }
    }
}

#[test]
fn text_is_compressed_once_and_sent_so_to_whoever_wants_it() {
    let site = Site::new("coded");
    let text = "the quick brown fox jumps over the lazy dog\n".repeat(400);
    fs::write(site.root().join("page.html"), &text).unwrap();
    fs::write(site.root().join("app.js"), "// as it is\n".repeat(200)).unwrap();
    fs::write(site.root().join("app.js.gz"), "as if compressed").unwrap();
    let mut client = Client::to(&site.server);
    let mut ask = |target: &str, accepted: &str| {
        client.send(request(target, &format!("Accept-Encoding: {accepted}\r\n")));
        client.answer()
    };
    let first = ask("/page.html", "gzip, br");
    assert_eq!((first.field("content-encoding"), first.text()), (None, &*text), "nobody waits for it");
    let codings = [("gzip, deflate, br, zstd", "br"), ("zstd", "zstd"), ("gzip", "gzip")];
    for (accepted, coding) in
        codings.into_iter().filter(|(_, coding)| *coding != "zstd" || cfg!(feature = "zstd"))
    {
        until("it is compressed", || ask("/page.html", accepted).field("content-encoding").is_some());
        let coded = ask("/page.html", accepted);
        assert_eq!(coded.field("content-encoding"), Some(coding), "{accepted}");
        assert_eq!(coded.field("vary"), Some("Accept-Encoding"));
        assert!(coded.body.len() < text.len() / 10);
        assert_ne!(coded.field("etag"), first.field("etag"), "another form has another tag");
    }
    assert_eq!(ask("/page.html", "gzip;q=0, identity").text(), text);
    assert_eq!(ask("/page.html", "").field("vary"), Some("Accept-Encoding"));
    // A sibling is sent at once, whatever is in it.
    let sibling = ask("/app.js", "gzip");
    assert_eq!((sibling.text(), sibling.field("content-encoding")), ("as if compressed", Some("gzip")));
    assert_eq!(sibling.field("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(ask("/app.js", "identity").body.len(), 2_400);
    // What is changed is compressed anew.
    fs::write(site.root().join("page.html"), "short").unwrap();
    until("the new one is served", || ask("/page.html", "br").body == b"short");
}

#[test]
fn tags_of_the_content_are_the_same_on_every_server() {
    let text = "the quick brown fox jumps over the lazy dog\n".repeat(400);
    let coded = large()[..200_000].to_vec();
    let tags = ["first", "second"].map(|name| {
        let folder = Scratch::new(name);
        let contents: [(&str, &[u8]); 4] = [
            ("a.txt", b"small"),
            ("large.bin", &large()),
            ("page.html", text.as_bytes()),
            ("b.js", b"plain"),
        ];
        for (name, content) in contents {
            fs::write(folder.join(name), content).unwrap();
        }
        fs::write(folder.join("b.js.gz"), &coded).unwrap();
        let files = StaticDir::new(&*folder).content_etags(true);
        let server = start(alone(App::new().get("/{*path}", files)));
        let mut client = Client::to(&server);
        let mut tag = |target: &str, coding: Option<&str>| {
            let fields = coding.map(|coding| format!("Accept-Encoding: {coding}\r\n")).unwrap_or_default();
            let mut tag = String::new();
            until("it has a tag", || {
                client.send(request(target, &fields));
                let answer = client.answer();
                tag = answer.field("etag").unwrap_or_default().to_owned();
                (answer.status, answer.field("content-encoding")) == (200, coding) && !tag.is_empty()
            });
            client.send(request(target, &format!("{fields}If-None-Match: {tag}\r\n")));
            assert_eq!(client.answer().status, 304, "{target} {coding:?}");
            tag
        };
        let wanted = [("/page.html", None), ("/page.html", Some("br")), ("/page.html", Some("gzip"))];
        let others = [("/a.txt", None), ("/large.bin", None), ("/b.js", None), ("/b.js", Some("gzip"))];
        wanted.into_iter().chain(others).map(|(target, coding)| tag(target, coding)).collect::<Vec<_>>()
    });
    assert_eq!(tags[0], tags[1]);
    assert_eq!(tags[0].iter().collect::<HashSet<_>>().len(), 7, "{tags:?}");
}

#[test]
fn a_large_file_has_no_tag_until_its_content_is_known() {
    let folder = Scratch::new("untagged");
    fs::write(folder.join("large.bin"), large()).unwrap();
    let files = StaticDir::new(&*folder).content_etags(true);
    let server = start(alone(App::new().get("/{*path}", files)));
    let mut client = Client::to(&server);
    client.send(request("/large.bin", "If-None-Match: \"x\"\r\nRange: bytes=4-7\r\nIf-Range: \"x\"\r\n"));
    let first = client.answer();
    assert_eq!((first.status, first.field("etag"), first.body == large()), (200, None, true));
    let modified = first.field("last-modified").unwrap().to_owned();
    client.send(request("/large.bin", "If-None-Match: *\r\n"));
    assert_eq!(client.answer().status, 304);
    let mut known = String::new();
    until("it has a tag", || {
        known = client.get("/large.bin").field("etag").unwrap_or_default().to_owned();
        !known.is_empty()
    });
    client.send(request("/large.bin", &format!("Range: bytes=4-7\r\nIf-Range: {modified}\r\n")));
    assert_eq!(client.answer().body, large()[4..8]);
    fs::write(folder.join("next"), &large()[4..]).unwrap();
    fs::rename(folder.join("next"), folder.join("large.bin")).unwrap();
    until("the new content has another tag", || {
        let answer = client.get("/large.bin");
        answer.field("etag").is_some_and(|tag| tag != known) && answer.body == large()[4..]
    });
}

#[test]
fn a_file_that_was_replaced_is_seen_within_a_second() {
    let site = Site::new("replaced");
    let mut client = Client::to(&site.server);
    for round in 0..3 {
        let text = format!("version {round}");
        fs::write(site.root().join("next"), &text).unwrap();
        fs::rename(site.root().join("next"), site.root().join("small.txt")).unwrap();
        let since = now();
        until("the new file is served", || client.get("/small.txt").text() == text);
        assert!(since.elapsed() < Duration::from_millis(1_500), "{:?}", since.elapsed());
        fs::remove_file(site.root().join("small.txt")).unwrap();
        until("it is gone", || client.get("/small.txt").status == 404);
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    let site = Site::new("shrinks");
    for _ in 0..50 {
        let path = site.root().join("shrinking.bin");
        fs::write(&path, vec![7; 12_000_000]).unwrap();
        let mut client = Client::to(&site.server);
        client.send(get("/shrinking.bin"));
        let head = client.head();
        assert_eq!(head.field("content-length"), Some("12000000"));
        File::options().write(true).open(&path).unwrap().set_len(1_000).unwrap();
        let body = client.is_cut();
        assert!(body.len() < 12_000_000, "what was promised is not there");
        // The kernel sends its own pages, and clears the one that the file ends in now.
        assert!(body.iter().all(|byte| matches!(byte, 0 | 7)), "nothing else is put in its place");
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(Client::to(&site.server).get("/small.txt").text(), "0123456789");
}

#[test]
fn a_file_that_grows_is_sent_as_long_as_it_was() {
    let site = Site::new("grows");
    let path = site.root().join("log.txt");
    fs::write(&path, vec![b'a'; 2_000_000]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().append(true).open(&path).unwrap();
            while !done.load(Relaxed) {
                file.write_all(b"bbbbbbbb").unwrap();
            }
        });
        let mut client = Client::to(&site.server);
        for _ in 0..20 {
            let answer = client.get("/log.txt");
            let length: usize = answer.field("content-length").unwrap().parse().unwrap();
            assert_eq!((answer.status, answer.body.len()), (200, length));
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn a_link_that_is_swapped_under_load_shows_nothing_outside() {
    let site = Site::new("swapped");
    let done = AtomicBool::new(false);
    let mut seen = HashSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = site.root();
            while !done.load(Relaxed) {
                fs::write(root.join("f"), "fine").unwrap();
                fs::rename(root.join("f"), root.join("swapped")).unwrap();
                symlink("../secret", root.join("l")).unwrap();
                fs::rename(root.join("l"), root.join("swapped")).unwrap();
            }
        });
        // Without a cache every request looks at the file.
        let files = StaticDir::new(site.root()).cache_bytes(0);
        let server = start(alone(App::new().get("/{*path}", files)));
        let mut client = Client::to(&server);
        let end = now() + Duration::from_secs(2);
        while now() < end {
            let answer = client.get("/swapped");
            seen.insert((answer.status, answer.body));
        }
        done.store(true, Relaxed);
    });
    assert!(seen.iter().all(|(_, body)| !body.windows(6).any(|part| part == b"SECRET")), "{seen:?}");
    assert!(seen.iter().any(|(status, body)| (*status, &body[..]) == (200, b"fine")), "{seen:?}");
}

#[test]
fn no_spelling_of_a_path_leads_out() {
    let site = Site::new("spellings");
    symlink("../../secret", site.root().join("sub/link")).unwrap();
    symlink(&*site.folder, site.root().join("up")).unwrap();
    let dots = ["..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "..;", "...", "..%00", "%c0%ae%c0%ae", "..%20"];
    let slashes = ["/", "//", "%2f", "%2F", "\\", "%5c", "%5C", "/./", "%252f", "%c0%af"];
    let starts = ["/", "/sub/", "/sub/./", "//", "/up/", "/sub/link/", "/nothing/", "/small.txt/"];
    let mut client = Client::to(&site.server);
    let mut tried = 0;
    for start in starts {
        for dot in dots {
            for slash in slashes {
                for depth in 1..8 {
                    let target = format!("{start}{}secret", format!("{dot}{slash}").repeat(depth));
                    client.send(get(&target));
                    let answer = client.answer();
                    assert!(matches!(answer.status, 400 | 404 | 308), "{target}: {}", answer.status);
                    assert!(!answer.body.windows(6).any(|part| part == b"SECRET"), "{target}");
                    tried += 1;
                    if answer.closes() {
                        client = Client::to(&site.server);
                    }
                }
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

/// A descriptor counts as much as the largest file that is kept in memory.
#[test]
#[cfg(target_os = "linux")]
fn files_that_are_kept_open_are_few() {
    let folder = Scratch::new("open");
    for number in 0..100 {
        File::create(folder.join(format!("{number}.bin"))).unwrap().set_len(70_000).unwrap();
    }
    let files = StaticDir::new(&*folder).cache_bytes(1024 * 1024);
    let server = start(alone(App::new().get("/{*path}", files)));
    let mut client = Client::to(&server);
    for number in 0..100 {
        assert_eq!(client.get(&format!("/{number}.bin")).body.len(), 70_000);
    }
    let open = fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
        let link = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        link.is_some_and(|path| path.starts_with(&*folder) && path != *folder)
    });
    let open = open.count();
    assert!((1..=16).contains(&open), "{open} files are open");
}

#[test]
fn what_is_not_in_memory_is_read_by_the_pool_and_sent_whole() {
    let site = Site::new("cold");
    let (all, some) = ("", "Range: bytes=0-9,2000000-2999999\r\n");
    for (target, fields) in [("large.bin", all), ("large.bin", some), ("small.txt", all)] {
        let path = site.root().join(target);
        let content = fs::read(&path).unwrap();
        // Written back and dropped from memory, where the file system has a disk behind it.
        let of = format!("of={}", path.display());
        let dropped = Command::new("dd")
            .args([&*of, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"])
            .status();
        let file = File::open(&path).unwrap();
        if dropped.is_ok_and(|status| status.success())
            && !page_cache::is_resident(file.as_fd(), 0, content.len() as u64)
        {
            let mut client = Client::to(&site.server);
            client.send(request(&format!("/{target}"), fields));
            let answer = client.answer();
            if fields == some {
                let end = answer.body.len() - "\r\n--0123456789abcdef0123456789abcdef--\r\n".len();
                let last = &answer.body[end - 1_000_000..end];
                assert_eq!((answer.status, last == &content[2_000_000..3_000_000]), (206, true));
            } else {
                assert_eq!((answer.status, answer.body == content), (200, true), "{target}");
                assert!(page_cache::is_resident(file.as_fd(), 0, content.len() as u64), "{target}");
            }
            assert_eq!(client.get(&format!("/{target}")).body, content, "{target}");
        } else {
            println!("left out: the file system keeps {target} in memory");
        }
    }
}
