//! The items of a query, as in DNSMesh's `:query`.

use dns_mesh::{check_basename, check_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `host`, `basename@host` or, with one `*` in the basename, `pattern@host`.
    Host {
        basename: Option<String>,
        host: String,
    },
    /// `dir:/path`, of which DNS knows nothing.
    Folder,
}

/// Several items with commas between. `origin` is where the text was found.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let item = item(part).map_err(|why| {
            format!(
                "every item of {origin} is a host name, basename@host or dir:/path, and {part:?} is not: {why}"
            )
        })?;
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items)
}

fn item(text: &str) -> Result<Item, String> {
    if let Some(path) = text.strip_prefix("dir:") {
        return match path {
            "" => Err("it names no folder; write dir:/path".into()),
            path if path.starts_with('/') => Ok(Item::Folder),
            _ => Err("its path does not begin with a /; write dir:/path".into()),
        };
    }
    // Not ::1, which has no @.
    if let Some(atom) = text.strip_prefix(':').filter(|atom| atom.contains('@')) {
        let name = atom.trim_matches('"');
        return Err(format!("write {name}, without the colon"));
    }
    let (basename, host) = match text.split_once('@') {
        Some((basename, host)) => (Some(basename), host),
        None => (None, text),
    };
    if host.contains('@') {
        return Err("it holds more than one @".into());
    }
    if let Some(basename) = basename {
        check_pattern(basename)?;
        if host.is_empty() {
            return Err("no host stands behind its @".into());
        }
    }
    check_name(host.as_bytes()).map_err(|why| why.to_string())?;
    Ok(Item::Host {
        basename: basename.map(Into::into),
        host: host.into(),
    })
}

/// A basename, in which one `*` may stand for any text.
fn check_pattern(basename: &str) -> Result<(), String> {
    if basename.is_empty() {
        return Err("no basename stands before its @".into());
    }
    if basename.matches('*').count() > 1 {
        return Err(format!("its basename {basename:?} holds more than one *"));
    }
    let example = basename.replace('*', "x");
    match check_basename(example.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "its basename {basename:?} is not one to 200 letters, digits, _ or -, and at most one *"
        )),
    }
}

/// Whether `basename` is one that `pattern`, an item's, stands for.
pub(crate) fn matches(pattern: &str, basename: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == basename;
    };
    basename
        .strip_prefix(start)
        .is_some_and(|rest| rest.ends_with(end))
}

/// Whether a host is this machine, as every machine has it (RFC 6761).
pub(crate) fn is_localhost(host: &str) -> bool {
    let bare = host.strip_suffix('.').unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
}

/// Whether a name starts like a service (RFC 2782) and is asked for SRV records by itself.
pub(crate) fn is_service(host: &str) -> bool {
    let is_underscored =
        |label: Option<&str>| label.is_some_and(|label| label.len() > 1 && label.starts_with('_'));
    let mut labels = host.split('.');
    is_underscored(labels.next()) && is_underscored(labels.next()) && labels.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(basename: Option<&str>, host: &str) -> Item {
        Item::Host {
            basename: basename.map(Into::into),
            host: host.into(),
        }
    }

    #[test]
    fn items() {
        let parse = |text| parse(text, "--query").unwrap();
        assert_eq!(parse("app.internal"), [item(None, "app.internal")]);
        assert_eq!(
            parse(" app.internal. , worker@jobs.internal,,app.internal.,fdaa::3, "),
            [
                item(None, "app.internal."),
                item(Some("worker"), "jobs.internal"),
                item(None, "fdaa::3"),
            ]
        );
        assert_eq!(
            parse("tasks.minotaur-stack_minotaur"),
            [item(None, "tasks.minotaur-stack_minotaur")]
        );
        assert_eq!(
            parse("*@app.internal,app-*@b,node1@node1,dir:/shared/nodes,dir"),
            [
                item(Some("*"), "app.internal"),
                item(Some("app-*"), "b"),
                item(Some("node1"), "node1"),
                Item::Folder,
                item(None, "dir"),
            ]
        );
        assert_eq!(parse("dir:/, dir:/with a blank/ö"), [Item::Folder]);
        assert_eq!(parse(""), []);
        assert_eq!(parse(" , "), []);
    }

    #[test]
    fn malformed_items_are_named() {
        for (text, part, why) in [
            ("app,a b", "a b", "contains a blank"),
            ("a@b@c", "a@b@c", "it holds more than one @"),
            ("@app", "@app", "no basename stands before its @"),
            ("@", "@", "no basename stands before its @"),
            (
                "w.x@app",
                "w.x@app",
                "its basename \"w.x\" is not one to 200 letters, digits, _ or -, and at most one *",
            ),
            (
                "w.*@app",
                "w.*@app",
                "its basename \"w.*\" is not one to 200 letters, digits, _ or -, and at most one *",
            ),
            (
                "**@app",
                "**@app",
                "its basename \"**\" holds more than one *",
            ),
            (
                "a*b*@app",
                "a*b*@app",
                "its basename \"a*b*\" holds more than one *",
            ),
            ("app@", "app@", "no host stands behind its @"),
            ("*@", "*@", "no host stands behind its @"),
            (
                "app@*",
                "app@*",
                "contains a character other than letters, digits, - and _",
            ),
            ("app..b", "app..b", "a label is empty"),
            (
                "app:4369",
                "app:4369",
                "contains a character other than letters, digits, - and _",
            ),
            ("dir:", "dir:", "it names no folder; write dir:/path"),
            ("a,dir: , b", "dir:", "it names no folder; write dir:/path"),
            (
                "dir:shared/nodes",
                "dir:shared/nodes",
                "its path does not begin with a /; write dir:/path",
            ),
            (
                ":node1@node1",
                ":node1@node1",
                "write node1@node1, without the colon",
            ),
            (
                ":\"node1@node1\"",
                ":\"node1@node1\"",
                "write node1@node1, without the colon",
            ),
        ] {
            let message = parse(text, "DNS_CLUSTER_QUERY").unwrap_err();
            assert_eq!(
                message,
                format!(
                    "every item of DNS_CLUSTER_QUERY is a host name, basename@host or dir:/path, and {part:?} is not: {why}"
                )
            );
        }
    }

    #[test]
    fn an_address_that_starts_with_a_colon_is_no_atom() {
        assert_eq!(
            parse("::1,app@::1", "--query").unwrap(),
            [item(None, "::1"), item(Some("app"), "::1")]
        );
    }

    #[test]
    fn basenames_and_patterns() {
        for (pattern, ours) in [
            ("app", "app"),
            ("*", "app"),
            ("app-*", "app-7"),
            ("*-web", "a-web"),
            ("a*b", "a-b"),
            ("a*b", "ab"),
        ] {
            assert!(matches(pattern, ours), "{pattern} {ours}");
        }
        for (pattern, ours) in [
            ("app", "app2"),
            ("app", "my-app"),
            ("app-*", "app"),
            ("app-*", "my-app-7"),
            ("*-web", "web"),
            ("*-web", "a-web-1"),
            // One letter is not both ends.
            ("a*a", "a"),
        ] {
            assert!(!matches(pattern, ours), "{pattern} {ours}");
        }
    }

    #[test]
    fn services() {
        for name in ["_epmd._tcp.app.ns.svc.cluster.local", "_a._b.c", "_a._b."] {
            assert!(is_service(name), "{name}");
        }
        for name in [
            "app.internal",
            "_a.b.c",
            "_a._b",
            "a._b.c",
            "_._tcp.a",
            "_a._.c",
            "10.0.0.5",
        ] {
            assert!(!is_service(name), "{name}");
        }
    }
}
