//! [`Method`]: the request method as one byte. RFC 9110 §9, RFC 5789 (PATCH).

/// A request method. Names are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Method {
    /// Transfer a representation.
    #[default]
    Get,
    /// The same without the content.
    Head,
    /// Process the content.
    Post,
    /// Replace the resource.
    Put,
    /// Remove the resource.
    Delete,
    /// Change parts of the resource.
    Patch,
    /// Describe the options.
    Options,
    /// Establish a tunnel.
    Connect,
    /// Loop the message back.
    Trace,
    /// A token that is none of the above; [`Head::method_name`](super::Head::method_name) has it.
    Extension,
}

impl Method {
    /// All methods that kolk knows by name, in the order of their discriminants.
    pub const KNOWN: [Self; 9] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Patch,
        Self::Options,
        Self::Connect,
        Self::Trace,
    ];

    /// The method that `name` spells.
    #[inline]
    pub const fn from_name(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            _ => Self::Extension,
        }
    }

    /// Its name; empty for [`Method::Extension`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Extension => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_methods_are_inverse() {
        for method in Method::KNOWN {
            assert_eq!(Method::from_name(method.name().as_bytes()), method);
        }
        assert_eq!(Method::from_name(b"get"), Method::Extension, "RFC 9110 §9.1: case-sensitive");
    }
}
