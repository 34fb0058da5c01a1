//! `%COMMAND%` operators in values of header fields: those of Envoy's that a proxy of this mesh answers. Who reads
//! configuration and who serves it must agree on them.

/// Operators about the connection.
const CONNECTION: &[&str] = &[
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_TLS_VERSION",
    "REQUESTED_SERVER_NAME",
];

/// What a field is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A request.
    Request,
    /// A response, at which the request is gone.
    Response,
}

/// Checks a format when configuration is read.
///
/// # Errors
/// In words, if an operator is unknown, not served in such a field, or not closed.
pub fn check(format: &str, of: Of) -> Result<(), String> {
    for part in Parts(format) {
        match part {
            Part::Text(_) => {}
            Part::Operator(name, None) if CONNECTION.contains(&name) => {}
            Part::Operator("PROTOCOL", None) | Part::Operator("REQ", Some(_)) if of == Of::Request => {}
            Part::Operator(name @ ("PROTOCOL" | "REQ"), _) if of == Of::Response => {
                return Err(format!("%{name}% is not supported in values of response fields"));
            }
            Part::Operator(name, _) => return Err(format!("%{name}% is not supported in header values")),
            Part::Unclosed => {
                return Err(format!(
                    "a % in {format:?} opens an operator that is not closed; write %% for a percent sign"
                ));
            }
        }
    }
    Ok(())
}

/// A piece of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// As it stands.
    Text(&'a str),
    /// An operator, and what follows its opening parenthesis.
    Operator(&'a str, Option<&'a str>),
    /// A percent sign that opens nothing.
    Unclosed,
}

/// The pieces of a format, in order.
#[derive(Clone, Debug)]
pub struct Parts<'a>(pub &'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let rest = self.0;
        if rest.is_empty() {
            return None;
        }
        let Some(operator) = rest.strip_prefix('%') else {
            let end = rest.find('%').unwrap_or(rest.len());
            self.0 = &rest[end..];
            return Some(Part::Text(&rest[..end]));
        };
        if let Some(after) = operator.strip_prefix('%') {
            self.0 = after;
            return Some(Part::Text("%"));
        }
        let Some(end) = operator.find('%') else {
            self.0 = operator;
            return Some(Part::Unclosed);
        };
        self.0 = &operator[end + 1..];
        Some(match operator[..end].split_once('(') {
            Some((name, argument)) => Part::Operator(name, Some(argument)),
            None => Part::Operator(&operator[..end], None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_served_is_named() {
        assert_eq!(check("a %% b %REQ(x-a?:path):3% %PROTOCOL% %DOWNSTREAM_REMOTE_PORT%", Of::Request), Ok(()));
        let cases = [
            ("%HOSTNAME%", Of::Request, "%HOSTNAME% is not supported in header values"),
            ("%REQ(x)%", Of::Response, "%REQ% is not supported in values of response fields"),
            ("100%", Of::Request, "a % in \"100%\" opens an operator that is not closed; write %% for a percent sign"),
        ];
        for (format, of, said) in cases {
            assert_eq!(check(format, of).unwrap_err(), said);
        }
    }
}
