//! What an object must satisfy beyond its types, as Istio's own validation asks.

use crate::api::{HttpRoute, HttpRouteDestination, StringMatch, VirtualService};
use crate::diagnostic::{Code, Severity};
use crate::node::{Node, Position, Value};
use crate::object::AnyObject;
use crate::path::{FieldPath, Step};
use crate::read::Problem;

/// What is wrong with an object; positions are found in its document.
pub(crate) fn check(object: &AnyObject, document: &Node) -> Vec<Problem> {
    let mut checker = Checker { document, problems: Vec::new() };
    if let AnyObject::VirtualService(object) = object {
        checker.virtual_service(&object.spec);
    }
    checker.problems
}

struct Checker<'a> {
    document: &'a Node,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn virtual_service(&mut self, spec: &VirtualService) {
        let path = FieldPath::default().field("spec");
        for (index, route) in spec.http.iter().enumerate() {
            self.http_route(route, &path.field("http").index(index));
        }
    }

    fn http_route(&mut self, route: &HttpRoute, path: &FieldPath) {
        let actions = [
            !route.route.is_empty(),
            route.redirect.is_some(),
            route.direct_response.is_some(),
            route.delegate.is_some(),
        ];
        match actions.iter().filter(|set| **set).count() {
            0 => self.error(Code::Missing, path, "one of route, redirect, directResponse and delegate must be set"),
            1 => {}
            _ => self.error(Code::Invalid, path, "only one of route, redirect, directResponse and delegate may be set"),
        }
        self.weights(&route.route, &path.field("route"));
        for (index, one) in route.matches.iter().enumerate() {
            let path = path.field("match").index(index);
            self.pattern(one.uri.as_ref(), &path.field("uri"));
            for (name, test) in &one.headers {
                self.pattern(Some(test), &path.field("headers").key(name));
            }
        }
    }

    fn weights(&mut self, destinations: &[HttpRouteDestination], path: &FieldPath) {
        for (index, one) in destinations.iter().enumerate() {
            if one.destination.as_ref().is_none_or(|destination| destination.host.is_empty()) {
                self.error(Code::Missing, &path.index(index).field("destination").field("host"), "must be set");
            }
        }
        let total: u64 = destinations.iter().map(|one| u64::from(one.weight.unwrap_or_default())).sum();
        if destinations.len() > 1 && total == 0 {
            self.error(Code::Invalid, path, "the weights of several destinations must not all be 0");
        }
    }

    fn pattern(&mut self, test: Option<&StringMatch>, path: &FieldPath) {
        if let Some(StringMatch::Regex(pattern)) = test
            && let Err(error) = regex::Regex::new(pattern)
        {
            let text = error.to_string();
            let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
            self.error(Code::Invalid, path, &format!("{pattern:?} is no regular expression: {last}"));
        }
    }

    fn error(&mut self, code: Code, path: &FieldPath, message: &str) {
        let at = find(self.document, &path.0);
        self.problems.push(Problem {
            severity: Severity::Error,
            code,
            path: path.clone(),
            at,
            message: message.to_owned(),
        });
    }
}

/// Where a field stands; where its nearest present parent stands if it is absent.
fn find(node: &Node, steps: &[Step]) -> Position {
    let Some((step, rest)) = steps.split_first() else { return node.at };
    let next = match (step, &node.value) {
        (Step::Field(name), _) => node.get(name).map(|entry| &entry.value),
        (Step::Index(index), Value::Sequence(items)) => items.get(*index),
        _ => None,
    };
    next.map_or(node.at, |next| find(next, rest))
}
