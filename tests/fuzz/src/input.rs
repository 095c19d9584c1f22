//! Bytes as choices: what an engine varies is what a target builds its input from.

/// The bytes of one run. What lies behind their end reads as zeros, so that every sequence of bytes is an input, and a
/// shorter one is a simpler one.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes have been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number, of the small ones more often than of all others.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            0 => u64::MAX,
            size @ 1..=8 => (0..size).fold(0, |number, _| number << 8 | u64::from(self.byte())),
            small => u64::from(small) - 9,
        }
    }

    /// A number less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let number =
            if end <= 256 { self.byte().into() } else { usize::from(self.byte()) << 8 | usize::from(self.byte()) };
        number % end
    }

    /// Yes in one of `n` cases; no behind the end.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of `all`; the first behind the end.
    pub fn pick<'b, T: ?Sized>(&mut self, all: &[&'b T]) -> &'b T {
        all[self.below(all.len())]
    }

    /// At most `most` bytes.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        (0..length).map_while(|_| (!self.is_empty()).then(|| self.byte())).collect()
    }

    /// A character: of all planes, and more often one that has to do with names, quoting or lines.
    pub fn character(&mut self) -> char {
        match self.byte() {
            0..=99 => char::from(b'a' + self.byte() % 26),
            100..=169 => char::from(self.byte() % 0x80),
            170..=199 => {
                let odd: Vec<char> = ODD.chars().collect();
                odd[self.below(odd.len())]
            }
            200..=229 => char::from_u32(self.wide() % 0x3000).unwrap_or('ß'),
            _ => char::from_u32(self.wide() % 0x11_0000).unwrap_or('\u{fffd}'),
        }
    }

    fn wide(&mut self) -> u32 {
        u32::from(self.byte()) << 16 | u32::from(self.byte()) << 8 | u32::from(self.byte())
    }

    /// A text of at most `most` pieces, each of `words` or a character.
    pub fn text(&mut self, words: &[&str], most: usize) -> String {
        let mut text = String::new();
        for _ in 0..self.below(most + 1) {
            if !words.is_empty() && self.one_in(2) {
                text.push_str(self.pick(words));
            } else {
                text.push(self.character());
            }
        }
        text
    }

    /// `sample` with a few places changed, left out or said twice.
    pub fn damaged(&mut self, sample: &[u8]) -> Vec<u8> {
        let mut bytes = sample.to_vec();
        for _ in 0..self.below(5) {
            let at = self.below(bytes.len().max(1));
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = self.byte(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(at, self.byte()),
                3 => bytes.truncate(at),
                _ => {
                    let end = (at + self.below(20)).min(bytes.len());
                    let twice = bytes[at.min(end)..end].to_vec();
                    bytes.splice(at.min(end)..at.min(end), twice);
                }
            }
        }
        bytes
    }
}

/// Characters that preparation changes, refuses or takes for others, and those that end lines, tags and quotes.
const ODD: &str = "AÄßẞſıİςΣﬁŉǰΐａ．。｡\u{ad}\u{200b}\u{200d}\u{2060}\u{feff}\u{fe0f}\u{301}\u{345}\u{1d173}\u{e000}\
     \u{fffd}\u{fffe}\u{ffff}\u{10ffff}\u{85}\u{a0}\u{2028}\u{3000}\u{202e}\u{5d0}\u{627}\u{6dd}٣\u{1e9b}ḍ̇\u{3a9}\u{2126}\u{212b}℻ᵃ\
     한日😀\"'&<>/:@\\ \u{0}\t\n\r\u{7f};,=%#?[]{}()|^`~+-._";
