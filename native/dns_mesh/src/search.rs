//! The names to ask for, in order, and which failure counts when none of them answers.

use crate::error::Failure;
use crate::name::{HostName, check_name};

/// As glibc: enough dots → as written first, then with each search domain; else the other
/// way round. Absolute names stand alone.
pub fn candidates(host: &HostName, search: &[String], ndots: usize) -> Vec<String> {
    if host.absolute {
        return vec![host.text.clone()];
    }
    let mut names = search
        .iter()
        .map(|domain| format!("{}.{domain}", host.text))
        .filter(|name| check_name(name.as_bytes()).is_ok())
        .collect::<Vec<_>>();
    let dots = host.text.bytes().filter(|&byte| byte == b'.').count();
    let place = if dots >= ndots { 0 } else { names.len() };
    names.insert(place, host.text.clone());
    names
}

/// Remembers the failure that weighs most. glibc forgets a SERVFAIL for one search domain
/// when a later one says NXDOMAIN; then a server in trouble looks like an absent name.
#[derive(Default)]
pub struct Worst {
    failure: Option<Failure>,
}

impl Worst {
    pub fn add(&mut self, failure: Failure) {
        let weight = |failure: &Failure| failure.reason.weight();
        match &self.failure {
            Some(known) if weight(known) >= weight(&failure) => {}
            _ => self.failure = Some(failure),
        }
    }

    pub fn into_failure(self) -> Option<Failure> {
        self.failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    fn names(text: &str, absolute: bool, ndots: usize) -> Vec<String> {
        let host = HostName {
            text: text.into(),
            absolute,
        };
        let search = ["ns.svc", "svc"].map(String::from);
        candidates(&host, &search, ndots)
    }

    #[test]
    fn order() {
        for (text, absolute, ndots, expected) in [
            ("app", false, 1, vec!["app.ns.svc", "app.svc", "app"]),
            ("app", false, 0, vec!["app", "app.ns.svc", "app.svc"]),
            ("app", true, 1, vec!["app"]),
            (
                "app.ns",
                false,
                1,
                vec!["app.ns", "app.ns.ns.svc", "app.ns.svc"],
            ),
            (
                "app.ns",
                false,
                5,
                vec!["app.ns.ns.svc", "app.ns.svc", "app.ns"],
            ),
            (
                "a.b.c.d.e.f",
                false,
                5,
                vec!["a.b.c.d.e.f", "a.b.c.d.e.f.ns.svc", "a.b.c.d.e.f.svc"],
            ),
        ] {
            assert_eq!(
                names(text, absolute, ndots),
                expected,
                "{text} ndots {ndots}"
            );
        }
    }

    #[test]
    fn a_domain_that_makes_the_name_too_long_is_left_out() {
        let long = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(57),
        ]
        .join(".");
        assert_eq!(
            names(&long, false, 1),
            [long.clone(), format!("{long}.svc")]
        );
    }

    fn worst(reasons: &[Reason]) -> Option<Reason> {
        let mut worst = Worst::default();
        for reason in reasons {
            worst.add(Failure {
                reason: reason.clone(),
                name: "app".into(),
                server: None,
                negative_ttl: None,
            });
        }
        worst.into_failure().map(|failure| failure.reason)
    }

    #[test]
    fn of_the_same_class_the_first_counts() {
        let mut worst = Worst::default();
        for name in ["app.ns.svc", "app.svc", "app"] {
            worst.add(Failure {
                reason: Reason::ServFail,
                name: name.into(),
                server: None,
                negative_ttl: None,
            });
        }
        assert_eq!(worst.into_failure().unwrap().name, "app.ns.svc");
    }

    #[test]
    fn the_worst_class_counts() {
        use Reason::{NoRecords, NxDomain, ServFail, Timeout};
        assert_eq!(worst(&[]), None);
        assert_eq!(worst(&[NxDomain, NxDomain]), Some(NxDomain));
        assert_eq!(worst(&[NxDomain, NoRecords, NxDomain]), Some(NoRecords));
        assert_eq!(worst(&[ServFail, NxDomain, NoRecords]), Some(ServFail));
        assert_eq!(worst(&[Timeout, NxDomain]), Some(Timeout));
        assert_eq!(worst(&[Timeout, ServFail, Timeout]), Some(ServFail));
    }
}
