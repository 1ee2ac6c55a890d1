//! loona-hpack beside ours: what one writes the other reads, and random blocks mean the same to both.

use kolk::proto::hpack::{Decoder, Encoder, Error, FieldList, Fit, Limits, TABLE_BYTES};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Fields;

/// Pieces of blocks, so that random ones get somewhere.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &[0x82][..],
        &[0x90],
        &[0xBE],
        &[0xBF],
        &[0xC3],
        &[0x40, 1, b'a', 1, b'b'],
        &[0x40, 0x82, 0x1F, 0x13, 0x83, 0x9B, 0xD9, 0xAB],
        &[0x7E, 2, b'x', b'y'],
        &[0x58, 0x86, 0xA8, 0xEB, 0x10, 0x64, 0x9C, 0xBF],
        &[0x0F, 0x2F, 1, b'z'],
        &[0x10, 1, b's', 1, b't'],
        &[0x20],
        &[0x3F, 0x45],
        &[0x3F, 0xE1, 0x1F],
        &[0x3F, 0xE2, 0x1F],
        &[0xFF, 0x00],
        &[0x80],
    ]);
    prop_oneof![12 => known.prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..6)]
}

fn fields() -> impl Strategy<Value = Fields> {
    vec((vec(any::<u8>(), 1..30), vec(any::<u8>(), 0..60)), 0..12)
}

fn theirs() -> loona_hpack::Decoder<'static> {
    let mut decoder = loona_hpack::Decoder::new();
    decoder.set_max_allowed_table_size(usize::from(TABLE_BYTES));
    decoder
}

/// What only ours refuses.
fn is_stricter(error: Error) -> bool {
    match error {
        // A table's size may change in the middle of a block there, and as often as one likes.
        Error::SizeUpdateLate | Error::SizeUpdateRepeated => true,
        // There is no limit to what a block means.
        Error::Expansion => true,
        // Other limits for an integer.
        Error::IntegerTooLarge => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn random_blocks_mean_the_same(blocks in vec(vec(piece(), 0..16), 1..6)) {
        let (mut ours, mut theirs) = (Decoder::new(), theirs());
        let mut list = FieldList::new();
        for block in blocks {
            let block = block.concat();
            let other = theirs.decode(&block);
            match ours.decode(&block, &Limits::DEFAULT, |_, _| 0, &mut list) {
                Ok(fit) => {
                    prop_assert_eq!(fit, Fit::Whole);
                    // Nor may a block consist of nothing but sizes there: RFC 7541 does not say so.
                    if matches!(other, Err(loona_hpack::decoder::DecoderError::SizeUpdateAtEnd)) {
                        prop_assert!(list.fields().is_empty());
                        break;
                    }
                    let other = other.unwrap();
                    let pairs = other.iter().map(|(name, value)| (&name[..], &value[..]));
                    prop_assert!(list.iter().eq(pairs), "{block:02x?}: {other:?}");
                }
                Err(error) => {
                    prop_assert!(other.is_err() || is_stricter(error), "{error}: {block:02x?}: {other:?}");
                    break;
                }
            }
        }
    }

    #[test]
    fn they_read_what_we_write(lists in vec(fields(), 1..5)) {
        let (mut encoder, mut theirs) = (Encoder::new(TABLE_BYTES), theirs());
        for (round, mut fields) in lists.into_iter().enumerate() {
            fields.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
            if round == 2 {
                encoder.set_peer_bytes_max(100);
            }
            // Twice, so that entries are used.
            for _ in 0..2 {
                let pairs = fields.iter().map(|(name, value)| (&name[..], &value[..]));
                let block = super::encoded(&mut encoder, pairs.chain([(&b"end"[..], &b""[..])]));
                let mut read = theirs.decode(&block).unwrap();
                prop_assert_eq!(read.pop(), Some((b"end".to_vec(), vec![])));
                prop_assert_eq!(&read, &fields);
            }
        }
    }

    #[test]
    fn we_read_what_they_write(lists in vec(fields(), 1..5)) {
        let (mut decoder, mut theirs) = (Decoder::new(), loona_hpack::Encoder::new());
        for fields in lists {
            for _ in 0..2 {
                let block = theirs.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])));
                prop_assert_eq!(super::decoded(&mut decoder, &block), Ok(fields.clone()));
            }
        }
    }
}
