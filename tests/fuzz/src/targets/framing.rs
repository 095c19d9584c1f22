//! Framing: however a stream is cut into writes, the same frames come of it, and of each stanza one.

use sippo_xmpp_core::xmpp::hooks::{frames, stream_bytes};

use crate::Input;

const MARKUP: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "<?xml version='1.0'?>",
    "<stream:stream",
    "</stream:stream>",
    " to='example.test'",
    " xmlns=",
    "'",
    "\"",
    "<iq",
    "</iq>",
    "<a>",
    "</a>",
    "<!--",
    "<![CDATA[",
    "<stream:error>",
    "&gt;",
    "<>",
    "< >",
    "<open",
    "<close",
    "urn:ietf:params:xml:ns:xmpp-framing",
];

pub(super) fn run(input: &mut Input<'_>) {
    if input.one_in(3) {
        let markup = input.text(MARKUP, 20);
        is_the_same_in_pieces(input, markup.as_bytes());
        // Whatever the server sends is bytes of a stream, or refused.
        let _ = stream_bytes(&markup);
        return;
    }
    if input.one_in(8) {
        return header(input);
    }
    let (mut stream, mut expected) = (String::new(), Vec::new());
    for _ in 0..input.below(5) {
        let (written, frame) = stanza(input);
        stream.push_str(&written);
        stream.push_str(input.pick(&["", " ", "\n", "<?xml version='1.0'?>"]));
        expected.push(frame);
    }
    assert_eq!(frames([stream.as_bytes()]), (expected, false), "{stream}");
    is_the_same_in_pieces(input, stream.as_bytes());
}

/// What the server opens its stream with becomes a header that says the same of it.
fn header(input: &mut Input<'_>) {
    let mut id = input.text(&["'", "\"", "&", "<", ">", "&apos;", " to='a'"], 6);
    id.retain(|character| !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}'));
    let escaped = id.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#39;");
    let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='example.test' id='{escaped}'/>");
    let header = stream_bytes(&open).unwrap_or_else(|error| panic!("{error}: {open}"));
    let header = String::from_utf8(header).expect("text of text");
    let value =
        header.split_once(" id='").and_then(|(_, rest)| rest.strip_suffix("'>")).expect("an id, and it is the last");
    assert!(!value.contains(['<', '\'']), "{header}");
    assert_eq!(value.replace("&lt;", "<").replace("&apos;", "'").replace("&amp;", "&"), id, "{header}");
}

fn is_the_same_in_pieces(input: &mut Input<'_>, stream: &[u8]) {
    let whole = frames([stream]);
    let (mut pieces, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let (piece, others) = rest.split_at((1 + input.below(8)).min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    assert_eq!(frames(pieces), whole, "{}", stream.escape_ascii());
}

/// A stanza as a stream has it, and the frame that it should become.
fn stanza(input: &mut Input<'_>) -> (String, String) {
    let name = input.pick(&["iq", "message", "presence", "stream:error", "r"]);
    let declares = input.one_in(3);
    let mut attributes = String::new();
    if declares {
        attributes.push_str(" xmlns='urn:xmpp:sm:3'");
    }
    for _ in 0..input.below(3) {
        attributes.push_str(&attribute(input));
    }
    let children: String = (0..input.below(3)).map(|_| element(input, 3)).collect();
    let rest = if children.is_empty() { "/>".to_owned() } else { format!(">{children}</{name}>") };
    let inherited = match (name.starts_with("stream:"), declares) {
        (true, _) => " xmlns:stream='http://etherx.jabber.org/streams'",
        (false, false) => " xmlns='jabber:client'",
        (false, true) => "",
    };
    (format!("<{name}{attributes}{rest}"), format!("<{name}{inherited}{attributes}{rest}"))
}

fn element(input: &mut Input<'_>, depth: usize) -> String {
    let name = input.pick(&["a", "body", "x", "stream"]);
    let attribute = if input.one_in(2) { attribute(input) } else { String::new() };
    if depth == 0 || input.one_in(3) {
        return format!("<{name}{attribute}/>{}", text(input, '<'));
    }
    let children: String = (0..input.below(3)).map(|_| element(input, depth - 1)).collect();
    format!("<{name}{attribute}>{}{children}</{name}>", text(input, '<'))
}

fn attribute(input: &mut Input<'_>) -> String {
    let quote = if input.one_in(2) { '"' } else { '\'' };
    format!(" {}={quote}{}{quote}", input.pick(&["id", "to", "xmlns:a", "b"]), text(input, quote))
}

/// Text that may stand there: an encoder escapes what may not.
fn text(input: &mut Input<'_>, never: char) -> String {
    input.text(&[">", "/", "=", "&lt;", "xmlns=", "ü"], 5).replace([never, '<'], "")
}
