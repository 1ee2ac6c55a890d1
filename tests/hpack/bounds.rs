//! How much a block may cost whoever reads it. RFC 7541 §7.3, §7.4.

use kolk::proto::hpack::{Decoder, Error, FieldList, Fit, Limits};

/// A literal that becomes an entry: a name of one letter and a value of so many bytes.
fn entry(value_bytes: usize) -> Vec<u8> {
    let more = value_bytes - 127;
    let mut block = vec![0x40, 1, b'n', 0x7F];
    block.extend([more.to_le_bytes()[0] | 0x80, (more / 128).to_le_bytes()[0]]);
    block.extend(vec![b'v'; value_bytes]);
    block
}

/// One entry as large as the table, and thousands of references to it.
#[test]
fn a_bomb_is_refused_before_it_is_large() {
    let mut decoder = Decoder::new();
    let mut list = FieldList::new();
    let mut decode = |block: &[u8]| decoder.decode(block, &Limits::DEFAULT, |_, _| 0, &mut list);
    assert_eq!(decode(&entry(4_063)), Ok(Fit::Whole));
    assert_eq!(decode(&[0xBE; 8]), Ok(Fit::Whole), "up to the limit of a list");
    assert_eq!(decode(&[0xBE; 9]), Ok(Fit::TooLarge), "more is decoded, and not kept");
    assert_eq!(decode(&[0xBE; 64]), Ok(Fit::TooLarge));
    assert_eq!(decode(&[0xBE; 4_000]), Err(Error::Expansion));
    assert_eq!(list.fields().len(), 8);
    assert_eq!(list.bytes().len(), 8 * 4_064);
}

/// The tables stay the same as the peer's also where nothing is kept.
#[test]
fn a_list_that_is_too_large_leaves_the_table_right() {
    let limits = Limits { list_bytes_max: 130, fields_max: 2, expansion_bytes_max: 1_000 };
    let mut decoder = Decoder::new();
    let mut list = FieldList::new();
    let block = [&[0x82, 0x86, 0x84][..], &[0x40, 1, b'a', 1, b'b', 0xBE, 0x40, 1, b'c', 1, b'd']].concat();
    assert_eq!(decoder.decode(&block, &limits, |_, _| 0, &mut list), Ok(Fit::TooMany));
    assert_eq!((list.fields().len(), list.bytes().len()), (2, ":methodGET:schemehttp".len()));
    assert_eq!(decoder.decode(&[0xBE, 0xBF], &limits, |_, _| 0, &mut list), Ok(Fit::Whole));
    let expected = [(&b"c"[..], &b"d"[..]), (b"a", b"b")];
    assert!(list.iter().eq(expected));
}

/// What a judge said of a literal is said again of the entry, and it is asked but once.
#[test]
fn a_field_is_judged_once() {
    let asked = std::cell::Cell::new(0);
    let judge = |name: &[u8], value: &[u8]| {
        asked.set(asked.get() + 1);
        name[0] ^ value[0]
    };
    let mut decoder = Decoder::new();
    let mut list = FieldList::new();
    let literal = [0x40, 1, b'a', 1, b'b'];
    assert_eq!(decoder.decode(&literal, &Limits::DEFAULT, judge, &mut list), Ok(Fit::Whole));
    let first = list.fields()[0];
    assert_eq!((first.mark, asked.get()), (b'a' ^ b'b', 1));
    assert_eq!(decoder.decode(&[0xBE], &Limits::DEFAULT, judge, &mut list), Ok(Fit::Whole));
    assert_eq!((list.fields(), asked.get()), (&[first][..], 1));
}

#[test]
fn limits_fit_the_offsets() {
    let limits = Limits { list_bytes_max: u16::MAX, fields_max: u16::MAX, expansion_bytes_max: u32::MAX };
    let mut decoder = Decoder::new();
    let mut list = FieldList::new();
    assert_eq!(decoder.decode(&entry(4_063), &limits, |_, _| 0, &mut list), Ok(Fit::Whole));
    assert_eq!(decoder.decode(&[0xBE; 40], &limits, |_, _| 0, &mut list), Ok(Fit::TooLarge));
    assert_eq!(list.fields().len(), 15);
    assert_eq!(list.iter().last().map(|(name, value)| (name.len(), value.len())), Some((1, 4_063)));
}
