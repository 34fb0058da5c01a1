//! `weft inject`: what the webhook does to pods, done to files.

mod documents;
mod yaml;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use injector::{Facts, KubernetesVersion, NativeSidecars, Outcome, Settings, inject_object};

use documents::Document;

/// Files and settings.
#[derive(Args)]
pub(crate) struct Inject {
    /// File of YAML with pods and workloads; `-` for standard input. May be repeated.
    #[arg(short = 'f', long = "filename", required = true)]
    files: Vec<PathBuf>,
    /// The chart's values (YAML or JSON); absent means the chart's defaults.
    #[arg(long)]
    values: Option<PathBuf>,
    /// MeshConfig (YAML); absent means `meshConfig` of the values.
    #[arg(long)]
    mesh: Option<PathBuf>,
    /// Namespace of objects that do not say.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Version of the cluster's oldest kubelet, by which native sidecars are chosen.
    #[arg(long)]
    kubernetes_version: Option<KubernetesVersion>,
    /// Whether the proxy is a native sidecar: auto, true, false.
    #[arg(long, default_value = "auto")]
    native_sidecars: NativeSidecars,
}

impl Inject {
    /// Writes the files with their proxies to standard output, or nothing if a pod is refused. True if none is.
    ///
    /// # Errors
    /// If files or settings cannot be read.
    pub(crate) fn run(&self) -> Result<bool> {
        let settings = self.settings()?;
        let mut output = String::new();
        let mut accepted = true;
        for file in &self.files {
            let name = file.display().to_string();
            for document in documents::read(&read(file)?).with_context(|| name.clone())? {
                let (text, refused) = self.document(&settings, &name, document);
                accepted &= !refused;
                output.push_str("---\n");
                output.push_str(&text);
            }
        }
        if accepted {
            std::io::stdout().lock().write_all(output.as_bytes())?;
        }
        Ok(accepted)
    }

    fn settings(&self) -> Result<Settings> {
        let values = self.values.as_deref().map(read).transpose()?.unwrap_or_default();
        let mesh = match &self.mesh {
            Some(file) => read(file)?,
            None => documents::field(&values, "meshConfig")?,
        };
        let facts = Facts { oldest_kubelet: self.kubernetes_version, native_sidecars: self.native_sidecars };
        Ok(Settings::read(&values, &mesh, facts)?)
    }

    /// One document as it shall be, and whether a pod of it is refused.
    fn document(&self, settings: &Settings, file: &str, document: Document) -> (String, bool) {
        let Document { text, object } = document;
        let Some(mut object) = object else { return (text, false) };
        let report = inject_object(settings, &self.namespace, &mut object);
        let mut refused = false;
        for (pod, outcome) in &report.pods {
            match outcome {
                Outcome::Injected(injection) => {
                    injection.warnings.iter().for_each(|warning| eprintln!("{file}: {pod}: warning: {warning}"));
                }
                Outcome::LeftAlone(_) => eprintln!("{file}: {pod}: {outcome}"),
                Outcome::Refused(refusal) => {
                    refused = true;
                    refusal.problems().iter().for_each(|problem| eprintln!("{file}: {pod}: error: {problem}"));
                }
            }
        }
        let text = if report.is_changed() { yaml::write(&object) } else { text };
        (text, refused)
    }
}

fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}
