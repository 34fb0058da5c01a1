//! Where a shop stands, as those see it who call and steer it: the laboratory of this machine, or a cluster.

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http::Method;

use crate::client::Answer;
use crate::shop::Role;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An application of the mesh.
    Client,
    /// A pod without a proxy.
    Stranger,
    /// Whoever is not in a pod.
    Outside,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callee {
    /// A service, by its name.
    Service(Role),
    /// A workload, such as `details-v1`, by the address of its pod.
    Workload(String),
    /// The web front at the ingress gateway, by this host name.
    Ingress(String),
}

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who is called.
    pub callee: Callee,
    /// Path and query.
    pub path: String,
    /// The method.
    pub method: Method,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Ask {
    /// A GET.
    pub fn get(callee: Callee, path: &str) -> Self {
        Self { callee, path: path.to_owned(), method: Method::GET, headers: Vec::new(), body: Bytes::new() }
    }

    /// A GET of a service.
    pub fn service(role: Role, path: &str) -> Self {
        Self::get(Callee::Service(role), path)
    }

    /// A GET of a workload.
    pub fn workload(name: &str, path: &str) -> Self {
        Self::get(Callee::Workload(name.to_owned()), path)
    }

    /// A GET through the gateway.
    pub fn ingress(host: &str, path: &str) -> Self {
        Self::get(Callee::Ingress(host.to_owned()), path)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a POST of a body.
    #[must_use]
    pub fn post(self, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, body: body.into(), ..self }
    }
}

/// A call that got no answer, with the reason. Other errors say that nobody could call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered(pub String);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unanswered {}

/// A place where the shop is open: productpage, details, three versions of reviews, two of ratings, a client, a
/// stranger and the gateway.
pub trait Place {
    /// Makes objects be as a file says.
    ///
    /// # Errors
    /// If the place does not take them.
    fn apply(&self, file: &str, yaml: &str) -> Result<()>;

    /// Removes what [`Place::apply`] made of a file.
    ///
    /// # Errors
    /// If there is no such file.
    fn remove(&self, file: &str) -> Result<()>;

    /// Asks so many times, one after the other, on one connection as long as the server keeps it.
    ///
    /// # Errors
    /// [`Unanswered`] at the first call that gets no answer.
    fn ask(&self, caller: Caller, ask: &Ask, times: usize) -> Result<Vec<Answer>>;

    /// The client's gRPC calls of a service, several at once on one connection: each answer's message and status.
    ///
    /// # Errors
    /// If one gets no answer.
    fn ask_grpc(&self, role: Role, times: usize) -> Result<Vec<(String, String)>>;

    /// A page of the administration of a workload's proxy.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn admin(&self, workload: &str, path: &str) -> Result<String>;

    /// Asks an application from beside it, where no proxy is.
    ///
    /// # Errors
    /// [`Unanswered`] if there is no answer.
    fn tell(&self, workload: &str, method: Method, path: &str) -> Result<Answer>;

    /// Asks once.
    ///
    /// # Errors
    /// As [`Place::ask`].
    fn ask_once(&self, caller: Caller, ask: &Ask) -> Result<Answer> {
        self.ask(caller, ask, 1)?.pop().ok_or_else(|| anyhow!("no answer"))
    }

    /// Makes an application answer every request with 500, or lets it recover.
    ///
    /// # Errors
    /// As [`Place::tell`].
    fn set_sick(&self, workload: &str, sick: bool) -> Result<()> {
        let method = if sick { Method::PUT } else { Method::DELETE };
        let answer = self.tell(workload, method, "/sick")?;
        anyhow::ensure!(answer.status.is_success(), "{workload} answers {}", answer.status);
        Ok(())
    }
}
