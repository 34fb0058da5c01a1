//! What of an object is not used, since another one stands in its way.

use std::collections::BTreeMap;

use galley::{Code, ObjectRef, State};

use super::own::words;
use super::verdict::Verdict;

/// So many are told of one object; of more, their number.
const MOST: usize = 5;

/// Adds to the verdicts what this replica finds between objects. Of what is refused, nothing is in force that could.
pub(super) fn add(verdicts: &mut BTreeMap<ObjectRef, Verdict>, state: &State) {
    for found in state.diagnostics.iter().filter(|one| one.code == Code::Conflict && !one.is_error()) {
        let about = found.object.as_ref().and_then(|object| verdicts.get_mut(object));
        if let Some(verdict) = about.filter(|verdict| verdict.problems.is_empty()) {
            verdict.conflicts.push(words(found));
        }
    }
    verdicts.values_mut().for_each(|verdict| shorten(&mut verdict.conflicts));
}

fn shorten(conflicts: &mut Vec<String>) {
    let more = conflicts.len().saturating_sub(MOST);
    if more > 0 {
        conflicts.truncate(MOST);
        conflicts.push(format!("and {more} more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use galley::Kind;

    fn gateway(name: &str, hosts: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: edge}}\nspec: {{selector: {{istio: edge}}, servers: [{{port: {{number: 443, name: https, protocol: HTTPS}}, hosts: [{hosts}], tls: {{mode: SIMPLE, credentialName: key}}}}]}}\n---\n"
        )
    }

    fn reference(name: &str) -> ObjectRef {
        ObjectRef { kind: Kind::Gateway, namespace: "edge".into(), name: name.into() }
    }

    /// What is said of the second of two Gateways, the first of which has these hosts.
    fn said(first: &str, second: &str, problems: &[String]) -> [Vec<String>; 2] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("gateways.yaml"), gateway("a", first) + &gateway("b", second)).unwrap();
        let mut directory = galley::Directory::new(place.path());
        directory.read().unwrap();
        let verdict = Verdict { problems: problems.to_vec(), ..Verdict::default() };
        let mut verdicts = [reference("a"), reference("b")].map(|one| (one, verdict.clone())).into();
        add(&mut verdicts, directory.state());
        ["a", "b"].map(|name| verdicts[&reference(name)].conflicts.clone())
    }

    #[test]
    fn the_gateway_that_loses_a_host_is_told_which() {
        let [winner, loser] = said("x.org", "y.org, x.org", &[]);
        assert_eq!(winner, [""; 0]);
        let [only] = &loser[..] else { panic!("{loser:?}") };
        assert!(only.starts_with("spec.servers[0].hosts[1]: "), "{only}");
        assert!(only.contains("x.org on port 443 are taken by servers[0] of Gateway edge/a"), "{only}");
        assert_eq!(said("x.org", "y.org", &[])[1], [""; 0]);
        assert_eq!(said("x.org", "x.org", &["refused".to_owned()])[1], [""; 0], "the reader has more to mend");
    }

    #[test]
    fn many_are_counted() {
        let hosts: Vec<String> = (0..9).map(|index| format!("h{index}.org")).collect();
        let [_, loser] = said(&hosts.join(", "), &hosts.join(", "), &[]);
        assert_eq!((loser.len(), loser.last().map(String::as_str)), (6, Some("and 4 more")));
    }
}
