//! Cross-origin resource sharing: preflights are answered here, other responses get the fields that let the browser read
//! them (Fetch, section 3.2; Envoy's CORS filter).

use std::sync::Arc;

use mesh_http::{Known, RequestHead};

use super::decision::Answer;
use crate::model::Cors;

/// The answer to a preflight, if this is one; else fields for the response are noted.
pub(super) fn check(
    rules: &Cors,
    head: &RequestHead,
    response_fields: &mut Vec<(&'static str, String)>,
) -> Option<Answer> {
    let origin = head.fields.get(Known::Origin).filter(|origin| !origin.is_empty())?;
    let allowed = rules.origins.iter().any(|rule| rule.matches(origin));
    let preflight = head.method() == b"OPTIONS" && head.fields.get(Known::AccessControlRequestMethod).is_some();
    if !allowed {
        let here = preflight && !rules.forward_unmatched_preflights;
        return here.then(|| Answer::new(200, Arc::default(), "cors_response"));
    }
    let origin = String::from_utf8_lossy(origin).into_owned();
    let mut say = |name, value: &str| {
        if !value.is_empty() {
            response_fields.push((name, value.to_owned()));
        }
    };
    say("access-control-allow-origin", &origin);
    if rules.credentials == Some(true) {
        say("access-control-allow-credentials", "true");
    }
    say("access-control-expose-headers", &rules.expose);
    if !preflight {
        return None;
    }
    say("access-control-allow-methods", &rules.methods);
    say("access-control-allow-headers", &rules.headers);
    say("access-control-max-age", &rules.max_age);
    Some(Answer::new(200, Arc::default(), "cors_response"))
}
