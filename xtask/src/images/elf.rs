//! What a program asks the dynamic linker for.

use anyhow::{Context, Result};
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader};

/// The names of the libraries that a program or library needs; none if it is not dynamic, or no program at all.
pub(super) fn needed(content: &[u8]) -> Result<Vec<String>> {
    if !content.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    let header = FileHeader64::<Endianness>::parse(content)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, content)?;
    let Some((entries, strings)) = sections.dynamic(endian, content)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, content, strings)?;
    entries
        .iter()
        .filter(|entry| entry.tag32(endian) == Some(DT_NEEDED))
        .map(|entry| {
            let offset = entry.val32(endian).context("a library's name is out of reach")?;
            let name = strings.get(offset).map_err(|()| anyhow::anyhow!("a library has no name"))?;
            Ok(String::from_utf8(name.to_vec())?)
        })
        .collect()
}
