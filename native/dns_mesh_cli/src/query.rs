//! The items of a query, as in DNSMesh's `:query`.

use dns_mesh::{check_basename, check_name};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) basename: Option<String>,
    pub(crate) host: String,
}

/// `host` or `basename@host`, several with commas between. `origin` is where the text was found.
pub(crate) fn parse(text: &str, origin: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let item = item(part).map_err(|why| {
            format!("every item of {origin} is a host name, or basename@host, and {part:?} is not: {why}")
        })?;
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items)
}

fn item(text: &str) -> Result<Item, String> {
    let (basename, host) = match text.split_once('@') {
        Some((basename, host)) => (Some(basename), host),
        None => (None, text),
    };
    if host.contains('@') {
        return Err("it holds more than one @".into());
    }
    if let Some(basename) = basename {
        check_basename(basename.as_bytes()).map_err(|bad| bad.to_string())?;
    }
    check_name(host.as_bytes()).map_err(|why| why.to_string())?;
    Ok(Item {
        basename: basename.map(Into::into),
        host: host.into(),
    })
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
        Item {
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
            parse("tasks.minotaur-stack_minotaur")[0].host,
            "tasks.minotaur-stack_minotaur"
        );
        assert_eq!(parse(""), []);
        assert_eq!(parse(" , "), []);
    }

    #[test]
    fn malformed_items_are_named() {
        for (text, part, why) in [
            ("app,a b", "a b", "contains a blank"),
            ("a@b@c", "a@b@c", "it holds more than one @"),
            (
                "@app",
                "@app",
                "\"\" is not one to 200 letters, digits, _ or -",
            ),
            (
                "w.x@app",
                "w.x@app",
                "\"w.x\" is not one to 200 letters, digits, _ or -",
            ),
            ("app@", "app@", "empty"),
            ("app..b", "app..b", "a label is empty"),
            (
                "app:4369",
                "app:4369",
                "contains a character other than letters, digits, - and _",
            ),
        ] {
            let message = parse(text, "DNS_CLUSTER_QUERY").unwrap_err();
            assert_eq!(
                message,
                format!(
                    "every item of DNS_CLUSTER_QUERY is a host name, or basename@host, and {part:?} is not: {why}"
                )
            );
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
