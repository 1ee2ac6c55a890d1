//! HPACK from outside: golden blocks, round trips, bounds, and a second implementation.
//!
//! ```text
//!  golden      blocks in Markdown, filed by section of RFC 7541: the fields, and what the table holds
//!  properties  what one side writes the other reads, whatever happens to the table
//!  bounds      how much a hostile block may cost
//!  oracle      another implementation beside this one, in both directions
//! ```

#![expect(clippy::unwrap_used, reason = "a failed expectation is the message of a test")]

#[path = "hpack/bounds.rs"]
mod bounds;
#[path = "golden/cases.rs"]
#[allow(dead_code, reason = "blocks are written in digits, not in escapes")]
mod cases;
#[path = "hpack/golden.rs"]
mod golden;
#[path = "hpack/oracle.rs"]
mod oracle;
#[path = "hpack/properties.rs"]
mod properties;

use kolk::proto::hpack::{Decoder, Encoder, Error, FieldList, Fit, Limits};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Decodes a block that fits.
fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
    let mut list = FieldList::new();
    let fit = decoder.decode(block, &Limits::DEFAULT, |_, _| 0, &mut list)?;
    assert_eq!(fit, Fit::Whole);
    Ok(list.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect())
}

/// Encodes a block.
fn encoded<'f>(encoder: &mut Encoder, fields: impl IntoIterator<Item = (&'f [u8], &'f [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = encoder.block(&mut out);
    fields.into_iter().for_each(|(name, value)| block.field(name, value));
    out
}
