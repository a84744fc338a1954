//! A benchmark that cannot fail measures nothing: every case against a server that works, and against
//! one that does a single thing wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod momento;
mod mqtt;
mod server;

use clap::Parser;
use fanfare_load::{BenchArgs, DialectName, Report, measure_case};
use server::{Fault, start};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    bench: BenchArgs,
}

fn bench(dialect: DialectName, fault: Fault, words: &str) -> anyhow::Result<Report> {
    let url = start(dialect, fault);
    let name = match dialect {
        DialectName::Native => "native",
        DialectName::Bun => "bun",
        DialectName::Mqtt => "mqtt",
        DialectName::Momento => "momento",
    };
    let line = format!("bench --quiet --url {url} --dialect {name} --token secret --space arena {words}");
    measure_case(&Line::try_parse_from(line.split(' ')).unwrap().bench)
}

const DIALECTS: [DialectName; 4] = [DialectName::Native, DialectName::Bun, DialectName::Mqtt, DialectName::Momento];
const FANOUT: &str = "fanout --subscribers 3 --burst 5 --messages 50 --warmup 0";

#[test]
fn every_case_succeeds_with_a_server_that_works() {
    for dialect in DIALECTS {
        let run = |words| bench(dialect, Fault::None, words).unwrap();
        let Report::Fanout(fanout) = run(FANOUT) else { panic!("another case") };
        assert_eq!((fanout.messages, fanout.cost.deliveries), (50, 150));
        let Report::Fanout(fanout) = run("fanout --subscribers 2 --messages 40 --warmup 0 --rate 1000") else {
            panic!("another case")
        };
        assert_eq!(fanout.cost.deliveries, 80);
        assert!(fanout.cost.seconds > 0.03, "{fanout:?}");
        let Report::Pairs(pairs) = run("pairs --pairs 3 --messages 31 --warmup 0") else { panic!("another case") };
        assert_eq!(pairs.cost.deliveries, 31);
        let Report::Storm(storm) = run("storm --clients 6 --spread 20") else { panic!("another case") };
        assert_eq!((storm.attempts, storm.checked_deliveries), (6, 6));
    }
}

#[test]
fn acknowledged_messages_of_both_levels_arrive() {
    for options in ["--qos 1", "--qos 1 --level 4", "--level 4"] {
        let run = |words: &str| bench(DialectName::Mqtt, Fault::None, &format!("{words} {options}")).unwrap();
        let Report::Fanout(fanout) = run(FANOUT) else { panic!("another case") };
        assert_eq!((fanout.messages, fanout.cost.deliveries), (50, 150), "{options}");
        let Report::Pairs(pairs) = run("pairs --pairs 3 --messages 31 --warmup 0") else { panic!("another case") };
        assert_eq!(pairs.cost.deliveries, 31, "{options}");
    }
}

#[test]
fn subscriptions_share_connections() {
    let words = "fanout --subscribers 6 --streams 3 --burst 5 --messages 50 --warmup 0";
    let Report::Fanout(fanout) = bench(DialectName::Momento, Fault::None, words).unwrap() else {
        panic!("another case")
    };
    assert_eq!((fanout.messages, fanout.cost.deliveries), (50, 300));
    for (dialect, words, reason) in [
        (DialectName::Native, words, "only a connection of --dialect momento"),
        (DialectName::Momento, "fanout --subscribers 7 --streams 3", "do not fill connections of 3"),
        (DialectName::Momento, "pairs --streams 3", "only fanout and idle"),
        (DialectName::Momento, "fanout --burst 101", "takes 100 messages"),
        (DialectName::Momento, "fanout --burst 100 --size 1000", "110000 bytes at once"),
    ] {
        let error = bench(dialect, Fault::None, words).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_session_that_the_server_forgets_is_a_loss() {
    let words = "offline --qos 1 --sessions 2 --messages 5";
    let error = bench(DialectName::Mqtt, Fault::None, words).unwrap_err().to_string();
    assert!(error.contains("forgot the session"), "{error}");
    let error = bench(DialectName::Native, Fault::None, words).unwrap_err().to_string();
    assert!(error.contains("--dialect mqtt"), "{error}");
}

#[test]
fn idle_connections_are_checked_in_the_end() {
    let cases = [(DialectName::Native, ""), (DialectName::Mqtt, " --qos 1"), (DialectName::Momento, " --streams 2")];
    for (dialect, options) in cases {
        let words = format!("idle --connections 6 --topics 2 --hold 1{options}");
        let Report::Idle(idle) = bench(dialect, Fault::None, &words).unwrap() else { panic!("another case") };
        assert_eq!((idle.checked_deliveries, idle.server.is_none()), (6, true));
    }
}

#[test]
fn one_fault_makes_the_run_fail() {
    for (fault, reason) in [
        (Fault::Loses, "received message 7 where 6 comes next"),
        (Fault::Repeats, "received message 6 where 7 comes next"),
        (Fault::Swaps, "received message 7 where 6 comes next"),
        (Fault::Damages, "other bytes than were sent"),
        (Fault::Closes, "closed by the server with code 1012"),
    ] {
        for dialect in DIALECTS {
            let reason = match (fault, dialect) {
                (Fault::Closes, DialectName::Mqtt) => "refused with Server shutting down",
                (Fault::Closes, DialectName::Momento) => "refused with GOAWAY",
                // What comes twice shows in the numbers of the server.
                (Fault::Repeats, DialectName::Momento) => "after message Some(",
                // Which of the subscribers has the right order is not known.
                (Fault::Loses, DialectName::Momento) => "comes next",
                (Fault::Swaps, DialectName::Momento) => "message",
                _ => reason,
            };
            let error = bench(dialect, fault, FANOUT).unwrap_err().to_string();
            assert!(error.contains(reason), "{fault:?} of {dialect:?}: {error}");
        }
    }
    let error = bench(DialectName::Native, Fault::Complains, FANOUT).unwrap_err().to_string();
    assert!(error.contains("gap"), "{error}");
    for fault in [Fault::Repeats, Fault::Damages, Fault::Closes] {
        assert!(bench(DialectName::Native, fault, "pairs --pairs 2 --messages 50 --warmup 0").is_err(), "{fault:?}");
    }
}

#[test]
fn a_repetition_of_the_very_last_message_is_noticed() {
    let words = "fanout --subscribers 3 --messages 7 --warmup 0";
    assert!(bench(DialectName::Native, Fault::Repeats, words).is_err());
}

#[test]
fn refusals_of_a_storm_are_counted_and_outlasted() {
    let report = bench(DialectName::Native, Fault::Refuses, "storm --clients 4 --spread 20").unwrap();
    let Report::Storm(storm) = report else { panic!("another case") };
    assert!(storm.refusals >= 1 && storm.attempts == 4 + storm.refusals, "{storm:?}");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let args = Line::try_parse_from("bench --quiet --url http://127.0.0.1:1 fanout".split(' ')).unwrap().bench;
    let error = measure_case(&args).unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
}
