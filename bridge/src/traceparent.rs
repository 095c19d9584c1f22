//! W3C Trace Context, as far as the bridge hands it on.

/// The `traceparent` (Trace Context, section 3.2) if it is well-formed; anything else is dropped, as the
/// standard asks.
pub(crate) fn well_formed(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let mut fields = text.split('-');
    let mut hex = |length: usize| {
        fields.next().filter(|field| {
            field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    (version != "ff" && !zero(trace) && !zero(parent) && fields.next().is_none()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_ones_pass() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(well_formed(good.as_bytes()), Some(good));
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(well_formed(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(well_formed(b"\xff"), None);
    }
}
