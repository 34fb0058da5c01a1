//! Who stands where: the kubelet starts containers in the order of the list.

use crate::json::Object;
use crate::plan::Plan;
use crate::pod::Pod;

/// Puts the proxy and `istio-init` in their places, as Istio does. A native sidecar comes before the user's init
/// containers, right after the redirection, so that they are in the mesh. Otherwise the redirection comes last, so that
/// they have the network as it was; and the proxy last, so that tools take the application for the first container,
/// unless the application has to wait for the proxy.
pub(crate) fn place(plan: &Plan<'_>, pod: &mut Pod, proxy: Object, init: Option<Object>) {
    if plan.native {
        pod.init_containers.insert(0, proxy);
        pod.init_containers.splice(0..0, init);
        return;
    }
    pod.init_containers.extend(init);
    let at = if plan.hold { 0 } else { pod.containers.len() };
    pod.containers.insert(at, proxy);
}
