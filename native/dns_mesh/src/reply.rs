//! Which records of a message answer our question.

use hickory_resolver::proto::op::{DnsResponse, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use crate::answer::MAX_RECORDS;
use crate::error::{Reason, Trouble};

/// Aliases followed within one message; also what ends a loop of them.
const MAX_ALIASES: usize = 16;

/// The records of one message that answer its question.
#[derive(Debug)]
pub struct Reply {
    /// Of the type asked for, at the end of the question's CNAME chain.
    pub records: Vec<RData>,
    pub ttl: u32,
    pub truncated: bool,
    pub additionals: Vec<Record>,
}

impl Reply {
    pub fn read(question: &Query, response: DnsResponse) -> Result<Self, Trouble> {
        let negative_ttl = response.negative_ttl();
        let Message {
            metadata,
            queries,
            answers,
            additionals,
            ..
        } = response.into_message();
        let code = metadata.response_code;
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(Reason::from(code).into());
        }
        if !queries.contains(question) {
            return Err(Reason::BadReply.into());
        }

        let wanted = question.query_type();
        let (owner, chain_ttl) = follow(question.name(), &answers);
        if is_garbled(&owner, wanted, &answers) {
            return Err(Reason::BadReply.into());
        }
        let (records, ttl, truncated) = select(&owner, wanted, answers);
        if records.is_empty() {
            return Err(Trouble {
                reason: code.into(),
                negative_ttl,
            });
        }
        Ok(Self {
            records,
            ttl: ttl.min(chain_ttl),
            truncated,
            additionals,
        })
    }
}

/// The end of the CNAME chain that starts at `name`, and the smallest TTL on the way.
pub(crate) fn follow(name: &Name, records: &[Record]) -> (Name, u32) {
    let mut owner = name.clone();
    let mut ttl = u32::MAX;
    for _ in 0..MAX_ALIASES {
        let alias = records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == owner => Some((target.0.clone(), record.ttl)),
            _ => None,
        });
        let Some((target, alias_ttl)) = alias else {
            break;
        };
        ttl = ttl.min(alias_ttl);
        owner = target;
    }
    (owner, ttl)
}

/// A record with our name on it that nobody asked for, and none that was asked for: the reply
/// is broken (Docker answers SRV questions with PTR records), which is not "no records".
fn is_garbled(owner: &Name, wanted: RecordType, answers: &[Record]) -> bool {
    let mut ours = answers
        .iter()
        .filter(|record| record.name == *owner)
        .map(Record::record_type)
        .filter(|found| !matches!(found, RecordType::CNAME | RecordType::RRSIG))
        .peekable();
    ours.peek().is_some() && ours.all(|found| found != wanted)
}

fn select(owner: &Name, wanted: RecordType, answers: Vec<Record>) -> (Vec<RData>, u32, bool) {
    let mut ttl = u32::MAX;
    let mut records = Vec::new();
    for record in answers {
        if record.record_type() != wanted || record.name != *owner {
            continue;
        }
        if records.len() == MAX_RECORDS {
            return (records, ttl, true);
        }
        ttl = ttl.min(record.ttl);
        records.push(record.data);
    }
    (records, ttl, false)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::rr::rdata::{A, CNAME, NULL, PTR};

    use super::*;
    use crate::name::to_wire;

    fn a(owner: &str, ttl: u32, last: u8) -> Record {
        let ip = Ipv4Addr::new(10, 0, 0, last);
        Record::from_rdata(to_wire(owner).unwrap(), ttl, RData::A(A(ip)))
    }

    fn cname(owner: &str, ttl: u32, target: &str) -> Record {
        let target = RData::CNAME(CNAME(to_wire(target).unwrap()));
        Record::from_rdata(to_wire(owner).unwrap(), ttl, target)
    }

    fn read(code: ResponseCode, answers: Vec<Record>) -> Result<Reply, Trouble> {
        read_for("App.internal", code, answers)
    }

    fn read_for(asked: &str, code: ResponseCode, answers: Vec<Record>) -> Result<Reply, Trouble> {
        let question = Query::query(to_wire("app.internal").unwrap(), RecordType::A);
        let mut message = Message::query().into_response();
        message.metadata.response_code = code;
        message.add_query(Query::query(to_wire(asked).unwrap(), RecordType::A));
        for answer in answers {
            message.add_answer(answer);
        }
        Reply::read(&question, DnsResponse::from_message(message).unwrap())
    }

    fn found(answers: Vec<Record>) -> (Vec<String>, u32) {
        let reply = read(ResponseCode::NoError, answers).unwrap();
        (
            reply.records.iter().map(ToString::to_string).collect(),
            reply.ttl,
        )
    }

    fn reason(code: ResponseCode, answers: Vec<Record>) -> Reason {
        read(code, answers).unwrap_err().reason
    }

    #[test]
    fn only_records_on_the_chain_count() {
        let (records, ttl) = found(vec![
            a("elsewhere", 1, 9),
            cname("App.Internal", 30, "real.internal"),
            a("REAL.internal", 60, 1),
            cname("other", 2, "app.internal"),
            a("real.internal", 50, 2),
        ]);
        assert_eq!(records, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(ttl, 30);
    }

    #[test]
    fn the_chain_may_come_in_any_order() {
        let (records, _) = found(vec![
            a("c", 60, 1),
            cname("b", 60, "c"),
            cname("app.internal", 60, "b"),
        ]);
        assert_eq!(records, ["10.0.0.1"]);
    }

    #[test]
    fn the_smallest_ttl_of_all_that_counts() {
        let chain = cname("app.internal", 30, "real");
        for (ttls, expected) in [([20, 40], 20), ([40, 20], 20), ([60, 50], 30)] {
            let records = ttls.map(|ttl| a("real", ttl, 1));
            let answers = [vec![chain.clone()], records.to_vec()].concat();
            assert_eq!(found(answers).1, expected, "{ttls:?}");
        }
        let alone = vec![a("app.internal", 60, 1), a("app.internal", 70, 2)];
        assert_eq!(found(alone).1, 60);
    }

    #[test]
    fn an_alias_of_another_name_is_none() {
        let (records, ttl) = found(vec![
            cname("other", 2, "elsewhere"),
            a("elsewhere", 3, 9),
            a("app.internal", 60, 1),
        ]);
        assert_eq!((records, ttl), (vec!["10.0.0.1".into()], 60));
    }

    #[test]
    fn sixteen_aliases_are_followed() {
        let chain = |count: usize| {
            let name = |n: usize| match n {
                0 => "app.internal".to_owned(),
                n => format!("n{n}"),
            };
            let aliases = (0..count).map(|n| cname(&name(n), 60, &name(n + 1)));
            let mut answers = aliases.collect::<Vec<_>>();
            answers.push(a(&name(count), 60, 1));
            answers
        };
        assert_eq!(found(chain(MAX_ALIASES)).0, ["10.0.0.1"]);
        let more = reason(ResponseCode::NoError, chain(MAX_ALIASES + 1));
        assert_eq!(more, Reason::NoRecords);
        assert_eq!(MAX_ALIASES, 16);
    }

    #[test]
    fn nothing_of_ours_is_no_records() {
        use ResponseCode::{NXDomain, NoError};
        for answers in [
            vec![],
            vec![a("elsewhere", 60, 1)],
            vec![cname("app.internal", 60, "real")],
            vec![
                cname("app.internal", 60, "b"),
                cname("b", 60, "app.internal"),
            ],
        ] {
            assert_eq!(reason(NoError, answers.clone()), Reason::NoRecords);
            assert_eq!(reason(NXDomain, answers), Reason::NxDomain);
        }
    }

    #[test]
    fn a_type_nobody_asked_for_is_a_bad_reply() {
        let ptr = RData::PTR(PTR(to_wire("x").unwrap()));
        let ptr = Record::from_rdata(to_wire("app.internal").unwrap(), 60, ptr);
        assert_eq!(
            reason(ResponseCode::NoError, vec![ptr.clone()]),
            Reason::BadReply
        );
        assert_eq!(found(vec![ptr, a("app.internal", 60, 1)]).0, ["10.0.0.1"]);
    }

    #[test]
    fn what_is_of_another_name_or_belongs_to_it_spoils_nothing() {
        let ptr = RData::PTR(PTR(to_wire("x").unwrap()));
        let elsewhere = Record::from_rdata(to_wire("elsewhere").unwrap(), 60, ptr);
        let signature = RData::Unknown {
            code: RecordType::RRSIG,
            rdata: NULL::with(vec![0]),
        };
        let signed = Record::from_rdata(to_wire("app.internal").unwrap(), 60, signature);
        for answer in [elsewhere, signed] {
            let alone = reason(ResponseCode::NoError, vec![answer.clone()]);
            assert_eq!(alone, Reason::NoRecords, "{answer}");
            let beside = found(vec![answer, a("app.internal", 60, 1)]);
            assert_eq!(beside.0, ["10.0.0.1"]);
        }
    }

    #[test]
    fn a_reply_to_another_question_is_a_bad_reply() {
        let reply = read_for(
            "other",
            ResponseCode::NoError,
            vec![a("app.internal", 60, 1)],
        );
        assert_eq!(reply.unwrap_err().reason, Reason::BadReply);
    }

    #[test]
    fn other_codes_are_kept() {
        let unknown = ResponseCode::Unknown(3841);
        assert_eq!(reason(ResponseCode::YXDomain, vec![]), Reason::Rcode(6));
        assert_eq!(Reason::from(unknown), Reason::Rcode(3841));
    }

    #[test]
    fn the_4097th_record_is_dropped() {
        let many = |count| vec![a("app.internal", 60, 1); count];
        let reply = read(ResponseCode::NoError, many(MAX_RECORDS)).unwrap();
        assert_eq!((reply.records.len(), reply.truncated), (MAX_RECORDS, false));
        let reply = read(ResponseCode::NoError, many(MAX_RECORDS + 1)).unwrap();
        assert_eq!((reply.records.len(), reply.truncated), (MAX_RECORDS, true));
    }
}
