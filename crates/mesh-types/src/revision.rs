//! Revisions of a control plane, by which several stand side by side in a cluster.

/// True for the revision whose objects need no name of their own: it has none, or is called `default`.
pub fn is_default_revision(revision: &str) -> bool {
    matches!(revision, "" | "default")
}

/// The name of a revision's control plane: of its Service, Deployment and what else it has one of. `istiod`, or
/// `istiod-canary`.
pub fn control_plane(revision: &str) -> String {
    if is_default_revision(revision) { "istiod".to_owned() } else { format!("istiod-{revision}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_revision_with_a_name_of_its_own_shows_in_names() {
        assert_eq!(["", "default", "canary"].map(control_plane), ["istiod", "istiod", "istiod-canary"]);
    }
}
