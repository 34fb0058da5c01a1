//! `RequestAuthentication`: tokens in requests.

use std::time::Duration;

use super::{PolicyTargetReference, WorkloadSelectorMatch};
use crate::read::object;
use crate::schema::{rule, selector_or_targets};

object! {
    /// Which tokens (JWT) requests may carry, and how they are verified.
    pub struct RequestAuthentication {
        /// Which workloads of the namespace; absent means all (of the mesh, in the root namespace).
        selector: Option<WorkloadSelectorMatch> = "selector",
        /// Attachment to a gateway or waypoint.
        target_ref: Option<PolicyTargetReference> = "targetRef",
        /// Attachment to gateways and waypoints; excludes `selector`.
        target_refs: Vec<PolicyTargetReference> = "targetRefs" where { "maxItems": 16 },
        /// Any of these issuers.
        jwt_rules: Vec<JwtRule> = "jwtRules" where { "maxItems": 4096 },
    }
    where { "x-kubernetes-validations": (selector_or_targets()) }
}

object! {
    /// One issuer of tokens.
    pub struct JwtRule {
        /// `iss` of its tokens.
        issuer: String = "issuer" where { "minLength": 1 },
        /// Any of these in `aud`; none means that it is not looked at.
        audiences: Vec<String> = "audiences",
        /// Where its keys are.
        jwks_uri: String = "jwksUri" where { "maxLength": 2048, "x-kubernetes-validations": [rule(
            "self == '' || isURL(self) && url(self).getScheme() in ['http', 'https']",
            "must be an http or https URL"
        )] },
        /// Its keys.
        jwks: String = "jwks",
        /// Header fields that hold the token.
        from_headers: Vec<JwtHeader> = "fromHeaders",
        /// Query parameters that hold the token.
        from_params: Vec<String> = "fromParams",
        /// Cookies that hold the token.
        from_cookies: Vec<String> = "fromCookies",
        /// Header field that gets the payload.
        output_payload_to_header: String = "outputPayloadToHeader",
        /// The token is sent on.
        forward_original_token: bool = "forwardOriginalToken",
        /// Header fields that get single claims.
        output_claim_to_headers: Vec<ClaimToHeader> = "outputClaimToHeaders",
        /// Longest wait for the keys; absent means 5 s.
        timeout: Option<Duration> = "timeout",
        /// Claims that hold several values, separated by spaces.
        space_delimited_claims: Vec<String> = "spaceDelimitedClaims" where { "maxItems": 64 },
    }
    where {
        "required": ["issuer"],
        "x-kubernetes-validations": [rule(
            "(has(self.jwksUri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1",
            "only one of jwks or jwksUri can be set"
        )]
    }
}

object! {
    /// A header field that holds a token.
    pub struct JwtHeader {
        /// Its name.
        name: String = "name" where { "minLength": 1 },
        /// What stands before the token.
        prefix: String = "prefix",
    }
    where { "required": ["name"] }
}

object! {
    /// A header field that gets a claim.
    pub struct ClaimToHeader {
        /// Its name.
        header: String = "header" where { "minLength": 1, "maxLength": 256, "pattern": "^[-_A-Za-z0-9]+$" },
        /// The claim; `a.b` is `b` within `a`.
        claim: String = "claim" where { "minLength": 1 },
    }
    where { "required": ["header", "claim"] }
}
