//! A benchmark that cannot fail measures nothing: every case against a server that works, and against
//! one that does a single thing wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

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
    };
    let line = format!("bench --quiet --url {url} --dialect {name} --token secret --space arena {words}");
    measure_case(&Line::try_parse_from(line.split(' ')).unwrap().bench)
}

const DIALECTS: [DialectName; 3] = [DialectName::Native, DialectName::Bun, DialectName::Mqtt];
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
fn a_session_that_the_server_forgets_is_a_loss() {
    let words = "offline --qos 1 --sessions 2 --messages 5";
    let error = bench(DialectName::Mqtt, Fault::None, words).unwrap_err().to_string();
    assert!(error.contains("forgot the session"), "{error}");
    let error = bench(DialectName::Native, Fault::None, words).unwrap_err().to_string();
    assert!(error.contains("--dialect mqtt"), "{error}");
}

#[test]
fn idle_connections_are_checked_in_the_end() {
    for (dialect, options) in [(DialectName::Native, ""), (DialectName::Mqtt, " --qos 1")] {
        let words = format!("idle --connections 5 --topics 2 --hold 1{options}");
        let Report::Idle(idle) = bench(dialect, Fault::None, &words).unwrap() else { panic!("another case") };
        assert_eq!((idle.checked_deliveries, idle.server.is_none()), (5, true));
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
            let is_said = fault == Fault::Closes && dialect == DialectName::Mqtt;
            let reason = if is_said { "refused with Server shutting down" } else { reason };
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
