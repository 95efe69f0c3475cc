//! The console's own files: one page, its modules, its style, its icon. They
//! hold no data, need no build step, and come from nowhere else.

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Content type and bytes of `""` (the page) or `console/<file>`; a path is
/// given without its first slash.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static [u8])> {
    let name = match path {
        "" => "index.html",
        "console/index.html" => return None,
        other => other.strip_prefix("console/")?,
    };
    let (_, bytes) = FILES.iter().find(|(known, _)| *known == name)?;
    Some((content_type(name), bytes))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => SCRIPT,
        Some((_, "css")) => STYLE,
        Some((_, "svg")) => PICTURE,
        _ => HTML,
    }
}

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("console/", $name)).as_slice())),*]
    };
}

/// Every file below `src/admin/console/`.
const FILES: [(&str, &[u8]); 36] = files!(
    "index.html" "icon.svg" "style.css" "views.css" "app.js" "api.js" "body.js" "chart.js"
    "dead.js" "destination.js" "destinations.js" "dialog.js" "dom.js" "event.js" "events.js" "explain.js" "flow.js"
    "format.js" "jobs.js" "json.js" "keys.js" "letter.js" "lines.js" "links.js" "list.js" "paste.js"
    "replay.js" "router.js" "routes.js" "shape.js" "stream.js" "theme.js" "toml.js" "trouble.js"
    "visible.js" "words.js"
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(name: &str, bytes: &'static [u8]) -> &'static str {
        std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{name} is no text"))
    }

    fn scripts() -> impl Iterator<Item = (&'static str, &'static str)> {
        let scripts = FILES.iter().filter(|(name, _)| name.ends_with(".js"));
        scripts.map(|(name, bytes)| (*name, text(name, bytes)))
    }

    /// What stands between quotes after `word`.
    fn quoted_after<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
        let parts = text.split(word).skip(1);
        parts.filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn the_page_and_every_file_of_the_folder_are_served_by_their_names() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/console");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let known: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(there, known);

        assert_eq!(file("").unwrap().0, HTML);
        assert_eq!(file("console/app.js").unwrap().0, SCRIPT);
        assert_eq!(file("console/style.css").unwrap().0, STYLE);
        assert_eq!(file("console/icon.svg").unwrap().0, PICTURE);
        for strange in [
            "console",
            "console/",
            "console/../admin.rs",
            "console/app",
            "app.js",
            "console//app.js",
        ] {
            assert!(file(strange).is_none(), "{strange}");
        }
    }

    #[test]
    fn every_module_that_is_imported_exists_and_every_module_is_imported() {
        let mut imported: BTreeSet<&str> = BTreeSet::from(["app.js"]);
        for (name, text) in scripts() {
            for from in quoted_after(text, " from \"") {
                let module = from.strip_prefix("./");
                let module = module.unwrap_or_else(|| panic!("{name} imports {from}"));
                assert!(
                    file(&format!("console/{module}")).is_some(),
                    "{name}: {from}"
                );
                imported.insert(module);
            }
        }
        let known: BTreeSet<&str> = scripts().map(|(name, _)| name).collect();
        assert_eq!(imported, known, "a module that nobody imports is not used");

        let page = text("index.html", file("").unwrap().1);
        for from in quoted_after(page, "src=\"")
            .into_iter()
            .chain(quoted_after(page, "href=\"console"))
        {
            let path = from.trim_start_matches('/').trim_start_matches("console/");
            assert!(file(&format!("console/{path}")).is_some(), "{from}");
        }
    }

    #[test]
    fn no_module_has_a_way_from_text_to_markup_or_code() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "setHTML",
            "createContextualFragment",
            "DOMParser",
            "parseFromString",
            "eval(",
            "Function(",
            "import(",
            "setAttribute(\"style\"",
            "cssText",
            "javascript:",
            "srcdoc =",
            "createPolicy",
            "localStorage.setItem(TOKEN",
        ];
        for (name, text) in scripts() {
            for word in forbidden {
                assert!(!text.contains(word), "{name} says {word}");
            }
            assert!(
                text.starts_with("// "),
                "{name} does not say what it is for"
            );
            assert!(text.lines().count() < 500, "{name} is too long");
        }
    }

    #[test]
    fn the_page_has_no_inline_script_style_or_listener() {
        let page = text("index.html", file("").unwrap().1);
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script type=\"module\" src=\"console/app.js\"></script>"));
        for word in ["<style", " style=", " on", "javascript:", "<base", "<form"] {
            let found = page.match_indices(word).find(|(at, _)| {
                word != " on" || page[at + 3..].contains("=\"") && is_listener(&page[at + 1..])
            });
            assert!(found.is_none(), "{found:?}");
        }
    }

    fn is_listener(rest: &str) -> bool {
        let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
        rest[name.len()..].starts_with('=')
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for (name, bytes) in FILES {
            let text = text(name, bytes);
            for scheme in ["http://", "https://", "//cdn", "@import", "url(", "data:"] {
                for (at, _) in text.match_indices(scheme) {
                    let said = &text[at..text.len().min(at + 40)];
                    let harmless = said.starts_with("http://www.w3.org/2000/svg")
                        || said.starts_with("http://<this host>")
                        || (scheme == "data:" && name == "stream.js");
                    assert!(harmless, "{name}: {said}");
                }
            }
        }
    }
}
