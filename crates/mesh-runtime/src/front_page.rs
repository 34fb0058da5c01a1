//! The page at `/` of a port for people: what else there is.

use std::fmt::Write;

/// HTML that links to pages, each with a word about it. All three are ours and stand as they are.
pub fn front_page(title: &str, pages: &[(&str, &str)]) -> String {
    let mut html = format!("<!doctype html>\n<html lang=\"en\">\n<title>{title}</title>\n<h1>{title}</h1>\n<dl>\n");
    for (path, about) in pages {
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<dt><a href=\"{path}\">{path}</a></dt><dd>{about}</dd>");
    }
    html + "</dl>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_linked() {
        let html = front_page("Proxy", &[("/clusters", "Endpoints"), ("/stats", "Counters")]);
        assert_eq!(html.matches("<title>Proxy</title>").count(), 1);
        assert!(
            html.contains("<a href=\"/clusters\">/clusters</a></dt><dd>Endpoints</dd>\n<dt><a href=\"/stats\">"),
            "{html}"
        );
    }
}
