//! Reading a field block.

use super::table::{Entry, Table};
use super::{BETWEEN, END, Field, Key, Line, huffman};

/// The reading end: its table follows what the peer does.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// The largest table that the peer may have.
    most: usize,
    /// The field that is read, unless a table has it.
    text: Vec<u8>,
}

/// The block is not HPACK: the tables differ from here on, so that the connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl Decoder {
    /// A table of at most so many bytes, as our SETTINGS_HEADER_TABLE_SIZE says.
    pub(crate) fn new(most: usize) -> Self {
        Self { table: Table::new(most), most, text: Vec::new() }
    }

    /// Hands on the fields of a whole block, in order.
    ///
    /// # Errors
    /// If it is not HPACK.
    pub(crate) fn decode(&mut self, block: &[u8], mut each: impl FnMut(Field<'_>)) -> Result<(), Broken> {
        let mut block = Block(block);
        let mut may_resize = true;
        while let Some(first) = block.peek() {
            let resizes = first & 0xe0 == 0x20;
            if resizes {
                // Only before the first field (RFC 7541, section 4.2).
                let max = block.integer(5)?;
                if !may_resize || max > self.most {
                    return Err(Broken);
                }
                self.table.resize(max);
                continue;
            }
            may_resize = false;
            if first & 0x80 != 0 {
                let entry = self.table.get(block.integer(7)?).ok_or(Broken)?;
                each(entry.field());
                continue;
            }
            let (prefix, inserted) = if first & 0x40 != 0 { (6, true) } else { (4, false) };
            let (key, name) = self.literal(&mut block, prefix)?;
            let sensitive = !inserted && first & 0x10 != 0;
            let line = Line { text: &self.text, name };
            let field = Field { key, line, sensitive, legal: line.is_legal() };
            each(field);
            if inserted {
                self.table.insert(Entry::of(&field));
            }
        }
        Ok(())
    }

    /// Reads the line of a field that is not indexed as a whole, and says how long its name is.
    fn literal(&mut self, block: &mut Block<'_>, prefix: u32) -> Result<(Key, usize), Broken> {
        self.text.clear();
        let index = block.integer(prefix)?;
        let key = if index == 0 {
            block.string(&mut self.text)?;
            Key::of(&self.text)
        } else {
            let known = self.table.get(index).ok_or(Broken)?.field();
            self.text.extend_from_slice(known.name());
            known.key
        };
        let name = self.text.len();
        self.text.extend_from_slice(BETWEEN);
        block.string(&mut self.text)?;
        self.text.extend_from_slice(END);
        Ok((key, name))
    }
}

/// What is left of a block.
struct Block<'a>(&'a [u8]);

impl Block<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let (&first, rest) = self.0.split_first().ok_or(Broken)?;
        self.0 = rest;
        Ok(first)
    }

    /// An integer in the low `prefix` bits of a byte and those that follow; above 2^28 it is refused.
    fn integer(&mut self, prefix: u32) -> Result<usize, Broken> {
        let mask = (1_u32 << prefix) - 1;
        let mut value = u32::from(self.byte()?) & mask;
        if value < mask {
            return Ok(value as usize);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        Err(Broken)
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let huffman = self.peek().ok_or(Broken)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        if !huffman {
            out.extend_from_slice(text);
            return Ok(());
        }
        if huffman::decode(text, out) { Ok(()) } else { Err(Broken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Broken> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.decode(block, |field| fields.push(format!("{}: {}", text(field.name()), text(field.value()))))?;
        Ok(fields)
    }

    #[test]
    fn requests_of_the_rfc() {
        // RFC 7541, appendix C.4: Huffman, and a table that grows.
        let mut decoder = Decoder::new(4096);
        let first =
            [0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        let common = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
        assert_eq!(read(&mut decoder, &first).unwrap(), common);
        let second = [0x82, 0x86, 0x84, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf];
        assert_eq!(read(&mut decoder, &second).unwrap()[4], "cache-control: no-cache");
        assert_eq!(decoder.table.len(), 2);
    }

    #[test]
    fn what_is_not_hpack() {
        let table: [&[u8]; 9] = [
            &[0x80],                               // index 0
            &[0xbe],                               // an entry that is not there
            &[0xff],                               // an integer without end
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], // an integer too large
            &[0x40, 0x01],                         // a name without text
            &[0x40, 0x01, b'a'],                   // no value
            &[0x3f, 0xe2, 0x1f],                   // a larger table than allowed
            &[0x82, 0x20],                         // a table resized after a field
            &[0x44, 0x82, 0xff, 0xff],             // Huffman padding too long
        ];
        for block in table {
            assert_eq!(read(&mut Decoder::new(4096), block), Err(Broken), "{block:x?}");
        }
    }
}
