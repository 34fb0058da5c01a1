//! `sidecar.istio.io/status`: what was added to a pod, so that it can be taken away again. A pod that comes a second
//! time (another webhook changed it, or it was injected offline) is first what it was, and then injected anew.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::annotations::{self, OVERRIDES, STATUS};
use crate::json::{self, Object};
use crate::plan::{INIT, PROXY, VALIDATION};
use crate::pod::{self, Pod};
use crate::refusal::Refusal;
use crate::{probes, prometheus, template};

/// What was added, as Istio writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    init_containers: Option<Vec<String>>,
    containers: Option<Vec<String>>,
    volumes: Option<Vec<String>>,
    image_pull_secrets: Option<Vec<String>>,
    revision: Option<String>,
}

/// The user's own containers of names that are added, as they were (`proxy.istio.io/overrides`).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Overrides {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) containers: Vec<Object>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) init_containers: Vec<Object>,
}

/// Containers that an injection may have added.
const OURS: &[&str] = &[PROXY, INIT, VALIDATION];

/// Takes away what an earlier injection added.
///
/// # Errors
/// If what it left cannot be understood.
pub(crate) fn undo(pod: &mut Pod) -> Result<(), Refusal> {
    let Some(status) = pod.annotations.remove(STATUS) else {
        return match pod.annotations.contains_key(OVERRIDES) {
            true => Err(Refusal::because(format!("annotation {OVERRIDES}: is written by the injector; remove it"))),
            false => Ok(()),
        };
    };
    let status: Status = read(STATUS, &status)?;
    let overrides: Overrides = match pod.annotations.remove(OVERRIDES) {
        Some(overrides) => read(OVERRIDES, &overrides)?,
        None => Overrides::default(),
    };
    let proxy = pod.running().find(|container| pod::name(container) == PROXY).cloned();
    if let Some(proxy) = proxy {
        probes::undo(pod, &proxy);
        prometheus::undo(pod, &proxy);
    }
    let set = |list: Option<Vec<String>>| -> HashSet<String> { list.into_iter().flatten().collect() };
    let ours = |added: &HashSet<String>, container: &Object| {
        let name = pod::name(container);
        OURS.contains(&name) && added.contains(name)
    };
    let (containers, init_containers) = (set(status.containers), set(status.init_containers));
    pod.containers.retain(|container| !ours(&containers, container));
    pod.init_containers.retain(|container| !ours(&init_containers, container));
    let secrets = set(status.image_pull_secrets);
    pod.image_pull_secrets.retain(|secret| !secrets.contains(pod::name(secret)));
    restore(&mut pod.containers, overrides.containers, "containers")?;
    restore(&mut pod.init_containers, overrides.init_containers, "initContainers")?;
    remove_volumes(pod, &set(status.volumes));
    Ok(())
}

/// Removes what is added again in any case, and of others' volumes what nobody has a use for.
fn remove_volumes(pod: &mut Pod, added: &HashSet<String>) {
    let asked = annotations::user_volumes(&pod.annotations);
    let mounted: HashSet<String> = pod.init_containers.iter().chain(&pod.containers).flat_map(mounts).collect();
    pod.volumes.retain(|volume| {
        let name = pod::name(volume);
        let returns = template::is_volume(name) || asked.contains_key(name);
        !added.contains(name) || (!returns && mounted.contains(name))
    });
}

fn read<T: serde::de::DeserializeOwned>(annotation: &str, text: &str) -> Result<T, Refusal> {
    let read = serde_json::from_str(text);
    read.map_err(|error| {
        Refusal::because(format!("annotation {annotation}: is none that the injector writes: {error}"))
    })
}

/// Puts the user's own containers back.
fn restore(containers: &mut Vec<Object>, overrides: Vec<Object>, list: &str) -> Result<(), Refusal> {
    for container in overrides {
        if !OURS.contains(&pod::name(&container))
            || containers.iter().any(|other| pod::name(other) == pod::name(&container))
        {
            let name = pod::name(&container);
            return Err(Refusal::because(format!("annotation {OVERRIDES}: {list} holds {name:?}, which is not added")));
        }
        containers.push(container);
    }
    Ok(())
}

fn mounts(container: &Object) -> impl Iterator<Item = String> {
    json::objects(container, "volumeMounts").map(|mount| pod::name(mount).to_owned())
}

/// Writes what was added to a pod: what it has now and had not before.
pub(crate) fn write(pod: &mut Pod, before: &Pod, overrides: &Overrides, revision: &str) {
    let names = |now: &[Object], before: &[Object], also: &[Object]| -> Option<Vec<String>> {
        let (had, overridden) = (pod::names(before), pod::names(also));
        let added = now.iter().map(pod::name).filter(|name| !had.contains(name) || overridden.contains(name));
        Some(added.map(str::to_owned).collect::<Vec<_>>()).filter(|names| !names.is_empty())
    };
    let users: Vec<Object> = overrides.containers.iter().chain(&overrides.init_containers).cloned().collect();
    let status = Status {
        init_containers: names(&pod.init_containers, &before.init_containers, &users),
        containers: names(&pod.containers, &before.containers, &users),
        volumes: names(&pod.volumes, &before.volumes, &[]),
        image_pull_secrets: names(&pod.image_pull_secrets, &before.image_pull_secrets, &[]),
        revision: Some(if revision.is_empty() { "default" } else { revision }.to_owned()),
    };
    let json = |value: Result<Value, _>| value.map(|value: Value| value.to_string());
    if let Ok(status) = json(serde_json::to_value(&status)) {
        pod.annotations.insert(STATUS.to_owned(), status);
    }
    if !users.is_empty()
        && let Ok(overrides) = json(serde_json::to_value(overrides))
    {
        pod.annotations.insert(OVERRIDES.to_owned(), overrides);
    }
}
