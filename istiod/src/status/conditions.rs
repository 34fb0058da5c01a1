//! The words of a status: Istio's conditions, and our count of proxies.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::verdict::Verdict;

/// Istio's types of conditions, of which we write these.
const VALID: &str = "PassedValidation";
const RECONCILED: &str = "Reconciled";

/// The whole status. Conditions that others wrote, and the times of those that stay as they are, are kept from `before`.
pub(super) fn status(verdict: &Verdict, before: Option<&Value>, now: Timestamp) -> Value {
    let written: &[Value] =
        before.and_then(|before| before.get("conditions")).and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let others = written.iter().filter(|one| one["type"] != VALID && one["type"] != RECONCILED).cloned();
    let own = [valid(verdict), reconciled(verdict)].map(|condition| dated(condition, verdict, written, now));
    json!({
        "observedGeneration": verdict.generation,
        "conditions": own.into_iter().chain(others).collect::<Vec<_>>(),
        "proxies": { "current": verdict.current, "total": verdict.total },
    })
}

/// Type, whether it holds, reason and message.
type Condition = (&'static str, bool, &'static str, String);

fn valid(verdict: &Verdict) -> Condition {
    if !verdict.problems.is_empty() {
        (VALID, false, "Invalid", verdict.problems.join("; "))
    } else if !verdict.conflicts.is_empty() {
        let message = format!("all of it is understood, and not all of it is used: {}", verdict.conflicts.join("; "));
        (VALID, true, "Conflict", message)
    } else {
        (VALID, true, "Valid", "all of it is understood".to_owned())
    }
}

fn reconciled(verdict: &Verdict) -> Condition {
    if !verdict.problems.is_empty() {
        let message = "it is refused; its last good version, if there was one, stays in force".to_owned();
        return (RECONCILED, false, "Refused", message);
    }
    let mut message = format!("{}/{} proxies up to date.", verdict.current, verdict.total);
    if verdict.silent > 0 {
        message += &format!(" Replicas of istiod that do not say which proxies they have: {}.", verdict.silent);
    }
    let everywhere = verdict.is_everywhere();
    (RECONCILED, everywhere, if everywhere { "Acknowledged" } else { "Pending" }, message)
}

fn dated((name, holds, reason, message): Condition, verdict: &Verdict, written: &[Value], now: Timestamp) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = written.iter().find(|one| one["type"] == name && one["status"] == status);
    let since = before.and_then(|before| before.get("lastTransitionTime")).cloned();
    json!({
        "type": name,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": verdict.generation,
        "lastTransitionTime": since.unwrap_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_it_turns() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let verdict = |current| Verdict { generation: 4, current, total: 2, ..Verdict::default() };
        let first = status(&verdict(1), None, at(0));
        assert_eq!(first["conditions"][0]["status"], "True");
        assert_eq!(first["conditions"][1]["message"], "1/2 proxies up to date.");
        let second = status(&verdict(2), Some(&first), at(60));
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(second["conditions"][1]["status"], "True");
        assert_eq!(second["conditions"][1]["lastTransitionTime"], "1970-01-01T00:01:00Z");
        assert_eq!(second["proxies"], json!({ "current": 2, "total": 2 }));
        assert_eq!(status(&verdict(2), Some(&second), at(90)), second, "nothing is written twice");
    }

    #[test]
    fn nothing_is_reconciled_while_a_replica_is_silent() {
        let verdict = Verdict { generation: 4, current: 2, total: 2, silent: 1, ..Verdict::default() };
        let status = status(&verdict, None, Timestamp::UNIX_EPOCH);
        assert_eq!(status["conditions"][1]["status"], "False");
        let message = "2/2 proxies up to date. Replicas of istiod that do not say which proxies they have: 1.";
        assert_eq!(status["conditions"][1]["message"], message);
    }

    #[test]
    fn what_others_wrote_stays_and_what_is_wrong_is_said() {
        let before = json!({ "conditions": [{ "type": "Programmed", "status": "True" }] });
        let problems = vec!["spec.a: unknown".to_owned(), "spec.b: must be set".to_owned()];
        let refused = Verdict { generation: 2, problems, total: 3, ..Verdict::default() };
        let status = status(&refused, Some(&before), Timestamp::UNIX_EPOCH);
        assert_eq!(status["conditions"][0]["message"], "spec.a: unknown; spec.b: must be set");
        assert_eq!(status["conditions"][1]["reason"], "Refused");
        assert_eq!(status["conditions"][2]["type"], "Programmed");
    }

    #[test]
    fn what_is_valid_and_not_used_says_so() {
        let conflicts = vec!["spec.servers[0].hosts[0]: taken".to_owned()];
        let valid = &status(&Verdict { conflicts, ..Verdict::default() }, None, Timestamp::UNIX_EPOCH)["conditions"][0];
        assert_eq!((&valid["status"], &valid["reason"]), (&json!("True"), &json!("Conflict")));
        let message = "all of it is understood, and not all of it is used: spec.servers[0].hosts[0]: taken";
        assert_eq!(valid["message"], message);
    }
}
