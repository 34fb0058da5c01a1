//! Protobuf's own messages, which have forms of their own in JSON.

use serde_json::{Map, Value, json};

pub(super) const ANY: &str = "google.protobuf.Any";

/// True of the messages that are told as one value, which in an `Any` stands under `value`.
pub(super) fn is(name: &str) -> bool {
    name.starts_with("google.protobuf.")
}

/// The form of a message with these fields.
pub(super) fn form(name: &str, mut fields: Map<String, Value>) -> Value {
    let mut field = |name: &str| fields.remove(name);
    match name.strip_prefix("google.protobuf.") {
        Some("Duration") => duration(number(field("seconds")), number(field("nanos"))).into(),
        Some("Timestamp") => timestamp(number(field("seconds")), number(field("nanos"))).into(),
        Some("Struct") => field("fields").unwrap_or_else(|| json!({})),
        Some("ListValue") => field("values").unwrap_or_else(|| json!([])),
        Some("Value") => match fields.into_iter().next() {
            Some((name, _)) if name == "null_value" => Value::Null,
            Some((_, value)) => value,
            None => Value::Null,
        },
        Some("BoolValue") => field("value").unwrap_or(Value::Bool(false)),
        Some("StringValue" | "BytesValue") => field("value").unwrap_or_else(|| "".into()),
        Some("Int64Value" | "UInt64Value") => field("value").unwrap_or_else(|| "0".into()),
        Some("DoubleValue" | "FloatValue" | "Int32Value" | "UInt32Value") => field("value").unwrap_or_else(|| 0.into()),
        _ => fields.into(),
    }
}

/// A number that is not there is zero; one of 64 bits is text.
fn number(field: Option<Value>) -> i64 {
    let number = field.as_ref().and_then(|field| field.as_i64().or_else(|| field.as_str()?.parse().ok()));
    number.unwrap_or_default()
}

/// Seconds, and what is below them in as many groups of three digits as it takes.
fn duration(seconds: i64, nanos: i64) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    match nanos {
        0 => format!("{sign}{seconds}s"),
        nanos if nanos % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", nanos / 1_000_000),
        nanos if nanos % 1000 == 0 => format!("{sign}{seconds}.{:06}s", nanos / 1000),
        nanos => format!("{sign}{seconds}.{nanos:09}s"),
    }
}

/// As RFC 3339 has it, within the years that it has.
fn timestamp(seconds: i64, nanos: i64) -> String {
    let nanos = i32::try_from(nanos).unwrap_or_default();
    jiff::Timestamp::new(seconds, nanos).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_groups_of_three_digits() {
        let told = [(5, 0), (0, 250_000_000), (-1, -1_000), (1, 1)].map(|(seconds, nanos)| duration(seconds, nanos));
        assert_eq!(told, ["5s", "0.250s", "-1.000001s", "1.000000001s"]);
    }

    #[test]
    fn what_is_not_there_is_zero() {
        let forms = ["BoolValue", "UInt32Value", "UInt64Value", "Duration", "Struct", "ListValue", "Value", "Empty"];
        let told = forms.map(|name| form(&format!("google.protobuf.{name}"), Map::new()));
        let zeros = json!([false, 0, "0", "0s", {}, [], null, {}]);
        assert_eq!(Value::from(told.to_vec()), zeros);
        assert_eq!(form("google.protobuf.Timestamp", Map::new()), "1970-01-01T00:00:00Z");
    }
}
