//! THE STATIC TABLE: 61 fields that both sides know. RFC 7541 §2.3.1, appendix A.
//!
//! One text with all of them and a place for each, so that a field is copied in one piece; a name is found by
//! a hash that is different for all of them.

/// How many fields there are; they count from 1.
pub(super) const COUNT: usize = FIELDS.len();

/// The field of this index as one text, and how much of it the name is.
#[inline(always)]
pub(super) fn get(index: usize) -> Option<(&'static [u8], usize)> {
    let place = PLACES.get(index.checked_sub(1)?)?;
    let (start, name) = (usize::from(place.start), usize::from(place.name));
    Some((&TEXT[start..start + name + usize::from(place.value)], name))
}

/// The first index of this name.
#[inline]
pub(super) fn find_name(name: &[u8]) -> Option<usize> {
    let (first, middle, last) = (name.first()?, name[name.len() / 2], name.last()?);
    let index = usize::from(BY_HASH[hash(name.len(), *first, middle, *last)]);
    let (text, length) = get(index)?;
    (&text[..length] == name).then_some(index)
}

/// The index of the field of this value, where `first` is the first of its name.
#[inline]
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    let name = FIELDS[first - 1].0;
    let same = FIELDS[first - 1..].iter().take_while(|field| field.0 == name);
    same.into_iter().position(|field| field.1.as_bytes() == value).map(|place| first + place)
}

/// A field in the text.
#[derive(Clone, Copy)]
struct Place {
    start: u16,
    name: u8,
    value: u8,
}

static PLACES: [Place; COUNT] = {
    let mut places = [Place { start: 0, name: 0, value: 0 }; COUNT];
    let (mut index, mut start) = (0, 0_u16);
    while index < COUNT {
        let (name, value) = FIELDS[index];
        let (name, value) = (name.len().to_le_bytes()[0], value.len().to_le_bytes()[0]);
        places[index] = Place { start, name, value };
        start += name as u16 + value as u16;
        index += 1;
    }
    places
};

/// All names and values in their order.
static TEXT: [u8; TEXT_BYTES] = {
    let mut text = [0; TEXT_BYTES];
    let (mut index, mut at) = (0, 0);
    while index < COUNT {
        let (name, value) = (FIELDS[index].0.as_bytes(), FIELDS[index].1.as_bytes());
        let mut byte = 0;
        while byte < name.len() + value.len() {
            text[at] = if byte < name.len() { name[byte] } else { value[byte - name.len()] };
            at += 1;
            byte += 1;
        }
        index += 1;
    }
    text
};

const TEXT_BYTES: usize = {
    let (mut index, mut bytes) = (0, 0);
    while index < COUNT {
        bytes += FIELDS[index].0.len() + FIELDS[index].1.len();
        index += 1;
    }
    bytes
};

/// The first index of the name that could have this hash.
static BY_HASH: [u8; 128] = {
    let mut table = [0; 128];
    let mut index = COUNT;
    while index > 0 {
        let name = FIELDS[index - 1].0.as_bytes();
        let slot = &mut table[hash(name.len(), name[0], name[name.len() / 2], name[name.len() - 1])];
        // Going down, so that the first of a name stays; equal names are neighbours.
        assert!(*slot == 0 || *slot as usize == index + 1, "two names have one hash: look for other factors");
        *slot = index.to_le_bytes()[0];
        index -= 1;
    }
    table
};

/// Different for all names, which is all that the factors are good for.
#[inline]
const fn hash(length: usize, first: u8, middle: u8, last: u8) -> usize {
    (length * 111 + first as usize * 108 + middle as usize * 78 + last as usize * 24) % 128
}

const FIELDS: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found() {
        for (index, (name, value)) in (1..).zip(FIELDS) {
            let text = format!("{name}{value}");
            assert_eq!(get(index), Some((text.as_bytes(), name.len())));
            let first = find_name(name.as_bytes()).unwrap();
            assert!(first == index || FIELDS[first - 1..index].iter().all(|field| field.0 == name));
            assert_eq!(find_value(first, value.as_bytes()), Some(index));
            assert_eq!(find_value(first, b"another"), None);
            assert_eq!(find_name(format!("{name}x").as_bytes()), None);
            assert_eq!(find_name(&name.as_bytes()[1..]), None);
        }
        assert_eq!((get(0), get(COUNT + 1)), (None, None));
        assert_eq!(find_name(b""), None);
        assert_eq!(find_name(&[b'a'; 300]), None);
    }
}
