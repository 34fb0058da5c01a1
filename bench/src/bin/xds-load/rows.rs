//! The rows of the table: what must hold and what is aimed at. A larger mesh has the numbers of the smaller.

use super::table::Row;

/// Times are bounded for so many proxies; those of more are told for themselves.
const BOUNDED: usize = 200;

/// What a measurement is compared with.
pub(crate) struct Bounds {
    what: &'static str,
    unit: &'static str,
    must: f64,
    aim: f64,
}

const fn bounds(what: &'static str, unit: &'static str, must: f64, aim: f64) -> Bounds {
    Bounds { what, unit, must, aim }
}

pub(crate) const CONNECT_CPU: Bounds = bounds("a proxy connects and is configured, CPU", "ms", 5.0, 1.0);
pub(crate) const CONNECT_BYTES: Bounds = bounds("… bytes it is sent", "KB", 200.0, 40.0);
pub(crate) const CONNECT_MEMORY: Bounds = bounds("… memory for each connected proxy", "KB", 150.0, 40.0);
pub(crate) const ROUTE_TIME: Bounds = bounds("one VirtualService edited, last proxy after", "ms", 150.0, 30.0);
pub(crate) const ROUTE_CPU: Bounds = bounds("… CPU a proxy", "ms", 0.2, 0.05);
pub(crate) const ROUTE_BYTES: Bounds = bounds("… bytes a proxy", "KB", 5.0, 1.0);
pub(crate) const ENDPOINT_TIME: Bounds = bounds("one endpoint replaced, last proxy after", "ms", 50.0, 10.0);
pub(crate) const ENDPOINT_CPU: Bounds = bounds("… CPU a proxy", "ms", 0.1, 0.03);
pub(crate) const RECONNECT_BYTES: Bounds = bounds("istiod restarts: bytes a proxy that comes back", "KB", 1.0, 1.0);
pub(crate) const STOCK_CPU: Bounds = bounds("subscribing to everything: connect, CPU", "ms", 45.0, 15.0);

/// Memory with nobody connected, by the number of services.
pub(crate) fn memory(services: usize) -> Bounds {
    let (must, aim) = if services > 1000 { (150.0, 80.0) } else { (50.0, 25.0) };
    bounds("memory with nobody connected", "MB", must, aim)
}

impl Bounds {
    /// The row of a measurement with so many services and proxies.
    pub(crate) fn row(&self, services: usize, proxies: usize, measured: f64) -> Row {
        let Self { what, unit, mut must, mut aim } = *self;
        if proxies > BOUNDED && what.ends_with("after") {
            (must, aim) = (f64::INFINITY, f64::INFINITY);
        }
        let proxies = if proxies == 0 { String::new() } else { format!(", {proxies} proxies") };
        Row { name: format!("{services} services{proxies}: {what}"), unit, must, aim, measured }
    }
}
