//! What the encoder writes the decoder reads, and both tables are the same, whatever happens to their size.

use kolk::proto::hpack::{Decoder, Encoder, Error, FieldList, Limits, TABLE_BYTES};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Fields, decoded};

/// What happens on a connection.
#[derive(Clone, Debug)]
enum Step {
    Block(Fields),
    /// The peer's table may have so many bytes: told, and acknowledged before the next block.
    Limit(u16),
}

/// Names and values that come up again and again, and others.
fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            ":status", "server", "content-type", "vary", "cache-control", "date", "set-cookie", "cookie",
            "authorization", "accept-encoding", "etag", "x-request-id", "x-frame-options", ":path",
        ]).prop_map(|name| name.as_bytes().to_vec()),
        1 => vec(any::<u8>().prop_filter("capitals are made small", |byte| !byte.is_ascii_uppercase()), 0..90),
    ];
    let value = prop_oneof![
        4 => prop::sample::select(vec!["", "200", "302", "gzip, deflate", "a", "text/html; charset=utf-8"])
            .prop_map(|value| value.as_bytes().to_vec()),
        2 => "[ -~]{0,60}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..300),
    ];
    (name, value)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec(field(), 0..12).prop_map(Step::Block),
        1 => prop::sample::select(vec![0, 31, 64, 200, 1_000, 4_096, 10_000]).prop_map(Step::Limit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn there_and_back(
        own in prop::sample::select(vec![0_u16, 100, 4_096, 20_000]),
        steps in vec(step(), 1..24),
    ) {
        let mut encoder = Encoder::new(own);
        let mut decoder = Decoder::new();
        for step in steps {
            match step {
                Step::Limit(bytes) => {
                    encoder.set_peer_bytes_max(u32::from(bytes));
                    decoder.set_bytes_max(bytes);
                }
                Step::Block(fields) => {
                    let pairs = fields.iter().map(|(name, value)| (&name[..], &value[..]));
                    let block = super::encoded(&mut encoder, pairs);
                    prop_assert_eq!(decoded(&mut decoder, &block), Ok(fields));
                    prop_assert!(encoder.table().fields().eq(decoder.table().fields()));
                    prop_assert_eq!(encoder.table().bytes_max(), decoder.table().bytes_max());
                    prop_assert!(encoder.table().bytes_max() <= usize::from(own));
                }
            }
        }
    }

    #[test]
    fn any_bytes_do_no_harm(blocks in vec(vec(any::<u8>(), 0..300), 1..8)) {
        let limits = Limits { list_bytes_max: 500, fields_max: 10, expansion_bytes_max: 5_000 };
        let mut decoder = Decoder::new();
        let mut list = FieldList::new();
        for block in blocks {
            let result = decoder.decode(&block, &limits, |_, _| 0, &mut list);
            prop_assert!(list.fields().len() <= 10);
            prop_assert!(decoder.table().size() <= 4_096 && decoder.table().heap_bytes() <= 5_120);
            if result.is_err() {
                break;
            }
            prop_assert!(list.bytes().len() + 32 * list.fields().len() <= 500);
        }
    }
}

/// The requests of RFC 7541 appendix C.4, whose fields all become entries, are written as they stand there.
#[test]
fn rfc_7541_c_4() {
    let mut encoder = Encoder::new(TABLE_BYTES);
    for (scheme, path, more, block) in [
        ("http", "/", None, "828684418cf1e3c2e5f23a6ba0ab90f4ff"),
        ("http", "/", Some(("cache-control", "no-cache")), "828684be5886a8eb10649cbf"),
        (
            "https",
            "/index.html",
            Some(("custom-key", "custom-value")),
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ] {
        let first =
            [(":method", "GET"), (":scheme", scheme), (":path", path), (":authority", "www.example.com")];
        let fields = first.into_iter().chain(more).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let digits: String =
            super::encoded(&mut encoder, fields).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, block);
    }
}

/// RFC 7541 §4.2: lowered and raised between two blocks, both are told.
#[test]
fn the_smallest_size_is_told_too() {
    let mut encoder = Encoder::new(TABLE_BYTES);
    let mut decoder = Decoder::new();
    let fields = [(&b"server"[..], &b"kolk"[..])];
    let mut exchange = |encoder: &mut Encoder| {
        let block = super::encoded(encoder, fields);
        assert_eq!(decoded(&mut decoder, &block).unwrap().len(), 1);
        assert!(encoder.table().fields().eq(decoder.table().fields()));
        block
    };
    assert_eq!(exchange(&mut encoder)[0], 0x76);
    assert_eq!(exchange(&mut encoder), [0xBE]);
    encoder.set_peer_bytes_max(0);
    encoder.set_peer_bytes_max(65_536);
    assert_eq!(exchange(&mut encoder)[..5], [0x20, 0x3F, 0xE1, 0x1F, 0x76]);
    assert_eq!(exchange(&mut encoder), [0xBE]);
    encoder.set_peer_bytes_max(100);
    encoder.set_peer_bytes_max(50);
    assert_eq!(exchange(&mut encoder)[..3], [0x3F, 50 - 31, 0xBE]);
    encoder.set_peer_bytes_max(50);
    encoder.set_peer_bytes_max(90);
    assert_eq!(exchange(&mut encoder), [0x3F, 90 - 31, 0xBE]);
}

#[test]
fn a_lowered_limit_must_be_answered() {
    let mut decoder = Decoder::new();
    decoder.set_bytes_max(100);
    assert_eq!(decoded(&mut decoder, &[0x82]), Err(Error::SizeUpdateMissing));
    let mut decoder = Decoder::new();
    decoder.set_bytes_max(100);
    assert_eq!(decoded(&mut decoder, &[0x3F, 69, 0x82]).unwrap().len(), 1);
    decoder.set_bytes_max(4_096);
    assert_eq!(decoded(&mut decoder, &[0x82]).unwrap().len(), 1, "nobody has to use more");
}

/// What does not repeat, and what names a user, takes no place; what repeats costs a byte.
#[test]
fn rfc_7541_7_1_what_becomes_an_entry() {
    let mut encoder = Encoder::new(TABLE_BYTES);
    let mut out = Vec::new();
    let mut block = encoder.block(&mut out);
    block.status(kolk::StatusCode::OK);
    block.content_length(12);
    block.field(b"Date", b"Mon, 21 Oct 2013 20:13:21 GMT");
    block.field(b"Set-Cookie", b"a=b");
    block.field(b"Authorization", b"Basic abc");
    block.field(b"cookie", b"a=b");
    block.sensitive(b"X-Key", b"secret");
    assert_eq!(encoder.table().size(), 0);
    let mut list = FieldList::new();
    let mut decoder = Decoder::new();
    assert!(decoder.decode(&out, &Limits::DEFAULT, |_, _| 0, &mut list).is_ok());
    let sensitive: Vec<_> = list.fields().iter().map(|field| field.is_sensitive).collect();
    assert_eq!(sensitive, [false, false, false, true, true, true, true]);

    let fields = [(&b"Server"[..], &b"kolk"[..]), (b"vary", b"accept"), (b"X-Frame-Options", b"DENY")];
    let first = super::encoded(&mut encoder, fields);
    assert!(first.len() > 20);
    assert_eq!(super::encoded(&mut encoder, fields), [0xC0, 0xBF, 0xBE]);
    for number in 0..10_u8 {
        super::encoded(&mut encoder, [(&b"x-request-id"[..], &[b'0' + number][..])]);
        super::encoded(&mut encoder, [(&b"content-type"[..], &[b'0' + number][..])]);
    }
    assert_eq!(encoder.table().fields().count(), 3 + 1 + 10, "ten types, but one identifier");
    for _ in 0..3 {
        super::encoded(&mut encoder, [(&b"etag"[..], &b"1"[..])]);
        super::encoded(&mut encoder, [(&b"etag"[..], &b"2"[..])]);
    }
    assert_eq!(encoder.table().fields().count(), 15, "one version of one file");
    let large = [(&b"content-security-policy"[..], &[b'x'; 3_500][..])];
    super::encoded(&mut encoder, large);
    assert_eq!(encoder.table().fields().count(), 15);
    let lengths = [(); 4].map(|()| {
        let mut out = Vec::new();
        encoder.block(&mut out).passing(b"date", b"Mon, 21 Oct 2013 20:13:21 GMT");
        out.len()
    });
    assert_eq!(lengths[2..], [1, 1], "worth an entry when it was written twice");
}
