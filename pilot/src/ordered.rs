//! Maps in order. Protobuf leaves the order of a map's entries open and the library writes them in a random one; here
//! they are sorted, so that equal messages are equal bytes, today and after a restart.

use prost::bytes::Buf;
use prost::encoding::decode_varint;

use crate::kind::Kind;

/// Where the maps of a message are.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A message, of which these fields matter.
    Message(&'static [(u32, &'static Shape)]),
    /// A map with values of this shape.
    Map(&'static Shape),
    /// Something without maps.
    Leaf,
}

static LEAF: Shape = Shape::Leaf;
static STRUCT: Shape = Shape::Message(&[(1, &FIELDS)]);
static FIELDS: Shape = Shape::Map(&VALUE);
static VALUE: Shape = Shape::Message(&[(5, &STRUCT), (6, &LIST)]);
static LIST: Shape = Shape::Message(&[(1, &VALUE)]);
static METADATA: Shape = Shape::Message(&[(1, &STRUCTS)]);
static STRUCTS: Shape = Shape::Map(&STRUCT);
static FILTERS: Shape = Shape::Map(&LEAF);
static ENDPOINTS: Shape = Shape::Message(&[(2, &LOCALITY)]);
static LOCALITY: Shape = Shape::Message(&[(2, &ENDPOINT)]);
static ENDPOINT: Shape = Shape::Message(&[(3, &METADATA)]);
static CLUSTER: Shape = Shape::Message(&[(25, &METADATA), (33, &ENDPOINTS)]);
static ROUTES: Shape = Shape::Message(&[(2, &HOST)]);
static HOST: Shape = Shape::Message(&[(3, &ROUTE), (15, &FILTERS)]);
static ROUTE: Shape = Shape::Message(&[(4, &METADATA), (13, &FILTERS)]);
/// The RBAC filters: `rules.policies`.
pub(crate) static RBAC: Shape = Shape::Message(&[(1, &RULES)]);
static RULES: Shape = Shape::Message(&[(2, &FILTERS)]);
/// `FileAccessLog`: `log_format.json_format`.
pub(crate) static FILE_ACCESS_LOG: Shape = Shape::Message(&[(5, &LOG_FORMAT)]);
static LOG_FORMAT: Shape = Shape::Message(&[(2, &STRUCT)]);

impl Shape {
    /// That of a resource.
    pub(crate) fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::Cluster => &CLUSTER,
            Kind::Endpoints => &ENDPOINTS,
            Kind::Route => &ROUTES,
            Kind::VirtualHost => &HOST,
            // What maps they have are inside others' bytes, which are in order already.
            Kind::Listener | Kind::Secret => &LEAF,
        }
    }
}

/// An encoded message with its maps in order; bytes that are no message stay as they are.
pub(crate) fn ordered(message: &[u8], shape: &Shape) -> Vec<u8> {
    let Shape::Message(fields) = shape else { return message.to_vec() };
    sorted(message, fields).unwrap_or_else(|| message.to_vec())
}

fn sorted(message: &[u8], fields: &[(u32, &'static Shape)]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len());
    let mut rest = message;
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut map = None;
    while !rest.is_empty() {
        let (whole, number, payload) = next(&mut rest)?;
        let shape = fields.iter().find(|(field, _)| *field == number).map(|(_, shape)| *shape);
        if map.is_some_and(|map| map != number) {
            flush(&mut entries, &mut out);
            map = None;
        }
        match (shape, payload) {
            (Some(Shape::Map(value)), Some(entry)) => {
                map = Some(number);
                entries.push(delimited(whole, entry, sorted(entry, &[(2, value)])?));
            }
            (Some(shape @ Shape::Message(_)), Some(inner)) => {
                out.extend(delimited(whole, inner, ordered(inner, shape)));
            }
            _ => out.extend_from_slice(whole),
        }
    }
    flush(&mut entries, &mut out);
    Some(out)
}

/// A field with another payload of the same length.
fn delimited(whole: &[u8], payload: &[u8], other: Vec<u8>) -> Vec<u8> {
    let head = &whole[..whole.len() - payload.len()];
    [head, &other].concat()
}

fn flush(entries: &mut Vec<Vec<u8>>, out: &mut Vec<u8>) {
    // Each begins with its length; the key decides.
    entries.sort_by(|one, other| key(one).cmp(key(other)));
    entries.drain(..).for_each(|entry| out.extend(entry));
}

/// The bytes of an entry from its key on.
fn key(entry: &[u8]) -> &[u8] {
    let mut rest = entry;
    let payload = next(&mut rest).and_then(|(_, _, payload)| payload).unwrap_or_default();
    let mut inside = payload;
    next(&mut inside).and_then(|(_, _, key)| key).unwrap_or(payload)
}

/// All of a field, its number and, if it is delimited, its payload.
type Field<'a> = (&'a [u8], u32, Option<&'a [u8]>);

/// Takes a field.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let start = *rest;
    let tag = decode_varint(rest).ok()?;
    let payload = match tag & 7 {
        0 => {
            decode_varint(rest).ok()?;
            None
        }
        1 => skip(rest, 8)?,
        5 => skip(rest, 4)?,
        2 => {
            let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
            let payload = rest.get(..length)?;
            rest.advance(length);
            Some(payload)
        }
        _ => return None,
    };
    Some((&start[..start.len() - rest.len()], u32::try_from(tag >> 3).ok()?, payload))
}

fn skip<'a>(rest: &mut &'a [u8], count: usize) -> Option<Option<&'a [u8]>> {
    (rest.len() >= count).then(|| {
        rest.advance(count);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::cluster::v3::Cluster;
    use envoy_types::pb::envoy::config::core::v3::Metadata;
    use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
    use prost::Message;

    fn text(text: &str) -> Value {
        Value { kind: Some(value::Kind::StringValue(text.to_owned())) }
    }

    fn cluster() -> Cluster {
        let fields = |count: usize| Struct { fields: (0..count).map(|n| (format!("k{n}"), text("v"))).collect() };
        let inner = Value { kind: Some(value::Kind::StructValue(fields(5))) };
        let list = Value { kind: Some(value::Kind::ListValue(ListValue { values: vec![inner] })) };
        let mut outer = fields(4);
        outer.fields.insert("list".to_owned(), list);
        let filter_metadata = (0..3).map(|n| (format!("filter{n}"), outer.clone())).collect();
        let metadata = Some(Metadata { filter_metadata, ..Default::default() });
        Cluster { name: "a".to_owned(), alt_stat_name: "b".to_owned(), metadata, ..Default::default() }
    }

    #[test]
    fn equal_messages_are_equal_bytes() {
        let bytes = || ordered(&cluster().encode_to_vec(), Shape::of(Kind::Cluster));
        let first = bytes();
        assert!((0..20).all(|_| bytes() == first));
        assert_eq!(Cluster::decode(first.as_slice()).unwrap(), cluster());
    }

    #[test]
    fn what_is_no_message_stays() {
        let shape = Shape::of(Kind::Cluster);
        for bytes in [&[0xff][..], &[0x0a, 5, 1], &[0xca, 0x01, 3, 0x0a, 9, 0]] {
            assert_eq!(ordered(bytes, shape), bytes);
        }
    }
}
