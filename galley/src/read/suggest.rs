//! The nearest right word.

/// The word among `known` that was probably meant by `word`: equal but for case, dashes and underscores, a habit that
/// we know of, or few typing errors away.
pub(crate) fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = plain(word);
    let same = known.iter().find(|candidate| self::plain(candidate) == plain);
    let habit = || HABITS.iter().filter(|(wrong, _)| *wrong == plain).find_map(|(_, right)| find(known, right));
    same.copied().or_else(habit).or_else(|| nearest(word, known))
}

/// Words that people write for another, though their letters differ (left: lower case, no separators).
const HABITS: &[(&str, &str)] = &[
    ("url", "uri"),
    ("path", "uri"),
    ("matches", "match"),
    ("routes", "route"),
    ("host", "hosts"),
    ("hosts", "host"),
    ("retry", "retries"),
    ("percent", "percentage"),
    ("query", "queryParams"),
    ("queryparameters", "queryParams"),
    ("labels", "matchLabels"),
    ("matchlabels", "labels"),
    ("selector", "workloadSelector"),
    ("workloadselector", "selector"),
    ("secretname", "credentialName"),
    ("source", "from"),
    ("operation", "to"),
    ("ips", "ipBlocks"),
    ("tlssettings", "tls"),
    ("status", "httpStatus"),
    ("code", "redirectCode"),
];

fn find<'a>(known: &[&'a str], word: &str) -> Option<&'a str> {
    known.iter().copied().find(|candidate| *candidate == word)
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 100;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let (errors, best) = known.iter().map(|candidate| (distance(candidate), *candidate)).min()?;
    let allowed = (best.chars().count() / 3).clamp(1, 4);
    (errors <= allowed).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["uri", "headers", "method", "queryParams", "ignoreUriCase", "httpStatus"];
        let cases = [
            ("url", Some("uri")),
            ("header", Some("headers")),
            ("methods", Some("method")),
            ("query_params", Some("queryParams")),
            ("ignoreuricase", Some("ignoreUriCase")),
            ("colour", None),
            ("x", None),
        ];
        for (word, want) in cases {
            assert_eq!(did_you_mean(word, &known), want, "{word}");
        }
        let groups = ["networking.istio.io/v1", "networking.istio.io/v1alpha3", "security.istio.io/v1"];
        assert_eq!(did_you_mean("networking.stio.io/v1alpha3", &groups), Some("networking.istio.io/v1alpha3"));
    }
}
