//! Protobuf's encoding of fields.

/// A value as it travels.
#[derive(Debug, PartialEq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Four([u8; 4]),
    Eight([u8; 8]),
    Bytes(&'a [u8]),
}

/// How a value travels, by the low three bits of its field's key. Groups have none, for proto3 has no groups.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Varint,
    Four,
    Eight,
    Bytes,
}

/// Takes a field's number and its value off the bytes; nothing if they are cut short or begin no field.
pub(super) fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Wire<'a>)> {
    let key = varint(bytes)?;
    let form = match key & 7 {
        0 => Form::Varint,
        1 => Form::Eight,
        2 => Form::Bytes,
        5 => Form::Four,
        _ => return None,
    };
    Some((u32::try_from(key >> 3).ok()?, value(form, bytes)?))
}

/// Takes a value off the bytes; nothing if they are cut short.
pub(super) fn value<'a>(form: Form, bytes: &mut &'a [u8]) -> Option<Wire<'a>> {
    Some(match form {
        Form::Varint => Wire::Varint(varint(bytes)?),
        Form::Four => Wire::Four(chunk(bytes)?),
        Form::Eight => Wire::Eight(chunk(bytes)?),
        Form::Bytes => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Wire::Bytes(bytes.split_off(..length)?)
        }
    })
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*chunk)
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// The signed numbers that travel as unsigned ones, small ones first.
pub(super) fn zigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_one_after_the_other() {
        let mut bytes: &[u8] =
            &[0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8];
        let all: Vec<_> = std::iter::from_fn(|| field(&mut bytes)).collect();
        let wires =
            [Wire::Varint(150), Wire::Bytes(b"hi"), Wire::Four([1, 2, 3, 4]), Wire::Eight([1, 2, 3, 4, 5, 6, 7, 8])];
        assert_eq!(all, (1..).zip(wires).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_cut_short_or_endless_is_no_field() {
        for bytes in [&[0x08][..], &[0x12, 2, b'h'], &[0x1d, 1], &[0x0b], &[0xff; 11]] {
            assert_eq!(field(&mut &*bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn signs_alternate() {
        assert_eq!([0, 1, 2, 3, u64::MAX].map(zigzag), [0, -1, 1, -2, i64::MIN]);
    }
}
