//! HPACK's Huffman code (RFC 7541, appendix B), read only: what we write is short or indexed, and never worth the time.
//!
//! The code is canonical: the lengths alone, with symbols of one length in order, determine every code word.

/// Bits of each symbol's code word.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
/// The longest code word, and that of the end-of-string symbol, which may not occur.
const LONGEST: usize = 30;

static CODE: Code = Code::new();

/// Code words of up to eight bits by their first byte, longer ones by ranges.
struct Code {
    /// Symbol and length; length 0 is a longer code word.
    short: [(u8, u8); 256],
    /// For each length: the first 32 bits behind its last code word, what to subtract, and where its symbols begin.
    long: [(u64, u32, u16); LONGEST + 1],
    symbols: [u8; 256],
}

impl Code {
    const fn new() -> Self {
        let mut code = Self { short: [(0, 0); 256], long: [(0, 0, 0); LONGEST + 1], symbols: [0; 256] };
        let (mut next, mut placed, mut length) = (0_u32, 0, 1);
        while length <= LONGEST {
            next <<= 1;
            code.long[length].1 = next;
            code.long[length].2 = placed as u16;
            let mut symbol = 0;
            while symbol < 256 {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[placed] = symbol as u8;
                    placed += 1;
                    code.fill(next, length, symbol as u8);
                    next += 1;
                }
                symbol += 1;
            }
            code.long[length].0 = (next as u64) << (32 - length);
            length += 1;
        }
        code
    }

    const fn fill(&mut self, word: u32, length: usize, symbol: u8) {
        if length > 8 {
            return;
        }
        let first = (word as usize) << (8 - length);
        let mut at = first;
        while at < first + (1 << (8 - length)) {
            self.short[at] = (symbol, length as u8);
            at += 1;
        }
    }

    /// The symbol at the front of 32 bits, and its length; `None` for the end-of-string symbol.
    fn symbol(&self, bits: u32) -> Option<(u8, u32)> {
        let (symbol, length) = self.short[(bits >> 24) as usize];
        if length > 0 {
            return Some((symbol, u32::from(length)));
        }
        let length = (9..=LONGEST).find(|&length| u64::from(bits) < self.long[length].0)?;
        let (_, first, index) = self.long[length];
        let at = usize::from(index) + ((bits >> (32 - length)) - first) as usize;
        Some((self.symbols[at], length as u32))
    }
}

/// Appends what `input` says to `out`; false if it is not a whole string with proper padding.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> bool {
    let mut input = input.iter();
    let (mut bits, mut count) = (0_u64, 0_u32);
    loop {
        while count <= 56
            && let Some(&byte) = input.next()
        {
            bits |= u64::from(byte) << (56 - count);
            count += 8;
        }
        match CODE.symbol((bits >> 32) as u32) {
            Some((symbol, length)) if length <= count => {
                out.push(symbol);
                bits <<= length;
                count -= length;
            }
            // What is left is the beginning of the end-of-string symbol, shorter than a byte: ones.
            _ => return count < 8 && bits.leading_ones() == count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(input, &mut out).then_some(out)
    }

    #[test]
    fn the_rfcs_examples() {
        let table: [(&[u8], &str); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x64, 0x02], "302"),
            (&[], ""),
        ];
        for (input, text) in table {
            assert_eq!(decoded(input).as_deref(), Some(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn padding_is_ones_and_shorter_than_a_byte() {
        assert_eq!(decoded(&[0x1f]).as_deref(), Some(&b"a"[..]));
        assert_eq!(decoded(&[0x18]), None, "zeros");
        assert_eq!(decoded(&[0x64, 0x02, 0xff]), None, "a whole byte");
        assert_eq!(decoded(&[0xff; 4]), None, "the end-of-string symbol");
    }

    #[test]
    fn every_symbol_has_its_word() {
        for symbol in 0..=255_u8 {
            let length = u32::from(LENGTHS[usize::from(symbol)]);
            let before = (0..symbol).filter(|&s| u32::from(LENGTHS[usize::from(s)]) == length).count() as u32;
            let word = CODE.long[length as usize].1 + before;
            let bits = word << (32 - length) | (u32::MAX >> 1 >> (length - 1));
            assert_eq!(CODE.symbol(bits), Some((symbol, length)));
        }
    }
}
