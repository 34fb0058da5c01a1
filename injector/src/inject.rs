//! One pod, from what came to what goes back.

use json_patch::Patch;
use serde_json::Value;

use crate::context::Context;
use crate::decide::{self, Decision, Reason};
use crate::json::Object;
use crate::merge;
use crate::order;
use crate::plan::{INIT, PROXY, Plan};
use crate::pod::{self, Pod};
use crate::probes;
use crate::prometheus;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::status::{self, Overrides};
use crate::template::{self, Template};
use crate::warnings;

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It gets a proxy.
    Injected(Injection),
    /// It stays as it is.
    LeftAlone(Reason),
    /// It must not run as it is.
    Refused(Refusal),
}

/// A pod with its proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// The whole pod.
    pub pod: Value,
    /// What makes it out of the one that came.
    pub patch: Patch,
    /// What its owner should know, though it is done.
    pub warnings: Vec<String>,
}

/// Decides about a pod, or a pod template, and adds the proxy if it gets one.
pub fn inject(settings: &Settings, context: &Context, pod: &Value) -> Outcome {
    attempt(settings, context, pod).unwrap_or_else(Outcome::Refused)
}

fn attempt(settings: &Settings, context: &Context, original: &Value) -> Result<Outcome, Refusal> {
    let mut pod = Pod::open(original)?;
    if let Decision::Leave(reason) = decide::decide(&settings.policy, &context.namespace, &pod)? {
        return Ok(Outcome::LeftAlone(reason));
    }
    status::undo(&mut pod)?;
    let plan = Plan::make(settings, context, &pod)?;
    let warnings = warnings::of(&plan, &pod);
    add(&plan, &mut pod)?;
    let injected = pod.close();
    if injected == *original {
        return Ok(Outcome::LeftAlone(Reason::AlreadyInjected));
    }
    let patch = json_patch::diff(original, &injected);
    Ok(Outcome::Injected(Injection { pod: injected, patch, warnings }))
}

/// Adds everything that is planned.
fn add(plan: &Plan<'_>, pod: &mut Pod) -> Result<(), Refusal> {
    let before = pod.clone();
    let mut refusal = Refusal::default();
    let users = take_users_own(plan, pod, &mut refusal);
    let mut proxy = merged(template::proxy_container(plan), &users, PROXY);
    if plan.template == Template::Sidecar {
        probes::rewrite(plan, pod, &mut proxy, &mut refusal);
    }
    if let Err(problem) = prometheus::merge(plan, pod, &mut proxy) {
        refusal.add(problem);
    }
    let init = match plan.template {
        Template::Sidecar => template::init_container(plan, &proxy).map(Some),
        Template::Gateway => Ok(None),
    };
    let init = init.unwrap_or_else(|problem| {
        refusal.add(problem);
        None
    });
    refusal.into_result()?;
    let mut volumes = template::volumes(plan);
    let users_own = pod::names(&pod.volumes);
    volumes.retain(|volume| !users_own.contains(pod::name(volume)));
    pod.volumes.extend(volumes);
    template::apply_metadata(plan, pod);
    order::place(plan, pod, proxy, init.map(|init| merged(init, &users, INIT)));
    status::write(pod, &before, &users, plan.settings.revision());
    Ok(())
}

/// Takes the user's own containers of the names that are added out of the pod.
fn take_users_own(plan: &Plan<'_>, pod: &mut Pod, refusal: &mut Refusal) -> Overrides {
    let names: &[&str] = match plan.template {
        Template::Sidecar => &[PROXY, INIT],
        Template::Gateway => &[PROXY],
    };
    let take =
        |list: &mut Vec<Object>| list.extract_if(.., |container| names.contains(&pod::name(container))).collect();
    let users = Overrides { containers: take(&mut pod.containers), init_containers: take(&mut pod.init_containers) };
    for name in names {
        let in_list = |list: &[Object]| list.iter().any(|container| pod::name(container) == *name);
        if in_list(&users.containers) && in_list(&users.init_containers) {
            refusal.add(format!("the name {name} occurs among the containers and among the init containers"));
        }
    }
    if !plan.native && users.init_containers.iter().any(|container| pod::name(container) == PROXY) {
        refusal.add(format!(
            "spec.initContainers: {PROXY} is no native sidecar in this pod; move it to spec.containers, or set the \
             annotation sidecar.istio.io/nativeSidecar: \"true\""
        ));
    }
    users
}

fn merged(template: Object, users: &Overrides, name: &str) -> Object {
    match users.containers.iter().chain(&users.init_containers).find(|container| pod::name(container) == name) {
        Some(user) => merge::merge(template, user),
        None => template,
    }
}
