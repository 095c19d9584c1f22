//! AMQP 1.0's sections, where RabbitMQ hands them on in a message's body (a data section it hands on without).

/// Descriptors (AMQP 1.0, part 3, section 3.2).
const DATA: u64 = 0x75;
const SEQUENCE: u64 = 0x76;
const VALUE: u64 = 0x77;

/// What data sections hold, or a value or a sequence of one that is a string or bytes; `None` for anything else.
pub(super) fn unwrap(body: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut content) = (body, Vec::new());
    while !rest.is_empty() {
        let (descriptor, section) = descriptor(rest)?;
        let (bytes, after) = match descriptor {
            DATA | VALUE => text(section)?,
            SEQUENCE => {
                let (list, after) = list_of_one(section)?;
                (text(list).filter(|(_, end)| end.is_empty())?.0, after)
            }
            _ => return None,
        };
        // Data comes in as many sections as its sender likes; a value or a sequence stands alone.
        if descriptor != DATA && !(content.is_empty() && after.is_empty()) {
            return None;
        }
        content.extend_from_slice(bytes);
        rest = after;
    }
    (!body.is_empty()).then_some(content)
}

/// The descriptor of a described type, and what follows.
fn descriptor(body: &[u8]) -> Option<(u64, &[u8])> {
    match body.strip_prefix(&[0])? {
        [0x53, small, rest @ ..] => Some((u64::from(*small), rest)),
        [0x80, rest @ ..] => {
            let (number, rest) = rest.split_first_chunk()?;
            Some((u64::from_be_bytes(*number), rest))
        }
        _ => None,
    }
}

/// A string, bytes or a symbol, and what follows.
fn text(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (constructor, rest) = value.split_first()?;
    let (length, rest) = match constructor {
        0xa0 | 0xa1 | 0xa3 => small(rest)?,
        0xb0 | 0xb1 | 0xb3 => large(rest)?,
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The content of a list with one item, and what follows the list.
fn list_of_one(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (constructor, rest) = value.split_first()?;
    let read = match constructor {
        0xc0 => small,
        0xd0 => large,
        _ => return None,
    };
    let (size, rest) = read(rest)?;
    let (content, after) = rest.split_at_checked(size)?;
    let (count, items) = read(content)?;
    (count == 1).then_some((items, after))
}

fn small(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    Some((usize::from(*length), rest))
}

fn large(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u32::from_be_bytes(*length)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_bytes_are_unwrapped() {
        for (body, content) in [
            (&b"\0\x53\x77\xa1\x02{}"[..], &b"{}"[..]),
            (b"\0\x53\x77\xb1\0\0\0\x02{}", b"{}"),
            (b"\0\x80\0\0\0\0\0\0\0\x77\xa0\x02{}", b"{}"),
            (b"\0\x53\x75\xa0\x01{\0\x53\x75\xb0\0\0\0\x01}", b"{}"),
            (b"\0\x53\x76\xc0\x05\x01\xa1\x02{}", b"{}"),
            (b"\0\x53\x76\xd0\0\0\0\x08\0\0\0\x01\xa1\x02{}", b"{}"),
            (b"\0\x53\x77\xa1\0", b""),
        ] {
            assert_eq!(unwrap(body).as_deref(), Some(content), "{body:02x?}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for body in [
            &b""[..],
            b"{}",
            b"\0",
            b"\0\x53\x77",
            // A map, a number, two items, a length beyond the end, something behind.
            b"\0\x53\x77\xc1\x01\0",
            b"\0\x53\x77\x54\x05",
            b"\0\x53\x76\xc0\x07\x02\xa1\x01{\xa1\x01}",
            b"\0\x53\x77\xa1\x09{}",
            b"\0\x53\x77\xa1\x02{}\0\x53\x77\xa1\x02{}",
            b"\0\x53\x70\x45",
            b"\0\x53\x77\xb1\xff\xff\xff\xff{}",
        ] {
            assert_eq!(unwrap(body), None, "{body:02x?}");
        }
    }
}
