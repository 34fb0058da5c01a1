//! The arguments of a command: flags, and options with a value.

use anyhow::{Result, bail};

/// What is not yet understood of a command's arguments.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn new(arguments: &[String]) -> Self {
        Self(arguments.to_vec())
    }

    /// Takes a flag; true if it is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|argument| argument != name);
        self.0.len() < before
    }

    /// Takes an option, given as `--name value` or `--name=value`.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<String>> {
        let joined = format!("{name}=");
        if let Some(index) = self.0.iter().position(|argument| argument.starts_with(&joined)) {
            return Ok(Some(self.0.remove(index).split_off(joined.len())));
        }
        let Some(index) = self.0.iter().position(|argument| argument == name) else { return Ok(None) };
        if index + 1 >= self.0.len() {
            bail!("{name} needs a value");
        }
        self.0.remove(index);
        Ok(Some(self.0.remove(index)))
    }

    /// Fails if something is left.
    pub(crate) fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { bail!("nobody knows what {:?} means here", self.0.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_is_refused() {
        let given = ["--keep", "--filter", "a b", "--hub=x/y", "--hup"].map(str::to_owned);
        let mut arguments = Arguments::new(&given);
        assert!(arguments.flag("--keep") && !arguments.flag("--keep"));
        assert_eq!(arguments.option("--filter").unwrap().as_deref(), Some("a b"));
        assert_eq!(arguments.option("--hub").unwrap().as_deref(), Some("x/y"));
        assert_eq!(arguments.option("--tag").unwrap(), None);
        assert!(arguments.finish().unwrap_err().to_string().contains("--hup"));
    }

    #[test]
    fn an_option_without_its_value_is_refused() {
        assert!(Arguments::new(&["--hub".to_owned()]).option("--hub").is_err());
    }
}
