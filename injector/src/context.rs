//! What is known about a pod beside the pod itself.

use mesh_types::Labels;

use crate::owner::Workload;

/// Where a pod comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Its namespace.
    pub namespace: String,
    /// The workload whose template it is; `None` to find it by the pod's owners.
    pub workload: Option<Workload>,
    /// Name of its cluster, if the webhook's path says so.
    pub cluster: Option<String>,
    /// Name of its network, if the webhook's path says so.
    pub network: Option<String>,
    /// Environment of the proxy, out of the webhook's path.
    pub environment: Labels,
}

impl Context {
    /// Of a pod in a namespace.
    pub fn of_namespace(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..Self::default() }
    }

    /// Takes what the path of the webhook says: pairs of names and values after `/inject`, such as
    /// `/inject/cluster/west/net/blue`. `cluster` and `net` are known; any other name is a variable of the proxy's
    /// environment. A slash inside a value is written `--slash--`.
    ///
    /// # Errors
    /// If the path is none of the webhook's, or a value is missing.
    pub fn with_path(mut self, path: &str) -> Result<Self, String> {
        let mut words = path.trim_matches('/').split('/').map(|word| word.replace("--slash--", "/"));
        if words.next().as_deref() != Some("inject") {
            return Err(format!("{path} is not /inject"));
        }
        while let Some(name) = words.next() {
            let Some(value) = words.next() else { return Err(format!("{path}: {name} has no value")) };
            match name.as_str() {
                "cluster" => self.cluster = Some(value),
                "net" => self.network = Some(value),
                _ if is_variable(&name) => drop(self.environment.insert(name, value)),
                _ => return Err(format!("{path}: {name} is no name of an environment variable")),
            }
        }
        Ok(self)
    }
}

fn is_variable(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_cluster_and_network() {
        let read = |path: &str| Context::default().with_path(path);
        assert_eq!(read("/inject"), Ok(Context::default()));
        let context = read("/inject/cluster/a--slash--b/net/blue/MY_VAR/x").unwrap();
        assert_eq!((context.cluster.as_deref(), context.network.as_deref()), (Some("a/b"), Some("blue")));
        assert_eq!(context.environment.get("MY_VAR").map(String::as_str), Some("x"));
        for wrong in ["/", "/validate", "/inject/cluster", "/inject/my var/x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
