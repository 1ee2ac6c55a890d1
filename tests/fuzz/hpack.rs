//! Fuzz targets of HPACK: plain functions of bytes, which panic when something is wrong.

use kolk::proto::hpack::{Decoder, Encoder, FieldList, Fit, Limits, TABLE_BYTES};

const LIMITS: Limits = Limits { list_bytes_max: 2_000, fields_max: 40, expansion_bytes_max: 20_000 };

/// Any bytes as blocks on one connection, each with its length before it: no panic, and nothing larger than
/// it may be. What was decoded comes out again when it is encoded.
pub(crate) fn blocks(bytes: &[u8]) {
    let mut decoder = Decoder::new();
    let mut again = (Encoder::new(TABLE_BYTES), Decoder::new());
    let mut list = FieldList::new();
    let mut rest = bytes;
    while let [length, behind @ ..] = rest {
        let (block, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        rest = behind;
        let result = decoder.decode(block, &LIMITS, judge, &mut list);
        assert!(decoder.table().size() <= 4_096 && decoder.table().heap_bytes() <= 5_120);
        let Ok(fit) = result else { return };
        assert!(list.fields().len() <= 40 && list.bytes().len() + 32 * list.fields().len() <= 2_000);
        for ((name, value), field) in list.iter().zip(list.fields()) {
            assert_eq!(field.mark, judge(name, value), "a mark is that of its field");
        }
        if fit == Fit::Whole {
            round(&mut again, &list);
        }
    }
}

fn judge(name: &[u8], value: &[u8]) -> u8 {
    name.iter().chain(value).fold(1, |mark, byte| mark.wrapping_mul(31) ^ byte)
}

fn round((encoder, decoder): &mut (Encoder, Decoder), list: &FieldList) {
    let mut out = Vec::new();
    let mut block = encoder.block(&mut out);
    list.iter().for_each(|(name, value)| block.field(name, value));
    let mut other = FieldList::new();
    assert_eq!(decoder.decode(&out, &Limits::DEFAULT, judge, &mut other), Ok(Fit::Whole));
    let lower = list.iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    assert!(other.iter().map(|(name, value)| (name.to_vec(), value)).eq(lower));
    assert!(encoder.table().fields().eq(decoder.table().fields()));
}
